package engine_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// wrongClock is a wall clock that is off by so much.
type wrongClock struct {
	mu  sync.Mutex
	off time.Duration
}

func (w *wrongClock) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.off)
}

func (w *wrongClock) set(off time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = off
}

// stamping emits its now, and keeps something under each key.
func stamping() *engine.Graph {
	return engine.Define("stamping",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			ctx.Store("s").Set([]byte(ctx.Key()), []byte(msg))
			ctx.Emit("out", ctx.Key(), strconv.FormatInt(ctx.Now().UnixMicro(), 10))
			return nil
		})), goka.Output("out", text), engine.Store("s"))
}

// A tool moves the group's offsets, which carry the clock, and the next owner's wall clock is an hour behind.
func TestNowSurvivesAMovedOffset(t *testing.T) {
	for _, disk := range []string{"kept", "empty"} {
		t.Run(disk, func(t *testing.T) {
			c := enginetest.NewCluster(t)
			c.CreateTopics(t, 1, stamping())
			cfg := c.Config(t)
			e := enginetest.StartConfig(t, cfg, stamping())
			for range 3 {
				c.Produce(t, "in", "k", "m", text)
			}
			c.Drained(t, stamping())
			if err := e.Stop(); err != nil {
				t.Fatal(err)
			}
			ctx := enginetest.Context(t)
			at, err := c.Admin().FetchOffsets(ctx, "stamping")
			if err != nil {
				t.Fatal(err)
			}
			moved := kadm.Offsets{}
			at.Each(func(o kadm.OffsetResponse) {
				o.Metadata = "moved by hand"
				if o.Topic == "in" {
					o.At-- // its last record is run again, as whoever moved it wants
				}
				moved.Add(o.Offset)
			})
			if err := c.Admin().CommitAllOffsets(ctx, "stamping", moved); err != nil {
				t.Fatal(err)
			}
			late := c.Config(t)
			if disk == "kept" {
				late.DB = cfg.DB
			}
			late.Outside.Now = (&wrongClock{off: -time.Hour}).now
			enginetest.StartConfig(t, late, stamping())
			c.Produce(t, "in", "k", "m", text)
			last := int64(0)
			for i, r := range c.Consume(t, "out", 5) {
				now, err := strconv.ParseInt(string(r.Value), 10, 64)
				if err != nil || now < last {
					t.Errorf("output %d: now is %d after %d (%v)", i, now, last, err)
				}
				last = now
			}
		})
	}
}

// A wall clock that is set back delays neither retries nor timers, and does not take now back.
func TestClockThatIsSetBack(t *testing.T) {
	c := enginetest.NewCluster(t)
	w := &wrongClock{off: time.Hour}
	tries := 0
	g := engine.Define("back",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if tries++; msg == "again" && tries < 3 {
				return engine.Retry(20*time.Millisecond, errors.New("again"))
			}
			ctx.SetTimer("t", ctx.Now().Add(20*time.Millisecond), strconv.FormatInt(ctx.Now().UnixMicro(), 10))
			return nil
		})),
		engine.Loop(text, engine.Typed(func(ctx engine.Context, msg string) error {
			ctx.Emit("out", ctx.Key(), msg+" "+strconv.FormatInt(ctx.Now().UnixMicro(), 10))
			return nil
		})), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	cfg := c.Config(t)
	cfg.Outside.Now = w.now
	enginetest.StartConfig(t, cfg, g)
	c.Produce(t, "in", "a", "once", text)
	first := string(c.Consume(t, "out", 1)[0].Value)
	w.set(0)
	c.Produce(t, "in", "b", "again", text)
	if second := string(c.Consume(t, "out", 2)[1].Value); second <= first {
		t.Errorf("%s after %s", second, first)
	}
}

// A partition's clock never goes back, runs at half speed while it is ahead, and at the wall's when it is not.
func TestPartitionClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := engine.NewClock(1_000_000)
		for _, step := range []struct {
			after time.Duration
			wall  int64
			want  int64
		}{
			{0, 0, 1_000_001},
			{time.Second, 0, 1_500_001},
			{time.Second, 1_900_000, 2_000_001},
			{time.Second, 2_900_000, 2_900_000},
			{time.Second, 3_900_000, 3_900_000},
			{time.Millisecond, 100, 3_900_500},
		} {
			<-time.After(step.after) // virtual
			if got := c.Tick(step.wall); got != step.want {
				t.Errorf("after %s at %d: %d, want %d", step.after, step.wall, got, step.want)
			}
		}
		if got := c.Until(3_901_500, 0); got != 1998*time.Microsecond {
			t.Errorf("due in %s, want 1.998ms", got)
		}
	})
}
