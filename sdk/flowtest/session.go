package flowtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// sessionTimeout is what the platform takes when a session says nothing.
const sessionTimeout = 30 * time.Minute

// session is a conversation: its two ends, of which the responder's is nil until it begins.
type session struct {
	id                string
	open              *wire.OpenSession
	version           uint32
	opener, responder *end
}

// end is one end of a session.
type end struct {
	session      *session
	flow         *Flow
	counterparty string // X.500 name
	inbox        []part
	heard        time.Time // when the other side was last heard of
	asked        bool      // the opener sent something, or asked for the responder
	closed       bool      // by this side
	left         bool      // closed by the flow's end: what comes of it later is no error value
	peerClosed   bool
	err          *flow.Error
}

type part struct {
	payload []byte
	more    bool
}

// endOf is the end that a flow has, nil for none.
func (s *session) endOf(f *Flow) *end {
	for _, e := range []*end{s.opener, s.responder} {
		if e != nil && e.flow == f {
			return e
		}
	}
	return nil
}

// peer is the other end, nil when it has not begun.
func (e *end) peer() *end {
	if e == e.session.opener {
		return e.session.responder
	}
	return e.session.opener
}

func (e *end) timeout() time.Duration {
	if us := e.session.open.TimeoutUS; us > 0 {
		return time.Duration(us) * time.Microsecond
	}
	return sessionTimeout
}

// lost tells that nothing gets through to the other side now.
func (e *end) lost() bool {
	m := e.flow.m.net.members[e.counterparty]
	return e.flow.m.unreachable || m != nil && m.unreachable
}

// fails ends the session by an error.
func (e *end) fails(err *flow.Error) wire.Answer {
	e.err = err
	return fault(err.Type, err.Message)
}

// ended tells whether nothing more can come of this end.
func (e *end) ended() bool { return e.err != nil || e.closed && !e.waitsForClose() }

// waitsForClose tells whether this end, once closed, still needs the other side's close: the opener's does, unless that
// is not required or there is no other side.
func (e *end) waitsForClose() bool {
	return e == e.session.opener && !e.session.open.CloseNotRequired && e.asked && !e.peerClosed
}

// silent ends the session when the other side was not heard of for too long.
func (e *end) silent() {
	if at := e.heard.Add(e.timeout()); !e.ended() && !e.flow.m.net.now.Before(at) {
		e.fails(&flow.Error{Type: flow.ErrSessionTimeout.Type, Message: fmt.Sprintf("no message of %s for %s", e.counterparty, e.timeout())})
	}
}

func (f *Flow) answerSession(q *request) (wire.Answer, bool) {
	n := f.m.net
	if o, ok := q.operation.(*wire.OpenSession); ok {
		return f.openSession(o), true
	}
	if q.end == nil {
		id := sessionOf(q.operation)
		if s := n.sessions[id]; s != nil {
			q.end = s.endOf(f)
		}
		if q.end == nil {
			return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("the flow has no session %q", id)), true
		}
	}
	e := q.end
	e.silent()
	q.due = e.heard.Add(e.timeout())
	return e.answer(q)
}

func sessionOf(o wire.Operation) string {
	switch o := o.(type) {
	case *wire.SendMessage:
		return o.SessionID
	case *wire.ReceiveMessage:
		return o.SessionID
	case *wire.CloseSession:
		return o.SessionID
	case *wire.SessionInfo:
		return o.SessionID
	}
	return ""
}

func (f *Flow) openSession(o *wire.OpenSession) wire.Answer {
	name, err := canonicalName(o.Counterparty)
	if err != nil {
		return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("%q is not an X.500 name: %s", o.Counterparty, err))
	}
	if o.Protocol == "" || len(o.Versions) == 0 || slices.Contains(o.Versions, 0) {
		return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("protocol %q, versions %v: both are needed, and versions begin with 1", o.Protocol, o.Versions))
	}
	n := f.m.net
	s := &session{id: n.id("session").String(), open: o}
	s.opener = &end{session: s, flow: f, counterparty: name, heard: n.now}
	n.sessions[s.id] = s
	f.ends = append(f.ends, s.opener)
	return wire.Result(&wire.OpenedSession{SessionID: s.id, Counterparty: name})
}

