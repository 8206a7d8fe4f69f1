package enginetest

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
)

// Wait bounds every wait of this package; it is generous because machines of tests are busy.
const Wait = 2 * time.Minute

// Cluster is an embedded Kafka.
type Cluster struct {
	Fake *kfake.Cluster
	// Prefix is used by every engine and reader of the cluster.
	Prefix string
	client *kgo.Client
	admin  *kadm.Client
}

// NewCluster starts an embedded broker that ends with the test.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatalf("start embedded broker: %v", err)
	}
	t.Cleanup(fake.Close)
	c := &Cluster{Fake: fake}
	c.client, err = kgo.NewClient(kgo.SeedBrokers(fake.ListenAddrs()...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(engine.MaxProduceBytes))
	if err != nil {
		t.Fatalf("connect to embedded broker: %v", err)
	}
	t.Cleanup(c.client.Close)
	c.admin = kadm.NewClient(c.client)
	return c
}

// Brokers returns the cluster's addresses.
func (c *Cluster) Brokers() []string { return c.Fake.ListenAddrs() }

// Admin returns an admin client.
func (c *Cluster) Admin() *kadm.Client { return c.admin }

// Context ends before the test's patience does.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Wait)
	t.Cleanup(cancel)
	return ctx
}

// CreateTopics makes every topic of these groups with so many partitions.
func (c *Cluster) CreateTopics(t testing.TB, partitions int32, graphs ...*engine.Graph) {
	t.Helper()
	seen := map[string]bool{}
	for _, g := range graphs {
		for _, e := range g.Edges() {
			if seen[e.Topic] || e.Kind == engine.EdgeDynamic {
				continue
			}
			seen[e.Topic] = true
			config := map[string]*string{}
			switch e.Kind {
			case engine.EdgeTable, engine.EdgeStore, engine.EdgeRows, engine.EdgeReads, engine.EdgeJoin, engine.EdgeLookup:
				config["cleanup.policy"] = kadm.StringPtr("compact")
			default: // streams
			}
			config["max.message.bytes"] = kadm.StringPtr(fmt.Sprint(engine.MaxProduceBytes))
			if _, err := c.admin.CreateTopic(Context(t), partitions, 1, config, c.Prefix+e.Topic); err != nil {
				t.Fatalf("create topic %s: %v", e.Topic, err)
			}
		}
	}
}

