package topics_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/schemas"
	"github.com/fairleadio/fairlead/topics"
)

func TestCatalogueIsWhole(t *testing.T) {
	set, err := schemas.FileDescriptorSet()
	if err != nil {
		t.Fatal(err)
	}
	known := append(schemas.Names(set), schemas.SetTypeName)
	seen := map[string]bool{}
	for _, topic := range topics.All() {
		if seen[topic.Name] {
			t.Errorf("%s is declared twice", topic.Name)
		}
		seen[topic.Name] = true
		for field, v := range map[string]string{
			"doc": topic.Doc, "key": topic.Key, "set": topic.Set, "class": string(topic.Class), "data": string(topic.Data),
			"owner": topic.Owner, "replay": string(topic.Replay), "cleanup.policy": topic.Config["cleanup.policy"],
		} {
			if v == "" {
				t.Errorf("%s: no %s", topic.Name, field)
			}
		}
		if len(topic.Writers) == 0 || !slices.IsSorted(topic.Writers) {
			t.Errorf("%s: writers %v", topic.Name, topic.Writers)
		}
		types := []string{topic.Type}
		for _, m := range topic.TypeByKey {
			types = append(types, m)
		}
		for _, m := range types {
			if m != "" && !slices.Contains(known, m) {
				t.Errorf("%s: no message %s", topic.Name, m)
			}
		}
		input := topic.Own == topics.KindLoop
		for _, r := range topic.Readers {
			input = input || r.As == topics.KindInput
			if r.As == topics.KindReads && topic.Own == "" && topic.Class != topics.State && r.By != topics.Tools {
				t.Errorf("%s: a view of a topic that is not compacted", topic.Name)
			}
		}
		if input != (topic.OutOfRange != "") {
			t.Errorf("%s: input %v, rule for offsets out of range %q", topic.Name, input, topic.OutOfRange)
		}
		wantMax := "4194304"
		if topic.Class == topics.DeadLetters || topic.Class == topics.Loop || topic.Class == topics.Engine {
			wantMax = "5242880"
		}
		if got := topic.Config["max.message.bytes"]; got != wantMax {
			t.Errorf("%s: max.message.bytes %s, want %s", topic.Name, got, wantMax)
		}
		if topic.Compacted() != (topic.Class == topics.State || topic.Class == topics.Engine) {
			t.Errorf("%s: class %s, cleanup.policy %s", topic.Name, topic.Class, topic.Config["cleanup.policy"])
		}
		if topic.Compacted() && topic.Config["delete.retention.ms"] != "604800000" {
			t.Errorf("%s: tombstones must stay seven days", topic.Name)
		}
		if topic.Class == topics.Loop && topic.Config["retention.ms"] != "-1" {
			t.Errorf("%s: a loop loses records by topics trim only", topic.Name)
		}
	}
}

func mapperEdges() []topics.Edge {
	return []topics.Edge{
		{Kind: topics.KindInput, Topic: topics.FlowMapperStart, Type: "fairlead.flow.v1.MapperStart"},
		{Kind: topics.KindInput, Topic: topics.FlowMapperSession, Type: "fairlead.flow.v1.MapperSession"},
		{Kind: topics.KindOutput, Topic: topics.FlowMapperSession, Type: "fairlead.flow.v1.MapperSession"},
		{Kind: topics.KindReads, Topic: topics.VirtualNodeInfo, Type: "fairlead.vnode.v1.VirtualNode"},
		{Kind: topics.KindOutput, Topic: topics.FlowEvents, Type: "fairlead.flow.v1.FlowEvent"},
		{Kind: topics.KindOutput, Topic: topics.FlowStatus, Type: "fairlead.flow.v1.FlowStatus"},
		{Kind: topics.KindOutput, Topic: topics.Audit, Type: "fairlead.audit.v1.Entry"},
		{Kind: topics.KindTable, Topic: "flow-mapper-table", Type: "fairlead.flow.v1.MapperState"},
		{Kind: topics.KindLoop, Topic: "flow-mapper-loop", Type: "fairlead.flow.v1.MapperTimer"},
		{Kind: topics.KindStore, Topic: "flow-mapper-store-admission"},
		{Kind: topics.KindRows, Topic: "flow-mapper-engine"},
		{Kind: topics.KindDeadLetters, Topic: "flow-mapper.dlq"},
	}
}

func TestCheck(t *testing.T) {
	if err := topics.Check(topics.FlowMapperGroup, mapperEdges()); err != nil {
		t.Fatal(err)
	}
	wrong := mapperEdges()[1:]
	at := slices.IndexFunc(wrong, func(e topics.Edge) bool { return e.Topic == topics.FlowEvents })
	wrong[at].Type = "fairlead.flow.v1.FlowCommand"
	wrong = append(wrong, topics.Edge{Kind: topics.KindReads, Topic: topics.RBACCredential})
	err := topics.Check(topics.FlowMapperGroup, wrong)
	if err == nil {
		t.Fatal("differences were not found")
	}
	for _, want := range []string{
		"group flow-mapper has the edge reads rbac.credential, which the catalogue lacks",
		"edge output flow.events: the code has fairlead.flow.v1.FlowCommand, the catalogue fairlead.flow.v1.FlowEvent",
		"the catalogue has the edge input flow.mapper.start of group flow-mapper, which the code lacks",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestTypeOf(t *testing.T) {
	rows, _ := topics.Find("flow-engine")
	if got := rows.TypeOf([]byte("t\x00\x00\x00\x01k")); got != "fairlead.engine.v1.TimerRow" {
		t.Errorf("timer row: %q", got)
	}
	if got := rows.TypeOf(nil); got != "" {
		t.Errorf("no key: %q", got)
	}
	status, _ := topics.Find(topics.FlowStatus)
	if got := status.TypeOf([]byte("x")); got != "fairlead.flow.v1.FlowStatus" {
		t.Errorf("flow status: %q", got)
	}
}
