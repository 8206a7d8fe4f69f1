package engine_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginepb"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// A record that kills its process is in hand in one session, and an innocent one in another, of the same group or of another
// group in the same process: only the killer is dead-lettered.
func TestKillerTakesNobodyWithIt(t *testing.T) {
	t.Run("of another session", func(t *testing.T) {
		killedTogether(t, 2, func(at *lives) []*engine.Graph { return []*engine.Graph{at.graph("one", "in")} })
	})
	t.Run("of another group", func(t *testing.T) {
		killedTogether(t, 1, func(at *lives) []*engine.Graph {
			return []*engine.Graph{at.graph("one", "in"), at.graph("two", "other")}
		})
	})
}

// lives are those of a process, one after the other.
type lives struct {
	mu    sync.Mutex
	power *plug
	died  chan struct{} // in this life
}

func (l *lives) now() (power *plug, died chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.power, l.died
}

func (l *lives) next() (power *plug, died chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.power, l.died = &plug{}, make(chan struct{})
	return l.power, l.died
}

// end kills the process of a life, once.
func (l *lives) end(power *plug, died chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	power.pull()
	select {
	case <-died:
	default:
		close(died)
	}
}

func (l *lives) graph(group goka.Group, input goka.Stream) *engine.Graph {
	return engine.Define(group, engine.Input(input, text, engine.Typed(func(ctx engine.Context, msg string) error {
		power, died := l.now()
		switch msg {
		case "killer":
			l.end(power, died)
			<-ctx.Context().Done()
		case "innocent": // is slow, so that the killer's turn comes while it is in hand, if it may
			select {
			case <-died:
				<-ctx.Context().Done()
			case <-time.After(time.Second):
			}
		}
		ctx.Emit("out", ctx.Key(), msg)
		return nil
	})), goka.Output("out", text))
}

func killedTogether(t *testing.T, sessions int, graphs func(*lives) []*engine.Graph) {
	c := enginetest.NewCluster(t)
	at := &lives{}
	c.CreateTopics(t, int32(sessions), graphs(at)...)
	topics := []string{"in", "in"}
	if sessions == 1 {
		topics[1] = "other"
	}
	// Which partition a key goes to, other records find out.
	first := c.Produce(t, topics[0], "0", "filler", text)
	key, fillers := "", 1
	for different := false; !different; fillers++ {
		key = strconv.Itoa(fillers)
		different = c.Produce(t, topics[1], key, "filler", text).Partition != first.Partition || sessions == 1
	}
	c.Produce(t, topics[0], "0", "killer", text)
	c.Produce(t, topics[1], key, "innocent", text)
	judged := make(chan struct{})
	go func() {
		defer close(judged)
		c.Consume(t, "one.dlq", 1)
		c.ConsumeUntil(t, "out", func(out []*kgoRecord) bool {
			return slices.ContainsFunc(out, func(r *kgoRecord) bool { return string(r.Value) == "innocent" })
		})
	}()
	for alive := true; alive; {
		power, died := at.next()
		trials := engine.NewTrials()
		var running []*enginetest.Engine
		for _, g := range graphs(at) {
			cfg := c.Config(t)
			cfg.Sessions, cfg.InstanceID, cfg.Trials = sessions, "0", trials
			cfg.EndTimeout, cfg.TransactionTimeout = time.Second, time.Second
			cfg.Outside.Dial = power.dial
			running = append(running, enginetest.Launch(t, cfg, g))
		}
		select {
		case <-died:
		case <-judged:
			alive = false
		}
		for _, e := range running {
			_ = e.Stop() // a dead process says nothing
		}
	}
	if d := c.Consume(t, "one.dlq", 1)[0]; string(d.Value) != "killer" || header(d, engine.HeaderDLQReason) != "kills its process" {
		t.Errorf("dead letter %s: %v", d.Value, d.Headers)
	}
}

// A death counts against a record only when that was alone in hand: after one that two records were in hand at, each is run
// once more, alone, before it is given up.
func TestDeathOfTwoCountsAgainstNeither(t *testing.T) {
	t.Run("of two", func(t *testing.T) { diesOfTwo(t, false) })
	t.Run("of one that was taken back before", func(t *testing.T) { diesOfTwo(t, true) })
}

func diesOfTwo(t *testing.T, acquitted bool) {
	c := enginetest.NewCluster(t)
	at := &lives{}
	var mu sync.Mutex
	deaths := map[int]int{} // by how many records were in hand
	graph := func() *engine.Graph {
		return engine.Define("pair", engine.Batch("in", text, engine.BatchOptions{}, func(ctx context.Context, items []engine.Item[string]) []error {
			mu.Lock()
			deaths[len(items)]++
			mu.Unlock()
			at.end(at.now())
			<-ctx.Done()
			return make([]error, len(items))
		}))
	}
	c.CreateTopics(t, 2, graph())
	keys, partitions := map[int]string{}, kgo.StickyKeyPartitioner(nil).ForTopic("in")
	for i := 0; len(keys) < 2; i++ {
		key := strconv.Itoa(i)
		keys[partitions.Partition(&kgo.Record{Key: []byte(key)}, 2)] = key
	}
	var offsets kadm.Offsets // as an owner leaves them that died
	for p, key := range keys {
		c.Produce(t, "in", key, "killer", text)
		offsets.AddOffset("in", int32(p), 0, -1)
		offsets.AddOffset("pair-loop", int32(p), 0, -1)
	}
	if err := c.Admin().CommitAllOffsets(enginetest.Context(t), "pair", offsets); err != nil {
		t.Fatal(err)
	}
	if acquitted {
		c.ProduceRaw(t, row(t, "pair-engine", 's', "in", "", &enginepb.SuspectRow{Topic: "in", Process: "dead"}))
	}
	judged := make(chan struct{})
	go func() {
		defer close(judged)
		c.Consume(t, "pair.dlq", 2)
	}()
	for alive := true; alive; {
		power, died := at.next()
		cfg := c.Config(t)
		cfg.InstanceID, cfg.CrashLimit = "0", 1
		cfg.EndTimeout, cfg.TransactionTimeout = time.Second, time.Second
		cfg.Outside.Dial = power.dial
		e := enginetest.Launch(t, cfg, graph())
		select {
		case <-died:
		case <-judged:
			alive = false
		}
		_ = e.Stop() // a dead process says nothing
	}
	if deaths[1] != 2 { // also if a client hands them over one by one
		t.Errorf("%d deaths of one, want 2; %d of two", deaths[1], deaths[2])
	}
}
