package flow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// startOn writes a start to flow.events, as the mapper does.
func startOn(t *testing.T, c *enginetest.Cluster, w *world, class string, n int) identity.UUID {
	t.Helper()
	id := identity.FlowID([16]byte{9}, 0, int64(n))
	h := w.holder()
	c.Produce(t, topics.FlowEvents, id.String(), &flowv1.FlowEvent{Event: &flowv1.FlowEvent_Started{Started: &flowv1.Started{
		Start: &flowv1.StartFlow{
			Identity: &vnodev1.HoldingIdentity{X500Name: h.Name.String(), GroupId: h.GroupID},
			Vnode:    h.ShortHash(), ClientRequestId: fmt.Sprintf("r%d", n), FlowClass: class, RequestBody: []byte(`{}`),
			CreatedAtUs: 1, Initiator: flowv1.Initiator_INITIATOR_RPC,
		},
		FlowId: id[:], StartedAtUs: 1,
	}}}, schemas.Codec[*flowv1.FlowEvent]())
	return id
}

// states returns each flow's last state.
func states(t *testing.T, records []*kgo.Record) map[string]flowv1.FlowState {
	t.Helper()
	out := map[string]flowv1.FlowState{}
	for _, r := range records {
		var s flowv1.FlowStatus
		if err := proto.Unmarshal(r.Value, &s); err != nil {
			t.Fatal(err)
		}
		if flow.Ended(out[s.GetFlowId()]) {
			t.Fatalf("flow %s has a status after its end", s.GetFlowId())
		}
		out[s.GetFlowId()] = s.GetState()
	}
	return out
}

func inState(m map[string]flowv1.FlowState, want flowv1.FlowState) int {
	n := 0
	for _, s := range m {
		if s == want {
			n++
		}
	}
	return n
}

// The group on a broker: flows sleep, a process ends while they do, and another that knows nothing but the topics
// takes them over by replay; every flow ends once; a command is audited.
func TestOnKafka(t *testing.T) {
	const flows = 20
	c := enginetest.NewCluster(t)
	w := newWorld(flow.Config{})
	w.install("pay", "sleep 50ms\ncheckpoint\nall sleep 300ms, sleep 100ms, unknown 17\nsleep 50ms\ndone $answers")
	w.install("waits", "sleep 24h\ndone 1")
	c.CreateTopics(t, 2, w.worker.Graph())
	first := c.Start(t, w.worker.Graph())
	for n := range flows {
		startOn(t, c, w, "pay", n)
	}
	waits := startOn(t, c, w, "waits", flows)
	c.ConsumeUntil(t, topics.FlowStatus, func(r []*kgo.Record) bool { return len(states(t, r)) == flows+1 })
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	w.crash()
	t.Cleanup(w.worker.Close)
	cfg := c.Config(t)
	cfg.Sessions = 2 // the partitions' callbacks run side by side
	enginetest.StartConfig(t, cfg, w.worker.Graph())
	completed := func(n int) func([]*kgo.Record) bool {
		return func(r []*kgo.Record) bool {
			return inState(states(t, r), flowv1.FlowState_FLOW_STATE_COMPLETED) == n
		}
	}
	c.ConsumeUntil(t, topics.FlowStatus, completed(flows))

	c.Produce(t, topics.FlowCommands, waits.String(), &flowv1.FlowCommand{Kind: flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL, By: "olga"}, schemas.Codec[*flowv1.FlowCommand]())
	c.ConsumeUntil(t, topics.FlowStatus, func(r []*kgo.Record) bool {
		return states(t, r)[waits.String()] == flowv1.FlowState_FLOW_STATE_KILLED
	})
	var audit auditv1.Entry
	if err := proto.Unmarshal(c.Consume(t, topics.Audit, 1)[0].Value, &audit); err != nil {
		t.Fatal(err)
	}
	if audit.GetBy() != "olga" || audit.GetOutcome() != auditv1.Outcome_OUTCOME_DONE {
		t.Errorf("audit says %v", &audit)
	}
	ends := map[string]int{}
	for _, r := range c.Consume(t, topics.FlowMapperStart, flows+1) {
		ends[string(r.Key)]++
	}
	if len(ends) != flows+1 {
		t.Errorf("%d flows told the mapper their end, %d should have", len(ends), flows+1)
	}
	for _, raw := range c.Fold(t, topics.FlowGroup+"-table") {
		var head flowv1.Checkpoint
		if err := proto.Unmarshal(raw, &head); err != nil {
			t.Fatal(err)
		}
		if !flow.Ended(head.GetState()) || head.GetStart().GetFlowClass() == "pay" && string(head.GetResult()) != `"ok"` {
			t.Errorf("%s ended as %s with %s", head.GetStart().GetClientRequestId(), head.GetState(), head.GetResult())
		}
	}
	// Start, checkpoint, three at once, two sleeps and the end of each paying flow; start, sleep and end of the other.
	if rows := len(c.Fold(t, topics.FlowGroup+"-store-"+topics.FlowJournalStore)); rows != flows*8+3 {
		t.Errorf("the journal has %d rows, %d are expected", rows, flows*8+3)
	}
}

// TestFlowHearsOfItsDeadLetters has records of flows that nobody can read.
func TestFlowHearsOfItsDeadLetters(t *testing.T) {
	c := enginetest.NewCluster(t)
	w := newWorld(flow.Config{})
	w.install("waits", "sleep 24h\ndone 1")
	c.CreateTopics(t, 1, w.worker.Graph())
	c.Start(t, w.worker.Graph())
	id := startOn(t, c, w, "waits", 1)
	c.ConsumeUntil(t, topics.FlowStatus, func(r []*kgo.Record) bool { return len(states(t, r)) == 1 })
	c.ProduceRaw(t, &kgo.Record{Topic: topics.FlowCommands, Key: []byte(id.String()), Value: []byte("no message")})
	c.Consume(t, topics.FlowGroup+".dlq", 1)
	c.ProduceRaw(t, &kgo.Record{Topic: topics.FlowEvents, Key: []byte(id.String()), Value: []byte("no message")})
	records := c.ConsumeUntil(t, topics.FlowStatus, func(r []*kgo.Record) bool {
		return states(t, r)[id.String()] == flowv1.FlowState_FLOW_STATE_FAILED
	})
	var s flowv1.FlowStatus
	if err := proto.Unmarshal(records[len(records)-1].Value, &s); err != nil {
		t.Fatal(err)
	}
	if s.GetError().GetId() != flow.ErrDeadLetter || !strings.Contains(s.GetError().GetMessage(), "flow.events/0/1") {
		t.Errorf("status says %v", s.GetError())
	}
	c.Consume(t, topics.FlowMapperStart, 1)
}
