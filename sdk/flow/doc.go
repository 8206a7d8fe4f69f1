// Package flow is how applications for fairlead are written.
//
// A flow is an ordinary function that is registered under a name while the program initialises:
//
//	func init() { flow.Register("hello", Hello) }
//
//	func Hello(ctx *flow.Context, in Greet) (Greeting, error) { … }
//
//	func main() {}
//
// Its argument and result are JSON on the outside and Go types here. A flow is durable: whatever it asks the
// platform for through its [Context] is written to its journal with the answer, and after a crash or a move to
// another worker the flow goes on where it was, by running its code again against the journal. So a flow must do
// the same again when it is run again, and it does unless it works around this package: time, random numbers and
// sleep come from the journal, there are no files and no network, and goroutines and map order are repeated exactly.
//
// Calling another flow's function is a sub-flow. Errors are ordinary values; a flow that returns an error fails
// with it. An [Error] keeps its type for programs, every other error has type "application". A panic fails the flow
// with type "panic".
//
// The same source is built natively for tests (see package flowtest) and as a WebAssembly module for the platform:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w -buildid='
//
// A context's methods are called from the goroutine that runs the flow, one at a time. To wait for several things
// at once, issue them together with [All].
package flow
