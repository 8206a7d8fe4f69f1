// Package native runs an application's flows as native Go for a real cluster, so that they can be stepped through in a
// debugger.
//
// An application calls [Main] in its main function:
//
//	func main() { native.Main() }
//
// On the platform that does nothing: the module's main function is never called. Run natively, with the environment
// variable FAIRLEAD_NATIVE set to the address where a flow worker waits for native programs, the program connects to it
// and runs the flows that the worker begins, each in a goroutine; between the steps of a flow, its goroutine waits.
// Only the flows' code is here: journal, timers, sessions and tables are the cluster's.
//
// The program may be stopped, changed and started again at any time: the cluster then runs its flows again against what
// they asked before, and they go on where they were, unless the new code asks for something else; then the flow stops
// with what differs.
//
// A panic fails its flow, as on the platform; one in another goroutine than the flow's, and os.Exit, end the program.
//
// What is not the same as on the platform: random numbers are others, Go's map order and goroutines are not repeated,
// nothing is metered or bounded. A flow that began natively does not go on as WebAssembly, nor the other way.
package native
