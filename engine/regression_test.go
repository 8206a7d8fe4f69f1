package engine_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// An item of a batch that fails without having written must not take back what others wrote.
func TestFailedItemTakesBackNothingOfOthers(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("items",
		engine.Batch("in", text, engine.BatchOptions{}, func(_ context.Context, items []engine.Item[string]) []error {
			out := make([]error, len(items))
			for i, it := range items {
				if it.Msg == "bad" {
					out[i] = engine.Poison("bad")
					continue
				}
				it.Store("s").Set([]byte(it.Key()), []byte(it.Msg))
			}
			return out
		}), engine.Store("s"))
	c.CreateTopics(t, 1, g)
	c.Produce(t, "in", "a", "bad", text)
	c.Produce(t, "in", "b", "good", text)
	cfg := c.Config(t)
	e := enginetest.StartConfig(t, cfg, g)
	c.Drained(t, g)
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	rows, _, _, err := engine.LocalRows(cfg.DB, "items-store-s", 0)
	if err != nil || string(rows["b"]) != "good" || len(rows) != 1 {
		t.Errorf("local storage holds %q (%v), the topic %q", rows, err, c.Fold(t, "items-store-s"))
	}
}

// Several dead letters of one key, redriven together, run once each and in order, also when one has to wait again.
func TestRedrivenRecordsRunOnceAndInOrder(t *testing.T) {
	for _, again := range []string{"", "0", "2"} {
		t.Run("retry of "+again, func(t *testing.T) {
			c := enginetest.NewCluster(t)
			var mu sync.Mutex
			broken, tries := true, 0
			g := engine.Define("redriven",
				engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
					mu.Lock()
					defer mu.Unlock()
					if broken {
						return engine.Poison("broken")
					}
					if msg == again {
						if tries++; tries == 1 {
							return engine.Retry(20*time.Millisecond, errors.New("once"))
						}
					}
					ctx.Emit("out", ctx.Key(), msg)
					return nil
				})), goka.Output("out", text))
			c.CreateTopics(t, 1, g)
			c.Start(t, g)
			for i := range 4 {
				c.Produce(t, "in", "k", strconv.Itoa(i), text)
			}
			dead := c.Consume(t, "redriven.dlq", 4)
			c.Drained(t, g)
			mu.Lock()
			broken = false
			mu.Unlock()
			var recs []*kgo.Record
			for _, d := range dead {
				recs = append(recs, engine.Redrive("redriven", d))
			}
			c.ProduceRaw(t, recs...)
			c.Consume(t, "out", 4)
			c.Produce(t, "in", "other", "end", text)
			got := ""
			for _, r := range c.ConsumeUntil(t, "out", func(r []*kgo.Record) bool { return len(r) > 0 && string(r[len(r)-1].Value) == "end" }) {
				got += string(r.Value) + " "
			}
			if got != "0 1 2 3 end " {
				t.Errorf("ran %s", got)
			}
			c.Drained(t, g)
			if rows := c.Fold(t, "redriven-engine"); len(rows) != 0 {
				t.Errorf("rows left: %d", len(rows))
			}
		})
	}
}

// An output that cannot be placed is its record's fault alone, on the first run as on a later one; a topic that has
// grown meanwhile is no fault.
func TestPartitionThatDoesNotExist(t *testing.T) {
	c := enginetest.NewCluster(t)
	first := true
	g := engine.Define("placing",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if msg == "99" && first {
				first = false
				return engine.Retry(10*time.Millisecond, errors.New("once"))
			}
			n, err := strconv.Atoi(msg)
			if err != nil {
				return err
			}
			ctx.Emit("out", ctx.Key(), msg, engine.ToPartition(int32(n)))
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	c.Produce(t, "in", "a", "99", text)
	c.Produce(t, "in", "b", "0", text)
	c.Consume(t, "out", 1)
	if d := c.Consume(t, "placing.dlq", 1)[0]; !strings.Contains(header(d, engine.HeaderDLQError), "no partition 99") {
		t.Errorf("dead letter: %v", d.Headers)
	}
	if _, err := c.Admin().CreatePartitions(enginetest.Context(t), 1, "out"); err != nil {
		t.Fatal(err)
	}
	c.Produce(t, "in", "c", "1", text)
	if out := c.Consume(t, "out", 2); out[0].Partition == out[1].Partition {
		t.Error("the grown topic's new partition was not used")
	}
}

// Headers that are handed on do not speak for the engine.
func TestForwardedHeadersKeepTheirOwnCause(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("forwarding",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			ctx.Emit("out", ctx.Key(), msg, engine.WithHeaders(ctx.Headers()))
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	c.Produce(t, "in", "k", "m", text, engine.HeaderCause, "forged/0/1", engine.HeaderNow, "1", "own", "kept")
	r := c.Consume(t, "out", 1)[0]
	if header(r, engine.HeaderCause) != "in/0/0" || header(r, engine.HeaderNow) == "1" || header(r, "own") != "kept" {
		t.Errorf("headers %v", r.Headers)
	}
}

// A group whose offsets are gone although it has state must not begin again in silence.
func TestForgottenOffsetsAreFatal(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := counter()
	c.CreateTopics(t, 1, g)
	e := c.Start(t, g)
	c.Produce(t, "in", "k", "m", text)
	c.Drained(t, g)
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Admin().DeleteGroups(enginetest.Context(t), "counter"); err != nil {
		t.Fatal(err)
	}
	again := enginetest.Launch(t, c.Config(t), counter())
	<-again.Done()
	if err := again.Stop(); err == nil || !strings.Contains(err.Error(), "no committed offsets") {
		t.Errorf("error: %v", err)
	}
}
