//go:build !unix

package main

import "io/fs"

// ownerOf is whose a file is, which is not known here.
func ownerOf(fs.FileInfo) (uid, gid int, known bool) { return 0, 0, false }
