// Package appbuild turns an application's Go source into its WebAssembly module.
//
// The same source, SDK and Go release give the same bytes: paths, version control and build ids are kept out, and
// settings of the caller's environment that would change the code are overridden. The module is then checked and
// asked for its flows in the sandbox, so that what Build returns is what a cluster accepts.
//
// The callers are the CLI (`fairlead app build`, `fairlead dev`) and tests.
package appbuild
