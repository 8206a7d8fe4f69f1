package topics_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/topics"
)

func emptyCluster() topics.Cluster { return topics.Cluster{ID: "c1", Prefix: "p-", Brokers: 3} }

func plan(t *testing.T, o topics.Overrides, prune bool, c topics.Cluster) topics.Plan {
	t.Helper()
	p, err := topics.NewPlan(topics.All(), topics.Production(), o, prune, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// do is a model of what Kafka makes of a change.
func do(c topics.Cluster, changes ...topics.Change) topics.Cluster {
	out := c
	out.Topics = nil
	byName := map[string]topics.Existing{}
	for _, e := range c.Topics {
		e.Config = maps.Clone(e.Config)
		byName[e.Name] = e
	}
	for _, ch := range changes {
		e := byName[ch.Topic]
		switch ch.Kind {
		case topics.Create:
			e = topics.Existing{Name: ch.Topic, Partitions: ch.Partitions, Replicas: ch.Replicas, Config: maps.Clone(ch.Config)}
		case topics.AddPartitions:
			e.Partitions = ch.Partitions
		case topics.SetConfig:
			e.Config[ch.Key] = ch.To
		case topics.UnsetConfig:
			delete(e.Config, ch.Key)
		case topics.Delete:
			delete(byName, ch.Topic)
			continue
		}
		byName[ch.Topic] = e
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		e := byName[name]
		e.Effective = e.Config
		out.Topics = append(out.Topics, e)
	}
	return out
}

// edit changes one topic of a cluster.
func edit(c topics.Cluster, name string, f func(*topics.Existing)) topics.Cluster {
	c = do(c)
	for i := range c.Topics {
		if c.Topics[i].Name == name {
			f(&c.Topics[i])
		}
	}
	return c
}

func TestPlanOfAnEmptyClusterCreatesEverything(t *testing.T) {
	p := plan(t, topics.Overrides{}, false, emptyCluster())
	if len(p.Changes) != len(topics.All()) || len(p.Refusals) != 0 {
		t.Fatalf("%d changes, refusals %v", len(p.Changes), p.Refusals)
	}
	after := do(emptyCluster(), p.Changes...)
	if again := plan(t, topics.Overrides{}, false, after); again.Pending() || len(again.Orphans) > 0 {
		t.Fatalf("a second plan still has %v %v", again.Changes, again.Refusals)
	}
	if found := topics.Lint(topics.All(), topics.Production(), after, nil); len(found) > 0 {
		t.Fatalf("the planned topics are unsafe: %v", found)
	}
}

func TestPlanSetsAndUnsets(t *testing.T) {
	whole := do(emptyCluster(), plan(t, topics.Overrides{}, false, emptyCluster()).Changes...)
	drifted := edit(whole, topics.FlowEvents, func(e *topics.Existing) {
		e.Config["retention.ms"] = "1"
		delete(e.Config, "min.insync.replicas")
		e.Config["compression.type"] = "gzip"
		e.Config["leader.replication.throttled.replicas"] = "*"
		e.Config["flush.ms"] = "5"
	})
	p := plan(t, topics.Overrides{IgnoreConfig: []string{"flush.ms"}}, false, drifted)
	var got []string
	for _, c := range p.Changes {
		got = append(got, c.String())
	}
	want := []string{
		"set min.insync.replicas of flow.events: broker's default → 2",
		"set retention.ms of flow.events: 1 → 604800000",
		"unset compression.type of flow.events: gzip → broker's default",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	if again := plan(t, topics.Overrides{IgnoreConfig: []string{"flush.ms"}}, false, do(drifted, p.Changes...)); again.Pending() {
		t.Fatalf("still pending: %v", again.Changes)
	}
}

func TestPlanRefuses(t *testing.T) {
	whole := do(emptyCluster(), plan(t, topics.Overrides{}, false, emptyCluster()).Changes...)
	check := func(name string, p topics.Plan, id, text string) {
		t.Helper()
		if len(p.Changes) > 0 || len(p.Refusals) == 0 || p.Refusals[0].ID != id || !strings.Contains(p.Refusals[0].String(), text) {
			t.Errorf("%s: changes %v, refusals %v", name, p.Changes, p.Refusals)
		}
	}
	more := topics.Overrides{Sets: map[string]topics.SetOverride{"flow": {Partitions: 24}}}
	check("more partitions for a set with state", plan(t, more, false, whole), topics.RefusedPartitions, "set flow holds state")
	fewer := topics.Overrides{Sets: map[string]topics.SetOverride{"flow": {Partitions: 6}}}
	check("fewer partitions", plan(t, fewer, false, whole), topics.RefusedPartitions, "put sets.flow.partitions: 12")
	lost := edit(whole, topics.FlowEvents, func(e *topics.Existing) { e.Replicas = 2 })
	check("too few replicas", plan(t, topics.Overrides{}, false, lost), topics.RefusedReplicas, "topics.flow.events.replicas: 2")

	small := emptyCluster()
	small.Brokers = 1
	check("more replicas than brokers", plan(t, topics.Overrides{}, false, small), topics.RefusedBrokers, "has 1 brokers")

	bare := edit(whole, "", nil)
	bare.Prefix = ""
	bare.Topics = append(bare.Topics, topics.Existing{Name: "somebody.elses"})
	check("prune without a prefix", plan(t, topics.Overrides{}, true, bare), topics.RefusedPrune, "prune needs a prefix")
}

// A set of streams alone may grow.
func TestPlanAddsPartitionsToSetsWithoutState(t *testing.T) {
	events, _ := topics.Find(topics.FlowEvents)
	events.Set = "streams"
	catalogue := []topics.Topic{events}
	make := func(n int, c topics.Cluster) topics.Plan {
		p, err := topics.NewPlan(catalogue, topics.Production(), topics.Overrides{Sets: map[string]topics.SetOverride{"streams": {Partitions: n}}}, false, c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	twelve := do(emptyCluster(), make(12, emptyCluster()).Changes...)
	grown := make(24, twelve)
	if len(grown.Changes) != 1 || grown.Changes[0].String() != "add partitions to flow.events: 12 → 24" {
		t.Fatalf("got %v", grown.Changes)
	}
	if less := make(6, twelve); len(less.Changes) > 0 || len(less.Refusals) != 1 || !strings.Contains(less.Refusals[0].Reason, "cannot take partitions away") {
		t.Fatalf("got %v %v", less.Changes, less.Refusals)
	}
}

func TestOrphansAreListedAndPrunedOnlyWhenAsked(t *testing.T) {
	whole := do(emptyCluster(), plan(t, topics.Overrides{}, false, emptyCluster()).Changes...)
	whole.Topics = append(whole.Topics, topics.Existing{Name: "old.topic", Config: map[string]string{"retention.ms": "1"}})
	p := plan(t, topics.Overrides{}, false, whole)
	if p.Pending() || !slices.Equal(p.Orphans, []string{"old.topic"}) {
		t.Fatalf("changes %v, orphans %v", p.Changes, p.Orphans)
	}
	p = plan(t, topics.Overrides{}, true, whole)
	if len(p.Changes) != 1 || p.Changes[0].String() != "delete old.topic" {
		t.Fatalf("changes %v", p.Changes)
	}
}

func TestOverridesAreChecked(t *testing.T) {
	o := topics.Overrides{
		Sets: map[string]topics.SetOverride{"nowhere": {Partitions: 3}, "flow": {}},
		Topics: map[string]topics.TopicOverride{
			"no.topic":         {},
			topics.FlowStatus:  {Config: map[string]string{"cleanup.policy": "delete", "delete.retention.ms": "1000", "segment.ms": "60000"}},
			topics.FlowEvents:  {Config: map[string]string{"max.message.bytes": "1000", "min.insync.replicas": "1"}},
			"flow-mapper-loop": {Config: map[string]string{"retention.ms": "1000"}},
		},
	}
	_, err := topics.Desired(topics.All(), topics.Production(), o)
	if err == nil {
		t.Fatal("wrong overrides were taken")
	}
	for _, want := range []string{
		"sets.nowhere: there is no such partition set", "sets.flow.partitions is 0", "topics.no.topic: there is no such topic",
		"topics.flow.status.config.cleanup.policy: it cannot be overridden", "topics.flow.status.config.delete.retention.ms: 1000 is less",
		"topics.flow.events.config.max.message.bytes: 1000 is less", "topics.flow.events.config.min.insync.replicas: use min_insync",
		"topics.flow-mapper-loop.config.retention.ms: a loop must keep",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "segment.ms") {
		t.Errorf("a harmless override was refused: %v", err)
	}
}

// Whatever part of a plan was done before it was interrupted, the plan can be applied again and ends in the same state.
func TestPlanResumesAfterAnyInterruption(t *testing.T) {
	whole := do(emptyCluster(), plan(t, topics.Overrides{}, false, emptyCluster()).Changes...)
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		start := do(whole)
		start.Topics = slices.DeleteFunc(start.Topics, func(topics.Existing) bool { return random.IntN(4) == 0 })
		for i := range start.Topics {
			if random.IntN(2) == 0 {
				start.Topics[i].Config["retention.ms"] = "7"
				start.Topics[i].Config["flush.ms"] = "7"
			}
		}
		made := throughJSON(t, plan(t, topics.Overrides{}, false, start))
		done := do(start, made.Changes[:random.IntN(len(made.Changes)+1)]...)
		rest, err := made.Resume(plan(t, topics.Overrides{}, false, done))
		if err != nil {
			t.Fatal(err)
		}
		if end := do(done, rest...); !reflect.DeepEqual(end, whole) {
			t.Fatalf("ended in another state than a plan that was not interrupted")
		}
	}
}

func TestResumeRefusesAChangedCluster(t *testing.T) {
	whole := do(emptyCluster(), plan(t, topics.Overrides{}, false, emptyCluster()).Changes...)
	start := edit(whole, topics.FlowEvents, func(e *topics.Existing) { e.Config["retention.ms"] = "7" })
	made := plan(t, topics.Overrides{}, false, start)
	for name, c := range map[string]struct {
		cluster topics.Cluster
		want    string
	}{
		"other drift":   {edit(start, topics.FlowStatus, func(e *topics.Existing) { e.Config["segment.ms"] = "1" }), "is not in the plan"},
		"other value":   {edit(start, topics.FlowEvents, func(e *topics.Existing) { e.Config["retention.ms"] = "8" }), "is not in the plan"},
		"lost replica":  {edit(start, topics.FlowStatus, func(e *topics.Existing) { e.Replicas = 1 }), "FL-TOPICS-002"},
		"other cluster": {func() topics.Cluster { c := do(start); c.ID = "c2"; return c }(), "made for cluster c1"},
		"other prefix":  {func() topics.Cluster { c := do(start); c.Prefix = "q-"; return c }(), "made for prefix"},
	} {
		if _, err := made.Resume(plan(t, topics.Overrides{}, false, c.cluster)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if rest, err := made.Resume(plan(t, topics.Overrides{}, false, whole)); err != nil || len(rest) != 0 {
		t.Errorf("somebody did it by hand: %v, %v", rest, err)
	}
	made.Version = 9
	if _, err := made.Resume(made); err == nil || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("other version: %v", err)
	}
}

func throughJSON(t *testing.T, p topics.Plan) topics.Plan {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var out topics.Plan
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLint(t *testing.T) {
	whole := do(emptyCluster(), plan(t, topics.Overrides{}, false, emptyCluster()).Changes...)
	for name, c := range map[string]struct {
		topic string
		edit  func(*topics.Existing)
		want  string
	}{
		"replicas":          {topics.FlowEvents, func(e *topics.Existing) { e.Replicas = 2 }, topics.FoundReplicas},
		"min insync":        {topics.FlowEvents, func(e *topics.Existing) { e.Effective["min.insync.replicas"] = "1" }, topics.FoundMinInsync},
		"min insync is all": {topics.FlowEvents, func(e *topics.Existing) { e.Effective["min.insync.replicas"] = "3" }, topics.FoundMinInsync},
		"unclean":           {topics.FlowEvents, func(e *topics.Existing) { e.Effective["unclean.leader.election.enable"] = "true" }, topics.FoundUnclean},
		"delete retention":  {topics.FlowStatus, func(e *topics.Existing) { e.Effective["delete.retention.ms"] = "86400000" }, topics.FoundDeleteRetention},
		"cleanup":           {topics.FlowStatus, func(e *topics.Existing) { e.Effective["cleanup.policy"] = "compact,delete" }, topics.FoundCleanup},
		"loop retention":    {"flow-loop", func(e *topics.Existing) { e.Effective["retention.ms"] = "604800000" }, topics.FoundRetention},
		"message size":      {topics.FlowEvents, func(e *topics.Existing) { e.Effective["max.message.bytes"] = "1048588" }, topics.FoundMaxMessage},
		"partitions":        {topics.FlowEvents, func(e *topics.Existing) { e.Partitions = 6 }, topics.FoundPartitions},
	} {
		broken := edit(whole, c.topic, func(e *topics.Existing) { e.Effective = maps.Clone(e.Effective); c.edit(e) })
		found := topics.Lint(topics.All(), topics.Production(), broken, nil)
		if len(found) == 0 || found[0].ID != c.want {
			t.Errorf("%s: %v", name, found)
		}
	}
	none := topics.Lint(topics.All(), topics.Production(), emptyCluster(), []string{topics.FlowEvents, "flow-loop"})
	if len(none) != 2 || none[0].ID != topics.FoundMissing || none[0].Topic != "flow-loop" || !none[0].HoldsState || none[1].HoldsState {
		t.Errorf("missing topics: %v", none)
	}
	dev := do(emptyCluster())
	p, err := topics.NewPlan(topics.All(), topics.Dev(), topics.Overrides{}, false, dev)
	if err != nil {
		t.Fatal(err)
	}
	dev = do(dev, p.Changes...)
	if found := topics.Lint(topics.All(), topics.Dev(), dev, nil); len(found) > 0 {
		t.Errorf("dev: %v", found)
	}
	if found := topics.Lint(topics.All(), topics.Production(), dev, nil); len(found) != 2*len(topics.All()) {
		t.Errorf("dev's topics in production: %v", found)
	}
}
