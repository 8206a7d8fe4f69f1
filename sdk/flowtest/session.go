package flowtest

import (
	"fmt"
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
	counterparty *Member
	inbox        []part
	heard        time.Time // when the other side was last heard of
	closed       bool      // by this side
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
func (e *end) lost() bool { return e.flow.m.unreachable || e.counterparty.unreachable }

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
			return fault("not-found", fmt.Sprintf("the flow has no session %q", id)), true
		}
	}
	e := q.end
	a, ok := e.answer(q)
	if ok {
		return a, true
	}
	if q.due = e.heard.Add(e.timeout()); !n.now.Before(q.due) {
		e.err = &flow.Error{Type: flow.ErrSessionTimeout.Type, Message: fmt.Sprintf("nothing came from %s for %s", e.counterparty.Name(), e.timeout())}
		return fault(e.err.Type, e.err.Message), true
	}
	return wire.Answer{}, false
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
		return fault("bad-name", fmt.Sprintf("%q is not an X.500 name: %s", o.Counterparty, err))
	}
	n := f.m.net
	m := n.members[name]
	if m == nil {
		return fault(flow.ErrNotFound.Type, fmt.Sprintf("the group has no active member %s", name))
	}
	s := &session{id: n.id("session").String(), open: o}
	s.opener = &end{session: s, flow: f, counterparty: m, heard: n.now}
	n.sessions[s.id] = s
	f.ends = append(f.ends, s.opener)
	return wire.Result(&wire.OpenedSession{SessionID: s.id, Counterparty: name})
}

// answer answers what can be answered without waiting any longer.
func (e *end) answer(q *request) (wire.Answer, bool) {
	if _, closes := q.operation.(*wire.CloseSession); closes {
		return e.answerClose(q)
	}
	if e.err != nil {
		return fault(e.err.Type, e.err.Message), true
	}
	closed := fault(flow.ErrSessionClosed.Type, fmt.Sprintf("the session with %s is closed", e.counterparty.Name()))
	switch o := q.operation.(type) {
	case *wire.SendMessage:
		if e.closed || e.peerClosed {
			return closed, true
		}
		e.begin()
		if p := e.peer(); p != nil && !e.lost() {
			p.inbox = append(p.inbox, part{o.Payload, o.More})
			p.heard = e.flow.m.net.now
		}
		return wire.Result(nil), true
	case *wire.ReceiveMessage:
		switch {
		case len(e.inbox) > 0:
			first := e.inbox[0]
			e.inbox = e.inbox[1:]
			return wire.Result(&wire.ReceivedMessage{Payload: first.payload, More: first.more}), true
		case e.closed || e.peerClosed:
			return closed, true
		}
	case *wire.SessionInfo:
		if e.closed {
			return closed, true
		}
		e.begin()
		if e.err != nil {
			return fault(e.err.Type, e.err.Message), true
		}
		if p := e.peer(); p != nil {
			return wire.Result(&wire.SessionInfoResult{Protocol: e.session.open.Protocol, ProtocolVersion: e.session.version, Properties: p.flow.start.Properties}), true
		}
	}
	return wire.Answer{}, false
}

// answerClose closes this side. The opener waits for the other side's close, unless that is not required or there is no
// other side.
func (e *end) answerClose(q *request) (wire.Answer, bool) {
	if !q.asked {
		e.close()
	}
	waits := e == e.session.opener && !e.session.open.CloseNotRequired && e.peer() != nil && !e.peerClosed
	if waits && e.err != nil {
		return fault(e.err.Type, e.err.Message), true
	}
	return wire.Result(nil), !waits
}

// close tells the other side that this one sends and reads no more.
func (e *end) close() {
	if e.closed {
		return
	}
	e.closed = true
	if p := e.peer(); p != nil && !e.lost() {
		p.peerClosed, p.heard = true, e.flow.m.net.now
	}
}

// begin starts the responder when the opener first sends something or asks for it.
func (e *end) begin() {
	s := e.session
	if e != s.opener || s.responder != nil || e.lost() {
		return
	}
	r, version, ok := registry.Respond(s.open.Protocol, s.open.Versions)
	if !ok {
		e.err = &flow.Error{Type: flow.ErrSessionFailed.Type, Message: fmt.Sprintf("no-responder: %s has no responder of protocol %s, versions %v", e.counterparty.Name(), s.open.Protocol, s.open.Versions)}
		return
	}
	s.version = version
	f := e.counterparty.begin(&wire.Start{
		FlowClass: r.Name, ClientRequestID: s.id, Attempt: 1,
		Session: &wire.Session{ID: s.id, Counterparty: e.flow.m.Name(), Protocol: s.open.Protocol, ProtocolVersion: version, Properties: s.open.Properties},
	}, nil)
	s.responder = &end{session: s, flow: f, counterparty: e.flow.m, heard: e.flow.m.net.now}
	f.ends = append(f.ends, s.responder)
	e.heard = e.flow.m.net.now
}

// closeSessions ends the sessions of a flow that has ended: a close for each when it is done, an error when it failed.
func (f *Flow) closeSessions(failed *flow.Error) {
	for _, e := range f.ends {
		if p := e.peer(); failed != nil && !e.closed && e.err == nil && p != nil && !e.lost() && p.err == nil && !p.closed {
			p.err = &flow.Error{Type: flow.ErrSessionFailed.Type, Message: fmt.Sprintf("the flow of %s failed: %s", f.m.Name(), failed.Error())}
			e.closed = true
			continue
		}
		e.close()
	}
}
