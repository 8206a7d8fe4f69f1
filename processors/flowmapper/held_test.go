package flowmapper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// heldSide is one side of a session with the events that the group would keep for it.
type heldSide struct {
	sessionWorld
	state flowmapper.State
	held  []*flowv1.SessionEvent
	timer int64
}

func newHeldSide() *heldSide {
	s := &heldSide{sessionWorld: newSessionWorld()}
	s.rules.PeerWaitUs = 5_000_000
	s.state.Rules = s.rules
	return s
}

// step says what a step sent, and keeps what it keeps.
func (s *heldSide) step(t *testing.T, e flowmapper.Event) string {
	t.Helper()
	after, effects, err := flowmapper.Step(s.state, e)
	if err != nil {
		t.Fatal(err)
	}
	s.state = after
	var out []string
	for _, effect := range effects {
		switch f := effect.(type) {
		case flowmapper.Hold:
			if int(f.Position) != len(s.held) {
				t.Fatalf("kept at %d, there are %d", f.Position, len(s.held))
			}
			s.held = append(s.held, f.Event)
			out = append(out, "kept")
		case flowmapper.DropHeld:
			if int(f.Count) != len(s.held) {
				t.Fatalf("%d dropped of %d", f.Count, len(s.held))
			}
			s.held = nil
		case flowmapper.CheckPeer:
			s.timer = f.AtUs
		case flowmapper.SendToPeer:
			out = append(out, fmt.Sprintf("peer %d", f.Event.GetSequence()))
		case flowmapper.SendToFlow:
			out = append(out, "flow "+payload(f.Event))
		}
	}
	return strings.Join(out, ", ")
}

func (s *heldSide) send(t *testing.T, what string, sequence uint32, here bool, nowUs int64) string {
	t.Helper()
	e := s.event(what, true, true)
	e.Sequence = sequence
	return s.step(t, flowmapper.SessionCame{Key: s.session, Event: e, PeerHere: here, Held: s.held, NowUs: nowUs})
}

func (s *heldSide) due(t *testing.T, here bool) string {
	t.Helper()
	return s.step(t, flowmapper.PeerDue{Key: s.session, Held: s.held, PeerHere: here, NowUs: s.timer})
}

// Events to a peer that is not known yet are kept in their order, handed on when it is, and answered when it is not.
func TestEventsWaitForTheirPeer(t *testing.T) {
	expect := func(t *testing.T, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	two := func(t *testing.T) *heldSide {
		s := newHeldSide()
		expect(t, s.send(t, "data with init", 1, false, sessionNow), "kept")
		expect(t, s.send(t, "data with init", 2, false, sessionNow), "kept")
		return s
	}
	t.Run("found by the timer", func(t *testing.T) {
		s := two(t)
		expect(t, s.due(t, false), "")
		expect(t, s.due(t, true), "peer 1, peer 2")
		expect(t, s.due(t, true), "")
	})
	t.Run("found by the next event", func(t *testing.T) {
		s := two(t)
		expect(t, s.send(t, "error", 0, true, sessionNow), "peer 1, peer 2, peer 0")
	})
	t.Run("never found", func(t *testing.T) {
		s := two(t)
		for n := 0; s.state.Mapping.GetHeld() > 0; n++ {
			if got := s.due(t, false); s.state.Mapping.GetHeld() == 0 {
				expect(t, got, "flow error no-peer")
			}
			if n > 10 {
				t.Fatal("the peer is looked for without end")
			}
		}
		if s.timer != sessionNow+s.rules.PeerWaitUs {
			t.Errorf("given up after %d µs", s.timer-sessionNow)
		}
		expect(t, s.send(t, "data with init", 3, false, sessionNow), "")
	})
	t.Run("its flow failed", func(t *testing.T) {
		s := two(t)
		expect(t, s.send(t, "error", 0, false, sessionNow), "")
		expect(t, s.due(t, true), "")
	})
	t.Run("its flow ended", func(t *testing.T) {
		s := two(t)
		s.step(t, flowmapper.CleanedUp{Key: s.session, Flow: s.mine[:], NowUs: sessionNow})
		expect(t, s.due(t, true), "peer 1, peer 2")
	})
	t.Run("too many", func(t *testing.T) {
		s := two(t)
		for n := uint32(3); n <= 1_000; n++ {
			expect(t, s.send(t, "data with init", n, false, sessionNow), "kept")
		}
		expect(t, s.send(t, "data with init", 1_001, false, sessionNow), "flow error no-peer")
	})
	t.Run("too much", func(t *testing.T) {
		s := newHeldSide()
		large := s.event("data with init", true, true)
		large.GetData().Payload = make([]byte, 600<<10)
		came := flowmapper.SessionCame{Key: s.session, Event: large, NowUs: sessionNow}
		expect(t, s.step(t, came), "kept")
		expect(t, s.step(t, came), "flow error no-peer")
	})
}

// What is wrong is told in the same words each time.
func TestCheckSessionNamesTheFirstField(t *testing.T) {
	w := newSessionWorld()
	e := w.event("data", true, true)
	e.Initiating, e.Initiated = nil, nil
	for range 50 {
		if err := flowmapper.CheckSession(w.key(e), e); err == nil || !strings.Contains(err.Error(), "field initiating") {
			t.Fatal(err)
		}
	}
}

// A flow that sends a lot to a peer that nobody knows holds up nobody: a start in the same partition runs while all of it
// waits. (Were the records tried again instead, the thousandth behind the first would pause the partition.)
func TestUnknownPeersHoldUpNobodyOnKafka(t *testing.T) {
	c := enginetest.NewCluster(t)
	graph := flowmapper.Graph(flowmapper.Config{PeerWait: time.Hour, VirtualNodes: &rows{m: map[string]any{}}})
	c.CreateTopics(t, 1, graph)
	codec := schemas.Codec[*flowv1.MapperSession]()
	s := newSessionWorld()
	for n := range uint32(1_100) {
		e := s.event("data with init", true, true)
		e.Sequence, e.SentAtUs = n+1, time.Now().UnixMicro()
		c.Produce(t, topics.FlowMapperSession, s.key(e), &flowv1.MapperSession{Event: &flowv1.MapperSession_Session{Session: e}}, codec)
	}
	c.Start(t, graph)
	c.ConsumeUntil(t, topics.StoreTopic(topics.FlowMapperGroup, topics.FlowMapperAdmissionStore), func(rs []*kgo.Record) bool { return len(rs) >= 1_000 })
	w := newWorld(1, 1)
	w.nowUs = time.Now().UnixMicro()
	c.Produce(t, topics.FlowMapperStart, w.key("Alice", "r"), &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: w.startOf("Alice", "r")}}, schemas.Codec[*flowv1.MapperStart]())
	var told, started bool
	for _, r := range c.Consume(t, topics.FlowEvents, 2) {
		var e flowv1.FlowEvent
		if err := proto.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		told = told || e.GetSession().GetError().GetType() == "no-peer"
		started = started || e.GetStarted() != nil
	}
	if !told || !started {
		t.Errorf("the sender was told that it sends too much: %v; the start runs: %v", told, started)
	}
	c.Drained(t, graph)
	for key := range c.Fold(t, topics.StoreTopic(topics.FlowMapperGroup, topics.FlowMapperAdmissionStore)) {
		if key[0] == 'h' {
			t.Fatalf("row %q is left", key)
		}
	}
}
