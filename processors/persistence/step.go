package persistence

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/ledgerstore"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/schemas"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// State is what a step decides on: what the views have of the request's virtual node and package.
type State struct {
	// Vnode is nil when the view has none of that name.
	Vnode *vnodev1.VirtualNode
	// Schema is what the package declares, nil when the view has no such package; SchemaErr tells that the
	// declarations cannot be used.
	Schema    *rows.Schema
	SchemaErr error
	// Replies are the topics to which an answer may go.
	Replies []string
	NowUs   int64
}

// Meta is what a request's headers and key say.
type Meta struct {
	// Topic is where the request was written; empty is that of flows.
	Topic                   string
	Key, RequestID, ReplyTo string
	// DeadlineUs is when the requester gives up, microseconds UTC; zero for never.
	DeadlineUs int64
}

// Event is one thing that happens to a request.
type Event interface{ event() }

// Asked is a request's record.
type Asked struct {
	Meta
	Request *persistencev1.Request
}

// Done tells what came of its plan.
type Done struct {
	Meta
	Plan   *Plan
	Result Result
}

// Result is what came of a plan. Err set: it has to be run again.
type Result struct {
	Reply    *rpcv1.Reply
	Repeated bool
	Err      error
}

// GivenUp tells that a request goes to the dead letters.
type GivenUp struct {
	Meta
	Vnode string
	Cause error
}

func (Asked) event()   {}
func (Done) event()    {}
func (GivenUp) event() {}

// Effect is one thing that a step asks for.
type Effect interface{ effect() }

// Run runs a plan in the database; the step goes on with Done.
type Run struct{ Plan *Plan }

// SendReply answers.
type SendReply struct {
	Topic     string
	Partition int32 // -1: by the key
	Key       string
	RequestID string
	Reply     *rpcv1.Reply
}

// SendDrain tells the feed that the virtual node's outbox may have rows.
type SendDrain struct{ Vnode string }

// Later asks for the request to be run again, after a time; zero leaves that to the engine.
type Later struct {
	Err   error
	After time.Duration
}

// Refuse sends the request to the dead letters.
type Refuse struct{ Err error }

// Note counts what happened, for metrics.
type Note struct{ What Outcome }

func (Run) effect()       {}
func (SendReply) effect() {}
func (SendDrain) effect() {}
func (Later) effect()     {}
func (Refuse) effect()    {}
func (Note) effect()      {}

// Outcome names what became of a request, for metrics.
type Outcome string

// The outcomes.
const (
	// OutcomeDone: it was run and answered.
	OutcomeDone Outcome = "done"
	// OutcomeRepeated: it had been run before and got its first answer.
	OutcomeRepeated Outcome = "repeated"
	// OutcomeRefused: it was answered with an error.
	OutcomeRefused Outcome = "refused"
	// OutcomeExpired: its deadline had passed; nothing was done.
	OutcomeExpired Outcome = "expired"
	// OutcomeLater: it has to be run again.
	OutcomeLater Outcome = "later"
	// OutcomeGivenUp: it went to the dead letters.
	OutcomeGivenUp Outcome = "given up"
)

