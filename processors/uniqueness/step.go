package uniqueness

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
)

// Limits of a request: what it makes the worker write must fit into one transaction, and its longest answer into one record.
const (
	MaxInputs = engine.MaxTransactionRecords - 100
	MaxStates = 40_000
)

// Meta is what a request's headers and key say.
type Meta struct {
	Key, RequestID, ReplyTo string
	// Deadline is header fl-deadline: when the requester gives up, decimal microseconds UTC; empty for never.
	Deadline string
}

// State is what a step decides on.
type State struct {
	// Memory is the notary's.
	Memory Memory
	// Replies are the topics to which an answer may go.
	Replies []string
	// NowNs is the time: greater for each request of a notary than for the one before.
	NowNs int64
}

// Event is one thing that happens to a request.
type Event interface{ event() }

// Asked is a request's record.
type Asked struct {
	Meta
	Message *uniquenessv1.Request
	// Request is what Message asks, Malformed why it cannot be a transaction; see [Read].
	Request   Request
	Malformed string
}

// GivenUp tells that a request goes to the dead letters.
type GivenUp struct {
	Meta
	Cause error
}

func (Asked) event()   {}
func (GivenUp) event() {}

// Effect is one thing that a step asks for.
type Effect interface{ effect() }

// Remember writes a decision down.
type Remember struct {
	Notary  string
	Request Request
	Effects Effects
}

// SendReply answers.
type SendReply struct {
	Topic     string
	Partition int32 // -1: by the key
	Key       string
	RequestID string
	Reply     *rpcv1.Reply
}

// Refuse sends the request to the dead letters.
type Refuse struct{ Err error }

// Note counts what became of a request.
type Note struct {
	Outcome string
	// Repeated: the answer was there before.
	Repeated bool
}

func (Remember) effect()  {}
func (SendReply) effect() {}
func (Refuse) effect()    {}
func (Note) effect()      {}

// Outcomes beside the names of answers ([Kind.String]).
const (
	outcomeRefused = "refused"
	outcomeExpired = "expired"
	outcomeGivenUp = "given up"
)

var shortHash = regexp.MustCompile(`^[0-9A-F]{12}$`)

// Read reads a request's record. An error is for the dead letters: there is nobody who could be answered.
func Read(m Meta, value []byte) (Asked, error) {
	decoded, err := schemas.Codec[*uniquenessv1.Request]().Decode(value)
	if err != nil {
		return Asked{Meta: m}, fmt.Errorf("%s: %w", idDecode, err)
	}
	e := Asked{Meta: m, Message: decoded.(*uniquenessv1.Request)}
	e.Request, e.Malformed = requestOf(e.Message.GetCheck())
	return e, nil
}

// Step decides what one event asks for. It is pure: the same arguments have the same result.
func Step(s State, event Event) []Effect {
	switch e := event.(type) {
	case Asked:
		return s.asked(e)
	case GivenUp:
		return s.givenUp(e)
	default:
		return []Effect{Refuse{fmt.Errorf("uniqueness: no rule for %T", event)}}
	}
}

func (s State) asked(e Asked) []Effect {
	to, err := e.wayBack(s.Replies)
	if err != nil {
		return []Effect{Refuse{err}}
	}
	deadline, err := e.deadlineUs()
	if err != nil {
		return []Effect{Refuse{err}}
	}
	if deadline > 0 && s.NowNs/nanos > deadline {
		return []Effect{Note{Outcome: outcomeExpired}}
	}
	if refusal := e.check(); refusal != nil {
		to.Reply = &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: refusal}}
		return []Effect{to, Note{Outcome: outcomeRefused}}
	}
	if e.Malformed != "" {
		return s.answer(to, e, Answer{Kind: Malformed, TimeNs: s.NowNs, Text: e.Malformed}, false)
	}
	_, repeated := s.Memory.Tx(e.Request.Tx)
	a, effects := Decide(s.Memory, e.Request, s.NowNs)
	out := s.answer(to, e, a, repeated && a.Kind != Malformed)
	if effects.Record != nil {
		out = append(out, Remember{e.Message.GetNotary(), e.Request, effects})
	}
	return out
}

