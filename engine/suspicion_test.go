package engine_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginepb"
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

// While a range is under suspicion nothing else is run: what waits elsewhere would be run one by one.
func TestSuspectsAreRunBeforeOtherBacklogs(t *testing.T) {
	for n := range 6 { // which backlog a client hands over first is chance
		t.Run(strconv.Itoa(n), suspectsAreRunFirst)
	}
}

func suspectsAreRunFirst(t *testing.T) {
	c := enginetest.NewCluster(t)
	note := engine.Typed(func(ctx engine.Context, msg string) error {
		ctx.Emit("out", ctx.Key(), msg)
		return nil
	})
	g := engine.Define("focus", engine.Input("in", text, note), engine.Input("a", text, note), engine.Input("b", text, note),
		engine.Input("c", text, note), engine.Input("z", text, note), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	for i := range 8 {
		c.Produce(t, "in", "k", "in "+strconv.Itoa(i), text)
	}
	others := []string{"a", "b", "c", "z"}
	for i := range 40 {
		c.Produce(t, others[i%4], "k", "other "+strconv.Itoa(i), text)
	}
	c.ProduceRaw(t, row(t, "focus-engine", 's', "in", "", &enginepb.SuspectRow{Topic: "in", To: 5, Records: 2, Attempts: 1, Process: "dead"}))
	var at kadm.Offsets
	for _, topic := range append(others, "in", "focus-loop") {
		at.AddOffset(topic, 0, 0, -1)
	}
	if err := c.Admin().CommitAllOffsets(enginetest.Context(t), "focus", at); err != nil {
		t.Fatal(err)
	}
	c.Start(t, g)
	for i, r := range c.Consume(t, "out", 48)[:6] {
		if string(r.Value) != "in "+strconv.Itoa(i) {
			t.Fatalf("ran %q while records of in were under suspicion", r.Value)
		}
	}
}

// A range under suspicion whose records are gone does not stop the others.
func TestSuspectsThatAreGoneHoldNobodyUp(t *testing.T) {
	c := enginetest.NewCluster(t)
	emit := engine.Typed(func(ctx engine.Context, msg string) error {
		ctx.Emit("out", ctx.Key(), msg)
		return nil
	})
	g := engine.Define("gone", engine.Input("in", text, emit), engine.Input("other", text, emit), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	for i := range 3 {
		c.Produce(t, "other", "k", strconv.Itoa(i), text)
	}
	c.ProduceRaw(t, row(t, "gone-engine", 's', "in", "", &enginepb.SuspectRow{Topic: "in", To: 5, Records: 2, Attempts: 1, Process: "dead"}))
	var at kadm.Offsets
	for _, topic := range []string{"in", "other", "gone-loop"} {
		at.AddOffset(topic, 0, 0, -1)
	}
	if err := c.Admin().CommitAllOffsets(enginetest.Context(t), "gone", at); err != nil {
		t.Fatal(err)
	}
	c.Start(t, g)
	c.Consume(t, "out", 3)
}

// Retries that are due while only suspected ranges are fetched must not undo that batches became smaller: records that
// wait behind a retried one would never get in one by one, and the partition never pause for them.
func TestSuspectsBehindAFullQueue(t *testing.T) {
	c := enginetest.NewCluster(t)
	var runs atomic.Int32
	g := engine.Define("crowd", engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
		if msg == "0" && runs.Add(1) < 4 {
			return engine.Retry(time.Microsecond, errors.New("not yet"))
		}
		ctx.Emit("out", ctx.Key(), msg)
		return nil
	})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	for i := range 12 {
		c.Produce(t, "in", "k", strconv.Itoa(i), text)
	}
	c.ProduceRaw(t, row(t, "crowd-engine", 's', "in", "", &enginepb.SuspectRow{Topic: "in", To: 11, Records: 16, Attempts: 1, Process: "dead"}))
	var at kadm.Offsets
	at.AddOffset("in", 0, 0, -1)
	at.AddOffset("crowd-loop", 0, 0, -1)
	if err := c.Admin().CommitAllOffsets(enginetest.Context(t), "crowd", at); err != nil {
		t.Fatal(err)
	}
	cfg := c.Config(t)
	cfg.RetryQueue = 3
	enginetest.StartConfig(t, cfg, g)
	for i, r := range c.Consume(t, "out", 12) {
		if string(r.Value) != strconv.Itoa(i) {
			t.Errorf("record %d is %s", i, r.Value)
		}
	}
}
