package flow

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		ErrApplication: "The flow's own code returned an error: its type and message are the application's. " +
			"`fairlead flow history ID` shows what the flow did before. The end is final; start a new flow when the cause is gone.",
		ErrPanic: "The flow's own code panicked: a nil pointer, an index out of range, a map that was never made, or a call of panic. The message names the function and the line; " +
			"the log of the flow worker that ran it has the whole way there, under the flow's id (`panic: …`). `fairlead flow history ID` shows what the flow did before. " +
			"The end is final; mend the application, upload it, and start a new flow.",
		ErrNotHere: "The virtual node, its package or the package's module was not visible to the flow worker within a minute. " +
			"`fairlead tail virtual.node.info --from start --key VNODE` shows whether the virtual node is there and which package it has, `fairlead tail cpi.info --from start` the packages. " +
			"A start fails with this; a flow that was running is parked: resume it when the missing part is back.",
		ErrDeterminism: "The flow's instance was not in memory, its journal was fed to a fresh one, and that one did something else than was recorded. " +
			"Nothing was changed and the flow is parked. The message names the step, what the journal has and what came. " +
			"Causes: code that works around the SDK's clock and random numbers, or a fault of fairlead's. " +
			"`fairlead flow retry ID --step N` goes on from an earlier step in a new attempt; else kill the flow. Please report it with `fairlead flow history ID`.",
		ErrInstructions: "One step of the flow used up its instruction budget, about 100 ms of work. The flow failed; nobody else was harmed. " +
			"Look for a loop without end; put ctx.Checkpoint() between the parts of long computations, each gets a fresh budget.",
		ErrMemory: "The flow asked for more memory, or deeper calls, than a module may have. Keep less in memory at once: page through queries, store intermediate results.",
		ErrTooLarge: "The flow's argument, its result, or what one step takes or returns is over the limit (512 KiB). " +
			"Send a reference instead of the data, or store the result and return its key.",
		ErrTooLong: "The flow took more steps than a journal may have (10,000), or asked for more than 1,000 things in one step. " +
			"Split the work over several flows, or do more in each step (flow.All).",
		ErrCrashed: "The flow's program crashed outside of the flow's own function, exited, or executed something that WebAssembly forbids. " +
			"The worker's log has the program's last words, under the flow's id.",
		ErrInterface: "The module does not speak this cluster's guest interface, or returned what it does not allow. " +
			"Build the application with an SDK of the cluster's version and upload it again.",
		ErrNoClass: "The package that is installed in the virtual node has no startable flow of that name. " +
			"`fairlead flow classes VNODE` lists those it has; perhaps the virtual node still has an older version.",
		ErrJournal: "The flow's journal cannot be used: a row is missing or cannot be read. The flow is parked and nothing was changed. " +
			"`fairlead flow history ID` shows the rows that can be read. Retry from an earlier step, or kill the flow. A worker that lost its disk reads the topic again.",
		ErrDeadLetter: "A record that this flow needed went to the dead letters of the flow group: it could not be read, or it killed the worker's process again and again. " +
			"The flow failed with it, so that nobody waits in vain. The record is in flow.dlq, with the reason; after the cause is mended, start the flow again under a new client request id.",
		ErrSession: "The flow's own code had returned, but the other side of a session that must be closed by both sides failed, or was silent for too long. " +
			"The message names the other side and its reason. Let the initiating flow close the session itself to see this as an error value, open the session without requiring the close, or have the flow tolerate it (Session.TolerateFailure), as finality does once a transaction is final.",
		ErrService: "Another worker (crypto, persistence, uniqueness or verification) said that what the flow asked cannot be done and will not be possible later. The message says what and why; `fairlead flow history ID` shows the request.",
		ErrWorker: "The worker could not run the module, through no fault of the flow's: the machine is overloaded, out of memory, or fairlead has a fault. " +
			"The flow is parked. Look at the worker's log and resume the flow when the worker is well.",
		RefusedUnknown: "A command named a flow that does not run and has not run in the last seven days, or that was killed before it began. The command changed nothing.",
		RefusedEnded:   "A command named a flow that has ended. COMPLETED, FAILED and KILLED are final. The command changed nothing.",
		RefusedState:   "A command makes no sense now: pause for a flow that is paused or parked, resume for one that is not, or release-tokens for one that has no claim of tokens. The command changed nothing.",
		RefusedStep:    "A retry named a step that the flow has not reached. `fairlead flow history ID` shows the steps. The command changed nothing.",
		RefusedSession: "A retry would go on after the opening of a session that is dead, or that would be broken by it: it failed, timed out, or was used after the step, and the other side's flow does not go back. " +
			"The flow would get a session-error and most likely fail for good. The message names the session, and the step before its opening: a retry from there opens it anew. `fairlead flow retry ID --step N --force` goes on all the same. The command changed nothing.",
		RefusedMalformed: "A record on flow.commands carries none of KILL, PAUSE, RESUME and RETRY_FROM_STEP: its writer is newer than this worker, or wrong. Nothing was changed.",
	}
}
