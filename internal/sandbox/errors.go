package sandbox

import (
	"errors"
	"fmt"
)

// ErrorKind is what a guest did wrong, as a stable word for programs and metrics.
type ErrorKind string

// Kinds of errors. All of them are the guest's doing and, but for [OutOfTime], happen again when the same step is
// run again. After any of them but [ArgumentTooLarge] the instance is of no more use.
const (
	// OutOfInstructions: a step ran longer than its instruction budget.
	OutOfInstructions ErrorKind = "out-of-instructions"
	// OutOfMemory: the guest could not get the memory that it asked for.
	OutOfMemory ErrorKind = "out-of-memory"
	// OutOfStack: calls were nested too deep.
	OutOfStack ErrorKind = "out-of-stack"
	// OutOfTime: a step ran far longer than its instruction budget should take. It tells of a machine that is
	// overloaded or of a cost that the meter has wrong; it is the net below the budget and not deterministic.
	OutOfTime ErrorKind = "out-of-time"
	// Panic: the guest's program crashed outside of the flow's own code.
	Panic ErrorKind = "panic"
	// Exit: the guest ended itself.
	Exit ErrorKind = "exit"
	// Trap: the guest executed something that WebAssembly forbids, such as an access outside its memory.
	Trap ErrorKind = "trap"
	// ResultTooLarge: a result is over Limits.MaxResult.
	ResultTooLarge ErrorKind = "result-too-large"
	// ArgumentTooLarge: an argument is over Limits.MaxArgument. The guest was not called.
	ArgumentTooLarge ErrorKind = "argument-too-large"
	// BadYield: what the guest returned is not a yield: it lies outside its memory or cannot be decoded.
	BadYield ErrorKind = "bad-yield"
	// Rejected: the module is not one that the sandbox runs.
	Rejected ErrorKind = "rejected"
)

// Error is a guest's failure.
type Error struct {
	Kind   ErrorKind
	Detail string
}

// Error returns kind and detail.
func (e *Error) Error() string { return string(e.Kind) + ": " + e.Detail }

// Is lets errors.Is compare kinds: a target without detail matches every detail.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && (t.Detail == "" || t.Detail == e.Detail)
}

// KindOf returns the kind of an error of this package, empty for any other error.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func failed(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
