package flowmapper

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// What a side may send while its peer's virtual node is not known. The first event is kept whatever its size.
const (
	maxHeld      = 1_000
	maxHeldBytes = 1 << 20
	// minPeerCheckUs is the first wait until the peer is looked for again; every other is as long as all before it.
	minPeerCheckUs = 100_000
)

// PeerDue is the timer of a side whose events wait for the peer's virtual node to become known.
type PeerDue struct {
	Key string
	// Held are the events that wait, in the order they came. PeerHere tells of the first one's peer.
	Held     []*flowv1.SessionEvent
	PeerHere bool
	NowUs    int64
}

func (PeerDue) event() {}

// Hold keeps an event of the side under the event's key, DropHeld drops so many that were kept.
type (
	Hold struct {
		Position uint32
		Event    *flowv1.SessionEvent
	}
	DropHeld struct{ Count uint32 }
)

// CheckPeer sets the timer after which the peer is looked for again.
type CheckPeer struct{ AtUs int64 }

func (Hold) effect()      {}
func (DropHeld) effect()  {}
func (CheckPeer) effect() {}

// young tells whether the peer of an event may become known yet.
func (s State) young(e *flowv1.SessionEvent, nowUs int64) bool {
	return nowUs-e.GetSentAtUs() < s.Rules.PeerWaitUs
}

// hold keeps an event until the peer is known: waiting must cost nobody else anything, so it is no retry of the record.
func (s State) hold(e SessionCame) (State, []Effect, error) {
	size := uint64(proto.Size(e.Event))
	n, bytes := s.Mapping.GetHeld(), s.Mapping.GetHeldBytes()+size
	if n > 0 && (n >= maxHeld || bytes > maxHeldBytes) {
		return s.peerMissing(e, fmt.Sprintf("%s has no virtual node in this cluster yet, and the flow sent it more than %d messages or %d bytes: send less until it answers", Peer(e.Event).GetX500Name(), maxHeld, maxHeldBytes))
	}
	s.Mapping = clone(s.Mapping)
	s.Mapping.Held, s.Mapping.HeldBytes = n+1, bytes
	effects := []Effect{Hold{n, e.Event}, Note{OutcomeSessionHeld}}
	if n == 0 {
		effects = append(effects, s.checkPeer(e.Event, e.NowUs))
	}
	return s, effects, nil
}

func (s State) checkPeer(first *flowv1.SessionEvent, nowUs int64) Effect {
	at := nowUs + max(nowUs-first.GetSentAtUs(), minPeerCheckUs)
	return CheckPeer{min(at, first.GetSentAtUs()+s.Rules.PeerWaitUs)}
}

// release hands on what was kept.
func (s State) release(held []*flowv1.SessionEvent, nowUs int64) (State, []Effect) {
	if s.Mapping.GetHeld() == 0 {
		return s, nil
	}
	var effects []Effect
	for _, e := range held {
		effects = append(effects, toPeer(SessionCame{Event: e, NowUs: nowUs}, e)...)
		effects = append(effects, Note{OutcomeSessionOut})
	}
	s, drop := s.forget()
	return s, append(effects, drop...)
}

// forget drops what was kept.
func (s State) forget() (State, []Effect) {
	n := s.Mapping.GetHeld()
	if n == 0 {
		return s, nil
	}
	s.Mapping = clone(s.Mapping)
	s.Mapping.Held, s.Mapping.HeldBytes = 0, 0
	return s, []Effect{DropHeld{n}}
}

// peerDue hands on what waits, or goes on waiting, or gives up.
func (s State) peerDue(e PeerDue) (State, []Effect, error) {
	if s.Mapping.GetHeld() == 0 || len(e.Held) == 0 {
		return s, []Effect{Note{OutcomeSessionStale}}, nil
	}
	first := e.Held[0]
	switch {
	case e.PeerHere:
		s, effects := s.release(e.Held, e.NowUs)
		return s, effects, nil
	case s.young(first, e.NowUs):
		return s, []Effect{s.checkPeer(first, e.NowUs)}, nil
	default:
		return s.peerMissing(SessionCame{Key: e.Key, Event: first, NowUs: e.NowUs}, notHereText(first))
	}
}

func notHereText(e *flowv1.SessionEvent) string {
	return fmt.Sprintf("%s has no virtual node in this cluster, and this version of fairlead has no link to other clusters", Peer(e).GetX500Name())
}
