package flowmapper

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Event is one thing that happens to a mapping.
type Event interface{ event() }

// StartAsked is a start record.
type StartAsked struct {
	// Key of the record: client request id, "-", short hash.
	Key   string
	Start *flowv1.StartFlow
	// FlowID is derived from the record's place.
	FlowID identity.UUID
	NowUs  int64
}

// FlowEnded tells that a flow is terminal.
type FlowEnded struct {
	Key   string
	Ended *flowv1.FlowEnded
	NowUs int64
}

// Admitted tells that a place was taken for the start that waits under the key.
type Admitted struct {
	Key   string
	NowUs int64
}

// Expired is the timer of a mapping whose flow ended.
type Expired struct {
	Key   string
	NowUs int64
}

func (StartAsked) event() {}
func (FlowEnded) event()  {}
func (Admitted) event()   {}
func (Expired) event()    {}

// Effect is one thing that a step asks for.
type Effect interface{ effect() }

// SendStarted writes flow.events under the flow's id.
type SendStarted struct {
	FlowID  identity.UUID
	Started *flowv1.Started
}

// SendStatus writes flow.status under the event's key; nil is a tombstone.
type SendStatus struct{ Status *flowv1.FlowStatus }

// SetExpiry sets the timer that forgets the mapping.
type SetExpiry struct{ AtUs int64 }

// Enqueue stores the event's key at its place in a virtual node's queue.
type Enqueue struct {
	Vnode    string
	Position uint64
}

// TakeNext takes the first key out of a virtual node's queue and sends it an Admit.
type TakeNext struct{ Vnode string }

// Note counts what happened, for metrics.
type Note struct{ What Outcome }

func (SendStarted) effect() {}
func (SendStatus) effect()  {}
func (SetExpiry) effect()   {}
func (Enqueue) effect()     {}
func (TakeNext) effect()    {}
func (Note) effect()        {}

// Outcome names what became of an event, for metrics.
type Outcome string

// The outcomes.
const (
	// OutcomeAccepted: a start was let run at once.
	OutcomeAccepted Outcome = "accepted"
	// OutcomeWaiting: a start was accepted and waits for a place.
	OutcomeWaiting Outcome = "waiting"
	// OutcomeAdmitted: a waiting start got its place.
	OutcomeAdmitted Outcome = "admitted"
	// OutcomeRepeated: a start whose flow exists was dropped.
	OutcomeRepeated Outcome = "repeated"
	// OutcomeEnded: a flow's end was noted.
	OutcomeEnded Outcome = "ended"
	// OutcomeForgotten: a mapping and its status were dropped.
	OutcomeForgotten Outcome = "forgotten"
	// OutcomeStale: an event came for a mapping that is gone, of another flow, or past that point.
	OutcomeStale Outcome = "stale"
	// OutcomePassedOn: a command was passed on to the flow, which had begun meanwhile or is not known.
	OutcomePassedOn Outcome = "passed-on"
	// OutcomeKilled: a waiting start was killed.
	OutcomeKilled Outcome = "killed"
	// OutcomeRefused: a command made no sense for a start that waits.
	OutcomeRefused Outcome = "command-refused"
	// OutcomeSessionOut and OutcomeSessionIn: an event of a session went on to the other side, or to its flow.
	OutcomeSessionOut Outcome = "session-out"
	OutcomeSessionIn  Outcome = "session-in"
	// OutcomeSessionError: an error ended a session. OutcomeSessionNoPeer: the other side is not in this cluster.
	OutcomeSessionError  Outcome = "session-error"
	OutcomeSessionNoPeer Outcome = "session-no-peer"
	// OutcomeSessionExpired: a message came for a side that is over; its sender was told. OutcomeSessionStale: it was
	// dropped.
	OutcomeSessionExpired Outcome = "session-expired"
	OutcomeSessionStale   Outcome = "session-stale"
	// OutcomeSessionBusy: a session would have begun one responder too many; its initiator was told.
	OutcomeSessionBusy Outcome = "session-busy"
	// OutcomeSessionHeld: an event waits for its peer's virtual node to become known.
	OutcomeSessionHeld Outcome = "session-held"
	// OutcomeSessionEnded: a flow is done with its side.
	OutcomeSessionEnded Outcome = "session-ended"
)

// Step decides what one event does to one mapping and to the places of the partition. It is pure: the same arguments
// have the same result. Its error is engine.Poison: the record can never be right.
func Step(s State, event Event) (State, []Effect, error) {
	switch e := event.(type) {
	case StartAsked:
		return s.start(e)
	case FlowEnded:
		return s.ended(e)
	case Admitted:
		return s.admitted(e)
	case SessionCame:
		return s.session(e)
	case CleanedUp:
		return s.cleanedUp(e)
	case PeerDue:
		return s.peerDue(e)
	case Expired:
		return s.expired(e)
	case Commanded:
		return s.commanded(e)
	default:
		return s, nil, engine.Poison("flow-mapper: no rule for %T", event)
	}
}

