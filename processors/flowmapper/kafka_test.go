package flowmapper_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// The group on a broker: every request starts one flow with the id that anybody can work out from the place of the
// first record, one place for each virtual node goes from hand to hand, and a restart from an empty disk in the
// middle changes nothing.
func TestOnKafka(t *testing.T) {
	const requests = 12
	c := enginetest.NewCluster(t)
	graph := func() (g flowmapper.Config) { return flowmapper.Config{MaxRunningPerVnode: 1} }
	c.CreateTopics(t, 1, flowmapper.Graph(graph()))
	first := c.Start(t, flowmapper.Graph(graph()))
	w := newWorld(1, 1) // makes the records
	codec := schemas.Codec[*flowv1.MapperStart]()
	ids := map[string]string{}
	topic, err := c.Admin().ListTopics(t.Context(), topics.FlowMapperStart)
	if err != nil {
		t.Fatal(err)
	}
	for i := range requests {
		name := []string{"Alice", "Bob"}[i%2]
		key, start := w.key(name, fmt.Sprintf("r%d", i)), w.startOf(name, fmt.Sprintf("r%d", i))
		msg := &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: start}}
		r := c.Produce(t, topics.FlowMapperStart, key, msg, codec)
		c.Produce(t, topics.FlowMapperStart, key, msg, codec)
		id := identity.FlowID(topic[topics.FlowMapperStart].ID, r.Partition, r.Offset)
		ids[id.String()] = key
	}
	c.Produce(t, topics.FlowMapperStart, "nonsense", &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: w.startOf("Alice", "r")}}, codec)
	c.Consume(t, topics.FlowMapperGroup+".dlq", 1)

	ended := 0
	end := func(events []*kgo.Record) {
		t.Helper()
		for ; ended < len(events); ended++ {
			var e flowv1.FlowEvent
			if err := proto.Unmarshal(events[ended].Value, &e); err != nil {
				t.Fatal(err)
			}
			id := string(events[ended].Key)
			key, ok := ids[id]
			if !ok {
				t.Fatalf("flow %s was started and never asked for", id)
			}
			delete(ids, id)
			done := &flowv1.FlowEnded{FlowId: e.GetStarted().GetFlowId(), State: flowv1.FlowState_FLOW_STATE_COMPLETED}
			msg := &flowv1.MapperStart{Event: &flowv1.MapperStart_Ended{Ended: done}}
			c.Produce(t, topics.FlowMapperStart, key, msg, codec)
			c.Produce(t, topics.FlowMapperStart, key, msg, codec)
		}
	}
	for n := 2; n <= requests; n++ {
		if n == requests/2 {
			if err := first.Stop(); err != nil {
				t.Fatal(err)
			}
			c.Start(t, flowmapper.Graph(graph()))
		}
		end(c.Consume(t, topics.FlowEvents, n))
	}
	g := flowmapper.Graph(graph())
	c.Drained(t, g)
	if n := len(c.Consume(t, topics.FlowEvents, requests)); n != requests || len(ids) != 0 {
		t.Errorf("%d flows were started, %d never were", n, len(ids))
	}
	for key, raw := range c.Fold(t, topics.FlowMapperGroup+"-table") {
		var m flowv1.MapperState
		if err := proto.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		if m.GetStatus() != flowv1.MappingStatus_MAPPING_STATUS_CLOSING {
			t.Errorf("%s is %s", key, m.GetStatus())
		}
	}
	if rows := c.Fold(t, topics.FlowMapperGroup+"-store-"+topics.FlowMapperAdmissionStore); len(rows) > 1 {
		t.Errorf("the admission store has %d rows left, the total alone is expected", len(rows))
	}
	waited := 0
	for _, r := range c.Consume(t, topics.FlowStatus, requests) {
		var s flowv1.FlowStatus
		if err := proto.Unmarshal(r.Value, &s); err != nil {
			t.Fatal(err)
		}
		if s.GetWaitingFor() != "" {
			waited++
		}
	}
	if waited != requests-2 {
		t.Errorf("%d starts waited visibly, %d should have", waited, requests-2)
	}
}

// A start that waits can be killed on a broker, too: it never starts, those behind it move up, a command for a flow that
// runs is passed on behind its start, and nothing is left in the queue.
func TestKillOnKafka(t *testing.T) {
	c := enginetest.NewCluster(t)
	graph := flowmapper.Graph(flowmapper.Config{MaxRunningPerVnode: 1})
	c.CreateTopics(t, 1, graph)
	c.Start(t, graph)
	w := newWorld(1, 1) // makes the records
	codec := schemas.Codec[*flowv1.MapperStart]()
	topic, err := c.Admin().ListTopics(t.Context(), topics.FlowMapperStart)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]identity.UUID{}
	for _, request := range []string{"r1", "r2", "r3"} {
		msg := &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: w.startOf("Alice", request)}}
		r := c.Produce(t, topics.FlowMapperStart, w.key("Alice", request), msg, codec)
		ids[request] = identity.FlowID(topic[topics.FlowMapperStart].ID, r.Partition, r.Offset)
	}
	kill := func(request string) string {
		t.Helper()
		id := ids[request]
		command := &flowv1.FlowCommand{Kind: flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL, By: "olga"}
		r := c.Produce(t, topics.FlowMapperStart, w.key("Alice", request), &flowv1.MapperStart{Event: &flowv1.MapperStart_Command{
			Command: &flowv1.CommandFlow{FlowId: id[:], Command: command},
		}}, codec)
		return identity.CommandID(topic[topics.FlowMapperStart].ID, r.Partition, r.Offset).String()
	}
	killed, passedOn := kill("r2"), kill("r1")
	first := ids["r1"]
	c.Produce(t, topics.FlowMapperStart, w.key("Alice", "r1"), &flowv1.MapperStart{Event: &flowv1.MapperStart_Ended{
		Ended: &flowv1.FlowEnded{FlowId: first[:], State: flowv1.FlowState_FLOW_STATE_KILLED},
	}}, codec)
	var seen []string
	for _, r := range c.Consume(t, topics.FlowEvents, 3) {
		var e flowv1.FlowEvent
		if err := proto.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		for request, id := range ids {
			if id.String() == string(r.Key) {
				seen = append(seen, request+" "+e.GetCommand().GetId())
			}
		}
	}
	if want := []string{"r1 ", "r1 " + passedOn, "r3 "}; !slices.Equal(seen, want) {
		t.Errorf("flow.events has %q, want %q", seen, want)
	}
	c.Drained(t, graph)
	for key, raw := range c.Fold(t, topics.FlowStatus) {
		var s flowv1.FlowStatus
		if err := proto.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		dead := s.GetState() == flowv1.FlowState_FLOW_STATE_KILLED
		if (key == w.key("Alice", "r2")) != dead || dead && (s.GetLastCommand().GetId() != killed || s.GetTerminatedReason() != "killed by olga") {
			t.Errorf("%s: %v", key, &s)
		}
	}
	for key := range c.Fold(t, topics.FlowMapperGroup+"-store-"+topics.FlowMapperAdmissionStore) {
		if key[0] == 'w' {
			t.Errorf("row %q is left in the queue", key)
		}
	}
	if n := len(c.Consume(t, topics.Audit, 1)); n != 1 {
		t.Errorf("%d commands were audited", n)
	}
}