var (
	shortHash = regexp.MustCompile(`^[0-9A-F]{12}$`)
	flowID    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// Step decides what one event asks for. It is pure: the same arguments have the same result.
func Step(s State, event Event) []Effect {
	switch e := event.(type) {
	case Asked:
		return s.asked(e)
	case Done:
		return s.done(e)
	case GivenUp:
		return s.givenUp(e)
	default:
		return []Effect{Refuse{fmt.Errorf("persistence: no rule for %T", event)}}
	}
}

func (s State) asked(e Asked) []Effect {
	if err := e.check(s.Replies); err != nil {
		return []Effect{Refuse{err}}
	}
	if e.DeadlineUs > 0 && s.NowUs >= e.DeadlineUs {
		// It may have been run by a process that died before it could tell: then its changes wait in the outbox.
		return []Effect{SendDrain{e.Request.GetVnode()}, Note{OutcomeExpired}}
	}
	switch {
	case s.Vnode == nil:
		return []Effect{Later{Err: fmt.Errorf("virtual node %s is not known here yet", e.Request.GetVnode())}, Note{OutcomeLater}}
	case s.Vnode.GetVaultDb() == vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE:
		return s.refuse(e.Meta, &rows.Problem{ID: IDVnode, Type: TypeUnavailable,
			Message: "the database of virtual node " + e.Request.GetVnode() + " must not be used now: it is in maintenance; try again when it is active"})
	case s.SchemaErr != nil:
		return s.refuse(e.Meta, &rows.Problem{ID: rows.IDDeclaration, Type: rows.TypeDeclaration,
			Message: fmt.Sprintf("package %s: %v", e.Request.GetCpiChecksum(), s.SchemaErr)})
	case s.Schema == nil:
		return []Effect{Later{Err: fmt.Errorf("package %s is not known here yet", e.Request.GetCpiChecksum())}, Note{OutcomeLater}}
	}
	plan, err := newPlan(e.Meta, e.Request, s.Schema)
	if err != nil {
		return s.refuse(e.Meta, err)
	}
	return []Effect{Run{plan}}
}

// check refuses what no repetition makes right.
func (e Asked) check(replies []string) error {
	switch r := e.Request; {
	case e.RequestID == "" || len(e.RequestID) > 500:
		return fmt.Errorf("%s: header %s is empty or too long; it must hold the request's id", IDRequest, engine.HeaderRequest)
	case !shortHash.MatchString(r.GetVnode()):
		return fmt.Errorf("%s: field vnode is %q; it must be a virtual node's short hash", IDRequest, r.GetVnode())
	case !flowID.MatchString(r.GetFlowId()):
		return fmt.Errorf("%s: field flow_id is %q; it must be a flow's id", IDRequest, r.GetFlowId())
	}
	// Who may write one topic may not write the other.
	if ofTokens := e.Request.GetTokens() != nil; ofTokens != (e.Topic == topics.PersistenceTokens) {
		return fmt.Errorf("%s: the operation may not be asked for on topic %s", IDRequest, e.Topic)
	}
	_, err := e.target(replies)
	return err
}

// target finds where the answer goes: what the header says, else the flow that asked.
func (m Meta) target(replies []string) (SendReply, error) {
	to := SendReply{Topic: topics.FlowRepliesPersistence, Partition: -1, Key: m.Key, RequestID: m.RequestID}
	if m.ReplyTo != "" {
		var err error
		if to.Topic, to.Partition, to.Key, err = engine.ParseReplyTo(m.ReplyTo); err != nil {
			return to, fmt.Errorf("%s: %w", IDRequest, err)
		}
	}
	if !slices.Contains(replies, to.Topic) {
		return to, fmt.Errorf("%s: the answer is to go to topic %s, and requests on %s may ask only for %v", IDRequest, to.Topic, topics.PersistenceRequests, replies)
	}
	return to, nil
}

func (s State) reply(m Meta, r *rpcv1.Reply) Effect {
	to, err := m.target(s.Replies)
	if err != nil {
		return Refuse{err}
	}
	to.Reply = r
	return to
}

func (s State) refuse(m Meta, err error) []Effect {
	return []Effect{s.reply(m, errorReply(err)), Note{OutcomeRefused}}
}

func (s State) done(e Done) []Effect {
	if e.Result.Err != nil {
		return []Effect{Later{Err: e.Result.Err}, Note{OutcomeLater}}
	}
	effects := []Effect{s.reply(e.Meta, e.Result.Reply)}
	if e.Plan.Writes && e.Plan.Feeds {
		effects = append(effects, SendDrain{e.Plan.Vnode})
	}
	switch {
	case e.Result.Repeated:
		return append(effects, Note{OutcomeRepeated})
	case e.Result.Reply.GetError() != nil:
		return append(effects, Note{OutcomeRefused})
	default:
		return append(effects, Note{OutcomeDone})
	}
}

func (s State) givenUp(e GivenUp) []Effect {
	effects := []Effect{Note{OutcomeGivenUp}}
	if shortHash.MatchString(e.Vnode) {
		effects = append(effects, SendDrain{e.Vnode})
	}
	if e.RequestID == "" {
		return effects
	}
	reply := s.reply(e.Meta, errorReply(&rows.Problem{ID: IDGivenUp, Type: TypeUnavailable,
		Message: fmt.Sprintf("the request was given up and may have been run: %s", firstLine(e.Cause.Error()))}))
	if _, ok := reply.(SendReply); ok {
		effects = append(effects, reply)
	}
	return effects
}

// firstLine leaves the stack of a panic to the dead letter.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// resultReply makes the answer with an operation's result; nil for operations without one.
func resultReply(m proto.Message) (*rpcv1.Reply, error) {
	r := &rpcv1.Reply_Result{}
	if m != nil {
		b, err := schemas.Marshal(m)
		if err != nil {
			return nil, err
		}
		r.Result = b
	}
	return &rpcv1.Reply{Outcome: r}, nil
}

// errorReply makes the answer with an error of the application.
func errorReply(err error) *rpcv1.Reply {
	e := &rpcv1.Error{Class: rpcv1.ErrorClass_ERROR_CLASS_APPLICATION, Type: TypePlatform, Message: err.Error(), Id: IDRequest}
	var p *rows.Problem
	if errors.As(err, &p) {
		e.Id, e.Type, e.Message = p.ID, p.Type, p.Message
		switch p.Type {
		case rows.TypeExists, rows.TypeConstraint, ledgerstore.TypeStatus, ledgerstore.TypeDoubleSpend:
			e.Kind = rpcv1.ErrorKind_ERROR_KIND_CONFLICT
		case ledgerstore.TypeMissing:
			e.Kind = rpcv1.ErrorKind_ERROR_KIND_NOT_FOUND
		case TypeUnavailable, TypeTimeout:
			e.Kind = rpcv1.ErrorKind_ERROR_KIND_UNAVAILABLE
		default:
			e.Kind = rpcv1.ErrorKind_ERROR_KIND_INVALID
		}
	}
	return &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: e}}
}
