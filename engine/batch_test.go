package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// adder keeps a running sum in a store; "bad" is poison, "late" is retried once.
type adder struct {
	mu    sync.Mutex
	sizes []int
	late  map[string]bool
}

func (a *adder) graph() *engine.Graph {
	a.late = map[string]bool{}
	return engine.Define("adder",
		engine.Batch("in", text, engine.BatchOptions{}, func(_ context.Context, items []engine.Item[string]) []error {
			a.mu.Lock()
			a.sizes = append(a.sizes, len(items))
			a.mu.Unlock()
			out := make([]error, len(items))
			for i, it := range items {
				switch it.Msg {
				case "bad":
					out[i] = engine.Poison("bad amount")
					continue
				case "explode":
					panic("boom")
				case "late":
					if !a.late[it.Key()] {
						a.late[it.Key()] = true
						out[i] = engine.Retry(20*time.Millisecond, errors.New("too early"))
						continue
					}
				}
				sum := 0
				if v := it.Store("sum").Get([]byte(it.Key())); v != nil {
					sum, _ = strconv.Atoi(string(v))
				}
				n, _ := strconv.Atoi(it.Msg)
				sum += n
				it.Store("sum").Set([]byte(it.Key()), []byte(strconv.Itoa(sum)))
				it.Emit("out", it.Key(), fmt.Sprintf("%s=%d", it.Msg, sum))
			}
			return out
		}),
		engine.Store("sum"), goka.Output("out", text))
}

func TestBatchSeesItsOwnWritesAndSettlesEach(t *testing.T) {
	c := enginetest.NewCluster(t)
	a := &adder{}
	g := a.graph()
	c.CreateTopics(t, 2, g)
	for i := range 40 {
		msg := strconv.Itoa(i)
		if i == 7 {
			msg = "bad"
		}
		c.Produce(t, "in", "k"+strconv.Itoa(i%2), msg, text)
	}
	c.Start(t, g)
	c.Consume(t, "out", 39)
	c.Consume(t, "adder.dlq", 1)
	c.Drained(t, g)
	sums := c.Fold(t, "adder-store-sum")
	if string(sums["k0"]) != "380" || string(sums["k1"]) != "393" {
		t.Errorf("sums %q, want 380 and 393", sums)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	largest := 0
	for _, n := range a.sizes {
		largest = max(largest, n)
	}
	if largest < 2 {
		t.Errorf("no batch held more than one item: %v", a.sizes)
	}
}

func TestBatchKeepsTheOrderOfAKeyAcrossRetryAndPanic(t *testing.T) {
	c := enginetest.NewCluster(t)
	a := &adder{}
	g := a.graph()
	c.CreateTopics(t, 1, g)
	for _, m := range []string{"1", "late", "2", "explode", "3"} {
		c.Produce(t, "in", "k", m, text)
	}
	c.Produce(t, "in", "other", "5", text)
	c.Start(t, g)
	out := c.Consume(t, "out", 5)
	got := ""
	for _, r := range out {
		if string(r.Key) == "k" {
			got += string(r.Value) + " "
		}
	}
	if got != "1=1 late=1 2=3 3=6 " {
		t.Errorf("effects in order: %s", got)
	}
	dead := c.Consume(t, "adder.dlq", 1)
	if string(dead[0].Value) != "explode" {
		t.Errorf("dead letter: %s", dead[0].Value)
	}
	c.Drained(t, g)
	if rows := c.Fold(t, "adder-engine"); len(rows) != 0 {
		t.Errorf("rows left: %d", len(rows))
	}
}

func TestParkedKeyWaitsForRedrive(t *testing.T) {
	c := enginetest.NewCluster(t)
	var mu sync.Mutex
	broken := true
	g := engine.Define("parking",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			mu.Lock()
			defer mu.Unlock()
			if msg == "1" && broken {
				return engine.Poison("broken")
			}
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})),
		goka.Output("out", text), engine.ParkKeys())
	c.CreateTopics(t, 1, g)
	e := c.Start(t, g)
	for i := range 4 {
		c.Produce(t, "in", "k", strconv.Itoa(i), text)
	}
	c.Produce(t, "in", "other", "x", text)
	c.Consume(t, "out", 2)
	dead := c.Consume(t, "parking.dlq", 1)
	c.Drained(t, g)
	if rows := c.Fold(t, "parking-engine"); len(rows) != 3 {
		t.Errorf("parking holds %d rows, want the mark and 2 records", len(rows))
	}
	// The parking survives a restart on an empty disk.
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	c.Start(t, g)
	c.ProduceRaw(t, engine.Redrive("parking", dead[0]))
	out := c.Consume(t, "out", 5)
	got := ""
	for _, r := range out {
		if string(r.Key) == "k" {
			got += string(r.Value)
		}
	}
	if got != "0123" {
		t.Errorf("order after redrive: %s", got)
	}
	c.Drained(t, g)
	if rows := c.Fold(t, "parking-engine"); len(rows) != 0 {
		t.Errorf("rows left: %d", len(rows))
	}
}

