package sdk

import (
	"embed"
	"io/fs"
)

// Module is the path of the kit's Go module.
const Module = "github.com/fairleadio/fairlead/sdk"

//go:embed go.mod *.go contract finality flow flowtest ledger native signature tokens vault internal
var source embed.FS

// Files is the kit's source, a whole Go module: unpack it and point a replace directive for [Module] to it.
func Files() fs.FS { return source }
