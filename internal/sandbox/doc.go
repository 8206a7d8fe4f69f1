// Package sandbox runs the applications' WebAssembly modules.
//
// [Runtime.Install] checks a module, puts the instruction meter into it (package meter), compiles it and takes its
// base image: the state after _initialize, with a fixed clock and a random stream made of the module's own hash.
// [Module.NewInstance] gives an instance in exactly that state, from the pool when it can; its random stream then
// starts with the flow's seed. [Instance.Start] and [Instance.Resume] run one step each: an encoded
// fairlead.app.v1 message in, an encoded Yield out. [Runtime.Uninstall] gives a module's memory back when nobody uses it.
//
// A guest can compute, read a clock, draw random bytes and write log lines. The clock is what the caller passes in,
// plus a microsecond for each reading and plus what the guest slept; it never goes back. The random bytes are the
// ChaCha20 key stream (nonce 0) of the seed. It has no arguments, environment, files or network.
//
// Always true:
//   - the same module, seed and sequence of (time, message) give the same sequence of yields, byte for byte, in
//     every process, whether the instance is new or was used before;
//   - nothing of one flow is left in an instance when the next flow gets it;
//   - a guest that loops, grows, crashes, exits or lies is stopped with an [*Error] and harms nobody else;
//   - between calls no code of a guest runs and no goroutine of the host belongs to it: a waiting flow is memory.
//
// An instance is used by one goroutine at a time; everything else may be used by many. The callers are the flow
// worker, the verification worker, internal/appbuild and the CLI's replay. No other package imports wazero.
package sandbox
