package flow

import (
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"

	"github.com/fairleadio/fairlead/processors/flow/journal"
)

// Event is one thing that happens to a flow. NowUs is the time of the transaction, microseconds UTC.
type Event interface{ event() }

// Started is a start that the mapper accepted, and what the worker knows about it.
type Started struct {
	Started *flowv1.Started
	// Seed is the flow's only source of randomness, 32 bytes of the system's generator.
	Seed []byte
	// Module is the SHA-256 of the module that has the flow's class, CPIChecksum the package's.
	Module      []byte
	CPIChecksum string
	// Refused says why the flow cannot run, Stopped that its virtual node lets no flow start; both may be empty.
	Refused *flowv1.FlowError
	Stopped string
	NowUs   int64
}

// Yielded is what the module returned after a [Run].
type Yielded struct {
	Yield journal.Yield
	NowUs int64
}

// Broke tells that a [Run] had no result. Park tells that the flow is not to blame and an operator can mend it.
type Broke struct {
	Error *flowv1.FlowError
	Park  bool
	NowUs int64
}

// Due tells that a sleep is over.
type Due struct {
	Attempt, Step, Ordinal uint32
	NowUs                  int64
}

// Continued tells that a step's checkpoint is durable, or that a flow which let others go first may go on.
type Continued struct {
	Attempt, Step uint32
	NowUs         int64
}

// Commanded is an operator's command.
type Commanded struct {
	Command *flowv1.FlowCommand
	// ID is the command's own, UUID text.
	ID string
	// Flow is the id that was named, for the audit; the flow may not exist.
	Flow string
	// Kept has the rows of the step after which a retry cuts; Start the start row when that is step 0.
	Kept  []*flowv1.JournalRequest
	Start *flowv1.JournalStart
	NowUs int64
}

// Stopped tells that the flow's virtual node lets no flow go on.
type Stopped struct {
	Reason string
	NowUs  int64
}

// Forgotten tells that an ended flow was kept long enough.
type Forgotten struct{ NowUs int64 }

func (Started) event()   {}
func (Yielded) event()   {}
func (Broke) event()     {}
func (Due) event()       {}
func (Continued) event() {}
func (Commanded) event() {}
func (Stopped) event()   {}
func (Forgotten) event() {}

// Effect is one thing that a step asks for.
type Effect interface{ effect() }

// WriteStart writes the journal's first row.
type WriteStart struct{ Row *flowv1.JournalStart }

// WriteRequest writes one request's row.
type WriteRequest struct {
	Attempt, Step, Ordinal uint32
	Row                    *flowv1.JournalRequest
}

// WriteEnd writes the journal's last row.
type WriteEnd struct {
	Attempt, Step uint32
	Row           *flowv1.JournalEnd
}

// Run resumes the module with the answers of a step, or starts it when the step is 0; its outcome comes back as
// [Yielded] or [Broke]. ClockUs is the guest's clock.
type Run struct {
	Step    uint32
	ClockUs int64
}

// SetTimer has a [Due] sent at a time.
type SetTimer struct {
	Attempt, Step, Ordinal uint32
	AtUs                   int64
}

// CancelTimer forgets the timer of a request.
type CancelTimer struct{ Attempt, Step, Ordinal uint32 }

// GoOn has a [Continued] sent after the transaction.
type GoOn struct{ Attempt, Step uint32 }

// SendEnded tells the mapper that the flow is terminal.
type SendEnded struct {
	Key   string
	Ended *flowv1.FlowEnded
}

// SetForget has a [Forgotten] sent at a time.
type SetForget struct{ AtUs int64 }

// DropInstance throws the flow's instance away: it is at its end, or no longer where the journal is.
type DropInstance struct{}

// DropJournal deletes the flow's rows, and its head with the last of them.
type DropJournal struct{}

// Audit records a command.
type Audit struct{ Entry *auditv1.Entry }

// Note counts what happened, for metrics.
type Note struct{ What Outcome }

func (WriteStart) effect()   {}
func (WriteRequest) effect() {}
func (WriteEnd) effect()     {}
func (Run) effect()          {}
func (SetTimer) effect()     {}
func (CancelTimer) effect()  {}
func (GoOn) effect()         {}
func (SendEnded) effect()    {}
func (SetForget) effect()    {}
func (DropInstance) effect() {}
func (DropJournal) effect()  {}
func (Audit) effect()        {}
func (Note) effect()         {}

// Outcome names what happened, for metrics.
type Outcome string

// The outcomes.
const (
	OutcomeStarted     Outcome = "started"
	OutcomeRepeated    Outcome = "repeated"
	OutcomeStep        Outcome = "step"
	OutcomeUnsupported Outcome = "unsupported"
	OutcomeTooLarge    Outcome = "too-large"
	OutcomeStale       Outcome = "stale"
	OutcomeParked      Outcome = "parked"
	OutcomeCompleted   Outcome = "completed"
	OutcomeFailed      Outcome = "failed"
	OutcomeKilled      Outcome = "killed"
	OutcomeCommand     Outcome = "command"
	OutcomeRefused     Outcome = "command-refused"
	OutcomeForgotten   Outcome = "forgotten"
)
