package rest

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

type capture struct {
	records []engine.Record
	placed  engine.Placed
	err     error
}

func (c *capture) Produce(_ context.Context, r engine.Record) (engine.Placed, error) {
	c.records = append(c.records, r)
	return c.placed, c.err
}

func TestWriterKnowsItsOwnStart(t *testing.T) {
	c := &capture{placed: engine.Placed{TopicID: [16]byte{1}, Partition: 2, Offset: 3}}
	id, err := NewWriter(c).Start(t.Context(), "r1-"+aliceHash, &flowv1.StartFlow{ClientRequestId: "r1"}, "trace")
	if err != nil || id != identity.FlowID([16]byte{1}, 2, 3).String() {
		t.Errorf("flow id %s, %v", id, err)
	}
	flow := &flowv1.FlowStatus{FlowId: id, ClientRequestId: "r1", Vnode: aliceHash, State: flowv1.FlowState_FLOW_STATE_RUNNING}
	for _, state := range []flowv1.FlowState{flowv1.FlowState_FLOW_STATE_RUNNING, flowv1.FlowState_FLOW_STATE_START_REQUESTED} {
		flow.State = state
		command, err := NewWriter(c).Command(t.Context(), flow, &flowv1.FlowCommand{By: "alice"}, "")
		if err != nil || command != identity.CommandID([16]byte{1}, 2, 3).String() {
			t.Fatalf("command id %s, %v", command, err)
		}
	}
	flowID := identity.FlowID([16]byte{1}, 2, 3)
	for i, want := range []struct {
		topic, key string
		msg        proto.Message
	}{
		{topics.FlowMapperStart, "r1-" + aliceHash, &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: &flowv1.StartFlow{ClientRequestId: "r1"}}}},
		{topics.FlowCommands, id, &flowv1.FlowCommand{By: "alice"}},
		{topics.FlowMapperStart, "r1-" + aliceHash, &flowv1.MapperStart{Event: &flowv1.MapperStart_Command{Command: &flowv1.CommandFlow{
			FlowId: flowID[:], Command: &flowv1.FlowCommand{By: "alice"},
		}}}},
	} {
		r := c.records[i]
		if r.Topic != want.topic || r.Key != want.key || r.Partition != -1 || !proto.Equal(r.Msg.(proto.Message), want.msg) {
			t.Errorf("record %+v", r)
		}
		if _, err := r.Codec.Encode(r.Msg); err != nil {
			t.Error(err)
		}
	}
	if c.records[0].Headers[engine.HeaderTrace] != "trace" || c.records[1].Headers != nil {
		t.Errorf("headers %v %v", c.records[0].Headers, c.records[1].Headers)
	}
	c.err = errors.New("broker away")
	if _, err := NewWriter(c).Start(t.Context(), "k", &flowv1.StartFlow{}, ""); !errors.Is(err, c.err) {
		t.Error(err)
	}
	if _, err := NewWriter(c).Command(t.Context(), flow, &flowv1.FlowCommand{}, ""); !errors.Is(err, c.err) {
		t.Error(err)
	}
}

// engine.View is a View as this package needs it.
var _ View = (*engine.View)(nil)
