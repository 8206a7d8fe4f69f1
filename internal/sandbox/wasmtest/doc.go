// Package wasmtest assembles small WebAssembly modules for the tests of the sandbox, of its meter and of hostile packages. It checks
// nothing: modules that are wrong are what tests need most.
package wasmtest
