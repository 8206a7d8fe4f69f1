// Package scaffold makes the folder of a new application: a Go module with a flow, its responder, a table, tests and a
// README that fits, with the SDK unpacked beside it, so that it builds and tests without a network.
//
// What it makes is tested as a developer meets it: the folder's tests pass, it builds, and its package opens.
//
// The caller is the CLI (fairlead app new).
package scaffold