func (s State) start(e StartAsked) (State, []Effect, error) {
	if err := CheckStart(e.Key, e.Start); err != nil {
		return s, nil, engine.Poison("%w", err)
	}
	if s.Mapping != nil {
		return s, []Effect{Note{OutcomeRepeated}}, nil
	}
	vnode := e.Start.GetVnode()
	s.Mapping = &flowv1.MapperState{FlowId: e.FlowID[:], Vnode: vnode}
	if s.Places.of(vnode).waiting() == 0 && s.Places.free(vnode, s.Rules) {
		s.Places = s.Places.take(vnode)
		s.Mapping.Status = flowv1.MappingStatus_MAPPING_STATUS_OPEN
		return s, []Effect{
			SendStatus{statusOf(e.Start, e.FlowID, e.NowUs, "")},
			SendStarted{e.FlowID, &flowv1.Started{Start: e.Start, FlowId: e.FlowID[:], StartedAtUs: e.NowUs}},
			Note{OutcomeAccepted},
		}, nil
	}
	var position, ahead uint64
	s.Places, position, ahead = s.Places.push(vnode)
	s.Mapping.Status = flowv1.MappingStatus_MAPPING_STATUS_WAITING
	s.Mapping.Waiting = e.Start
	s.Mapping.WaitingPosition = position
	effects := []Effect{
		SendStatus{statusOf(e.Start, e.FlowID, e.NowUs, fmt.Sprintf("%s: %d ahead", waitingText, ahead))},
		Enqueue{Vnode: vnode, Position: position},
		Note{OutcomeWaiting},
	}
	return s.fill(effects)
}

func (s State) ended(e FlowEnded) (State, []Effect, error) {
	id, err := identity.UUIDFromBytes(e.Ended.GetFlowId())
	if err != nil {
		return s, nil, engine.Poison("FL-MAPPER-002: end of a flow: field flow_id: %w", err)
	}
	switch e.Ended.GetState() {
	case flowv1.FlowState_FLOW_STATE_COMPLETED, flowv1.FlowState_FLOW_STATE_FAILED, flowv1.FlowState_FLOW_STATE_KILLED:
	default:
		return s, nil, engine.Poison("FL-MAPPER-002: end of flow %s: field state is %s, which is not an end", id, e.Ended.GetState())
	}
	if s.Mapping == nil || string(s.Mapping.GetFlowId()) != string(id[:]) || s.Mapping.GetStatus() != flowv1.MappingStatus_MAPPING_STATUS_OPEN {
		return s, []Effect{Note{OutcomeStale}}, nil
	}
	expires := e.NowUs + s.Rules.KeepUs
	s.Mapping = clone(s.Mapping)
	s.Mapping.Status = flowv1.MappingStatus_MAPPING_STATUS_CLOSING
	s.Mapping.ExpiresAtUs = expires
	s.Places = s.Places.give(s.Mapping.GetVnode())
	return s.fill([]Effect{SetExpiry{expires}, Note{OutcomeEnded}})
}

func (s State) admitted(e Admitted) (State, []Effect, error) {
	if s.Mapping == nil || s.Mapping.GetStatus() != flowv1.MappingStatus_MAPPING_STATUS_WAITING {
		return s, []Effect{Note{OutcomeStale}}, nil
	}
	start := s.Mapping.GetWaiting()
	id, err := identity.UUIDFromBytes(s.Mapping.GetFlowId())
	if err != nil {
		return s, nil, engine.Poison("FL-MAPPER-003: mapping %s: field flow_id: %w", e.Key, err)
	}
	s.Mapping = clone(s.Mapping)
	s.Mapping.Status = flowv1.MappingStatus_MAPPING_STATUS_OPEN
	s.Mapping.Waiting = nil
	s.Mapping.WaitingPosition = 0
	return s, []Effect{
		SendStatus{statusOf(start, id, e.NowUs, "")},
		SendStarted{id, &flowv1.Started{Start: start, FlowId: id[:], StartedAtUs: e.NowUs}},
		Note{OutcomeAdmitted},
	}, nil
}

func (s State) expired(e Expired) (State, []Effect, error) {
	over := s.Mapping.GetStatus() == flowv1.MappingStatus_MAPPING_STATUS_CLOSING || s.Mapping.GetSession() && s.Mapping.GetExpiresAtUs() != 0
	if s.Mapping == nil || !over {
		return s, []Effect{Note{OutcomeStale}}, nil
	}
	if at := s.Mapping.GetExpiresAtUs(); at > e.NowUs {
		return s, []Effect{SetExpiry{at}, Note{OutcomeStale}}, nil
	}
	effects := []Effect{SendStatus{nil}, Note{OutcomeForgotten}}
	if s.Mapping.GetSession() { // which has no status
		effects = effects[1:]
	}
	s.Mapping = nil
	return s, effects, nil
}

// fill gives free places away and adds what that asks for.
func (s State) fill(effects []Effect) (State, []Effect, error) {
	places, taken := s.Places.fill(s.Rules)
	s.Places = places
	for _, t := range taken {
		effects = append(effects, t)
	}
	return s, effects, nil
}

// waitingText says what a waiting start waits for.
const waitingText = "admission"

func statusOf(start *flowv1.StartFlow, id identity.UUID, nowUs int64, waitingFor string) *flowv1.FlowStatus {
	return &flowv1.FlowStatus{
		Vnode:           start.GetVnode(),
		ClientRequestId: start.GetClientRequestId(),
		FlowId:          id.String(),
		FlowClass:       start.GetFlowClass(),
		State:           flowv1.FlowState_FLOW_STATE_START_REQUESTED,
		CreatedAtUs:     start.GetCreatedAtUs(),
		UpdatedAtUs:     nowUs,
		Initiator:       start.GetInitiator(),
		InitiatedBy:     start.GetInitiatedBy(),
		WaitingFor:      waitingFor,
	}
}

func clone[M proto.Message](m M) M { return proto.Clone(m).(M) }
