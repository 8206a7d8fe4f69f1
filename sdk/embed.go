// Package sdk is the root of the software development kit for applications. It carries the kit's own source, so
// that a tool can lay it out beside a new application and work without a network.
//
// What applications import are the packages below it: flow, and flowtest for their tests.
package sdk

import (
	"embed"
	"io/fs"
)

// Module is the path of the kit's Go module.
const Module = "github.com/fairleadio/fairlead/sdk"

//go:embed go.mod *.go flow flowtest internal
var source embed.FS

// Files is the kit's source, a whole Go module: unpack it and point a replace directive for [Module] to it.
func Files() fs.FS { return source }
