package engine_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

type kgoRecord = kgo.Record

var text = new(codec.String)

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// counter counts messages by key in its table, emits the count and keeps every message in a store.
func counter() *engine.Graph {
	return engine.Define("counter",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			n := 0
			if v, ok := ctx.Value().(string); ok {
				n, _ = strconv.Atoi(v)
			}
			n++
			ctx.SetValue(strconv.Itoa(n))
			ctx.Store("seen").Set([]byte(fmt.Sprintf("%s/%03d", ctx.Key(), n)), []byte(msg))
			switch msg {
			case "panic":
				panic("no good")
			case "poison":
				return engine.Poison("refused: %s", msg)
			case "timer":
				ctx.SetTimer("later", ctx.Now().Add(20*time.Millisecond), "rang for "+ctx.Key())
				return nil
			}
			ctx.Emit("out", ctx.Key(), strconv.Itoa(n))
			return nil
		})),
		engine.Loop(text, engine.Typed(func(ctx engine.Context, msg string) error {
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})),
		engine.Store("seen"),
		goka.Output("out", text),
		goka.Persist(text),
	)
}

func TestCommitsEverythingTogether(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := counter()
	c.CreateTopics(t, 3, g)
	c.Start(t, g)
	for i := range 30 {
		c.Produce(t, "in", "k"+strconv.Itoa(i%3), "m", text)
	}
	out := c.Consume(t, "out", 30)
	last := map[string]string{}
	for _, r := range out {
		last[string(r.Key)] = string(r.Value)
		if header(r, engine.HeaderCause) == "" || header(r, engine.HeaderNow) == "" {
			t.Errorf("record without cause or now: %v", r.Headers)
		}
	}
	c.Drained(t, g)
	table, seen := c.Fold(t, "counter-table"), c.Fold(t, "counter-store-seen")
	for k, want := range map[string]string{"k0": "10", "k1": "10", "k2": "10"} {
		if last[k] != want || string(table[k]) != want {
			t.Errorf("key %s: emitted %s, table %s, want %s", k, last[k], table[k], want)
		}
	}
	if len(seen) != 30 {
		t.Errorf("store holds %d rows, want 30", len(seen))
	}
}

func TestPoisonLeavesNoTrace(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := counter()
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	for _, m := range []string{"a", "panic", "poison", "b"} {
		c.Produce(t, "in", "k", m, text)
	}
	out := c.Consume(t, "out", 2)
	if string(out[0].Value) != "1" || string(out[1].Value) != "2" {
		t.Errorf("emitted %s and %s, want 1 and 2", out[0].Value, out[1].Value)
	}
	dead := c.Consume(t, "counter.dlq", 2)
	for i, want := range []struct{ value, reason, source string }{{"panic", "panic", "in/0/1"}, {"poison", "refused", "in/0/2"}} {
		if string(dead[i].Value) != want.value || header(dead[i], engine.HeaderDLQReason) != want.reason || header(dead[i], engine.HeaderDLQSource) != want.source {
			t.Errorf("dead letter %d: %s %v", i, dead[i].Value, dead[i].Headers)
		}
	}
	c.Drained(t, g)
	if seen := c.Fold(t, "counter-store-seen"); len(seen) != 2 {
		t.Errorf("store holds %v, want 2 rows", seen)
	}
}

func TestTimerFiresThroughTheLoop(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := counter()
	c.CreateTopics(t, 3, g)
	c.Start(t, g)
	c.Produce(t, "in", "k", "timer", text)
	out := c.Consume(t, "out", 1)
	if string(out[0].Value) != "rang for k" {
		t.Errorf("emitted %s", out[0].Value)
	}
	c.Drained(t, g)
	if rows := c.Fold(t, "counter-engine"); len(rows) != 0 {
		t.Errorf("rows left: %v", rows)
	}
}

func TestRetryKeepsOrderAndOtherKeysGoOn(t *testing.T) {
	c := enginetest.NewCluster(t)
	tries := map[string]int{}
	g := engine.Define("retrying",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if ctx.Key() == "slow" {
				ctx.SetValue("dirty")
				if tries[msg]++; tries[msg] < 3 && msg == "0" {
					return engine.Retry(30*time.Millisecond, errors.New("not yet"))
				}
			}
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})),
		goka.Output("out", text), goka.Persist(text))
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	for i := range 5 {
		c.Produce(t, "in", "slow", strconv.Itoa(i), text)
	}
	c.Produce(t, "in", "fast", "x", text)
	out := c.Consume(t, "out", 6)
	var slow string
	for _, r := range out {
		if string(r.Key) == "slow" {
			slow += string(r.Value)
		}
	}
	if slow != "01234" {
		t.Errorf("order of the retried key: %s", slow)
	}
	c.Drained(t, g)
	if rows := c.Fold(t, "retrying-engine"); len(rows) != 0 {
		t.Errorf("rows left: %d", len(rows))
	}
}

func TestGoesOnAfterStopAndWithAnEmptyDisk(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := counter()
	c.CreateTopics(t, 3, g)
	cfg := c.Config(t)
	cfg.InstanceID = "a"
	e := enginetest.StartConfig(t, cfg, g)
	for i := range 9 {
		c.Produce(t, "in", "k"+strconv.Itoa(i%3), "m", text)
	}
	c.Consume(t, "out", 9)
	if err := e.Stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	for range 3 {
		cfg2 := c.Config(t) // another database: an empty disk
		cfg2.InstanceID = "a"
		e = enginetest.StartConfig(t, cfg2, counter())
		for i := range 9 {
			c.Produce(t, "in", "k"+strconv.Itoa(i%3), "m", text)
		}
		c.Drained(t, g)
		if err := e.Stop(); err != nil {
			t.Fatalf("stop: %v", err)
		}
	}
	for k, v := range c.Fold(t, "counter-table") {
		if string(v) != "12" {
			t.Errorf("key %s counts %s, want 12", k, v)
		}
	}
}

// TestDeadLetterIsTold has a group answer for records that it could not read, run or survive.
func TestDeadLetterIsTold(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("telling",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if msg == "bad" {
				return engine.Poison("bad")
			}
			ctx.SetValue(msg)
			return nil
		})),
		engine.OnDeadLetter(func(ctx engine.Context, msg any, reason string, cause error) error {
			ctx.SetValue("failed")
			ctx.Emit("out", ctx.Key(), fmt.Sprintf("%v %s: %v", msg, reason, cause))
			if ctx.Key() == "nobody" {
				return errors.New("nobody to tell")
			}
			return nil
		}),
		goka.Output("out", text), goka.Persist(text))
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	for _, k := range []string{"a", "nobody", "b"} {
		c.Produce(t, "in", k, "bad", text)
	}
	out := c.Consume(t, "out", 2)
	if string(out[0].Value) != "bad refused: bad" || string(out[1].Key) != "b" {
		t.Errorf("told: %s, %s", out[0].Value, out[1].Key)
	}
	c.Consume(t, "telling.dlq", 3)
	c.Drained(t, g)
	if table := c.Fold(t, "telling-table"); len(table) != 2 || string(table["a"]) != "failed" {
		t.Errorf("table %q", table)
	}
}
