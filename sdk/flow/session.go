package flow

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// partBytes is how large the parts are in which messages travel.
const partBytes = 512 << 10

// Session is one end of a conversation between two flows, usually of two virtual nodes. The rules are in the package's
// documentation.
type Session struct {
	ctx          *Context
	id           string
	counterparty string
	protocol     string
	info         *SessionInfo // known from the start on the responder's side
	closed       bool
	opened       bool // by this flow
	tolerated    bool
}

// SessionInfo is what both sides of a session agreed on.
type SessionInfo struct {
	Protocol string
	// Version is the highest that both sides speak.
	Version int
	// Properties are the context properties of the other side's flow.
	Properties map[string]string
}

// SessionOption changes how a session is opened.
type SessionOption func(*wire.OpenSession, map[string]string)

// ProtocolVersions are the versions of the protocol that the flow speaks; without it, that is 1. The highest that the
// responder speaks too is taken.
func ProtocolVersions(versions ...int) SessionOption {
	return func(o *wire.OpenSession, _ map[string]string) { o.Versions = numbers(versions) }
}

// SessionTimeout is after which time without a message the session fails, at least a millisecond; without it, the
// platform's setting is taken (session.timeout of corda.flow, 30 minutes).
func SessionTimeout(d time.Duration) SessionOption {
	return func(o *wire.OpenSession, _ map[string]string) { o.TimeoutUS = max(1000, d.Microseconds()) }
}

// CloseNotRequired makes a close of this side not wait for the other side's.
func CloseNotRequired() SessionOption {
	return func(o *wire.OpenSession, _ map[string]string) { o.CloseNotRequired = true }
}

// WithProperty hands a context property on to the responder of this session only.
func WithProperty(name, value string) SessionOption {
	return func(_ *wire.OpenSession, p map[string]string) { p[name] = value }
}

