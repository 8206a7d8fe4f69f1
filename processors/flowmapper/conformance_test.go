package flowmapper_test

import (
	"fmt"
	"testing"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
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
	enginetest.Suite{
		Graph: func(testing.TB) *engine.Graph {
			return flowmapper.Graph(flowmapper.Config{MaxRunningPerVnode: 4, MaxRunning: 6})
		},
		Inputs:     inputs,
		Poison:     &enginetest.Input{Topic: topics.FlowMapperStart, Key: "no request", Value: inputs[0].Value},
		Repeatable: true,
	}.Run(t)
}
