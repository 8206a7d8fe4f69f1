package engine_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// TestRecordThatKillsItsProcessIsDeadLetteredUnrun has a record whose callback takes the whole process away.
func TestRecordThatKillsItsProcessIsDeadLetteredUnrun(t *testing.T) {
	c := enginetest.NewCluster(t)
	var mu sync.Mutex
	var power *plug
	deaths := 0
	died := make(chan struct{}, 1)
	graph := func() *engine.Graph {
		return engine.Define("mortal",
			engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
				if msg == "killer" {
					mu.Lock()
					power.pull()
					deaths++
					mu.Unlock()
					died <- struct{}{}
					<-ctx.Context().Done()
				}
				ctx.Emit("out", ctx.Key(), msg)
				return nil
			})), goka.Output("out", text))
	}
	c.CreateTopics(t, 1, graph())
	for i := range 12 {
		msg := strconv.Itoa(i)
		if i == 5 {
			msg = "killer"
		}
		c.Produce(t, "in", "k"+msg, msg, text)
	}
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		c.Consume(t, "mortal.dlq", 1)
	}()
	for done := false; !done; {
		cfg := c.Config(t)
		cfg.InstanceID = "0"
		cfg.EndTimeout, cfg.TransactionTimeout = time.Second, time.Second
		p := &plug{}
		mu.Lock()
		power = p
		mu.Unlock()
		cfg.Outside.Dial = p.dial
		e := enginetest.Launch(t, cfg, graph())
		select {
		case <-died:
			_ = e.Stop() // a dead process says nothing
		case <-dead:
			done = true
		}
	}
	out := c.Consume(t, "out", 11)
	seen := map[string]int{}
	for _, r := range out {
		seen[string(r.Value)]++
	}
	for i := range 12 {
		want := 1
		if i == 5 {
			want = 0
		}
		if seen[strconv.Itoa(i)] != want {
			t.Errorf("record %d was emitted %d times, want %d", i, seen[strconv.Itoa(i)], want)
		}
	}
	d := c.Consume(t, "mortal.dlq", 1)[0]
	if string(d.Value) != "killer" || header(d, engine.HeaderDLQReason) != "kills its process" {
		t.Errorf("dead letter %s: %v", d.Value, d.Headers)
	}
	if deaths > 3+5 {
		t.Errorf("%d deaths, the range should have been halved", deaths)
	}
}
