package topics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/topics"
)

func TestChannelsBecomeRows(t *testing.T) {
	all := topics.WithChannels(topics.All(), []topics.Channel{
		{Name: "bids", Topic: "ext.A1.bids.receive", Vnode: "A1", Direction: topics.DirectionReceive},
		{Name: "deals", Topic: "shared", Vnode: "A1", Direction: topics.DirectionSend},
		{Name: "deals", Topic: "shared", Vnode: "B2", Direction: topics.DirectionReceive},
		{Name: "steal", Topic: topics.FlowEvents, Vnode: "B2", Direction: topics.DirectionSend},
		{Name: "odd", Topic: "../etc", Vnode: "B2", Direction: topics.DirectionSend},
		{Name: "feed", Topic: "feed", Vnode: "B2", Direction: topics.DirectionFeed},
	})
	if len(all) != len(topics.All())+3 {
		t.Fatalf("%d rows more than the catalogue", len(all)-len(topics.All()))
	}
	if !slices.IsSortedFunc(all, func(a, b topics.Topic) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted")
	}
	find := func(name string) topics.Topic {
		i := slices.IndexFunc(all, func(r topics.Topic) bool { return r.Name == name })
		if i < 0 {
			t.Fatalf("no row %s", name)
		}
		return all[i]
	}
	for name, want := range map[string]string{
		"ext.A1.bids.receive": "external [outside] [{flow-mapper.channels input}]",
		"shared":              "external [flow outside] [{flow-mapper.channels input} {outside input}]",
		"feed":                "external [persistence.feed] [{outside input}]",
	} {
		r := find(name)
		if got := fmt.Sprint(r.Class, " ", r.Writers, " ", r.Readers); got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
	}
	for _, name := range []string{"__consumer_offsets", "", topics.Audit, "a/b", strings.Repeat("x", 201)} {
		if topics.CheckChannelTopic(name) == nil {
			t.Errorf("%q was taken for a channel's topic", name)
		}
	}

	// A topic that others have shaped is made when it is missing, and else left as it is.
	cluster := topics.Cluster{ID: "c", Brokers: 1, Topics: []topics.Existing{{Name: "shared", Partitions: 17, Replicas: 1, Config: map[string]string{"retention.ms": "1"}}}}
	plan, err := topics.NewPlan(all, topics.Dev(), topics.Overrides{}, false, cluster)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range plan.Changes {
		if c.Topic == "shared" {
			t.Errorf("the plan changes a topic of others: %s", c)
		}
	}
	if !slices.ContainsFunc(plan.Changes, func(c topics.Change) bool { return c.Topic == "feed" && c.Kind == topics.Create }) {
		t.Error("the plan does not make a missing channel topic")
	}
}