func (s State) answer(to SendReply, e Asked, a Answer, repeated bool) []Effect {
	m := answerMessage(a)
	m.Transaction = e.Message.GetCheck().GetTransaction()
	raw, err := schemas.Marshal(m)
	if err != nil {
		return []Effect{Refuse{err}}
	}
	to.Reply = &rpcv1.Reply{Outcome: &rpcv1.Reply_Result{Result: raw}}
	return []Effect{to, Note{Outcome: a.Kind.String(), Repeated: repeated}}
}

// check says why a request cannot be put to a notary at all, nil when it can.
func (e Asked) check() *rpcv1.Error {
	c := e.Message.GetCheck()
	switch {
	case !shortHash.MatchString(e.Message.GetNotary()):
		return refusal(idRequest, "field notary is %q; it must be the short hash of the notary's holding identity", e.Message.GetNotary())
	case e.Key != e.Message.GetNotary():
		return refusal(idRequest, "the record's key is %q and field notary %q; both must be the notary, for its requests are in one order", e.Key, e.Message.GetNotary())
	case c.GetMode() != appv1.UniquenessMode_UNIQUENESS_MODE_CHECK && c.GetMode() != appv1.UniquenessMode_UNIQUENESS_MODE_READ:
		return refusal(idRequest, "field check.mode is %d; this version knows CHECK (1) and READ (2)", c.GetMode())
	case len(c.GetInputs()) > MaxInputs:
		return refusal(idTooLarge, "field check.inputs has %d states; one transaction can consume %d: consolidate them in several", len(c.GetInputs()), MaxInputs)
	case len(c.GetInputs())+len(c.GetReferences()) > MaxStates:
		return refusal(idTooLarge, "fields check.inputs and check.references have %d states; %d are possible: use fewer", len(c.GetInputs())+len(c.GetReferences()), MaxStates)
	}
	return nil
}

func refusal(id, format string, args ...any) *rpcv1.Error {
	return &rpcv1.Error{
		Class: rpcv1.ErrorClass_ERROR_CLASS_APPLICATION, Kind: rpcv1.ErrorKind_ERROR_KIND_INVALID, Type: "invalid-argument", Id: id,
		Message: id + ": " + fmt.Sprintf(format, args...),
	}
}

// wayBack reads where the answer goes, and sees that the catalogue lets it go there.
func (m Meta) wayBack(replies []string) (to SendReply, err error) {
	to.RequestID = m.RequestID
	if m.RequestID == "" {
		return to, fmt.Errorf("%s: header %s is missing; it must hold the request's id", idNoWayBack, engine.HeaderRequest)
	}
	if to.Topic, to.Partition, to.Key, err = engine.ParseReplyTo(m.ReplyTo); err != nil {
		return to, fmt.Errorf("%s: %w", idNoWayBack, err)
	}
	if !slices.Contains(replies, to.Topic) {
		return to, fmt.Errorf("%s: header %s names topic %q; answers may go to %v", idNoWayBack, engine.HeaderReply, to.Topic, replies)
	}
	return to, nil
}

func (m Meta) deadlineUs() (int64, error) {
	if m.Deadline == "" {
		return 0, nil
	}
	us, err := strconv.ParseInt(m.Deadline, 10, 64)
	if err != nil || us <= 0 {
		return 0, fmt.Errorf("%s: header %s is %q, not microseconds since 1970", idNoWayBack, engine.HeaderDeadline, m.Deadline)
	}
	return us, nil
}

func (s State) givenUp(e GivenUp) []Effect {
	out := []Effect{Note{Outcome: outcomeGivenUp}}
	to, err := e.wayBack(s.Replies)
	if err != nil {
		return out // nobody waits whom an answer could reach
	}
	f := refusal(idGivenUp, "the request is in uniqueness.dlq and nothing was decided: %v", e.Cause)
	f.Kind, f.Type = rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED, "dead-letter"
	to.Reply = &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: f}}
	return append(out, to)
}