func TestRetryQueueOverItsBoundPausesAndLosesNothing(t *testing.T) {
	c := enginetest.NewCluster(t)
	var mu sync.Mutex
	tries := 0
	g := engine.Define("bounded",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			mu.Lock()
			defer mu.Unlock()
			if msg == "0" {
				if tries++; tries < 8 {
					return engine.Retry(50*time.Millisecond, errors.New("not yet"))
				}
			}
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	cfg := c.Config(t)
	cfg.RetryQueue = 3
	for i := range 12 {
		c.Produce(t, "in", "k", strconv.Itoa(i), text)
	}
	enginetest.StartConfig(t, cfg, g)
	out := c.Consume(t, "out", 12)
	for i, r := range out {
		if string(r.Value) != strconv.Itoa(i) {
			t.Fatalf("record %d is %s", i, r.Value)
		}
	}
}

func TestOversizedEmitIsThatRecordsFailureAlone(t *testing.T) {
	c := enginetest.NewCluster(t)
	big := string(make([]byte, engine.MaxRecordBytes+1))
	g := engine.Define("big",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if msg == "big" {
				msg = big
			}
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	c.Produce(t, "in", "k", "big", text)
	c.Produce(t, "in", "k", "small", text)
	if out := c.Consume(t, "out", 1); string(out[0].Value) != "small" {
		t.Errorf("emitted %d bytes", len(out[0].Value))
	}
	dead := c.Consume(t, "big.dlq", 1)
	if header(dead[0], engine.HeaderDLQReason) != "too large" {
		t.Errorf("reason: %s", header(dead[0], engine.HeaderDLQReason))
	}
}

// A key's records that are retried, with more coming in and timers firing again, are each settled once and in order.
func TestRetriedItemsAreSettledOnce(t *testing.T) {
	for name, independent := range map[string]bool{"in order": false, "independent": true} {
		t.Run(name, func(t *testing.T) {
			const records = 200
			c := enginetest.NewCluster(t)
			calls := 0
			g := engine.Define("again",
				engine.Batch("in", text, engine.BatchOptions{Independent: independent}, func(_ context.Context, items []engine.Item[string]) []error {
					out := make([]error, len(items))
					for i, it := range items {
						if calls++; calls%5 == 0 {
							out[i] = engine.Retry(0, errors.New("not yet"))
							continue
						}
						it.Emit("out", it.Key(), it.Msg)
					}
					return out
				}), goka.Output("out", text))
			c.CreateTopics(t, 1, g)
			cfg := c.Config(t)
			cfg.RetryBackoff, cfg.RetryBackoffMax, cfg.Retries = 1, 1, 1000
			enginetest.StartConfig(t, cfg, g)
			for i := range records {
				c.Produce(t, "in", "k", strconv.Itoa(i), text)
			}
			c.Drained(t, g)
			out := c.ConsumeUntil(t, "out", func(r []*kgo.Record) bool { return len(r) >= records })
			seen := map[string]int{}
			for i, r := range out {
				if seen[string(r.Value)]++; seen[string(r.Value)] > 1 {
					t.Errorf("%s was settled twice", r.Value)
				}
				if !independent && string(r.Value) != strconv.Itoa(i) {
					t.Fatalf("record %d is %s", i, r.Value)
				}
			}
			if len(out) != records {
				t.Errorf("%d records", len(out))
			}
		})
	}
}

// settler settles its items early; "bad" and "panic" come after items that were settled.
func settlerGraph(sizes func(int)) *engine.Graph {
	return engine.Define("settler",
		engine.Batch("in", text, engine.BatchOptions{Independent: true}, func(_ context.Context, items []engine.Item[string]) []error {
			sizes(len(items))
			out := make([]error, len(items))
			for i, it := range items {
				it.Store("s").Set([]byte(it.Msg), []byte(it.Cause().String()))
				it.Emit("out", it.Key(), it.Msg)
				it.Settle()
				it.Settle() // once more is nothing
				switch it.Msg {
				case "bad":
					out[i] = engine.Poison("after it was settled")
				case "panic":
					panic("after it was settled")
				}
			}
			return out
		}),
		engine.Store("s"), goka.Output("out", text))
}

// What an item wrote before it was settled early is there once, and an item that is returned an error for afterwards, or panics,
// is run again alone and takes back what it wrote.
func TestBatchItemsSettledEarly(t *testing.T) {
	c := enginetest.NewCluster(t)
	var mu sync.Mutex
	largest := 0
	g := settlerGraph(func(n int) {
		mu.Lock()
		defer mu.Unlock()
		largest = max(largest, n)
	})
	c.CreateTopics(t, 1, g)
	want := map[string]bool{}
	for n := range 60 {
		msg := fmt.Sprint("m", n)
		switch n {
		case 20:
			msg = "bad"
		case 40:
			msg = "panic"
		default:
			want[msg] = true
		}
		c.Produce(t, "in", "k"+strconv.Itoa(n%3), msg, text)
	}
	c.Start(t, g)
	got := map[string]int{}
	for _, r := range c.Consume(t, "out", len(want)) {
		got[string(r.Value)]++
	}
	c.Consume(t, "settler.dlq", 2)
	c.Drained(t, g)
	rows := c.Fold(t, "settler-store-s")
	for msg := range want {
		if got[msg] != 1 || rows[msg] == nil {
			t.Errorf("%s came out %d times, its row is %q", msg, got[msg], rows[msg])
		}
	}
	if len(got) != len(want) || len(rows) != len(want) {
		t.Errorf("%d messages and %d rows, want %d: %v", len(got), len(rows), len(want), got)
	}
	if mu.Lock(); largest < 2 {
		t.Error("no batch had two items")
	}
	mu.Unlock()
}
