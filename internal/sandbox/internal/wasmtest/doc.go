// Package wasmtest assembles small WebAssembly modules for the tests of the sandbox and of its meter. It checks
// nothing: modules that are wrong are what tests need most.
package wasmtest
