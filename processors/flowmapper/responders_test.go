package flowmapper_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// A virtual node has a bound of sessions that others opened: the initiator of one more is told so and nothing waits, what
// was sent behind it begins nothing either, and a session that ends makes room for another.
func TestRespondersAreBounded(t *testing.T) {
	w := newSessionWorld()
	w.rules.MaxResponders = 2
	came := func(n uint32) flowmapper.SessionCame {
		w.session = identity.SessionID(w.mine, 1, n).String()
		e := w.event("data with init", false, true)
		return flowmapper.SessionCame{Key: w.key(e), Event: e, FlowID: w.derived, PeerHere: true, NowUs: sessionNow}
	}
	step := func(s flowmapper.State, e flowmapper.Event) (flowmapper.State, string) {
		t.Helper()
		text := w.show(s, e)
		s, _, err := flowmapper.Step(s, e)
		if err != nil {
			t.Fatal(err)
		}
		return s, text
	}
	s := flowmapper.State{Rules: w.rules}
	first, text := step(s, came(1))
	if first.Responders != 1 || !strings.Contains(text, "to a new flow") {
		t.Errorf("%d, %s", first.Responders, text)
	}
	s.Responders = 1
	if second, text := step(s, came(2)); second.Responders != 2 || !strings.Contains(text, "to a new flow") {
		t.Errorf("%d, %s", second.Responders, text)
	}
	s.Responders = 2
	third, text := step(s, came(3))
	if third.Responders != 2 || text != "ERROR, to the other side: error busy, timer in 600 s, (session-busy)" {
		t.Errorf("%d, %s", third.Responders, text)
	}
	if after, text := step(third, came(3)); after.Responders != 2 || text != "ERROR, (session-stale)" {
		t.Errorf("%d, %s", after.Responders, text)
	}
	first.Responders = 2
	done := flowmapper.CleanedUp{Key: came(1).Key, Flow: w.derived[:], NowUs: sessionNow}
	first, _ = step(first, done)
	if again, _ := step(first, done); first.Responders != 1 || again.Responders != 1 {
		t.Errorf("%d, and a second time %d", first.Responders, again.Responders)
	}
}

// The group counts them in its store.
func TestRespondersAreCountedOnKafka(t *testing.T) {
	c := enginetest.NewCluster(t)
	graph := flowmapper.Graph(flowmapper.Config{MaxResponders: 1, SessionTTL: ages, SessionKeep: 2 * ages})
	c.CreateTopics(t, 1, graph)
	c.Start(t, graph)
	codec := schemas.Codec[*flowv1.MapperSession]()
	w := newSessionWorld()
	send := func(n uint32) string {
		w.session = identity.SessionID(w.mine, 1, n).String()
		e := w.event("data with init", false, true)
		c.Produce(t, topics.FlowMapperSession, w.key(e), &flowv1.MapperSession{Event: &flowv1.MapperSession_Session{Session: e}}, codec)
		return w.key(e)
	}
	key := send(1)
	send(2)
	flowID, err := identity.ParseUUID(string(c.Consume(t, topics.FlowEvents, 1)[0].Key))
	if err != nil {
		t.Fatal(err)
	}
	c.Produce(t, topics.FlowMapperSession, key, &flowv1.MapperSession{Event: &flowv1.MapperSession_CleanUp_{CleanUp: &flowv1.MapperSession_CleanUp{FlowId: flowID[:]}}}, codec)
	send(3)
	var sessions []string
	for _, r := range c.Consume(t, topics.FlowEvents, 2) {
		var e flowv1.FlowEvent
		if err := proto.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, e.GetSession().GetSessionId())
	}
	if want := identity.SessionID(w.mine, 1, 3).String(); len(sessions) != 2 || sessions[1] != want {
		t.Errorf("sessions %v began; the second should be %s", sessions, want)
	}
}

// ages is longer than the events of these worlds are old.
const ages = 100 * 365 * 24 * time.Hour
