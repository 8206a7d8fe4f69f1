// Package modules gets the modules of packages into the sandbox of a worker: from their parts on cpi.chunks, beside the
// partitions' work, one at a time, and out again when no package names them.
//
// Always true: a module is what its checksum says; one that cannot run is compiled once, and asked for often; what the
// machine did wrong is tried again. The flow and the verification worker use it, each with what it calls a module.
package modules
