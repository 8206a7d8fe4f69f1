package flow_test

import (
	"fmt"
	"testing"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// What every group must keep, kept by this one: flows of many steps and ends, and commands for flows that run, ended
// and never were.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a broker for each disturbance")
	}
	w := newWorld(flow.Config{})
	w.install("steps", "checkpoint\nsleep 0s\nall checkpoint, unknown 17\ncheckpoint\ndone $answers")
	w.install("fails", "checkpoint\nfail own reason")
	w.install("sleeps", "sleep 24h\ndone 1")
	var inputs []enginetest.Input
	start := func(class string, n int) string {
		id := identity.FlowID([16]byte{5}, 0, int64(n)).String()
		inputs = append(inputs, enginetest.Input{Topic: topics.FlowEvents, Key: id, Value: startRecord(t, w, class, n)})
		return id
	}
	command := func(id string, kind flowv1.FlowCommandKind) {
		raw, err := schemas.Marshal(&flowv1.FlowCommand{Kind: kind, By: "olga"})
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, enginetest.Input{Topic: topics.FlowCommands, Key: id, Value: raw})
	}
	for n := range 10 {
		start("steps", 3*n)
		start("fails", 3*n+1)
		start("sleeps", 3*n+2)
		command(fmt.Sprintf("00000000-0000-5000-8000-%012d", n), flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL)
	}
	enginetest.Suite{
		Graph: func(t testing.TB) *engine.Graph {
			worker, err := flow.NewWorker(flow.Config{MaxStepsPerEvent: 2}, flow.Deps{
				VirtualNodes: w.vnodes, Packages: w.cpis, Chunks: w.chunks, Sandbox: w.runtime,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(worker.Close)
			return worker.Graph()
		},
		Inputs:  inputs,
		Content: enginetest.OnlyKeys,
		Poison:  &enginetest.Input{Topic: topics.FlowEvents, Key: "no id", Value: startRecord(t, w, "steps", 1000)},
	}.Run(t)
}

func startRecord(t *testing.T, w *world, class string, n int) []byte {
	t.Helper()
	id := identity.FlowID([16]byte{5}, 0, int64(n))
	h := w.holder()
	raw, err := schemas.Marshal(&flowv1.FlowEvent{Event: &flowv1.FlowEvent_Started{Started: &flowv1.Started{
		Start: &flowv1.StartFlow{
			Identity: &vnodev1.HoldingIdentity{X500Name: h.Name.String(), GroupId: h.GroupID},
			Vnode:    h.ShortHash(), ClientRequestId: fmt.Sprintf("r%d", n), FlowClass: class, CreatedAtUs: 1,
			Initiator: flowv1.Initiator_INITIATOR_RPC,
		},
		FlowId: id[:], StartedAtUs: 1,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
