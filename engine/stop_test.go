package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// TestStopWhileABrokerDoesNotAnswer stops a process with a batch in hand and a record under way to a broker that is silent
// for longer than ending may take: nothing of the batch is committed, and it is run by the next process.
func TestStopWhileABrokerDoesNotAnswer(t *testing.T) {
	c := enginetest.NewCluster(t)
	started, hangs, release := make(chan struct{}, 8), make(chan struct{}, 8), make(chan struct{})
	var silent, again atomic.Bool
	produce := int16(0)
	c.Fake.ControlKey(produce, func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake.KeepControl()
		// The engine's records alone: the test's own are in no transaction.
		if r.(*kmsg.ProduceRequest).TransactionID != nil && silent.Load() {
			c.Fake.SleepControl(func() {
				hangs <- struct{}{}
				<-release
			})
		}
		return nil, nil, false
	})
	g := func() *engine.Graph {
		return engine.Define("hung",
			engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
				if msg == "one" && !again.Load() {
					silent.Store(true) // before the record leaves: set by the test, it may come too late to stop it
				}
				ctx.Emit("out", ctx.Key(), msg)
				if msg == "two" && !again.Load() {
					started <- struct{}{}
					<-ctx.Context().Done() // a slow call to something outside
				}
				return nil
			})), goka.Output("out", text))
	}
	c.CreateTopics(t, 1, g())
	cfg := c.Config(t)
	cfg.InstanceID, cfg.EndTimeout, cfg.LeaveOnStop = "0", time.Second, true
	e := enginetest.StartConfig(t, cfg, g())
	c.Produce(t, "in", "a", "zero", text)
	c.Consume(t, "out", 1)
	c.ProduceRaw(t, &kgo.Record{Topic: "in", Key: []byte("a"), Value: []byte("one")}, &kgo.Record{Topic: "in", Key: []byte("b"), Value: []byte("two")})
	for _, c := range []chan struct{}{started, hangs} {
		select {
		case <-c:
		case <-enginetest.Context(t).Done():
			t.Fatal("no batch in hand with a record under way")
		}
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	silent.Store(false)
	close(release)
	again.Store(true)
	cfg = c.Config(t)
	cfg.InstanceID = "0"
	enginetest.StartConfig(t, cfg, g())
	c.Produce(t, "in", "a", "three", text)
	out := c.ConsumeUntil(t, "out", func(r []*kgo.Record) bool { return len(r) > 0 && string(r[len(r)-1].Value) == "three" })
	if got := values(out); !slices.Equal(got, []string{"zero", "one", "two", "three"}) {
		t.Errorf("emitted %v", got)
	}
}

// TestStopWhileTheBufferIsFull stops a process whose callbacks wait for room among the records for brokers that are away.
func TestStopWhileTheBufferIsFull(t *testing.T) {
	c := enginetest.NewCluster(t)
	p := &plug{}
	var begun atomic.Int32
	g := engine.Define("full",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, _ string) error {
			if begun.Add(1) == 1 {
				p.pull()
			}
			for range 20 {
				ctx.Emit("out", ctx.Key(), strings.Repeat("x", 1<<20))
			}
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	cfg := c.Config(t)
	cfg.InstanceID, cfg.EndTimeout, cfg.Outside.Dial = "0", time.Second, p.dial
	e := enginetest.StartConfig(t, cfg, g)
	recs := make([]*kgo.Record, 12)
	for i := range recs {
		recs[i] = &kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte("m")}
	}
	c.ProduceRaw(t, recs...)
	// 128 MiB are the most that wait: the seventh callback does not end.
	for begun.Load() < 7 {
		select {
		case <-enginetest.Context(t).Done():
			t.Fatalf("%d callbacks have begun", begun.Load())
		case <-time.After(10 * time.Millisecond):
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-enginetest.Context(t).Done():
		t.Error("the engine does not stop")
	}
}

// TestWaitReadyTellsWhyThereIsNothingToWaitFor has a group whose topics nobody made.
func TestWaitReadyTellsWhyThereIsNothingToWaitFor(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("missing", engine.Input("in", text, engine.Typed(func(engine.Context, string) error { return nil })))
	cfg := c.Config(t)
	cfg.TopicWait = time.Millisecond
	e := enginetest.Launch(t, cfg, g)
	ctx, cancel := context.WithTimeout(t.Context(), enginetest.Wait)
	defer cancel()
	var missing *engine.MissingTopicsError
	if err := e.WaitReady(ctx); !errors.As(err, &missing) {
		t.Errorf("WaitReady says %v", err)
	}
	if err := e.Stop(); !errors.As(err, &missing) {
		t.Errorf("Run says %v", err)
	}
}
