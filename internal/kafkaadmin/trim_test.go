package kafkaadmin_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

// Of a loop goes what is old and was read, and nothing else.
func TestTrim(t *testing.T) {
	const prefix = "trim-test."
	server := kafkatest.Start(t, kafkatest.Options{})
	a, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: server.Brokers(), Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	actual, err := a.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := topics.NewPlan(topics.All(), topics.Dev(), topics.Overrides{}, true, actual)
	if err != nil {
		t.Fatal(err)
	}
	do(t, a, p.Changes...)

	loop := topics.LoopTopic(topics.FlowGroup)
	cl, err := kgo.NewClient(kgo.SeedBrokers(server.Brokers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	now := time.Now()
	for n := range 10 {
		at := now.Add(-10 * 24 * time.Hour)
		if n >= 6 {
			at = now
		}
		r := &kgo.Record{Topic: prefix + loop, Partition: 1, Key: []byte("k"), Timestamp: at}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	admin := kadm.NewClient(cl)
	for _, step := range []struct{ read, wantFrom, wantTo int64 }{{0, 0, 0}, {4, 0, 4}, {4, 0, 0}, {10, 4, 6}} {
		var at kadm.Offsets
		at.AddOffset(prefix+loop, 1, step.read, -1)
		if err := admin.CommitAllOffsets(t.Context(), prefix+string(topics.FlowGroup), at); err != nil {
			t.Fatal(err)
		}
		found, err := a.Trims(t.Context(), topics.All(), now.Add(-7*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if step.wantTo == 0 {
			if len(found) != 0 {
				t.Errorf("read up to %d: %+v would go", step.read, found)
			}
			continue
		}
		want := kafkaadmin.Trim{Topic: loop, Partition: 1, From: step.wantFrom, To: step.wantTo}
		if len(found) != 1 || found[0] != want {
			t.Fatalf("read up to %d: %+v would go, want %+v", step.read, found, want)
		}
		if err := a.Trim(t.Context(), found); err != nil {
			t.Fatal(err)
		}
		starts, err := admin.ListStartOffsets(t.Context(), prefix+loop)
		if err != nil {
			t.Fatal(err)
		}
		if o, _ := starts.Lookup(prefix+loop, 1); o.Offset != step.wantTo {
			t.Errorf("the log begins at %d, want %d", o.Offset, step.wantTo)
		}
	}
}
