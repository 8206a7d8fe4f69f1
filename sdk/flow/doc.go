// Package flow is how applications for fairlead are written.
//
// A flow is an ordinary function that is registered under a name while the program initialises:
//
//	func init() { flow.Register("hello", Hello) }
//
//	func Hello(ctx *flow.Context, in Greet) (Greeting, error) { … }
//
//	func main() { native.Main() }
//
// Its argument and result are JSON on the outside and Go types here. A flow is durable: whatever it asks the
// platform for through its [Context] is written to its journal with the answer, and after a crash or a move to
// another worker the flow goes on where it was, by running its code again against the journal. So a flow must do
// the same again when it is run again, and it does unless it works around this package: time, random numbers and
// sleep come from the journal, there are no files and no network, and goroutines and map order are repeated exactly.
//
// # What a flow can ask
//
//	who it is          ctx.Identity, FlowID, ClientRequestID, Attempt, Property, SetProperty
//	time and chance    ctx.Now, Sleep, Checkpoint, Rand, RandomBytes
//	other members      ctx.Member, Members, MemberByKey
//	to talk to them    ctx.OpenSession; Session.Send, Receive, SendAndReceive, SendAll, ReceiveAll, Session.Close
//	its tables         Table: Persist, Merge, Remove, Find, FindAll; Query: Rows
//	its keys           ctx.Keys, MyKeys, Sign (package signature checks)
//	transactions       ctx.Verify (packages ledger and contract)
//	the ledger         package vault
//	external channels  ctx.Emit
//	as a notary, what  ctx.CheckUniqueness, ReadUniqueness
//	was spent
//	the log            ctx.Log
//
// Each of them is one step of the flow, a suspension that the flow's history shows. To wait for several things at once,
// issue them together with [All]: every method has a function that makes its call, such as [SignCall] for Sign. A
// context's methods are called from the goroutine that runs the flow, one at a time.
//
// Calling another flow's function is a sub-flow; there is nothing more to it. (In Corda a sub-flow's end closes the
// sessions that it opened: here, defer their Close.)
//
// # Errors
//
// Errors are ordinary values; a flow that returns an error fails with it. An [Error] keeps its type for programs, every
// other error has type "application". A panic fails the flow with type "panic" and its place; the log has the
// whole way there. The platform's errors are compared by
// errors.Is with the Err variables.
//
// # Sessions
//
// A session is a conversation between a flow that opens it and a responder, which is started for it in the virtual node
// of the other member. These are the rules:
//
//	protocol    Both sides name it. The opener offers versions ([ProtocolVersions]), the responder has its own
//	            ([Versions]); the highest common one is taken. If there is none, the opener gets ErrSessionFailed.
//	begin       Opening sends nothing. The responder begins with the first message, or when the opener asks Info.
//	messages    JSON, or bytes as they are. They arrive once and in order, in each direction. Sending does not wait.
//	            Large ones travel in parts of 512 KiB and are put together again; a whole message has to fit into the
//	            flow's memory on both sides.
//	fields      A JSON message with a field that the receiver's type does not have is ErrBadMessage: a new field is a
//	            new version of the protocol.
//	properties  Context properties of the opener are properties of the responder's context too.
//	close       The responder's close does not wait. The opener's waits for the responder's, unless CloseNotRequired. A
//	            side that closed neither sends nor receives any more: ErrSessionClosed.
//	other side  Once the other side closed, what it sent before can be received; then, and for every Send,
//	closed      ErrSessionClosed.
//	end         A flow that returns closes its open sessions. An opener's flow is complete when the closes of the other
//	            sides came; if one fails instead, so does the flow, though its code is done, unless it tolerates that
//	            ([Session.TolerateFailure]).
//	failure     When a flow fails or is killed, the other sides of its open sessions get ErrSessionFailed with its
//	            message, after what it sent before.
//	silence     A session fails with ErrSessionTimeout when nothing came from the other side for its time-out
//	            ([SessionTimeout], 30 minutes without it).
//	maintenance The same when the virtual node of the other side is in maintenance: the message begins with
//	            peer-in-maintenance, and a new session works when it is ACTIVE again.
//	retry       An operator's retry from an earlier step opens the sessions anew that were opened after it; it is refused
//	            when one that was opened before failed since or was used after it, unless it is forced.
//
// # Building
//
// The same source is built natively for tests (package flowtest) and for a debugger (package native), and as a
// WebAssembly module for the platform:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w -buildid='
package flow
