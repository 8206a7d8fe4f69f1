package engine_test

import (
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginepb"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// orderly is a group whose record "0" is tried again as long as it is told to wait.
func orderly(waits *atomic.Bool) *engine.Graph {
	return engine.Define("orderly", engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
		if msg == "0" && waits.Load() {
			return engine.Retry(500*time.Millisecond, errors.New("not yet"))
		}
		ctx.Emit("out", ctx.Key(), msg)
		return nil
	})), goka.Output("out", text), engine.ParkKeys())
}

// dying prepares what an owner has left that died with record number n of key k in hand, the ones before it waiting.
func dying(t *testing.T, c *enginetest.Cluster, g *engine.Graph, n int, attempts uint32) {
	t.Helper()
	c.CreateTopics(t, 1, g)
	for i := range n + 1 {
		c.Produce(t, "in", "k", strconv.Itoa(i), text)
		if i < n {
			c.ProduceRaw(t, row(t, "orderly-engine", 'r', "k", queuePosition(1<<32+uint64(i)), &enginepb.RetryRow{
				Record:   &enginepb.Record{Topic: "in", Offset: int64(i), Key: []byte("k"), Value: []byte(strconv.Itoa(i)), HasValue: true},
				Attempts: uint32(max(0, 1-i)),
			}))
		}
	}
	c.ProduceRaw(t, row(t, "orderly-engine", 's', "in", "", &enginepb.SuspectRow{
		Topic: "in", From: int64(n), To: int64(n), Records: 1, Attempts: attempts, Process: "dead",
	}))
	var at kadm.Offsets
	at.AddOffset("in", 0, int64(n), -1)
	at.AddOffset("orderly-loop", 0, 0, -1)
	if err := c.Admin().CommitAllOffsets(enginetest.Context(t), "orderly", at); err != nil {
		t.Fatal(err)
	}
}

// A record at which a partition pauses, because too many of its key wait, is not run: processes that die meanwhile do not
// die of it.
func TestPausedRecordIsNotBlamed(t *testing.T) {
	c := enginetest.NewCluster(t)
	var waits atomic.Bool
	waits.Store(true)
	dying(t, c, orderly(&waits), 3, 2)
	for life := range 2 {
		cfg := c.Config(t)
		cfg.InstanceID, cfg.RetryQueue = "0", 3
		cfg.EndTimeout, cfg.TransactionTimeout = time.Second, time.Second
		p := &plug{}
		cfg.Outside.Dial = p.dial
		e := enginetest.Launch(t, cfg, orderly(&waits))
		c.ConsumeUntil(t, "orderly-engine", func(all []*kgo.Record) bool {
			acquitted := 0
			for _, r := range all {
				s := &enginepb.SuspectRow{}
				if r.Key[0] == 's' && r.Value != nil && proto.Unmarshal(r.Value, s) == nil && s.Topic == "in" && s.Records == 0 {
					acquitted++
				}
			}
			return acquitted > life
		})
		p.pull()
		_ = e.Stop() // a dead process says nothing
	}
	waits.Store(false)
	cfg := c.Config(t)
	cfg.InstanceID, cfg.RetryQueue = "0", 3
	enginetest.StartConfig(t, cfg, orderly(&waits))
	if got := values(c.Consume(t, "out", 4)); !slices.Equal(got, []string{"0", "1", "2", "3"}) {
		t.Errorf("ran %v", got)
	}
}

// A record that is given up because processes died of it waits behind those of its key that wait already, so that a
// redrive finds it in its place.
func TestKillerKeepsItsPlace(t *testing.T) {
	c := enginetest.NewCluster(t)
	var waits atomic.Bool
	dying(t, c, orderly(&waits), 2, 3)
	c.Start(t, orderly(&waits))
	dead := c.Consume(t, "orderly.dlq", 1)[0]
	if got := values(c.Consume(t, "out", 2)); !slices.Equal(got, []string{"0", "1"}) {
		t.Errorf("ran %v before the redrive", got)
	}
	if string(dead.Value) != "2" || header(dead, engine.HeaderDLQReason) != "kills its process" {
		t.Errorf("dead letter %s: %v", dead.Value, dead.Headers)
	}
	c.ProduceRaw(t, engine.Redrive("orderly", dead))
	if got := values(c.Consume(t, "out", 3)); got[2] != "2" {
		t.Errorf("ran %v", got)
	}
}

// A client that cannot find out the name of a topic gives an answer about committed offsets that lacks it. That must not
// pass for a group that never committed anything, or all of the input would be run again.
func TestAnswerThatLacksATopic(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := func() *engine.Graph {
		return engine.Define("lacking", engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})), goka.Output("out", text))
	}
	c.CreateTopics(t, 1, g())
	e := c.Start(t, g())
	c.Produce(t, "in", "k", "first", text)
	c.Drained(t, g())
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	var lacking atomic.Int32
	offsetFetch := int16(9)
	c.Fake.ControlKey(offsetFetch, func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake.KeepControl()
		req := r.(*kmsg.OffsetFetchRequest)
		if len(req.Groups) != 1 || req.Groups[0].MemberID != nil || lacking.Add(1) > 3 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
		group := kmsg.NewOffsetFetchResponseGroup()
		group.Group = req.Groups[0].Group
		topic := kmsg.NewOffsetFetchResponseGroupTopic()
		topic.TopicID = [16]byte{9}
		part := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		part.Offset = 1
		topic.Partitions = append(topic.Partitions, part)
		group.Topics = append(group.Topics, topic)
		resp.Groups = append(resp.Groups, group)
		return resp, nil, true
	})
	c.Start(t, g())
	c.Produce(t, "in", "k", "second", text)
	if got := values(c.Consume(t, "out", 2)); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("ran %v", got)
	}
	if lacking.Load() < 3 {
		t.Errorf("asked %d times only", lacking.Load())
	}
}

// What the loop publishes of waiting records is not read while callbacks still run: one partition's fatal error ends a
// batch at once, another's callback may go on. The race detector watches.
func TestFatalErrorWhileAnotherCallbackRuns(t *testing.T) {
	c := enginetest.NewCluster(t)
	failed := make(chan struct{})
	g := engine.Define("racing", engine.Input("in", text, engine.Typed(func(_ engine.Context, msg string) error {
		if msg == "fatal" {
			defer close(failed)
			return engine.Fatal(errors.New("no more"))
		}
		<-failed
		return engine.Retry(time.Hour, errors.New("later"))
	})), goka.Output("out", text))
	c.CreateTopics(t, 2, g)
	records := []*kgo.Record{{Topic: "in", Key: []byte("a"), Value: []byte("fatal")}}
	for _, k := range "bcdefgh" { // some of them are in the other partition
		records = append(records, &kgo.Record{Topic: "in", Key: []byte(string(k)), Value: []byte("slow")})
	}
	c.ProduceRaw(t, records...)
	e := enginetest.Launch(t, c.Config(t), g)
	<-e.Done()
	if err := e.Stop(); err == nil {
		t.Error("a fatal error was lost")
	}
}
