package flowmapper

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// SessionCame is an event of a session, on its way from one flow to the other.
type SessionCame struct {
	// Key of the record: the session id of the side whose mapping decides.
	Key   string
	Event *flowv1.SessionEvent
	// FlowID is derived from the record's place: the flow's that begins with it, if one does.
	FlowID identity.UUID
	// PeerHere tells that the other side's virtual node lives in this cluster.
	PeerHere bool
	// Held are the events of this side that wait for the peer to become known.
	Held  []*flowv1.SessionEvent
	NowUs int64
}

// CleanedUp tells that the flow is done with its side of a session.
type CleanedUp struct {
	Key   string
	Flow  []byte
	NowUs int64
}

func (SessionCame) event() {}
func (CleanedUp) event()   {}

// SendToFlow writes flow.events under the flow's id.
type SendToFlow struct {
	FlowID identity.UUID
	Event  *flowv1.SessionEvent
}

// SendToPeer writes flow.mapper.session under the other side's session id.
type SendToPeer struct {
	Key   string
	Event *flowv1.SessionEvent
}

func (SendToFlow) effect() {}
func (SendToPeer) effect() {}

// Types of the errors that the mapper itself tells a flow.
const (
	// sessionExpired: the other side is over and forgotten, or the session began too long ago.
	sessionExpired = "session-expired"
	// noPeer: the other side's virtual node is not in this cluster.
	noPeer = "no-peer"
	// busy: the other side's virtual node has as many sessions as it may have.
	busy = "busy"
)

// CheckSession tells what is wrong with a record of flow.mapper.session: the field, and what it must be. Its error
// begins with the stable id FL-MAPPER-005.
func CheckSession(key string, e *flowv1.SessionEvent) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("FL-MAPPER-005: session event %q: %s", key, fmt.Sprintf(format, args...))
	}
	if _, err := identity.ParseUUID(e.GetSessionId()); err != nil {
		return bad("field session_id: %v", err)
	}
	for _, side := range []struct {
		field string
		h     *vnodev1.HoldingIdentity
	}{{"initiating", e.GetInitiating()}, {"initiated", e.GetInitiated()}} {
		if _, err := identity.NewHolding(side.h.GetX500Name(), side.h.GetGroupId()); err != nil {
			return bad("field %s: %v", side.field, err)
		}
	}
	if e.GetPayload() == nil {
		return bad("it has no payload that this version knows")
	}
	var ofInitiator bool
	switch e.GetDirection() {
	case flowv1.Direction_DIRECTION_OUTBOUND:
		ofInitiator = e.GetFromInitiator()
	case flowv1.Direction_DIRECTION_INBOUND:
		ofInitiator = !e.GetFromInitiator()
	default:
		return bad("field direction must be OUTBOUND or INBOUND")
	}
	if want := identity.SessionKey(e.GetSessionId(), ofInitiator); key != want {
		return bad("the record's key must be %q", want)
	}
	return nil
}

// Peer is who is at the other side of the mapping that decides an event.
func Peer(e *flowv1.SessionEvent) *vnodev1.HoldingIdentity {
	outbound := e.GetDirection() == flowv1.Direction_DIRECTION_OUTBOUND
	if outbound == e.GetFromInitiator() {
		return e.GetInitiated()
	}
	return e.GetInitiating()
}

// begins tells whether an event can begin a mapping.
func begins(e *flowv1.SessionEvent) bool {
	switch p := e.GetPayload().(type) {
	case *flowv1.SessionEvent_InfoRequest:
		return p.InfoRequest.GetInit() != nil
	case *flowv1.SessionEvent_Data:
		return p.Data.GetInit() != nil
	case *flowv1.SessionEvent_Close:
		return p.Close.GetInit() != nil
	default:
		return false
	}
}

