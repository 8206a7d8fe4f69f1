package flow

import (
	"fmt"

	"github.com/fairleadio/fairlead/processors/flow/journal"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Stable ids of what can go wrong with a flow, as `fairlead explain` knows them.
const (
	// ErrApplication: the flow's own code returned an error.
	ErrApplication = journal.ApplicationErrorID
	// ErrPanic: the flow's own code panicked.
	ErrPanic = journal.PanicErrorID
	// ErrNotHere: the virtual node, its package or the module did not become visible to this worker in time.
	ErrNotHere = "FL-FLOW-002"
	// ErrDeterminism: a replay did something else than the journal has. The flow is parked.
	ErrDeterminism = "FL-FLOW-003"
	// ErrInstructions: a step ran longer than its instruction budget.
	ErrInstructions = "FL-FLOW-004"
	// ErrMemory: the flow needed more memory than a module may have.
	ErrMemory = "FL-FLOW-005"
	// ErrTooLarge: the flow's argument or result is over the limit.
	ErrTooLarge = "FL-FLOW-006"
	// ErrTooLong: the flow took more steps than a journal may have.
	ErrTooLong = "FL-FLOW-007"
	// ErrCrashed: the flow's program crashed, exited or executed something forbidden.
	ErrCrashed = "FL-FLOW-008"
	// ErrInterface: the module broke the guest interface.
	ErrInterface = "FL-FLOW-009"
	// ErrNoClass: the virtual node's package has no such flow.
	ErrNoClass = "FL-FLOW-010"
	// ErrJournal: the journal cannot be used. The flow is parked.
	ErrJournal = "FL-FLOW-011"
	// ErrWorker: the worker could not run the module, through no fault of the flow's. The flow is parked.
	ErrWorker = "FL-FLOW-012"
	// ErrDeadLetter: a record of the flow went to the dead letters, so what it carried will not reach the flow.
	ErrDeadLetter = "FL-FLOW-013"
	// ErrSession: the flow's code was done, but a session's other side did not close as it must.
	ErrSession = "FL-FLOW-014"
	// ErrService: another worker said that what the flow asked failed for good.
	ErrService = "FL-FLOW-015"

	// RefusedUnknown: a command names a flow that is not known.
	RefusedUnknown = "FL-FLOW-020"
	// RefusedEnded: a command names a flow that has ended.
	RefusedEnded = "FL-FLOW-021"
	// RefusedState: a command makes no sense in the flow's state.
	RefusedState = "FL-FLOW-022"
	// RefusedStep: a retry names a step that the flow has not reached.
	RefusedStep = "FL-FLOW-023"
	// RefusedMalformed: a command is none of those that exist.
	RefusedMalformed = "FL-FLOW-024"
	// RefusedSession: a retry would go on with a session that cannot be used any more.
	RefusedSession = "FL-FLOW-025"
)

// Types of the errors that the platform gives a flow or reports of it; an application's own errors have its own types.
const (
	TypePlatform = "platform"
	// typePanic is what the SDKs make of a panic of the flow's own code.
	typePanic       = "panic"
	TypeLimit       = "limit"
	TypeUnsupported = "unsupported"
	TypeInvalid     = "invalid-argument"
	// TypeTimeout: another worker did not answer in time; whether it did what was asked is not known.
	TypeTimeout = "timeout"
	// TypeSessionClosed: the session is closed and everything was read; TypeSessionError: the other side failed;
	// TypeSessionTimeout: the other side was silent for too long.
	TypeSessionClosed  = "session-closed"
	TypeSessionError   = "session-error"
	TypeSessionTimeout = "session-timeout"
	// TypeNotFound: there is no such key. TypeNoChannel: the package declares no such channel to send to.
	// TypeChannelInactive: the virtual node has no active route for it, or its topic cannot be written.
	// TypePackageUntrusted: the flow's own package does not stand for the code that a transaction names.
	TypeNotFound         = "not-found"
	TypePackageUntrusted = "package-untrusted"
	TypeNotNotary        = "not-a-notary"
	TypeNoChannel        = "no-channel"
	TypeChannelInactive  = "channel-inactive"
)

func platformError(id, format string, args ...any) *flowv1.FlowError {
	return &flowv1.FlowError{Type: TypePlatform, Id: id, Message: id + ": " + fmt.Sprintf(format, args...)}
}

func limitError(id, format string, args ...any) *flowv1.FlowError {
	e := platformError(id, format, args...)
	e.Type = TypeLimit
	return e
}
