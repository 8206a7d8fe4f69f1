package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// MaxKeptArguments is the length up to which an operation's arguments are kept for people to read, bytes.
const MaxKeptArguments = 1 << 10

// Yield is what a guest returned from a start or a resume: exactly one of the three is set.
type Yield struct {
	Done   *appv1.Done
	Failed *appv1.Error
	Asked  []Asked
}

// Asked is one request of a yield.
type Asked struct {
	// Operation is the name of the operation's field in fairlead.app.v1.Request, or "unknown-<number>" for an
	// operation that this build does not know.
	Operation string
	// Arguments is the operation's canonical encoding.
	Arguments []byte
	// Request is the decoded request.
	Request *appv1.Request
}

// SHA256 is what a replay compares.
func (a Asked) SHA256() [32]byte { return sha256.Sum256(a.Arguments) }

// Row is the journal's row of the request, before it is answered.
func (a Asked) Row(requestID string, nowUs int64) *flowv1.JournalRequest {
	sum := a.SHA256()
	row := &flowv1.JournalRequest{Operation: a.Operation, ArgumentsSha256: sum[:], AskedAtUs: nowUs, RequestId: requestID}
	if len(a.Arguments) <= MaxKeptArguments {
		row.Arguments = a.Arguments
	}
	return row
}

// ParseYield reads an encoded fairlead.app.v1.Yield.
func ParseYield(raw []byte) (Yield, error) {
	var y appv1.Yield
	if err := proto.Unmarshal(raw, &y); err != nil {
		// The library's own words differ from build to build; these go into the journal.
		return Yield{}, errors.New("what the module returned is no fairlead.app.v1.Yield")
	}
	switch o := y.GetOutcome().(type) {
	case *appv1.Yield_Done:
		return Yield{Done: o.Done}, nil
	case *appv1.Yield_Failed:
		if o.Failed.GetError() == nil {
			return Yield{}, errors.New("yield says failed but carries no error")
		}
		return Yield{Failed: o.Failed.GetError()}, nil
	case *appv1.Yield_Requests:
		return asked(o.Requests.GetRequests())
	default:
		return Yield{}, errors.New("yield is none of done, failed and requests")
	}
}

func asked(requests []*appv1.Request) (Yield, error) {
	if len(requests) == 0 {
		return Yield{}, errors.New("yield asks for nothing")
	}
	y := Yield{Asked: make([]Asked, len(requests))}
	for i, r := range requests {
		a, err := askedOf(r)
		if err != nil {
			return Yield{}, fmt.Errorf("request %d: %w", i, err)
		}
		y.Asked[i] = a
	}
	return y, nil
}

func askedOf(r *appv1.Request) (Asked, error) {
	m := r.ProtoReflect()
	unknown := m.GetUnknown()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("operation"))
	switch {
	case field != nil && len(unknown) > 0:
		return Asked{}, errors.New("it holds more than one operation")
	case field != nil:
		args, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.Get(field).Message().Interface())
		if err != nil {
			return Asked{}, fmt.Errorf("encode %s: %w", field.Name(), err)
		}
		return Asked{Operation: string(field.Name()), Arguments: args, Request: r}, nil
	case len(unknown) > 0:
		number, _, n := protowire.ConsumeTag(unknown)
		if n < 0 {
			return Asked{}, fmt.Errorf("operation: %w", protowire.ParseError(n))
		}
		return Asked{Operation: fmt.Sprintf("unknown-%d", number), Arguments: unknown, Request: r}, nil
	default:
		return Asked{}, errors.New("it holds no operation")
	}
}

// Answers encodes the fairlead.app.v1.Resume that answers a step, from its rows in the order of their ordinals.
func Answers(rows []*flowv1.JournalRequest) ([]byte, error) {
	r := &appv1.Resume{Answers: make([]*appv1.Answer, len(rows))}
	for i, row := range rows {
		if !Answered(row) {
			return nil, fmt.Errorf("request %d (%s) has no answer yet", i, row.GetOperation())
		}
		r.Answers[i] = &appv1.Answer{}
		if err := proto.Unmarshal(row.GetAnswer(), r.Answers[i]); err != nil {
			return nil, fmt.Errorf("answer of request %d (%s) is no fairlead.app.v1.Answer", i, row.GetOperation())
		}
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode resume: %w", err)
	}
	return raw, nil
}

// Answered tells whether a request has its answer.
func Answered(row *flowv1.JournalRequest) bool { return row.GetAnsweredAtUs() != 0 }

// AllAnswered tells whether a step can be resumed.
func AllAnswered(rows []*flowv1.JournalRequest) bool {
	for _, row := range rows {
		if !Answered(row) {
			return false
		}
	}
	return true
}

// ResumedAt returns the guest's clock from where a step was resumed, zero when it was not.
func ResumedAt(rows []*flowv1.JournalRequest) int64 {
	var at int64
	for _, row := range rows {
		at = max(at, row.GetResumedAtUs())
	}
	return at
}