// CreateTopic makes one topic.
func (c *Cluster) CreateTopic(t testing.TB, topic string, partitions int32, config map[string]string) {
	t.Helper()
	cfg := map[string]*string{}
	for k, v := range config {
		cfg[k] = kadm.StringPtr(v)
	}
	if _, err := c.admin.CreateTopic(Context(t), partitions, 1, cfg, c.Prefix+topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
}

// Config is a configuration for this cluster with waits fit for tests.
func (c *Cluster) Config(t testing.TB) engine.Config {
	t.Helper()
	db, err := engine.OpenMemory()
	if err != nil {
		t.Fatalf("open memory database: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return engine.Config{
		Brokers: c.Brokers(), Prefix: c.Prefix, DB: db, Sessions: 1, Build: "test",
		FetchMaxWait: 500 * time.Millisecond, SessionTimeout: 6 * time.Second, HeartbeatInterval: 200 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
}

// testLog writes to the test's own log while it runs.
type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	fmt.Fprintf(l.t.Output(), "%s", b)
	return len(b), nil
}

// Engine is a running engine.
type Engine struct {
	*engine.Engine
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Start runs a group until the test ends and waits until it is ready.
func (c *Cluster) Start(t testing.TB, g *engine.Graph) *Engine {
	t.Helper()
	return StartConfig(t, c.Config(t), g)
}

// StartConfig runs a group with a configuration of the test's own.
func StartConfig(t testing.TB, cfg engine.Config, g *engine.Graph) *Engine {
	t.Helper()
	e := Launch(t, cfg, g)
	if err := e.WaitReady(Context(t)); err != nil {
		t.Fatalf("engine of group %s is not ready: %v", g.Group(), err)
	}
	return e
}

// Launch runs a group and does not wait.
func Launch(t testing.TB, cfg engine.Config, g *engine.Graph) *Engine {
	t.Helper()
	eng, err := engine.New(cfg, g)
	if err != nil {
		t.Fatalf("make engine: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &Engine{Engine: eng, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.err = eng.Run(ctx)
	}()
	t.Cleanup(func() {
		e.cancel()
		<-e.done
	})
	return e
}

// Stop stops the engine cleanly and returns what Run returned.
func (e *Engine) Stop() error {
	e.cancel()
	<-e.done
	return e.err
}

// Done is closed when Run has returned.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Produce writes records from outside: key and message by turns are encoded by codec. It returns the last offset.
func (c *Cluster) Produce(t testing.TB, topic, key string, msg any, codec engine.Codec, headers ...string) *kgo.Record {
	t.Helper()
	rec := &kgo.Record{Topic: c.Prefix + topic, Key: []byte(key)}
	if msg != nil {
		raw, err := codec.Encode(msg)
		if err != nil {
			t.Fatalf("encode message for %s: %v", topic, err)
		}
		rec.Value = raw
		if n, ok := codec.(engine.TypeNamer); ok {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: engine.HeaderType, Value: []byte(n.TypeName(msg))})
		}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	if err := c.client.ProduceSync(Context(t), rec).FirstErr(); err != nil {
		t.Fatalf("produce to %s: %v", topic, err)
	}
	return rec
}

// ProduceRaw writes many records as they are.
func (c *Cluster) ProduceRaw(t testing.TB, recs ...*kgo.Record) {
	t.Helper()
	for _, r := range recs {
		r.Topic = c.Prefix + r.Topic
	}
	if err := c.client.ProduceSync(Context(t), recs...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// Consume waits until n committed records lie in a topic and returns the first n that it read; within a partition
// they are in order.
func (c *Cluster) Consume(t testing.TB, topic string, n int) []*kgo.Record {
	t.Helper()
	return c.ConsumeUntil(t, topic, func(r []*kgo.Record) bool { return len(r) >= n })
}

// ConsumeUntil reads a topic's committed records from the start until done says so.
func (c *Cluster) ConsumeUntil(t testing.TB, topic string, done func([]*kgo.Record) bool) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.ConsumeTopics(c.Prefix+topic), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatalf("make consumer: %v", err)
	}
	defer cl.Close()
	ctx := Context(t)
	var out []*kgo.Record
	for !done(out) {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s: gave up after %d records", topic, len(out))
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

// Drained waits until the group has committed every data record of its inputs.
func (c *Cluster) Drained(t testing.TB, g *engine.Graph) {
	t.Helper()
	ctx := Context(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left := c.lag(ctx, t, g)
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("group %s still has %d records to read", g.Group(), left)
		case <-tick.C:
		}
	}
}

// lag counts what a read-committed reader would still see behind the committed offsets.
func (c *Cluster) lag(ctx context.Context, t testing.TB, g *engine.Graph) int {
	committed, err := c.admin.FetchOffsets(ctx, c.Prefix+string(g.Group()))
	if err != nil {
		return -1
	}
	left := 0
	for _, e := range g.Edges() {
		if e.Kind != engine.EdgeInput && e.Kind != engine.EdgeLoop {
			continue
		}
		ends, err := c.admin.ListEndOffsets(ctx, c.Prefix+e.Topic)
		if err != nil {
			return -1
		}
		ends.Each(func(o kadm.ListedOffset) {
			at, ok := committed.Lookup(o.Topic, o.Partition)
			if !ok || at.At < 0 {
				left += int(o.Offset)
				return
			}
			if at.At < o.Offset {
				left += c.visible(ctx, o.Topic, o.Partition, at.At, o.Offset)
			}
		})
	}
	return left
}

// visible counts committed data records in a range.
func (c *Cluster) visible(ctx context.Context, topic string, partition int32, from, to int64) int {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))
	if err != nil {
		return -1
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	n, at := 0, from
	for at < to && ctx.Err() == nil {
		for _, r := range cl.PollFetches(ctx).Records() {
			at = r.Offset + 1
			if !r.Attrs.IsControl() {
				n++
			}
		}
	}
	if at < to {
		n++
	}
	return n
}

// Fold reads a compacted topic and returns the newest value of each key, by partition and key.
func (c *Cluster) Fold(t testing.TB, topic string) map[string][]byte {
	t.Helper()
	ctx := Context(t)
	ends, err := c.admin.ListCommittedOffsets(ctx, c.Prefix+topic)
	if err != nil {
		t.Fatalf("read the end of %s: %v", topic, err)
	}
	from := map[int32]kgo.Offset{}
	open := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition] = kgo.NewOffset().AtStart()
			open[o.Partition] = o.Offset
		}
	})
	out := map[string][]byte{}
	if len(from) == 0 {
		return out
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(200*time.Millisecond), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.Prefix + topic: from}))
	if err != nil {
		t.Fatalf("make consumer: %v", err)
	}
	defer cl.Close()
	for len(open) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s: end not reached", topic)
		}
		for _, r := range fetches.Records() {
			if r.Offset+1 >= open[r.Partition] {
				delete(open, r.Partition)
			}
			if r.Attrs.IsControl() {
				continue
			}
			if r.Value == nil {
				delete(out, string(r.Key))
			} else {
				out[string(r.Key)] = r.Value
			}
		}
	}
	return out
}