// session decides an event of a session.
func (s State) session(e SessionCame) (State, []Effect, error) {
	if err := CheckSession(e.Key, e.Event); err != nil {
		return s, nil, engine.Poison("%w", err)
	}
	if s.Mapping != nil && !s.Mapping.GetSession() {
		return s, nil, engine.Poison("FL-MAPPER-005: session event %q: its key is a start's", e.Key)
	}
	outbound := e.Event.GetDirection() == flowv1.Direction_DIRECTION_OUTBOUND
	if outbound && e.PeerHere && s.Mapping.GetHeld() > 0 { // it became known just now: first what came before
		released, before := s.release(e.Held, e.NowUs)
		after, effects, err := released.session(e)
		return after, append(before, effects...), err
	}
	if e.Event.GetError() != nil {
		return s.sessionError(e, outbound)
	}
	status := s.Mapping.GetStatus()
	switch {
	case s.Mapping == nil && !begins(e.Event), s.Mapping == nil && !outbound && (!e.Event.GetFromInitiator() || s.tooOld(e)):
		if outbound {
			return s, []Effect{Note{OutcomeSessionStale}}, nil
		}
		return s, append(toPeer(e, errorEvent(sessionExpired, "the other side of this session is over, or it began too long ago")), Note{OutcomeSessionExpired}), nil
	case s.Mapping == nil:
		id := e.FlowID
		if !outbound && s.Rules.MaxResponders > 0 && s.Responders >= s.Rules.MaxResponders {
			return s.busy(e)
		}
		vnode := ""
		if !outbound {
			s.Responders++
			vnode = Responder(e.Event)
		} else {
			var err error
			if id, err = identity.UUIDFromBytes(e.Event.GetFlowId()); err != nil {
				return s, nil, engine.Poison("FL-MAPPER-005: session event %q: field flow_id: %w", e.Key, err)
			}
		}
		s.Mapping = &flowv1.MapperState{FlowId: id[:], Status: flowv1.MappingStatus_MAPPING_STATUS_OPEN, Session: true, Vnode: vnode}
	case status != flowv1.MappingStatus_MAPPING_STATUS_OPEN && !outbound:
		return s, []Effect{Note{OutcomeSessionStale}}, nil
	}
	if !outbound {
		return s.toFlow(e.Event, OutcomeSessionIn)
	}
	if !e.PeerHere {
		// A virtual node that was made a moment ago may not be in this process's view yet.
		if s.Mapping.GetStatus() == flowv1.MappingStatus_MAPPING_STATUS_OPEN && s.young(e.Event, e.NowUs) {
			return s.hold(e)
		}
		return s.peerMissing(e, notHereText(e.Event))
	}
	return s, append(toPeer(e, e.Event), Note{OutcomeSessionOut}), nil
}

// Responder is the virtual node on which an event begins a responder's flow.
func Responder(e *flowv1.SessionEvent) string {
	h, err := identity.NewHolding(e.GetInitiated().GetX500Name(), e.GetInitiated().GetGroupId())
	if err != nil {
		return ""
	}
	return h.ShortHash()
}

// busy refuses what would begin a responder: it must not wait, for its initiator holds a place while it does. The mapping
// keeps what was sent after it from beginning one in its middle.
func (s State) busy(e SessionCame) (State, []Effect, error) {
	s.Mapping = &flowv1.MapperState{
		FlowId: e.FlowID[:], Status: flowv1.MappingStatus_MAPPING_STATUS_ERROR, Session: true, ExpiresAtUs: e.NowUs + s.Rules.SessionKeepUs,
	}
	m := errorEvent(busy, fmt.Sprintf("%s has %d sessions that others opened, which is as many as it may have here: try again later", e.Event.GetInitiated().GetX500Name(), s.Responders))
	return s, append(toPeer(e, m), SetExpiry{s.Mapping.GetExpiresAtUs()}, Note{OutcomeSessionBusy}), nil
}

// tooOld tells that nobody waits any more for what an event would begin. Events of a mapping that exists have no such
// bound: their sequence numbers tell which are old.
func (s State) tooOld(e SessionCame) bool {
	return e.Event.GetSentAtUs()+s.Rules.SessionTTLUs < e.NowUs
}

func (s State) sessionError(e SessionCame, outbound bool) (State, []Effect, error) {
	switch s.Mapping.GetStatus() {
	case flowv1.MappingStatus_MAPPING_STATUS_OPEN:
		s.Mapping = clone(s.Mapping)
		s.Mapping.Status = flowv1.MappingStatus_MAPPING_STATUS_ERROR
		switch {
		case !outbound:
			return s.toFlow(e.Event, OutcomeSessionError)
		case !e.PeerHere:
			s, effects := s.forget()
			return s, append(effects, Note{OutcomeSessionStale}), nil
		default:
			return s, append(toPeer(e, e.Event), Note{OutcomeSessionError}), nil
		}
	case flowv1.MappingStatus_MAPPING_STATUS_CLOSING:
		s.Mapping = clone(s.Mapping)
		s.Mapping.Status = flowv1.MappingStatus_MAPPING_STATUS_ERROR
	default: // there is none, or its flow knows already
	}
	return s, []Effect{Note{OutcomeSessionStale}}, nil
}

