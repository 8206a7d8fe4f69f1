package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginepb"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// row is a record of a group's own store, as an owner that died has left it.
func row(t *testing.T, topic string, kind byte, key, rest string, m proto.Message) *kgo.Record {
	t.Helper()
	k := append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(key))), key+rest...)
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: topic, Key: k, Value: raw}
}

func queuePosition(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// A command to run what waits under a key was in hand at three deaths. By now a redriven record stands in front of the
// one that it ran: that one is to blame, wherever it stands, and the redriven one is innocent.
func TestVerdictFollowsTheRecordThatRan(t *testing.T) {
	for name, head := range map[string]string{"the suspect stands behind": "in/0/1", "the command ran nothing": ""} {
		t.Run(name, func(t *testing.T) {
			c := enginetest.NewCluster(t)
			g := engine.Define("verdict",
				engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
					ctx.Emit("out", ctx.Key(), msg)
					return nil
				})), goka.Output("out", text))
			c.CreateTopics(t, 1, g)
			c.Produce(t, "in", "k", "redriven", text)
			c.Produce(t, "in", "k", "suspect", text)
			waiting := func(offset int64, value string) *enginepb.RetryRow {
				return &enginepb.RetryRow{Record: &enginepb.Record{Topic: "in", Offset: offset, Key: []byte("k"), Value: []byte(value), HasValue: true}}
			}
			suspect := waiting(1, "suspect")
			suspect.Attempts = 1
			c.ProduceRaw(t,
				row(t, "verdict-engine", 'r', "k", queuePosition(1<<31), waiting(0, "redriven")),
				row(t, "verdict-engine", 'r', "k", queuePosition(1<<32), suspect),
				row(t, "verdict-engine", 's', "verdict-loop", "", &enginepb.SuspectRow{
					Topic: "verdict-loop", Attempts: 3, Records: 1, Process: "dead", Head: head,
				}),
				&kgo.Record{Topic: "verdict-loop", Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "fl-engine", Value: []byte("retry")}}})
			var at kadm.Offsets
			at.AddOffset("in", 0, 2, -1)
			at.AddOffset("verdict-loop", 0, 0, -1)
			if err := c.Admin().CommitAllOffsets(enginetest.Context(t), "verdict", at); err != nil {
				t.Fatal(err)
			}
			c.Start(t, g)
			if head == "" {
				if out := c.Consume(t, "out", 2); string(out[0].Value) != "redriven" || string(out[1].Value) != "suspect" {
					t.Errorf("ran %s, %s", out[0].Value, out[1].Value)
				}
				return
			}
			if dead := c.Consume(t, "verdict.dlq", 1)[0]; string(dead.Value) != "suspect" || header(dead, engine.HeaderDLQReason) != "kills its process" {
				t.Errorf("dead letter %s: %v", dead.Value, dead.Headers)
			}
			if out := c.Consume(t, "out", 1); string(out[0].Value) != "redriven" {
				t.Errorf("ran %s", out[0].Value)
			}
		})
	}
}

// A record that was about to be given up is given up also when the transaction that does so fails, and the process goes
// on with a new client.
func TestVerdictOutlivesTheClient(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("outlives",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			ctx.Emit("out", ctx.Key(), "ran "+msg)
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	c.Produce(t, "in", "k", "suspect", text)
	c.ProduceRaw(t, row(t, "outlives-engine", 's', "in", "", &enginepb.SuspectRow{Topic: "in", Attempts: 3, Records: 1, Process: "dead"}))
	var at kadm.Offsets
	at.AddOffset("in", 0, 0, -1)
	at.AddOffset("outlives-loop", 0, 0, -1)
	if err := c.Admin().CommitAllOffsets(enginetest.Context(t), "outlives", at); err != nil {
		t.Fatal(err)
	}
	// No fault of the record's: the client is made anew.
	fault := c.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Topic: "outlives.dlq"})
	defer fault.Remove()
	c.Start(t, g)
	if dead := c.Consume(t, "outlives.dlq", 1)[0]; header(dead, engine.HeaderDLQReason) != "kills its process" {
		t.Errorf("dead letter %s: %v", dead.Value, dead.Headers)
	}
	if fault.Hits() != 1 {
		t.Errorf("%d faults were met, want 1", fault.Hits())
	}
	c.Produce(t, "in", "k", "next", text)
	if out := c.Consume(t, "out", 1); string(out[0].Value) != "ran next" {
		t.Errorf("emitted %s", out[0].Value)
	}
}

