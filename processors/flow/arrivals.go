package flow

import (
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/identity"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// SessionInitOf returns what begins a responder's side, nil when an event does not carry it.
func SessionInitOf(e *flowv1.SessionEvent) *flowv1.SessionInit {
	switch p := e.GetPayload().(type) {
	case *flowv1.SessionEvent_InfoRequest:
		return p.InfoRequest.GetInit()
	case *flowv1.SessionEvent_Data:
		return p.Data.GetInit()
	case *flowv1.SessionEvent_Close:
		return p.Close.GetInit()
	default:
		return nil
	}
}

// begunBy is a responder's side of the session that an event begins. Version is the one that both sides speak.
func begunBy(e *flowv1.SessionEvent, version uint32, nowUs int64) *flowv1.Session {
	init := SessionInitOf(e)
	return &flowv1.Session{
		SessionId:        e.GetSessionId(),
		Counterparty:     e.GetInitiating(),
		Status:           flowv1.SessionStatus_SESSION_STATUS_CONFIRMED,
		Protocol:         init.GetProtocol(),
		ProtocolVersion:  version,
		CloseNotRequired: init.GetCloseNotRequired(),
		TimeoutUs:        init.GetTimeoutUs(),
		PeerProperties:   init.GetProperties(),
		OpenedAtUs:       nowUs,
	}
}

// arrived takes a message of a session: once, whatever is repeated, and to be read in order, whatever comes first.
func (d *draft) arrived(e Arrived) error {
	s := sessionOf(d.Head, e.Event.GetSessionId())
	switch {
	case d.Head == nil || !d.alive():
		d.note(OutcomeStale)
		return nil
	case s == nil || s.GetInitiator() == e.Event.GetFromInitiator() || !sameHolding(s.GetCounterparty(), senderOf(e.Event)):
		d.note(OutcomeForeign)
		return nil
	case sessionEnded(s):
		d.note(OutcomeUnread)
		return nil
	}
	d.Head.UpdatedAtUs = e.NowUs
	s.HeardAtUs = e.NowUs
	d.stock(e.Inbox)
	switch p := e.Event.GetPayload().(type) {
	case *flowv1.SessionEvent_InfoRequest:
		d.told(s, e.NowUs)
	case *flowv1.SessionEvent_InfoResponse:
		d.confirm(s, p.InfoResponse)
	case *flowv1.SessionEvent_Data:
		d.confirm(s, p.Data.GetInfo())
		d.data(s, e.Event.GetSequence(), p.Data, e.NowUs)
	case *flowv1.SessionEvent_Close:
		d.confirm(s, p.Close.GetInfo())
		d.peerClosed(s, e.Event.GetSequence(), e.NowUs)
	case *flowv1.SessionEvent_Error:
		d.breakSession(s, p.Error.GetType(), p.Error.GetMessage(), false, e.NowUs)
	default:
		d.note(OutcomeForeign)
	}
	if !e.Hold {
		d.afterSessions(e.NowUs)
	}
	return nil
}

// senderOf is who sent an event.
func senderOf(e *flowv1.SessionEvent) *vnodev1.HoldingIdentity {
	if e.GetFromInitiator() {
		return e.GetInitiating()
	}
	return e.GetInitiated()
}

// told answers who asks whether the session is taken.
func (d *draft) told(s *flowv1.Session, nowUs int64) {
	if s.GetInitiator() {
		d.note(OutcomeForeign)
		return
	}
	s.InfoSent = false // asked again, it is told again
	d.post(s, &flowv1.SessionEvent{Payload: &flowv1.SessionEvent_InfoResponse{InfoResponse: infoOf(s)}}, nowUs)
}

// confirm notes that the other side is there, and what it said of itself.
func (d *draft) confirm(s *flowv1.Session, info *flowv1.SessionInfoResponse) {
	if !s.GetInitiator() {
		return
	}
	if s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_CREATED {
		s.Status = flowv1.SessionStatus_SESSION_STATUS_CONFIRMED
		s.Properties = nil // they are said until the other side was heard
	}
	if info != nil && s.GetProtocolVersion() == 0 {
		s.ProtocolVersion = info.GetProtocolVersion()
		s.PeerProperties = info.GetProperties()
	}
}

func (d *draft) data(s *flowv1.Session, sequence uint32, data *flowv1.SessionData, nowUs int64) {
	switch {
	case sequence == 0 || s.GetPeerClosed() != 0 && sequence > s.GetPeerClosed():
		d.note(OutcomeForeign)
	case !take(s, sequence):
		d.note(OutcomeDuplicate)
	case s.GetCloseSent():
		d.note(OutcomeUnread)
	case int(s.GetArrived()-s.GetRead())+len(s.GetAhead()) > d.Rules.MaxUnread:
		d.breakSession(s, "too-many-messages", fmt.Sprintf("%d messages arrived that the flow has not read; more are not kept", d.Rules.MaxUnread), true, nowUs)
	case s.GetUnreadBytes()+uint64(len(data.GetPayload())) > uint64(d.Rules.MaxUnreadBytes):
		d.breakSession(s, "too-many-messages", fmt.Sprintf("%d bytes arrived that the flow has not read; more than %d are not kept", s.GetUnreadBytes(), d.Rules.MaxUnreadBytes), true, nowUs)
	default:
		s.UnreadBytes += uint64(len(data.GetPayload()))
		m := Message{sequence, &flowv1.InboxRow{Payload: data.GetPayload(), More: data.GetMore()}}
		d.do(KeepMessage{s.GetSessionId(), m})
		d.Bytes += len(data.GetPayload())
		if d.inbox == nil {
			d.inbox = Inbox{}
		}
		id := s.GetSessionId()
		at, _ := slices.BinarySearchFunc(d.inbox[id], sequence, func(m Message, n uint32) int { return int(int64(m.Sequence) - int64(n)) })
		d.inbox[id] = slices.Insert(slices.Clone(d.inbox[id]), at, m)
	}
}

// take notes a sequence number, and tells whether it is new.
func take(s *flowv1.Session, sequence uint32) bool {
	if sequence <= s.GetArrived() {
		return false
	}
	at, known := slices.BinarySearch(s.GetAhead(), sequence)
	if known {
		return false
	}
	s.Ahead = slices.Insert(s.Ahead, at, sequence)
	for len(s.Ahead) > 0 && s.Ahead[0] == s.GetArrived()+1 {
		s.Arrived++
		s.Ahead = s.Ahead[1:]
	}
	return true
}

func (d *draft) peerClosed(s *flowv1.Session, sequence uint32, nowUs int64) {
	switch {
	case sequence == 0:
		d.note(OutcomeForeign)
	case s.GetPeerClosed() != 0 || !take(s, sequence):
		d.note(OutcomeDuplicate)
	default:
		s.PeerClosed = sequence
		s.Status = flowv1.SessionStatus_SESSION_STATUS_CLOSING
		if s.GetCloseSent() {
			d.shut(s, nowUs)
		}
	}
}

// noResponder tells the initiator that nobody answers, and the mapper that there will be no flow.
func (d *draft) noResponder(e NoResponder) {
	if d.Head != nil {
		d.note(OutcomeStale)
		return
	}
	key := identity.SessionKey(e.Event.GetSessionId(), false)
	d.do(
		SendSession{Key: key, Event: &flowv1.SessionEvent{
			Direction: flowv1.Direction_DIRECTION_OUTBOUND, SessionId: e.Event.GetSessionId(), Initiating: e.Event.GetInitiating(), Initiated: e.Event.GetInitiated(),
			SentAtUs: e.NowUs, FlowId: e.Flow[:],
			Payload: &flowv1.SessionEvent_Error{Error: &flowv1.SessionError{Type: e.Type, Message: validText(e.Message)}},
		}},
		SendCleanUp{key, e.Flow},
		Note{OutcomeNoResponder},
	)
}

// commonVersion is the highest version that is in both lists, zero when there is none. A responder that names none
// speaks version 1.
func commonVersion(ours, theirs []uint32) uint32 {
	if len(ours) == 0 {
		ours = []uint32{1}
	}
	var best uint32
	for _, v := range ours {
		if slices.Contains(theirs, v) {
			best = max(best, v)
		}
	}
	return best
}

// checkSessionEvent tells what is wrong with an event that a mapper sent to a flow.
func checkSessionEvent(e *flowv1.SessionEvent) error {
	if _, err := identity.ParseUUID(e.GetSessionId()); err != nil {
		return fmt.Errorf("field session_id: %w", err)
	}
	for _, h := range []*vnodev1.HoldingIdentity{e.GetInitiating(), e.GetInitiated()} {
		if _, err := identity.NewHolding(h.GetX500Name(), h.GetGroupId()); err != nil {
			return fmt.Errorf("fields initiating and initiated: %w", err)
		}
	}
	if e.GetDirection() != flowv1.Direction_DIRECTION_INBOUND || e.GetPayload() == nil {
		return fmt.Errorf("fields direction and payload: an INBOUND event with a payload is expected, this is %s", e.GetDirection())
	}
	return nil
}
