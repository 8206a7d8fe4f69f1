package kafkaadmin_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	"github.com/fairleadio/fairlead/topics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const prefix = "t-"

func cluster(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, *kafkaadmin.Admin) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3), kfake.ClusterID("test-cluster")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, admin(t, c)
}

func admin(t *testing.T, c *kfake.Cluster) *kafkaadmin.Admin {
	t.Helper()
	a, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: c.ListenAddrs(), Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func planOf(t *testing.T, a *kafkaadmin.Admin) topics.Plan {
	t.Helper()
	actual, err := a.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := topics.NewPlan(topics.All(), topics.Production(), topics.Overrides{}, true, actual)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func do(t *testing.T, a *kafkaadmin.Admin, changes ...topics.Change) {
	t.Helper()
	for _, s := range kafkaadmin.Steps(changes) {
		if err := a.Do(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlanAndApply(t *testing.T) {
	c, a := cluster(t, kfake.SeedTopics(1, "other.topic"))
	p := planOf(t, a)
	if p.ClusterID != "test-cluster" || len(p.Changes) != len(topics.All()) || len(p.Orphans) > 0 {
		t.Fatalf("cluster %s, %d changes, orphans %v", p.ClusterID, len(p.Changes), p.Orphans)
	}
	do(t, a, p.Changes...)
	if again := planOf(t, a); again.Pending() {
		t.Fatalf("still pending: %v %v", again.Changes, again.Refusals)
	}
	actual, err := a.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found := topics.Lint(topics.All(), topics.Production(), actual, nil); len(found) > 0 {
		t.Fatalf("unsafe: %v", found)
	}
	// Drift and an orphan.
	if err := c.CreateTopic(prefix+"old", 1, nil); err != nil {
		t.Fatal(err)
	}
	do(t, a, topics.Change{Kind: topics.SetConfig, Topic: topics.FlowEvents, Key: "retention.ms", To: "1"},
		topics.Change{Kind: topics.SetConfig, Topic: topics.FlowEvents, Key: "compression.type", To: "gzip"},
		topics.Change{Kind: topics.UnsetConfig, Topic: topics.FlowEvents, Key: "min.insync.replicas"})
	p = planOf(t, a)
	var got []string
	for _, c := range p.Changes {
		got = append(got, c.String())
	}
	want := []string{
		"set min.insync.replicas of flow.events: broker's default → 2",
		"set retention.ms of flow.events: 1 → 604800000",
		"unset compression.type of flow.events: gzip → broker's default",
		"delete old",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	if steps := kafkaadmin.Steps(p.Changes); len(steps) != 2 || len(steps[0].Changes) != 3 {
		t.Fatalf("the settings of a topic do not change together: %v", steps)
	}
	do(t, a, p.Changes...)
	if again := planOf(t, a); again.Pending() || len(again.Orphans) > 0 {
		t.Fatalf("still pending: %v %v", again.Changes, again.Orphans)
	}
	if c.TopicInfo("other.topic") == nil {
		t.Error("a topic of somebody else is gone")
	}
}

func TestAddPartitions(t *testing.T) {
	c, a := cluster(t)
	if err := c.CreateTopic(prefix+"s", 2, nil); err != nil {
		t.Fatal(err)
	}
	do(t, a, topics.Change{Kind: topics.AddPartitions, Topic: "s", Partitions: 5})
	if actual, err := a.Cluster(t.Context()); err != nil || actual.Topics[0].Partitions != 5 {
		t.Errorf("%v, %v", actual, err)
	}
}

func TestChangeErrorsNameTheChange(t *testing.T) {
	_, a := cluster(t)
	err := a.Do(t.Context(), kafkaadmin.Steps([]topics.Change{{Kind: topics.SetConfig, Topic: "none", Key: "k", To: "v"}})[0])
	if !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "set k of none") {
		t.Errorf("got %v", err)
	}
}

func TestLock(t *testing.T) {
	c, a := cluster(t)
	do(t, a, planOf(t, a).Changes...)
	lock, err := a.Lock(t.Context(), "me")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	var locked *kafkaadmin.LockedError
	if _, err := admin(t, c).Lock(t.Context(), "you"); !errors.As(err, &locked) || locked.Until.Before(time.Now()) {
		t.Fatalf("a second holder: %v", err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, err := admin(t, c).Lock(t.Context(), "you")
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := next.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The lock's records are for nobody.
	if err := a.Read(t.Context(), kafkaadmin.Range{Topics: []string{topics.Audit}}, func(r kafkaadmin.Record) error {
		return fmt.Errorf("record %s/%d is visible", r.Key, r.Offset)
	}); err != nil {
		t.Error(err)
	}
}

// Two that looked at the same moment: the later one has it, the earlier one sees so before its next change.
func TestLockLost(t *testing.T) {
	c, a := cluster(t)
	do(t, a, planOf(t, a).Changes...)
	first, err := a.Lock(t.Context(), "me")
	if err != nil {
		t.Fatal(err)
	}
	thief, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID(prefix+"topics-apply"))
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	if _, _, err := thief.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Hold(t.Context()); !errors.Is(err, kafkaadmin.ErrLockLost) {
		t.Errorf("got %v", err)
	}
	_ = first.Release(t.Context()) // a lost lock cannot be given back; only the client's end matters here
}

func TestReadIsExact(t *testing.T) {
	c, a := cluster(t)
	if err := c.CreateTopic(prefix+"log", 3, nil); err != nil {
		t.Fatal(err)
	}
	tx, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	start := time.UnixMilli(1_700_000_000_000)
	n := 0
	transaction := func(commit kgo.TransactionEndTry, count int) {
		t.Helper()
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for range count {
			r := &kgo.Record{Topic: prefix + "log", Partition: int32(n % 3), Key: fmt.Appendf(nil, "k%d", n), Value: fmt.Append(nil, n),
				Timestamp: start.Add(time.Duration(n) * time.Second), Headers: []kgo.RecordHeader{{Key: "fl-type", Value: []byte("x")}}}
			if err := tx.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			n++
		}
		if err := tx.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	transaction(kgo.TryCommit, 6)
	transaction(kgo.TryAbort, 6)
	transaction(kgo.TryCommit, 3)
	transaction(kgo.TryAbort, 3) // the log ends with what nobody may see
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(t.Context(), &kgo.Record{Topic: prefix + "log", Partition: 0, Value: []byte("open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.EndTransaction(context.WithoutCancel(t.Context()), kgo.TryAbort) }()

	read := func(r kafkaadmin.Range) []string {
		t.Helper()
		r.Topics = []string{"log"}
		got := []string{}
		if err := a.Read(t.Context(), r, func(rec kafkaadmin.Record) error {
			got = append(got, string(rec.Value))
			if rec.Topic != "log" || rec.Header("fl-type") != "x" || rec.Header("none") != "" {
				t.Errorf("record %+v", rec)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	to := func(p kafkaadmin.Point) *kafkaadmin.Point { return &p }
	all := []string{"0", "1", "2", "3", "4", "5", "12", "13", "14"}
	for name, c := range map[string]struct {
		r    kafkaadmin.Range
		want []string
	}{
		"whole":         {kafkaadmin.Range{}, all},
		"time":          {kafkaadmin.Range{From: kafkaadmin.Since(start.Add(3 * time.Second)), To: to(kafkaadmin.Since(start.Add(5 * time.Second)))}, []string{"3", "4"}},
		"young":         {kafkaadmin.Range{From: kafkaadmin.Since(start.Add(time.Hour))}, []string{}},
		"offset":        {kafkaadmin.Range{From: kafkaadmin.At(1), To: to(kafkaadmin.At(3))}, []string{"3", "4", "5"}},
		"beyond":        {kafkaadmin.Range{From: kafkaadmin.At(1000)}, []string{}},
		"one partition": {kafkaadmin.Range{Partitions: map[string][]int32{"log": {1}}}, []string{"1", "4", "13"}},
		"end":           {kafkaadmin.Range{From: kafkaadmin.End()}, []string{}},
		"before end":    {kafkaadmin.Range{From: kafkaadmin.BeforeEnd(1 << 40)}, all},
		"the last two":  {kafkaadmin.Range{From: kafkaadmin.BeforeEnd(2)}, []string{"3", "4", "5", "12", "13", "14"}},
		"the last":      {kafkaadmin.Range{From: kafkaadmin.BeforeEnd(1)}, []string{"12", "13", "14"}},
		"last, earlier": {kafkaadmin.Range{From: kafkaadmin.BeforeEnd(1), To: to(kafkaadmin.At(2))}, []string{"3", "4", "5"}},
	} {
		if got := read(c.r); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	var first []string
	err = a.Read(t.Context(), kafkaadmin.Range{Topics: []string{"log"}}, func(r kafkaadmin.Record) error {
		first = append(first, string(r.Value))
		return kafkaadmin.ErrStop
	})
	if err != nil || !slices.Equal(first, []string{"0"}) {
		t.Errorf("stopped read: %q, %v", first, err)
	}
	if err := a.Read(t.Context(), kafkaadmin.Range{Topics: []string{"nothing"}}, nil); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("missing topic: %v", err)
	}
}

// The end of a compacted log may hold no record at all, and a broker that moves a partition answers with errors.
func TestReadPassesErrorsAndMovedLeaders(t *testing.T) {
	c, a := cluster(t)
	if err := c.CreateTopic(prefix+"log", 1, nil); err != nil {
		t.Fatal(err)
	}
	p, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 10 {
		if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: prefix + "log", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	moved := false
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if moved {
			return nil, nil, false
		}
		moved = true
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		for _, rt := range req.(*kmsg.FetchRequest).Topics {
			t := kmsg.NewFetchResponseTopic()
			t.Topic, t.TopicID = rt.Topic, rt.TopicID
			fp := kmsg.NewFetchResponseTopicPartition()
			fp.ErrorCode = kerr.NotLeaderForPartition.Code
			t.Partitions = append(t.Partitions, fp)
			resp.Topics = append(resp.Topics, t)
		}
		return resp, nil, true
	})
	n := 0
	if err := a.Read(t.Context(), kafkaadmin.Range{Topics: []string{"log"}}, func(kafkaadmin.Record) error { n++; return nil }); err != nil || n != 10 || !moved {
		t.Errorf("%d records, moved %v, %v", n, moved, err)
	}
}

func TestFollow(t *testing.T) {
	c, a := cluster(t)
	if err := c.CreateTopic(prefix+"log", 2, nil); err != nil {
		t.Fatal(err)
	}
	spans, err := a.Spans(t.Context(), kafkaadmin.Range{Topics: []string{"log"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 3 {
		if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: prefix + "log", Key: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	err = a.Follow(t.Context(), spans, func(r kafkaadmin.Record) error {
		seen[string(r.Key)] = true
		if len(seen) == 3 {
			return kafkaadmin.ErrStop
		}
		return nil
	})
	if err != nil || len(seen) != 3 {
		t.Errorf("%v, %v", seen, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Follow(ended, spans, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}

func TestAuditAndSchemas(t *testing.T) {
	_, a := cluster(t)
	if got, err := a.PublishedSchemas(t.Context()); err != nil || len(got) != 0 {
		t.Fatalf("before the topic exists: %v, %v", got, err)
	}
	do(t, a, planOf(t, a).Changes...)
	entry := &auditv1.Entry{Action: "test", Entity: "topic/x", By: "me"}
	if err := a.Audit(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	if err := a.Read(t.Context(), kafkaadmin.Range{Topics: []string{topics.Audit}}, func(r kafkaadmin.Record) error {
		m, err := schemas.Codec[*auditv1.Entry]().DecodeAs(r.Header("fl-type"), r.Value)
		if err != nil || !proto.Equal(m.(proto.Message), entry) || string(r.Key) != "topic/x" {
			return fmt.Errorf("audit record %v: %v, %w", r, m, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}

	set, err := schemas.FileDescriptorSet()
	if err != nil {
		t.Fatal(err)
	}
	want, err := schemas.PerType(set)
	if err != nil {
		t.Fatal(err)
	}
	written, err := a.PublishSchemas(t.Context())
	if err != nil || len(written) != len(want) {
		t.Fatalf("%d of %d types were written: %v", len(written), len(want), err)
	}
	got, err := a.PublishedSchemas(t.Context())
	if err != nil || len(got) != len(want) || !reflect.DeepEqual(schemas.Names(got["fairlead.flow.v1.FlowStatus"]), schemas.Names(want["fairlead.flow.v1.FlowStatus"])) {
		t.Fatalf("%d types are published: %v", len(got), err)
	}
	if again, err := a.PublishSchemas(t.Context()); err != nil || len(again) != 0 {
		t.Fatalf("published again: %v, %v", again, err)
	}
}

func TestSchemasOfOtherVersions(t *testing.T) {
	c, a := cluster(t)
	do(t, a, planOf(t, a).Changes...)
	if _, err := a.PublishSchemas(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const name = "fairlead.vnode.v1.HoldingIdentity"
	change := func(edit func(*descriptorpb.DescriptorProto)) {
		t.Helper()
		published, err := a.PublishedSchemas(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range published[name].File {
			for _, m := range f.MessageType {
				if m.GetName() == "HoldingIdentity" {
					edit(m)
				}
			}
		}
		raw, err := schemas.Marshal(published[name])
		if err != nil {
			t.Fatal(err)
		}
		if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: prefix + topics.Schemas, Key: []byte(name), Value: raw}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	change(func(m *descriptorpb.DescriptorProto) { m.Field = m.Field[:1] })
	if written, err := a.PublishSchemas(t.Context()); err != nil || !slices.Equal(written, []string{name}) {
		t.Fatalf("over an older version: %v, %v", written, err)
	}
	change(func(m *descriptorpb.DescriptorProto) {
		m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{Name: proto.String("n"), Number: proto.Int32(99),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()})
	})
	if written, err := a.PublishSchemas(t.Context()); err != nil || len(written) != 0 {
		t.Fatalf("a newer version was overwritten: %v, %v", written, err)
	}
	change(func(m *descriptorpb.DescriptorProto) {
		m.Field[0].Name = proto.String("other")
	})
	var conflict *kafkaadmin.SchemaConflictError
	if _, err := a.PublishSchemas(t.Context()); !errors.As(err, &conflict) || conflict.Type != name {
		t.Fatalf("versions that cannot read each other: %v", err)
	}
}
