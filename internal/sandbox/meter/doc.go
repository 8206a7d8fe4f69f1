// Package meter puts the instruction meter into a WebAssembly module.
//
// [Instrument] reads a module, refuses what fairlead does not run (SIMD, threads, exceptions, several memories,
// 64-bit memories, garbage-collected types, tail calls, growing tables, imports of anything but functions, a start
// section), and returns the module with these additions:
//
//   - a mutable i64 global, the instructions left. Every straight-line piece of code takes its cost from it when
//     the piece begins; function entries, loop headers and operations whose cost depends on an operand
//     (memory.grow, memory.copy, …) then look whether it fell below zero and call the imported function
//     [ModuleName].[MoreName], with which the host stops the guest or gives it more;
//   - a mutable i32 global, the stack in use by the estimate of [Costs], so that endless recursion ends at the same
//     call on every machine and not where the machine's own stack happens to end;
//   - a mutable i32 global that is 1 after a memory.grow that failed;
//   - canonical NaNs: the result of a float operation is the same bits on every processor;
//   - an export for every mutable global, so that a host can put an instance back to an earlier state.
//
// Always true: the additions cannot be reached by the module's own code (every index is checked against the
// module before the additions); the same bytes in give the same bytes out; costs are constants of this package,
// never settings, because two hosts with different costs would disagree about the same flow. Instrument does not
// check types: the compiler that takes its output does, and the additions neither hide nor make a type error.
//
// Its only caller is internal/sandbox.
package meter