// A record that was given up because it killed its process is run when somebody redrives it, also by the process
// that gave it up.
func TestRedriveOfARecordThatKilled(t *testing.T) {
	c := enginetest.NewCluster(t)
	var mu sync.Mutex
	var power *plug
	harmless := false
	g := engine.Define("mended",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			mu.Lock()
			kills := msg == "killer" && !harmless
			if kills {
				power.pull()
			}
			mu.Unlock()
			if kills {
				<-ctx.Context().Done()
			}
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	c.Produce(t, "in", "k", "killer", text)
	dead := make(chan *kgo.Record, 1)
	go func() { dead <- c.Consume(t, "mended.dlq", 1)[0] }()
	var letter *kgo.Record
	for letter == nil {
		cfg := c.Config(t)
		cfg.InstanceID, cfg.EndTimeout, cfg.TransactionTimeout = "0", time.Second, time.Second
		p := &plug{}
		mu.Lock()
		power = p
		mu.Unlock()
		cfg.Outside.Dial = p.dial
		e := enginetest.Launch(t, cfg, g)
		for letter == nil && !p.isPulled() {
			select {
			case letter = <-dead:
			case <-time.After(10 * time.Millisecond):
			}
		}
		if letter == nil {
			_ = e.Stop() // a dead process says nothing
		}
	}
	mu.Lock()
	harmless = true
	mu.Unlock()
	c.ProduceRaw(t, engine.Redrive("mended", letter))
	if out := c.Consume(t, "out", 1); string(out[0].Value) != "killer" {
		t.Errorf("emitted %s", out[0].Value)
	}
}

// A record that is given up without being run keeps its place: with parking, those behind it wait.
func TestRecordGivenUpParksThoseBehindIt(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("orderly",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if msg == "refused" {
				ctx.Emit("narrow", ctx.Key(), msg)
				return nil
			}
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})), goka.Output("out", text), goka.Output("narrow", text), engine.ParkKeys())
	c.CreateTopics(t, 1, g)
	for _, msg := range []string{"refused", "behind", "last"} {
		c.Produce(t, "in", "k", msg, text)
	}
	c.Produce(t, "in", "other", "end", text)
	fault := c.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge, Topic: "narrow", Count: 3})
	defer fault.Remove()
	c.Start(t, g)
	dead := c.Consume(t, "orderly.dlq", 1)
	if out := c.Consume(t, "out", 1); string(dead[0].Value) != "refused" || string(out[0].Value) != "end" {
		t.Errorf("dead letter %s, ran %s", dead[0].Value, out[0].Value)
	}
	c.ProduceRaw(t, engine.Redrive("orderly", dead[0]))
	out := c.Consume(t, "out", 3)
	if string(out[1].Value) != "behind" || string(out[2].Value) != "last" || len(c.Consume(t, "narrow", 1)) != 1 {
		t.Errorf("ran %s, %s", out[1].Value, out[2].Value)
	}
}

// A partition that pauses because too many records wait behind a retried one goes on when that one is parked: behind a
// parked key any number waits, and its operator may come late.
func TestParkingEndsAPause(t *testing.T) {
	c := enginetest.NewCluster(t)
	runs := 0
	g := engine.Define("paused",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if msg == "0" {
				if runs++; runs < 5 {
					return engine.Retry(50*time.Millisecond, errors.New("not yet"))
				}
				return engine.Poison("never")
			}
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})), goka.Output("out", text), engine.ParkKeys())
	c.CreateTopics(t, 1, g)
	for i := range 10 {
		c.Produce(t, "in", "k", strconv.Itoa(i), text)
	}
	c.Produce(t, "in", "other", "end", text)
	cfg := c.Config(t)
	cfg.RetryQueue = 3
	enginetest.StartConfig(t, cfg, g)
	if out := c.Consume(t, "out", 1); string(out[0].Value) != "end" {
		t.Errorf("ran %s, which waits behind a parked record", out[0].Value)
	}
}

