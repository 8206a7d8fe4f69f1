// Package sdk is the root of the software development kit for applications. It carries the kit's own source, so
// that a tool can lay it out beside a new application and work without a network.
//
// What applications import are the packages below it: flow, contract and ledger, signature to check what flows sign, native
// for debuggers, and flowtest for their tests. guests holds flows in other languages, which need none of it.
package sdk
