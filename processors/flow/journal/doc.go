// Package journal is a flow's durable history: the keys and rows of the store "journal", how the rows of several
// attempts make one line, how a line is fed to a fresh instance of the flow's module, and how it reads to people.
//
// A row's key is the flow's id (16 bytes), attempt, step and ordinal (each a big-endian u32), so that rows sort in
// the order in which they happened. Step 0 holds the start; step n holds the requests of the flow's n-th yield with
// their answers, or its end.
//
// Always true: a replay hands the instance exactly what was recorded, the clock included, and either reaches the
// step that was asked for or names the first step at which the instance did something else, with what was expected
// and what came. Nothing here reads a clock, a network or a disk.
//
// Called by the flow worker, by rest and the CLI for "flow history", and by the CLI for "flow replay".
package journal
