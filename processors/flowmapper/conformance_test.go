package flowmapper_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// What every group must keep, kept by this one: starts that run, starts that wait, repeats, and ends of flows that
// nobody knows.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a broker for each disturbance")
	}
	w := newWorld(4, 100)
	var inputs []enginetest.Input
	send := func(key string, m *flowv1.MapperStart) {
		raw, err := schemas.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, enginetest.Input{Topic: topics.FlowMapperStart, Key: key, Value: raw})
	}
	stranger := w.flowID(1)
	for n := range 20 {
		name, request := []string{"Alice", "Bob"}[n%2], fmt.Sprintf("r%d", n/2)
		start := &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: w.startOf(name, request)}}
		send(w.key(name, request), start)
		if n%3 == 0 {
			send(w.key(name, request), start)
		}
		if n%5 == 0 {
			send(w.key(name, request), &flowv1.MapperStart{Event: &flowv1.MapperStart_Ended{Ended: &flowv1.FlowEnded{
				FlowId: stranger[:], State: flowv1.FlowState_FLOW_STATE_KILLED,
			}}})
		}
	}
	// Sessions: what a flow sends begins both sides, the group hands it to itself; a clean-up ends a side.
	alice, bob := w.holder("Alice"), w.holder("Bob")
	here := &rows{m: map[string]any{bob.ShortHash(): nil, alice.ShortHash(): nil}}
	for n := range uint32(10) {
		sessions := newSessionWorld()
		sessions.session = identity.SessionID(sessions.mine, 1, n+1).String()
		for i, what := range []string{"data with init", "data", "close"} {
			e := sessions.event(what, true, true)
			e.Sequence = uint32(i + 1)
			inputs = append(inputs, enginetest.Input{Topic: topics.FlowMapperSession, Key: sessions.key(e), Value: encode(t, &flowv1.MapperSession{Event: &flowv1.MapperSession_Session{Session: e}})})
		}
		inputs = append(inputs, enginetest.Input{Topic: topics.FlowMapperSession, Key: sessions.session, Value: encode(t, &flowv1.MapperSession{
			Event: &flowv1.MapperSession_CleanUp_{CleanUp: &flowv1.MapperSession_CleanUp{FlowId: sessions.mine[:]}},
		})})
	}
	enginetest.Suite{
		Graph: func(testing.TB) *engine.Graph {
			// The events of these worlds are of long ago; what begins a session must not be too old here.
			return flowmapper.Graph(flowmapper.Config{MaxRunningPerVnode: 4, MaxRunning: 6, VirtualNodes: here, SessionTTL: 100 * 365 * 24 * time.Hour, SessionKeep: 101 * 365 * 24 * time.Hour})
		},
		Inputs:     inputs,
		Poison:     &enginetest.Input{Topic: topics.FlowMapperStart, Key: "no request", Value: inputs[0].Value},
		Content:    enginetest.OnlyCounts,
		Repeatable: true,
	}.Run(t)
}

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := schemas.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