// answer answers what can be answered without waiting any longer.
func (e *end) answer(q *request) (wire.Answer, bool) {
	closed := fault(flow.ErrSessionClosed.Type, e.counterparty+" has closed the session")
	if e.closed {
		closed = fault(flow.ErrSessionClosed.Type, "this side has closed the session")
	}
	switch o := q.operation.(type) {
	case *wire.ReceiveMessage:
		if len(e.inbox) > 0 && !e.closed { // what came before an error can still be read
			first := e.inbox[0]
			e.inbox = e.inbox[1:]
			return wire.Result(&wire.ReceivedMessage{Payload: first.payload, More: first.more}), true
		}
		return e.over(closed)
	case *wire.CloseSession:
		if e.err != nil {
			return fault(e.err.Type, e.err.Message), true
		}
		e.close()
		return wire.Result(nil), e.ended()
	case *wire.SendMessage:
		if a, over := e.over(closed); over {
			return a, true
		}
		e.begin()
		if p := e.peer(); p != nil && !e.lost() {
			p.inbox = append(p.inbox, part{o.Payload, o.More})
			p.heard = e.flow.m.net.now
		}
		return wire.Result(nil), true
	default: // session_info
		if a, over := e.over(closed); over {
			return a, true
		}
		e.begin()
		if p := e.peer(); p != nil {
			return wire.Result(&wire.SessionInfoResult{Protocol: e.session.open.Protocol, ProtocolVersion: e.session.version, Properties: p.flow.start.Properties}), true
		}
		return e.over(closed)
	}
}

// over answers with why nothing more can come, if that is so.
func (e *end) over(closed wire.Answer) (wire.Answer, bool) {
	switch {
	case e.err != nil:
		return fault(e.err.Type, e.err.Message), true
	case e.closed || e.peerClosed:
		return closed, true
	}
	return wire.Answer{}, false
}

// close tells the other side that this one sends and reads no more.
func (e *end) close() {
	if e.closed || e.err != nil {
		return
	}
	e.closed = true
	if p := e.peer(); p != nil && !e.lost() {
		p.peerClosed, p.heard = true, e.flow.m.net.now
	}
}

// begin starts the responder when the opener first sends something or asks for it. What is wrong with that, the opener
// hears as a failure of the session.
func (e *end) begin() {
	s := e.session
	if e != s.opener || s.responder != nil {
		return
	}
	e.asked = true
	if e.lost() {
		return
	}
	refuse := func(format string, args ...any) {
		e.fails(&flow.Error{Type: flow.ErrSessionFailed.Type, Message: fmt.Sprintf(format, args...)})
	}
	m := e.flow.m.net.members[e.counterparty]
	if m == nil {
		refuse("no-virtual-node: the group has no member %s", e.counterparty)
		return
	}
	r, version, ok := registry.Respond(s.open.Protocol, s.open.Versions)
	if !ok {
		refuse("no-responder: %s has no responder for protocol %q in versions %v", e.counterparty, s.open.Protocol, s.open.Versions)
		return
	}
	s.version = version
	f := m.begin(&wire.Start{
		FlowClass: r.Name, ClientRequestID: s.id + "-INITIATED", Attempt: 1,
		Session: &wire.Session{ID: s.id, Counterparty: e.flow.m.Name(), Protocol: s.open.Protocol, ProtocolVersion: version, Properties: s.open.Properties},
	}, nil)
	s.responder = &end{session: s, flow: f, counterparty: e.flow.m.Name(), heard: e.flow.m.net.now}
	f.ends = append(f.ends, s.responder)
	e.heard = e.flow.m.net.now
}

// leaveSessions ends the sessions of a flow whose code is done: by a close, or by an error when it failed.
func (f *Flow) leaveSessions(failed *flow.Error) {
	for _, e := range f.ends {
		if failed == nil {
			e.left = !e.closed && e.err == nil
			e.close()
			continue
		}
		if p := e.peer(); !e.ended() && p != nil && !p.ended() && !e.lost() {
			p.fails(&flow.Error{Type: flow.ErrSessionFailed.Type, Message: "flow-failed: " + failed.Error()})
		}
		if !e.ended() {
			e.fails(failed)
		}
	}
}

// sessionsLeft tells whether a flow whose code is done still waits for a close of the other side, until when at the
// latest, and what went wrong with one.
func (f *Flow) sessionsLeft() (until time.Time, wrong *flow.Error) {
	for _, e := range f.ends {
		if e.silent(); e.left && e.err != nil && wrong == nil {
			wrong = &flow.Error{Type: e.err.Type, Message: fmt.Sprintf("the flow had ended, but its session with %s was not closed by the other side: %s", e.counterparty, e.err.Message)}
		}
		if due := e.heard.Add(e.timeout()); !e.ended() && (until.IsZero() || due.Before(until)) {
			until = due
		}
	}
	return until, wrong
}
