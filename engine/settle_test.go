package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// asked is an input that says what local storage has: one record for each key that is asked for.
func asked() goka.Edge {
	return engine.Input("ask", text, engine.Typed(func(ctx engine.Context, key string) error {
		ctx.Emit("told", key, "local:"+string(ctx.Store("s").Get([]byte(key))))
		return nil
	}))
}

func compareLocal(t *testing.T, c *enginetest.Cluster, g *engine.Graph, keys ...string) {
	t.Helper()
	c.Drained(t, g)
	rows := c.Fold(t, "settling-store-s")
	for _, k := range keys {
		c.Produce(t, "ask", "k", k, text)
	}
	for _, r := range c.Consume(t, "told", len(keys)) {
		if got, want := string(r.Value), "local:"+string(rows[string(r.Key)]); got != want {
			t.Errorf("key %s: local storage says %q, the changelog %q", r.Key, got, want)
		}
	}
}

// settling runs 20 records in a batch of a worker's.
func settling(t *testing.T, run func(items []engine.Item[string])) (*enginetest.Cluster, *engine.Graph) {
	t.Helper()
	c := enginetest.NewCluster(t)
	g := engine.Define("settling",
		engine.Batch("in", text, engine.BatchOptions{Independent: true}, func(_ context.Context, items []engine.Item[string]) []error {
			run(items)
			return make([]error, len(items))
		}),
		asked(), engine.Store("s"), goka.Output("told", text))
	c.CreateTopics(t, 1, g)
	for n := range 20 {
		c.Produce(t, "in", fmt.Sprint("k", n), fmt.Sprint("m", n), text)
	}
	c.Start(t, g)
	return c, g
}

// Items that are settled in another order than they wrote are sent in the order of the batch: the topic must end with the value
// that local storage has.
func TestSettledOutOfOrder(t *testing.T) {
	c, g := settling(t, func(items []engine.Item[string]) {
		for i, it := range items {
			it.Store("s").Set([]byte("x"), []byte(it.Msg))
			if i == len(items)-1 {
				it.Settle() // the others are settled when the batch has ended
			}
		}
	})
	compareLocal(t, c, g, "x")
}

// An item that writes after it was settled fails, whether it is alone or not: what it writes may be too late.
func TestWriteAfterSettle(t *testing.T) {
	c, g := settling(t, func(items []engine.Item[string]) {
		for _, it := range items {
			it.Settle()
			it.Store("s").Set([]byte(it.Msg), []byte("1"))
		}
	})
	c.Consume(t, "settling.dlq", 20)
	compareLocal(t, c, g, "m3", "m11")
}

// The reaction to a dead letter writes after all items of its batch have, and so its record is behind theirs.
func TestReactionsComeLast(t *testing.T) {
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprint(early), func(t *testing.T) {
			c := enginetest.NewCluster(t)
			g := engine.Define("settling",
				engine.Batch("in", text, engine.BatchOptions{Independent: true}, func(_ context.Context, items []engine.Item[string]) []error {
					out := make([]error, len(items))
					for i, it := range items {
						if it.Msg == "bad" {
							out[i] = engine.Poison("bad")
							continue
						}
						it.Store("s").Set([]byte("x"), []byte(it.Msg))
						if early {
							it.Settle()
						}
					}
					return out
				}),
				engine.OnDeadLetter(func(ctx engine.Context, _ any, _ string, _ error) error {
					ctx.Store("s").Set([]byte("x"), []byte("reaction"))
					return nil
				}),
				asked(), engine.Store("s"), goka.Output("told", text))
			c.CreateTopics(t, 1, g)
			for n, m := range []string{"m0", "bad", "m2", "m3"} {
				c.Produce(t, "in", fmt.Sprint("k", n), m, text)
			}
			c.Start(t, g)
			compareLocal(t, c, g, "x")
		})
	}
}

// EmitTo's two ways differ where the headers name a partition too.
func TestEmitToPartition(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("settling",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			handed := kgo.RecordHeader{Key: engine.HeaderPartition, Value: []byte("1")}
			engine.EmitTo(ctx, "out", 3, "k", msg, handed)
			engine.EmitTo(anothers{ctx}, "out", 3, "k", msg, handed)
			return nil
		})),
		goka.Output("out", text))
	c.CreateTopics(t, 5, g)
	c.Produce(t, "in", "k", "hello", text)
	c.Start(t, g)
	for _, r := range c.Consume(t, "out", 2) {
		if r.Partition != 3 {
			t.Errorf("partition %d, want the one that was asked for, 3", r.Partition)
		}
	}
}

// A record that was settled early is refused by the broker, and its batch then panics: the refusal is of a transaction that
// was aborted already, and must not abort the next, in which the record writes something else, and count against it.
func TestRefusalOfAnAbortedTransaction(t *testing.T) {
	c := enginetest.NewCluster(t)
	sent := make(chan struct{}, 100)
	c.Fake.ControlKey(0, func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake.KeepControl()
		if p := r.(*kmsg.ProduceRequest); p.TransactionID != nil {
			sent <- struct{}{}
		}
		return nil, nil, false
	})
	var attempts atomic.Int64
	var sizes []int
	g := engine.Define("settling",
		engine.Batch("in", text, engine.BatchOptions{Independent: true}, func(_ context.Context, items []engine.Item[string]) []error {
			sizes = append(sizes, len(items))
			for _, it := range items {
				if it.Msg != "a" {
					continue
				}
				msg := "fits"
				if attempts.Add(1) == 1 {
					msg = string(noise(5000))
				}
				it.Emit("small", it.Key(), msg)
				it.Settle()
			}
			if len(items) > 1 {
				select {
				case <-sent:
				case <-time.After(5 * time.Second):
				}
				panic("of another")
			}
			return make([]error, len(items))
		}),
		goka.Output("small", text))
	for _, e := range g.Edges() {
		config := map[string]string{}
		if e.Topic == "small" {
			config["max.message.bytes"] = "1000"
		}
		c.CreateTopic(t, e.Topic, 1, config)
	}
	c.Produce(t, "in", "a", "a", text)
	c.Produce(t, "in", "b", "b", text)
	cfg := c.Config(t)
	cfg.CrashLimit = 1
	enginetest.StartConfig(t, cfg, g)
	c.Drained(t, g)
	end, err := c.Admin().ListEndOffsets(t.Context(), "settling.dlq")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := end.Lookup("settling.dlq", 0); o.Offset > 0 {
		t.Errorf("it was dead-lettered; batches %v, it was run %d times, of which the last wrote what fits", sizes, attempts.Load())
	}
}