func numbers(versions []int) []uint32 {
	out := make([]uint32, 0, len(versions))
	for _, v := range versions {
		out = append(out, uint32(max(0, v)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// OpenSession opens a session with another member of the flow's group, by X.500 name, attributes in any order. It does
// not wait for the other side, which begins with the first message, or when [Session.Info] is asked for.
func (c *Context) OpenSession(counterparty, protocol string, opts ...SessionOption) (*Session, error) {
	return do(c, OpenSessionCall(counterparty, protocol, opts...))
}

// OpenSessionCall is [Context.OpenSession] as a call.
func OpenSessionCall(counterparty, protocol string, opts ...SessionOption) *Pending[*Session] {
	o := &wire.OpenSession{Counterparty: counterparty, Protocol: protocol, Versions: []uint32{1}}
	properties := map[string]string{}
	for _, opt := range opts {
		opt(o, properties)
	}
	p := pending(o, func(c *Context, result []byte, into **Session) error {
		var r wire.OpenedSession
		if err := receive(result, &r); err != nil {
			return err
		}
		*into = &Session{ctx: c, id: r.SessionID, counterparty: r.Counterparty, protocol: protocol, opened: true}
		return nil
	})
	p.ask = func(c *Context) asked {
		o.Properties = c.handedOn(properties)
		return asked{operation: o}
	}
	return p
}

// ID is the session's id, the same on both sides.
func (s *Session) ID() string { return s.id }

// Counterparty is the X.500 name of the other side's member.
func (s *Session) Counterparty() string { return s.counterparty }

// Protocol is the protocol that is spoken.
func (s *Session) Protocol() string { return s.protocol }

// Info waits until the other side is known to have taken the session, and returns what was agreed on. On the responder's
// side it is known from the start.
func (s *Session) Info() (SessionInfo, error) {
	if s.info == nil {
		info, err := do(s.ctx, InfoCall(s))
		if err != nil {
			return SessionInfo{}, err
		}
		s.info = &info
	}
	return *s.info, nil
}

// InfoCall is [Session.Info] as a call.
func InfoCall(s *Session) *Pending[SessionInfo] {
	return pending(&wire.SessionInfo{SessionID: s.id},
		func(_ *Context, result []byte, into *SessionInfo) error {
			var r wire.SessionInfoResult
			if err := receive(result, &r); err != nil {
				return err
			}
			*into = SessionInfo{Protocol: r.Protocol, Version: int(r.ProtocolVersion), Properties: propertyMap(r.Properties)}
			return nil
		})
}

func propertyMap(all []wire.Property) map[string]string {
	m := make(map[string]string, len(all))
	for _, p := range all {
		m[p.Name] = p.Value
	}
	return m
}

// Send sends a value as JSON. It does not wait for the other side.
func (s *Session) Send(v any) error {
	_, err := do(s.ctx, SendCall(s, v))
	return err
}

// SendBytes sends a message as it is. It does not wait for the other side.
func (s *Session) SendBytes(message []byte) error {
	_, err := do(s.ctx, SendBytesCall(s, message))
	return err
}

// SendCall is [Session.Send] as a call.
func SendCall(s *Session, v any) *Action {
	message, err := json.Marshal(v)
	if err != nil {
		return failed[struct{}](Errorf("bad-message", "a message cannot be written as JSON: %s", err))
	}
	return SendBytesCall(s, message)
}

// SendBytesCall is [Session.SendBytes] as a call.
func SendBytesCall(s *Session, message []byte) *Action {
	p := &Action{}
	p.lane = "send " + s.id
	rest := message
	p.ask = func(*Context) asked {
		part := rest[:min(partBytes, len(rest))]
		more := len(part) < len(rest)
		return asked{operation: &wire.SendMessage{SessionID: s.id, Payload: part, More: more}, part: more}
	}
	p.take = func(*Context, []byte) (bool, error) {
		rest = rest[min(partBytes, len(rest)):]
		return len(rest) == 0, nil
	}
	return p
}

// Receive waits for the next message and decodes it from JSON into a T. A message with a field that T does not have is
// the error "bad-message": a new field is a new version of the protocol.
func Receive[T any](s *Session) (T, error) { return do(s.ctx, ReceiveCall[T](s)) }

// ReceiveCall is [Receive] as a call.
func ReceiveCall[T any](s *Session) *Pending[T] {
	p := &Pending[T]{}
	receiveParts(&p.call, s, 0, func(message []byte) error {
		if err := decode(message, &p.value); err != nil {
			return Errorf(ErrBadMessage.Type, "a message from %s does not fit: %s", s.counterparty, err)
		}
		return nil
	})
	return p
}

// ReceiveBytes waits for the next message.
func (s *Session) ReceiveBytes() ([]byte, error) { return do(s.ctx, ReceiveBytesCall(s)) }

// ReceiveBytesCall is [Session.ReceiveBytes] as a call.
func ReceiveBytesCall(s *Session) *Pending[[]byte] { return ReceiveAtMostCall(s, 0) }

// ReceiveAtMostCall is [ReceiveBytesCall] for a message of at most so many bytes; 0 for any length. A longer one is
// [ErrBadMessage], which is known before all of it is here: whoever sends without end does not fill the flow's memory.
func ReceiveAtMostCall(s *Session, limit int) *Pending[[]byte] {
	p := &Pending[[]byte]{}
	receiveParts(&p.call, s, limit, func(message []byte) error {
		p.value = message
		return nil
	})
	return p
}

// receiveParts makes a call that puts a message together.
func receiveParts(c *call, s *Session, limit int, whole func([]byte) error) {
	c.lane = "receive " + s.id
	var message []byte
	c.ask = func(*Context) asked {
		return asked{operation: &wire.ReceiveMessage{SessionID: s.id}, open: true}
	}
	c.take = func(_ *Context, result []byte) (bool, error) {
		var r wire.ReceivedMessage
		if err := receive(result, &r); err != nil {
			return true, err
		}
		if limit > 0 && len(message)+len(r.Payload) > limit {
			return true, Errorf(ErrBadMessage.Type, "a message from %s has more than %d bytes", s.counterparty, limit)
		}
		if message == nil {
			message = r.Payload
		} else {
			message = append(message, r.Payload...)
		}
		if r.More {
			return false, nil
		}
		return true, whole(message)
	}
}

// SendAndReceive sends a value as JSON, waits for the next message and decodes it: one step.
func SendAndReceive[T any](s *Session, v any) (T, error) {
	send, answer := SendCall(s, v), ReceiveCall[T](s)
	err := All(s.ctx, send, answer)
	return answer.value, err
}

// SendAndReceiveBytes sends a message as it is and waits for the next: one step.
func (s *Session) SendAndReceiveBytes(message []byte) ([]byte, error) {
	send, answer := SendBytesCall(s, message), ReceiveBytesCall(s)
	err := All(s.ctx, send, answer)
	return answer.value, err
}

// SendAll sends the same value to several sessions, together.
func SendAll(ctx *Context, v any, sessions ...*Session) error {
	calls := make([]Call, len(sessions))
	for i, s := range sessions {
		calls[i] = SendCall(s, v)
	}
	return All(ctx, calls...)
}

// ReceiveAll waits for the next message of each of several sessions, and returns them in the order of the sessions. The
// error is the first one's in that order.
func ReceiveAll[T any](ctx *Context, sessions ...*Session) ([]T, error) {
	calls, answers := make([]Call, len(sessions)), make([]*Pending[T], len(sessions))
	for i, s := range sessions {
		answers[i] = ReceiveCall[T](s)
		calls[i] = answers[i]
	}
	if err := All(ctx, calls...); err != nil {
		return nil, err
	}
	out := make([]T, len(sessions))
	for i, a := range answers {
		out[i] = a.value
	}
	return out, nil
}

// TolerateFailure makes the flow's end pass over what goes wrong with the session: it waits for the other side's close as ever,
// and logs what comes instead, where the flow would fail otherwise. It is for who has all that it wanted of the other side, such as a
// transaction that is final whatever becomes of them. What the flow still does with the session has its errors as before.
func (s *Session) TolerateFailure() {
	if s.opened && !s.tolerated {
		s.tolerated = true
		s.ctx.tolerated = append(s.ctx.tolerated, s)
	}
}

// leave closes the sessions whose failure the flow's end passes over.
func (c *Context) leave() {
	var left []*Session
	var closes []Call
	for _, s := range c.tolerated {
		if !s.closed {
			left, closes = append(left, s), append(closes, CloseCall(s))
		}
	}
	if len(closes) == 0 {
		return
	}
	_ = All(c, closes...) // each call has its error
	for i, s := range left {
		if err := closes[i].(*Action).Err(); err != nil {
			c.Log().Warn("the flow is done, but the other side of a session did not close it", "counterparty", s.counterparty, "session", s.id, "reason", err.Error())
		}
	}
}

// Close closes the session. The side that opened it waits until the other side closes too, unless [CloseNotRequired]
// was declared; the other side does not wait. Closing again does nothing. What a flow leaves open, its end closes.
func (s *Session) Close() error {
	if s.closed {
		return nil
	}
	_, err := do(s.ctx, CloseCall(s))
	return err
}

// CloseCall is [Session.Close] as a call.
func CloseCall(s *Session) *Action {
	p := action(&wire.CloseSession{SessionID: s.id})
	p.lane = "send " + s.id
	p.take = func(*Context, []byte) (bool, error) {
		s.closed = true
		return true, nil
	}
	return p
}
