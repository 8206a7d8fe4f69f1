package kafkaadmin_test

import (
	"errors"
	"testing"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

// The whole way on the most real Kafka that can be had: what a broker refuses, the embedded one may let pass.
func TestOnAServer(t *testing.T) {
	server := kafkatest.Start(t, kafkatest.Options{})
	connect := func() *kafkaadmin.Admin {
		t.Helper()
		a, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: server.Brokers(), Prefix: "admin-test."})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		return a
	}
	a := connect()
	plan := func() topics.Plan {
		t.Helper()
		actual, err := a.Cluster(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p, err := topics.NewPlan(topics.All(), topics.Dev(), topics.Overrides{}, true, actual)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	do(t, a, plan().Changes...)
	if p := plan(); p.Pending() {
		t.Fatalf("the broker made something else of it: %v %v", p.Changes, p.Refusals)
	}
	actual, err := a.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found := topics.Lint(topics.All(), topics.Dev(), actual, nil); len(found) > 0 {
		t.Errorf("unsafe: %v", found)
	}
	do(t, a, topics.Change{Kind: topics.SetConfig, Topic: topics.FlowEvents, Key: "retention.ms", To: "1000"},
		topics.Change{Kind: topics.SetConfig, Topic: topics.FlowEvents, Key: "compression.type", To: "zstd"})
	if p := plan(); len(p.Changes) != 2 {
		t.Errorf("drift: %v", p.Changes)
	}
	do(t, a, plan().Changes...)

	lock, err := a.Lock(t.Context(), "me")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect().Lock(t.Context(), "you"); !errors.As(err, new(*kafkaadmin.LockedError)) {
		t.Errorf("two hold the lock: %v", err)
	}
	if err := lock.Hold(t.Context()); err != nil {
		t.Error(err)
	}
	written, err := a.PublishSchemas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	published, err := a.PublishedSchemas(t.Context())
	if err != nil || len(published) != len(written) {
		t.Errorf("%d descriptors were written, %d are read: %v", len(written), len(published), err)
	}
	// The audit topic holds the lock's aborted records only: nobody sees them, and reading still ends.
	if err := a.Read(t.Context(), kafkaadmin.Range{Topics: []string{topics.Audit}}, func(r kafkaadmin.Record) error {
		t.Errorf("record %s is visible", r.Key)
		return nil
	}); err != nil {
		t.Error(err)
	}
	for _, topic := range topics.All() {
		do(t, a, topics.Change{Kind: topics.Delete, Topic: topic.Name})
	}
}
