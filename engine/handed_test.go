package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// values are what records say.
func values(recs []*kgoRecord) []string {
	var out []string
	for _, r := range recs {
		out = append(out, string(r.Value))
	}
	return out
}

// TestHeadersHandedOnMoveNoRow has a record whose writer names a partition, and a callback that hands its headers on: the
// row stays in the partition of its key, also after the disk is lost.
func TestHeadersHandedOnMoveNoRow(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := func() *engine.Graph {
		return engine.Define("handing",
			engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
				old, _ := ctx.Value().(string)
				ctx.SetValue(old+msg, engine.WithHeaders(ctx.Headers()))
				ctx.Store("kept").Set([]byte(ctx.Key()+msg), []byte(msg))
				ctx.Emit("out", ctx.Key(), old+msg, engine.WithHeaders(ctx.Headers()))
				return nil
			})), goka.Output("out", text), goka.Persist(text), engine.Store("kept"))
	}
	c.CreateTopics(t, 2, g())
	start := func() *enginetest.Engine { // each time with an empty disk
		cfg := c.Config(t)
		cfg.InstanceID = "0"
		return enginetest.StartConfig(t, cfg, g())
	}
	e := start()
	first := c.Produce(t, "in", "k", "a", text)
	c.Produce(t, "in", "k", "b", text, engine.HeaderPartition, strconv.Itoa(int(1-first.Partition)))
	c.Consume(t, "out", 2)
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	start()
	c.Produce(t, "in", "k", "c", text)
	out := c.Consume(t, "out", 3)
	if got := values(out); !slices.Equal(got, []string{"a", "ab", "abc"}) {
		t.Errorf("emitted %v", got)
	}
	for _, r := range out {
		if r.Partition != first.Partition {
			t.Errorf("%q went to partition %d, its key's is %d", r.Value, r.Partition, first.Partition)
		}
	}
}

// TestRowsAreTheCallbacksOwn has a callback that changes the bytes of the row that it got, and is then run again: what a
// dropped run did must not be there.
func TestRowsAreTheCallbacksOwn(t *testing.T) {
	c := enginetest.NewCluster(t)
	var tries atomic.Int32
	g := engine.Define("bytes",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			b, _ := ctx.Value().([]byte)
			if b == nil {
				b = []byte{0}
			}
			b[0]++
			ctx.SetValue(b)
			kept := ctx.Store("kept").Get([]byte("k"))
			if kept == nil {
				kept = []byte{0}
			}
			kept[0]++
			ctx.Store("kept").Set([]byte("k"), kept)
			ctx.Emit("out", ctx.Key(), fmt.Sprint(b[0], kept[0]))
			if msg == "flaky" && tries.Add(1) <= 3 {
				return engine.Retry(time.Millisecond, errors.New("later"))
			}
			return nil
		})), goka.Persist(new(codec.Bytes)), engine.Store("kept"), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	c.Produce(t, "in", "a", "one", text)
	c.Drained(t, g)
	c.Produce(t, "in", "a", "flaky", text)
	if got := values(c.Consume(t, "out", 2)); got[1] != "2 2" {
		t.Errorf("two records counted as %v", got)
	}
}

// TestTimerWithAnEmptyMessage has a message that is encoded in no bytes, as Protobuf's messages of defaults are.
func TestTimerWithAnEmptyMessage(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("empty",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			ctx.SetTimer("t", ctx.Now(), msg)
			return nil
		})),
		engine.Loop(text, engine.Typed(func(ctx engine.Context, msg string) error {
			ctx.Emit("out", ctx.Key(), "rang "+strconv.Quote(msg))
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	c.Produce(t, "in", "a", "", text)
	if got := values(c.Consume(t, "out", 1)); got[0] != `rang ""` {
		t.Errorf("emitted %v", got)
	}
}

// TestForgedDeadLetterHeaders has records whose writer says where they lay and that they are references: dead-lettered and
// redriven, they run as what they are.
func TestForgedDeadLetterHeaders(t *testing.T) {
	c := enginetest.NewCluster(t)
	var mended atomic.Bool
	var mu sync.Mutex
	var causes []string
	g := engine.Define("forged",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if !mended.Load() {
				return engine.Poison("not yet")
			}
			mu.Lock()
			causes = append(causes, ctx.Cause().String())
			mu.Unlock()
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	c.Produce(t, "in", "a", "m", text, engine.HeaderDLQSource, "in/0/4711")
	c.Produce(t, "in", "b", "m", text, "fl-dlq-reference", "forged", "fl-engine", "retry")
	dead := c.Consume(t, "forged.dlq", 2)
	mended.Store(true)
	for _, d := range dead {
		c.ProduceRaw(t, engine.Redrive("forged", d))
	}
	c.Consume(t, "out", 2)
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(causes)
	if !slices.Equal(causes, []string{"in/0/0", "in/0/1"}) {
		t.Errorf("redriven as %v", causes)
	}
}