// toFlow hands an event to the mapping's flow.
func (s State) toFlow(e *flowv1.SessionEvent, what Outcome) (State, []Effect, error) {
	id, err := identity.UUIDFromBytes(s.Mapping.GetFlowId())
	if err != nil {
		return s, nil, engine.Poison("FL-MAPPER-003: mapping of session %s: field flow_id: %w", e.GetSessionId(), err)
	}
	return s, []Effect{SendToFlow{id, inbound(e)}, Note{what}}, nil
}

// toPeer hands an event, or another in its place, to the mapping of the other side.
func toPeer(e SessionCame, m *flowv1.SessionEvent) []Effect {
	mine := e.Event.GetFromInitiator() == (e.Event.GetDirection() == flowv1.Direction_DIRECTION_OUTBOUND)
	out := inbound(m)
	out.SessionId, out.Initiating, out.Initiated, out.FromInitiator = e.Event.GetSessionId(), e.Event.GetInitiating(), e.Event.GetInitiated(), mine
	if out.GetSentAtUs() == 0 {
		out.SentAtUs = e.NowUs
	}
	return []Effect{SendToPeer{identity.SessionKey(out.GetSessionId(), !mine), out}}
}

// peerMissing tells a flow that nobody will get what it sends.
func (s State) peerMissing(e SessionCame, text string) (State, []Effect, error) {
	s, dropped := s.forget()
	if s.Mapping.GetStatus() != flowv1.MappingStatus_MAPPING_STATUS_OPEN {
		return s, append(dropped, Note{OutcomeSessionStale}), nil
	}
	s.Mapping = clone(s.Mapping)
	s.Mapping.Status = flowv1.MappingStatus_MAPPING_STATUS_ERROR
	m := errorEvent(noPeer, text)
	m.SessionId, m.Initiating, m.Initiated = e.Event.GetSessionId(), e.Event.GetInitiating(), e.Event.GetInitiated()
	m.FromInitiator, m.SentAtUs = !e.Event.GetFromInitiator(), e.NowUs
	after, effects, err := s.toFlow(m, OutcomeSessionNoPeer)
	return after, append(dropped, effects...), err
}

func errorEvent(kind, message string) *flowv1.SessionEvent {
	return &flowv1.SessionEvent{Payload: &flowv1.SessionEvent_Error{Error: &flowv1.SessionError{Type: kind, Message: message}}}
}

// inbound is an event as it leaves its sender's side: which flow sent it is nobody else's business.
func inbound(e *flowv1.SessionEvent) *flowv1.SessionEvent {
	out := proto.Clone(e).(*flowv1.SessionEvent)
	out.Direction = flowv1.Direction_DIRECTION_INBOUND
	out.FlowId = nil
	return out
}

// cleanedUp lets a side be forgotten after a while, in which late messages are told from new ones.
func (s State) cleanedUp(e CleanedUp) (State, []Effect, error) {
	if s.Mapping == nil || !s.Mapping.GetSession() || string(s.Mapping.GetFlowId()) != string(e.Flow) || s.Mapping.GetExpiresAtUs() != 0 {
		return s, []Effect{Note{OutcomeSessionStale}}, nil
	}
	s.Mapping = clone(s.Mapping)
	if s.Mapping.GetStatus() == flowv1.MappingStatus_MAPPING_STATUS_OPEN {
		s.Mapping.Status = flowv1.MappingStatus_MAPPING_STATUS_CLOSING
	}
	s.Mapping.ExpiresAtUs = e.NowUs + s.Rules.SessionKeepUs
	if s.Mapping.GetVnode() != "" && s.Responders > 0 {
		s.Responders--
	}
	return s, []Effect{SetExpiry{s.Mapping.GetExpiresAtUs()}, Note{OutcomeSessionEnded}}, nil
}
