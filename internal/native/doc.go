// Package native runs flows in a program of their own, as native Go, for a developer who steps through them in a
// debugger. It stands where internal/sandbox stands otherwise, with the same instances.
//
// A [Host] listens on an address of this machine; the program (an application that calls native.Main of the SDK) connects
// to it. The newest connection is the one in use. When a program goes away and a new one comes, instances go on in it:
// each keeps what it was called with, and calls the new program the same way before the next step; what it answers must
// be what the old one answered.
//
// A flow in whose step the program ends again and again gets a [CrashError], if whoever starts the program tells the host
// that it ended by itself; one that merely goes away is waited for. (The SDK fails a flow that panics, and the program
// lives on.)
//
// It is for development alone: nothing is metered or bounded, and whoever can connect to the address can answer for the
// flows. Its caller is the flow worker (flow.FromNative), where a development cluster is told to use it.
package native