// Two commands for one key in one batch run each waiting record once: while an item of the key is unsettled, the second
// command waits, also when settling the first item has taken the next one into the batch.
func TestTwoCommandsRunEachItemOnce(t *testing.T) {
	t.Run("in order", func(t *testing.T) { twoCommands(t, engine.BatchOptions{}) })
	t.Run("independent", func(t *testing.T) { twoCommands(t, engine.BatchOptions{Independent: true}) })
}

func twoCommands(t *testing.T, opts engine.BatchOptions) {
	c := enginetest.NewCluster(t)
	g := engine.Define("both",
		engine.Batch("in", text, opts, func(_ context.Context, items []engine.Item[string]) []error {
			for _, it := range items {
				it.Emit("out", it.Key(), it.Msg)
			}
			return make([]error, len(items))
		}), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	command := &kgo.Record{Topic: "both-loop", Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "fl-engine", Value: []byte("retry")}}}
	again := *command
	recs := []*kgo.Record{command, &again}
	for i, value := range []string{"0", "1", "2"} {
		recs = append(recs, row(t, "both-engine", 'r', "k", queuePosition(1<<32+uint64(i)), &enginepb.RetryRow{
			Record: &enginepb.Record{Topic: "in", Offset: int64(i), Key: []byte("k"), Value: []byte(value), HasValue: true},
		}))
		c.Produce(t, "in", "k", value, text)
	}
	c.ProduceRaw(t, recs...)
	var at kadm.Offsets
	at.Add(kadm.Offset{Topic: "in", At: 3, LeaderEpoch: -1, Metadata: "v1 now=0 clean=1"})
	at.Add(kadm.Offset{Topic: "both-loop", LeaderEpoch: -1, Metadata: "v1 now=0 clean=1"})
	if err := c.Admin().CommitAllOffsets(enginetest.Context(t), "both", at); err != nil {
		t.Fatal(err)
	}
	c.Start(t, g)
	c.Consume(t, "out", 3)
	c.Produce(t, "in", "other", "end", text)
	got := ""
	for _, r := range c.ConsumeUntil(t, "out", func(r []*kgo.Record) bool { return len(r) > 0 && string(r[len(r)-1].Value) == "end" }) {
		got += string(r.Value) + " "
	}
	if got != "0 1 2 end " {
		t.Errorf("ran %s", got)
	}
}

// A panic of a plain goka graph's callback is the record's whose partition it was, and of none that other partitions ran
// before.
func TestOthersAreNotBlamed(t *testing.T) {
	const partitions = 8
	c := enginetest.NewCluster(t)
	var runs atomic.Int32
	g := func() *engine.Graph {
		return engine.FromGoka(goka.DefineGroup("blame",
			goka.Input("in", text, func(ctx goka.Context, msg any) {
				if msg == "poison" {
					runs.Add(1)
					panic("poison")
				}
				ctx.Emit("out", ctx.Key(), msg)
			}), goka.Output("out", text)))
	}
	c.CreateTopics(t, partitions, g())
	cfg := c.Config(t)
	cfg.CrashLimit = 3
	enginetest.StartConfig(t, cfg, g())
	manual, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer manual.Close()
	put := func(p int32, msg string) {
		t.Helper()
		r := &kgo.Record{Topic: c.Prefix + "in", Partition: p, Key: []byte("k"), Value: []byte(msg)}
		if err := manual.ProduceSync(enginetest.Context(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for p := range int32(partitions - 1) {
		put(1+p, "good")
	}
	c.Consume(t, "out", partitions-1)
	put(0, "poison")
	if dead := c.Consume(t, "blame.dlq", 1)[0]; string(dead.Value) != "poison" {
		t.Errorf("dead-lettered %q of %s", dead.Value, header(dead, engine.HeaderDLQSource))
	}
	if n := runs.Load(); n != 3 {
		t.Errorf("the poison ran %d times, CrashLimit is 3", n)
	}
}
