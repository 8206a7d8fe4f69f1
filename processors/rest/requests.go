package rest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

// Request is what this worker asks another one.
type Request struct {
	// Topic, Key and Msg are the record; Codec encodes Msg.
	Topic, Key string
	Msg        proto.Message
	Codec      engine.Codec
	// ID is the request's id: a repeated one is answered once.
	ID string
	// Deadline is when nobody waits any more.
	Deadline time.Time
	// Trace is W3C trace context, or empty.
	Trace string
}

// Requests asks other workers.
type Requests interface {
	// Ask writes a request and waits for the reply, or until ctx ends.
	Ask(ctx context.Context, r Request) (*rpcv1.Reply, error)
	// Write writes a record that nobody answers.
	Write(ctx context.Context, r Request) error
}

// Inbox is where replies arrive; [engine.Inbox] is one.
type Inbox interface {
	Call(ctx context.Context, id string, send func(headers map[string]string) error) (engine.Reply, error)
}

// NewRequests returns the Requests that go over Kafka.
func NewRequests(p Producer, in Inbox) Requests { return requests{p, in} }

type requests struct {
	producer Producer
	inbox    Inbox
}

func (q requests) Ask(ctx context.Context, r Request) (*rpcv1.Reply, error) {
	reply, err := q.inbox.Call(ctx, r.ID, func(headers map[string]string) error {
		headers[engine.HeaderDeadline] = strconv.FormatInt(r.Deadline.UnixMicro(), 10)
		return q.write(ctx, r, headers)
	})
	if err != nil {
		return nil, fmt.Errorf("asking through %s for %s: %w", r.Topic, r.Key, err)
	}
	m, ok := reply.Msg.(*rpcv1.Reply)
	if !ok {
		return nil, fmt.Errorf("asking through %s for %s: the reply is a %T", r.Topic, r.Key, reply.Msg)
	}
	return m, nil
}

func (q requests) Write(ctx context.Context, r Request) error {
	return q.write(ctx, r, map[string]string{engine.HeaderRequest: r.ID})
}

func (q requests) write(ctx context.Context, r Request, headers map[string]string) error {
	for name, value := range traceHeaders(r.Trace) {
		headers[name] = value
	}
	if _, err := q.producer.Produce(ctx, engine.Record{Topic: r.Topic, Key: r.Key, Partition: byKey, Headers: headers, Msg: r.Msg, Codec: r.Codec}); err != nil {
		return fmt.Errorf("writing %s of %s: %w", r.Key, r.Topic, err)
	}
	return nil
}

// newID makes the id of a request that comes from outside, where nothing could be derived from.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return identity.V5(identity.Namespace(), b[:]).String()
}

// ask asks another worker and waits until this worker's views hold what the request changed, so that the caller reads
// its own writes.
func (s *Server) ask(ctx context.Context, c *call, r Request) (*rpcv1.Reply, *failure) {
	ctx, cancel := s.until(ctx, s.cfg.RequestTimeout)
	defer cancel()
	r.ID, r.Trace = newID(), traceparent(c.header)
	// What is not begun when the caller has gone is not wanted any more.
	r.Deadline = s.parts.Now().Add(s.cfg.RequestTimeout)
	reply, err := s.parts.Requests.Ask(ctx, r)
	if err != nil {
		s.parts.Log.Warn("a request was not answered", "topic", r.Topic, "request", r.ID, "error", err)
		if ended(err) {
			return nil, refuse(http.StatusServiceUnavailable, idNoReply,
				"No worker answered request %s on %s within %s: it may still be done; look before asking again. Is a worker of that type running?", r.ID, r.Topic, s.cfg.RequestTimeout).later(retrySoon)
		}
		return nil, refuse(http.StatusServiceUnavailable, idPublish, "The request could not be written to Kafka: the log of this worker says why.").later(retrySoon)
	}
	if e := reply.GetError(); e != nil {
		return nil, failureOf(e)
	}
	for _, fact := range reply.GetFacts() {
		if err := s.parts.Views.waitFact(ctx, fact); err != nil {
			s.parts.Log.Warn("a view is behind", "topic", fact.GetTopic(), "key", fact.GetKey(), "error", err)
			break // it was done; that is what the caller must know
		}
	}
	return reply, nil
}

// failureOf is another worker's error as this one's answer.
func failureOf(e *rpcv1.Error) *failure {
	status := http.StatusInternalServerError
	switch e.GetKind() {
	case rpcv1.ErrorKind_ERROR_KIND_INVALID:
		status = http.StatusBadRequest
	case rpcv1.ErrorKind_ERROR_KIND_NOT_FOUND:
		status = http.StatusNotFound
	case rpcv1.ErrorKind_ERROR_KIND_CONFLICT:
		status = http.StatusConflict
	case rpcv1.ErrorKind_ERROR_KIND_NOT_ALLOWED:
		status = http.StatusMethodNotAllowed
	case rpcv1.ErrorKind_ERROR_KIND_FORBIDDEN:
		status = http.StatusForbidden
	case rpcv1.ErrorKind_ERROR_KIND_UNAVAILABLE:
		status = http.StatusServiceUnavailable
	case rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED:
	}
	f := refuse(status, e.GetId(), "%s", e.GetMessage())
	for _, d := range e.GetDetails() {
		if f.details == nil {
			f.details = map[string]string{}
		}
		f.details[d.GetName()] = d.GetValue()
	}
	switch status {
	case http.StatusServiceUnavailable:
		f = f.later(retrySoon)
	case http.StatusMethodNotAllowed:
		f.header = http.Header{"Allow": {http.MethodGet}}
	}
	return f
}

// result decodes the result of a reply into m.
func result[T proto.Message](reply *rpcv1.Reply, m T) (T, *failure) {
	if err := proto.Unmarshal(reply.GetResult(), m); err != nil {
		return m, refuse(http.StatusInternalServerError, idInternal, "The answer of the worker cannot be read: %s.", err)
	}
	return m, nil
}

// versioned is a fact with a row version.
type versioned interface{ GetVersion() uint64 }

// numbered is a package, whose version is its name for something else.
type numbered interface{ GetVersionNumber() uint64 }

func versionOf(msg any) uint64 {
	switch m := msg.(type) {
	case numbered:
		return m.GetVersionNumber()
	case versioned:
		return m.GetVersion()
	default:
		return 0
	}
}

// waitFact waits until the view of the fact's topic holds it, or a later one.
func (v Views) waitFact(ctx context.Context, fact *rpcv1.Fact) error {
	view := v.byTopic(fact.GetTopic())
	if view == nil {
		return nil
	}
	_, err := view.WaitKey(ctx, fact.GetKey(), func(msg any, ok bool) bool {
		if fact.GetDeleted() {
			return !ok
		}
		return ok && versionOf(msg) >= fact.GetVersion()
	})
	if err != nil {
		return fmt.Errorf("waiting for %s of %s: %w", fact.GetKey(), fact.GetTopic(), errors.Join(err, context.Cause(ctx)))
	}
	return nil
}
