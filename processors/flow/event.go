package flow

import (
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/identity"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"

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
	// Session is this side of the session that begins a responder's flow, nil for another flow.
	Session *flowv1.Session
	NowUs   int64
}

// Yielded is what the module returned after a [Run].
type Yielded struct {
	Yield journal.Yield
	// Known is what the views say that the requests of the yield need, by ordinal; shorter when the last need nothing.
	Known []Known
	// Inbox has the messages that may be read: those that arrived for the sessions of the yield's receives.
	Inbox Inbox
	// Units are the instructions that it took.
	Units int64
	NowUs int64
}

// Known is what the worker's views say that one request needs.
type Known struct {
	// Result is the answer to a look-up, encoded.
	Result []byte
	// Refused is why the request cannot be made.
	Refused *appv1.Error
	// VaultName is the signing key's.
	VaultName string
	// Metadata is that of a signature of transactions, but for its time.
	Metadata ledger.SignatureMetadata
	// Packages are those with contracts of the flow's own package.
	Packages []ledger.Installed
	// Topic is where an emit goes; empty when the channel is inactive and ignores it.
	Topic string
	// Units are instructions that finding it out counts for.
	Units int64
}

// Inbox has messages by session id, in the order of their sequence numbers, beginning with the next one to read.
type Inbox map[string][]Message

// Message is one part of a message of a session. Row is nil when it is there but was not loaded, for the answers to the
// step have no room for it.
type Message struct {
	Sequence uint32
	Row      *flowv1.InboxRow
}

// Arrived is a message of one of the flow's sessions. Hold tells that it can only be kept: the rows of the flow's step
// or its virtual node are not at hand.
type Arrived struct {
	Event *flowv1.SessionEvent
	// Inbox has what arrived before and can be read, for the sessions that the flow waits for.
	Inbox Inbox
	Hold  bool
	NowUs int64
}

// NoResponder tells that nobody here answers a session that begins; there is no flow.
type NoResponder struct {
	Event *flowv1.SessionEvent
	// Flow is the id that the mapper gave to the flow that will not be.
	Flow          identity.UUID
	Type, Message string
	NowUs         int64
}

// Replied is another worker's answer. Topic is where it came in. Hold is as for [Arrived].
type Replied struct {
	Topic, RequestID string
	Reply            *rpcv1.Reply
	Hold             bool
	NowUs            int64
}

// Silent tells that a session may have been silent for too long.
type Silent struct {
	SessionID string
	NowUs     int64
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
	// Inbox is as for [Arrived].
	Inbox Inbox
	NowUs int64
}

// Stopped tells that the flow's virtual node lets no flow go on.
type Stopped struct {
	Reason string
	NowUs  int64
}

// Forgotten tells that an ended flow was kept long enough.
type Forgotten struct{ NowUs int64 }

func (Started) event()     {}
func (Yielded) event()     {}
func (Arrived) event()     {}
func (NoResponder) event() {}
func (Replied) event()     {}
func (Silent) event()      {}
func (Broke) event()       {}
func (Due) event()         {}
func (Continued) event()   {}
func (Commanded) event()   {}
func (Stopped) event()     {}
func (Forgotten) event()   {}

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

// SendRequest asks another worker. The reply comes back as [Replied].
type SendRequest struct {
	Topic, Key string
	Message    proto.Message
	RequestID  string
	DeadlineUs int64
}

// SendSession gives the mapper an event of a session, under the session id of this side.
type SendSession struct {
	Key   string
	Event *flowv1.SessionEvent
	// Direct: it may go straight to the other side's mapping, which is there, when that is kept in this cluster.
	Direct bool
}

// SendCleanUp tells the mapper that the flow is done with its side of a session.
type SendCleanUp struct {
	Key  string
	Flow identity.UUID
}

// SetSilence has a [Silent] sent at a time; CancelSilence forgets it.
type SetSilence struct {
	SessionID string
	AtUs      int64
}

// CancelSilence forgets the timer of a session.
type CancelSilence struct{ SessionID string }

// KeepMessage puts a message into the flow's inbox.
type KeepMessage struct {
	SessionID string
	Message   Message
}

// DropMessage takes a message that was read out of the inbox, DropMessages all of a session.
type DropMessage struct {
	SessionID string
	Sequence  uint32
}

// DropMessages empties the inbox of a session.
type DropMessages struct{ SessionID string }

// EmitRecord writes a record to an external channel.
type EmitRecord struct {
	Topic      string
	Key, Value []byte
	Headers    []*appv1.Property
}

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

func (WriteStart) effect()    {}
func (WriteRequest) effect()  {}
func (WriteEnd) effect()      {}
func (Run) effect()           {}
func (SetTimer) effect()      {}
func (CancelTimer) effect()   {}
func (GoOn) effect()          {}
func (SendEnded) effect()     {}
func (SendRequest) effect()   {}
func (SendSession) effect()   {}
func (SendCleanUp) effect()   {}
func (SetSilence) effect()    {}
func (CancelSilence) effect() {}
func (KeepMessage) effect()   {}
func (DropMessage) effect()   {}
func (DropMessages) effect()  {}
func (EmitRecord) effect()    {}
func (SetForget) effect()     {}
func (DropInstance) effect()  {}
func (DropJournal) effect()   {}
func (Audit) effect()         {}
func (Note) effect()          {}

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
	OutcomeInstalling  Outcome = "installing" // it waits for its module to be compiled
	OutcomeCompleted   Outcome = "completed"
	OutcomeFailed      Outcome = "failed"
	OutcomeKilled      Outcome = "killed"
	OutcomeCommand     Outcome = "command"
	OutcomeRefused     Outcome = "command-refused"
	OutcomeForgotten   Outcome = "forgotten"
	// OutcomeRequest: another worker was asked; OutcomeReply: its answer was taken; OutcomeTimeout: none came in time.
	OutcomeRequest Outcome = "request"
	OutcomeReply   Outcome = "reply"
	OutcomeTimeout Outcome = "timeout"
	// OutcomeOpened: a session was opened here; OutcomeResponder: one that was opened elsewhere began a flow.
	OutcomeOpened      Outcome = "session-opened"
	OutcomeResponder   Outcome = "session-responder"
	OutcomeNoResponder Outcome = "session-no-responder"
	// OutcomeSent and OutcomeReceived: a message left, or was read.
	OutcomeSent     Outcome = "message-sent"
	OutcomeReceived Outcome = "message-received"
	// OutcomeDuplicate: a message came again; OutcomeForeign: one came that belongs to none of the flow's sessions;
	// OutcomeUnread: one came after this side had closed.
	OutcomeDuplicate Outcome = "message-duplicate"
	OutcomeForeign   Outcome = "message-foreign"
	OutcomeUnread    Outcome = "message-unread"
	// OutcomeSessionError: a session ended by an error; OutcomeEmitted: a record went to an external channel.
	OutcomeSessionError Outcome = "session-error"
	OutcomeEmitted      Outcome = "emitted"
)
