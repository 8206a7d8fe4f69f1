// Package flow runs application code: flows, as durable programs.
//
// It consumes flow.events (starts that the mapper accepted, messages of sessions), flow.commands (an operator's) and
// flow.replies.* (other workers' answers), keyed by flow id, so that one flow has one owner. Its table holds the head of each flow (status, step, what it waits for), its store
// "journal" everything that happened to it (package journal); timers bring sleeping flows back. It writes
// flow.status, the end of a flow to flow.mapper.start, and an audit record for every command.
//
// A flow is a WebAssembly module that runs until it asks for something. Each such yield is a step: its requests are
// written to the journal, and when all of them are answered the module is resumed, many steps in one event if nothing
// has to wait: up to 100 steps, and no further step once an event took 200,000,000 instructions, so that it takes some
// 200 ms at most. A module that waits stays in memory, if there is room; else its journal is fed to a fresh instance, in
// as many events as that takes by the same bound of instructions. (An instance that is let go on the way for want of memory
// is then made again in one event, however long, or it might never arrive.) While its module is compiled, a flow waits
// by a timer.
//
// A request is answered within the event when nobody else is needed (opening a session, sending, emitting to an
// external channel, look-ups from views), or waits: for a message, a close, an answer of another worker, or a
// time. Messages that arrive before they are read lie in the store "inbox"; sessions are part of the head.
//
// Always true: a message of a session is read once and in order, whatever comes early, late or twice; a reply is taken
// only on the topic of the worker that was asked, for the request that waits. What a flow did is in its journal before anybody can see an effect of it, in the same transaction;
// nothing in memory is ahead of the log; a replay that does not repeat what was recorded parks the flow for the
// operator and changes nothing; a flow that loops, grows, crashes or lies fails alone, with a stable error id; an end
// (COMPLETED, FAILED, KILLED) is final; the journal outlives the flow by seven days.
//
// [Step] decides and touches nothing; [Worker] owns the instances and joins both to the goka group. internal/app
// makes the worker and hands it views of virtual.node.info, cpi.info and cpi.chunks.
package flow
