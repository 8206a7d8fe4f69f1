// Package archive writes and reads the zip files that application packages are.
//
// A package has exactly one reading. The writer lays the entries one behind the other, in the order that it was given,
// with fixed times and flags, the central directory behind them and nothing else; so the same entries are the same
// bytes. The reader takes what the writer makes and refuses all else that zip allows: comments, extra fields, data
// descriptors, encryption, Zip64, gaps, overlaps, bytes before or behind, a local header that says something else than
// the directory, names that mean another file than they say. Any unzip program reads these files.
//
// The reader believes nothing before it has checked it: counts, names and sizes are bounded from the directory, before
// anything is inflated, and inflating stops at the size that was declared. It holds the directory in memory and no
// content; an entry that is stored is read in place, so that a package in a package costs no memory either.
//
// It knows nothing of manifests and signatures; package cpi, its only caller, does.
package archive
