package engine_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// answering emits "ok" for each record but those that are refused.
func answering(group goka.Group, edges ...goka.Edge) *engine.Graph {
	return engine.Define(group, append([]goka.Edge{
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if len(msg) > 1000 || msg == "bad" {
				return engine.Poison("it is refused")
			}
			ctx.Emit("out", ctx.Key(), "ok")
			return nil
		})),
		goka.Output("out", text),
	}, edges...)...)
}

// TestDeadLetterTopicTakesLessThanTheRecord has topics as a broker makes them by default: a record that just fits into the
// input does not fit into the dead-letter topic with its reason. Its place is kept instead, and nobody waits behind it.
func TestDeadLetterTopicTakesLessThanTheRecord(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := answering("defaults")
	for _, e := range g.Edges() {
		c.CreateTopic(t, e.Topic, 1, nil)
	}
	c.Start(t, g)
	c.ProduceRaw(t, &kgo.Record{Topic: "in", Key: []byte("a"), Value: noise(1<<20 - 88)})
	c.Produce(t, "in", "b", "innocent", text)
	c.Consume(t, "out", 1)
	dead := c.Consume(t, "defaults.dlq", 1)[0]
	if header(dead, engine.HeaderDLQSource) != "in/0/0" || header(dead, "fl-dlq-reference") == "" {
		t.Errorf("dead letter %v", dead.Headers)
	}
}

// TestReactionThatKafkaRefuses has a group whose reaction to a dead letter writes what its topic does not take: the record
// is dead-lettered all the same.
func TestReactionThatKafkaRefuses(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := answering("reacting", goka.Output("small", text), engine.OnDeadLetter(func(ctx engine.Context, _ any, _ string, _ error) error {
		ctx.Emit("small", ctx.Key(), string(noise(5000)))
		return nil
	}))
	for _, e := range g.Edges() {
		config := map[string]string{}
		if e.Topic == "small" {
			config["max.message.bytes"] = "1000"
		}
		c.CreateTopic(t, e.Topic, 1, config)
	}
	c.Start(t, g)
	c.Produce(t, "in", "a", "bad", text)
	c.Produce(t, "in", "b", "innocent", text)
	c.Consume(t, "out", 1)
	if dead := c.Consume(t, "reacting.dlq", 1)[0]; string(dead.Value) != "bad" {
		t.Errorf("dead letter %q %v", dead.Value, dead.Headers)
	}
}

// TestRecordTooLargeToWait has a record behind a parked key that fits into the input and not into the retry store.
func TestRecordTooLargeToWait(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := answering("parking", engine.ParkKeys())
	c.CreateTopics(t, 1, g)
	c.Start(t, g)
	c.Produce(t, "in", "a", "bad", text)
	c.Consume(t, "parking.dlq", 1)
	c.ProduceRaw(t, &kgo.Record{Topic: "in", Key: []byte("a"), Value: bytes.Repeat([]byte("x"), engine.MaxProduceBytes-120)})
	c.Produce(t, "in", "b", "innocent", text)
	c.Consume(t, "out", 1)
	c.Consume(t, "parking.dlq", 2)
}

// mortalCodec takes the process away when it decodes "killer".
type mortalCodec struct{ die func() }

func (mortalCodec) Encode(v any) ([]byte, error) { return []byte(v.(string)), nil }
func (m mortalCodec) Decode(b []byte) (any, error) {
	if string(b) == "killer" {
		m.die()
	}
	return string(b), nil
}

// TestRecordThatKillsItsProcessIsNotDecodedAgain has a group that reacts to dead letters: the reaction gets no message of a
// record that processes died of.
func TestRecordThatKillsItsProcessIsNotDecodedAgain(t *testing.T) {
	c := enginetest.NewCluster(t)
	end := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer close(end)
	for deaths := 0; ; deaths++ {
		if deaths > 6 {
			t.Fatalf("still dies after %d deaths", deaths)
		}
		died, told := make(chan struct{}, 8), make(chan any, 8)
		p := &plug{}
		g := engine.Define("mortal-codec",
			engine.Input("in", mortalCodec{func() { p.pull(); died <- struct{}{}; <-end }}, engine.Typed(func(engine.Context, string) error { return nil })),
			engine.OnDeadLetter(func(_ engine.Context, msg any, _ string, _ error) error { told <- msg; return nil }))
		if deaths == 0 {
			c.CreateTopics(t, 1, g)
			c.Produce(t, "in", "a", "killer", text)
		}
		cfg := c.Config(t)
		cfg.InstanceID, cfg.EndTimeout, cfg.TransactionTimeout, cfg.Outside.Dial = "0", time.Second, time.Second, p.dial
		e, err := engine.New(cfg, g)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		running.Go(func() { _ = e.Run(ctx) })
		select {
		case <-died:
			cancel() // its goroutine waits in the codec until the test ends, as a dead process would not come back either
		case msg := <-told:
			cancel()
			if msg != nil {
				t.Errorf("the reaction got %v", msg)
			}
			return
		case <-enginetest.Context(t).Done():
			t.Fatal("nothing happens")
		}
	}
}

// TestRelayWhoseOutputIsRefused has a record whose output does not fit into its topic: it goes to the dead letters, and
// what is behind it goes on.
func TestRelayWhoseOutputIsRefused(t *testing.T) {
	c := enginetest.NewCluster(t)
	c.CreateTopic(t, "src", 1, nil)
	c.CreateTopic(t, "dst", 1, map[string]string{"max.message.bytes": "1000"})
	c.CreateTopic(t, "dead", 1, nil)
	r, err := engine.NewRelay(engine.RelayConfig{Brokers: c.Brokers(), Prefix: c.Prefix, Group: "relaying", DeadLetters: "dead",
		Handle: func(_ context.Context, in engine.Incoming) ([]engine.Record, error) {
			return []engine.Record{{Topic: "dst", Key: string(in.Key), Partition: -1, Msg: string(in.Value), Codec: text}}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer cancel()
	r.Follow([]string{"src"}, nil)
	c.ProduceRaw(t, &kgo.Record{Topic: "src", Key: []byte("a"), Value: noise(5000)}, &kgo.Record{Topic: "src", Key: []byte("b"), Value: []byte("fits")})
	if got := c.Consume(t, "dst", 1)[0]; string(got.Value) != "fits" {
		t.Errorf("relayed %q", got.Value)
	}
	if dead := c.Consume(t, "dead", 1)[0]; header(dead, engine.HeaderDLQSource) != "src/0/0" || len(dead.Value) != 5000 {
		t.Errorf("dead letter of %d bytes, %v", len(dead.Value), dead.Headers)
	}
}
