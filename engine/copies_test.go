package engine_test

import (
	"strings"
	"testing"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// asking answers with what a lookup and a join say.
func asking() *engine.Graph {
	return engine.Define("asking",
		engine.Input("asks", text, engine.Typed(func(ctx engine.Context, _ string) error {
			joined, _ := ctx.Join("joined").(string)
			looked, _ := ctx.Lookup("looked", "k").(string)
			ctx.Emit("answers", ctx.Key(), joined+"/"+looked)
			return nil
		})),
		goka.Join("joined", text), goka.Lookup("looked", text), goka.Output("answers", text))
}

// remake deletes a topic and makes it again.
func remake(t *testing.T, c *enginetest.Cluster, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		if _, err := c.Admin().DeleteTopics(enginetest.Context(t), c.Prefix+topic); err != nil {
			t.Fatal(err)
		}
		c.CreateTopic(t, topic, 1, map[string]string{"cleanup.policy": "compact"})
	}
}

// write writes a record by a client of its own: one that knew the topic before it was made again refuses it.
func write(t *testing.T, c *enginetest.Cluster, topic, key, msg string) {
	t.Helper()
	p, err := engine.NewProducer(engine.ProducerConfig{Brokers: c.Brokers(), Prefix: c.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Produce(enginetest.Context(t), engine.Record{Topic: topic, Key: key, Partition: -1, Msg: msg, Codec: text}); err != nil {
		t.Fatal(err)
	}
}

// A looked-up or joined topic that was made again shows nothing of what it held before.
func TestCopyOfATopicThatWasMadeAgain(t *testing.T) {
	c := enginetest.NewCluster(t)
	c.CreateTopics(t, 1, asking())
	c.Produce(t, "joined", "k", "old", text)
	c.Produce(t, "looked", "k", "old", text)
	cfg := c.Config(t)
	cfg.InstanceID = "0"
	e := enginetest.StartConfig(t, cfg, asking())
	c.Produce(t, "asks", "k", "?", text)
	if a := c.Consume(t, "answers", 1)[0]; string(a.Value) != "old/old" {
		t.Fatalf("answer %s", a.Value)
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	remake(t, c, "joined", "looked")
	for range 2 { // as many records as before, so that no offset gives it away
		write(t, c, "joined", "other", "new")
		write(t, c, "looked", "other", "new")
	}
	e = enginetest.StartConfig(t, cfg, asking())
	c.Produce(t, "asks", "k", "?", text)
	if a := c.Consume(t, "answers", 2)[1]; string(a.Value) != "/" {
		t.Errorf("answer %s from topics that do not hold the key", a.Value)
	}
	// While it runs, a topic that is made again ends it; the next process begins the copy anew.
	remake(t, c, "looked")
	write(t, c, "looked", "k", "newest")
	<-e.Done()
	if err := e.Stop(); err == nil || !strings.Contains(err.Error(), "made again") {
		t.Errorf("error: %v", err)
	}
	enginetest.StartConfig(t, cfg, asking())
	c.Produce(t, "asks", "k", "?", text)
	if a := c.Consume(t, "answers", 3)[2]; string(a.Value) != "/newest" {
		t.Errorf("answer %s", a.Value)
	}
}

// Groups of the same name under two prefixes may share a database.
func TestTwoPrefixesInOneDatabase(t *testing.T) {
	c := enginetest.NewCluster(t)
	db := c.Config(t).DB
	for _, prefix := range []string{"x.", "y."} {
		c.Prefix = prefix
		c.CreateTopics(t, 1, counter())
		cfg := c.Config(t)
		cfg.DB = db
		enginetest.StartConfig(t, cfg, counter())
		c.Produce(t, "in", "k", prefix, text)
		if out := c.Consume(t, "out", 1)[0]; string(out.Value) != "1" {
			t.Errorf("%s counts %s, want 1", prefix, out.Value)
		}
	}
	for _, prefix := range []string{"x.", "y."} {
		rows, _, found, err := engine.LocalRows(db, prefix+"counter-store-seen", 0)
		if err != nil || !found || string(rows["k/001"]) != prefix {
			t.Errorf("%s: %q (%v)", prefix, rows, err)
		}
	}
}

// TestSessionsKeepCopiesOfTheirOwn of what they look up: goka reads it once for each, and one that is behind must not
// write over what another has read. A joined partition is one session's at a time, and its copy goes with it.
func TestSessionsKeepCopiesOfTheirOwn(t *testing.T) {
	c := enginetest.NewCluster(t)
	e, err := engine.New(c.Config(t), asking())
	if err != nil {
		t.Fatal(err)
	}
	if engine.CopyPrefix(e, 0, "looked") == engine.CopyPrefix(e, 1, "looked") {
		t.Error("two sessions share the copy of a lookup")
	}
	if engine.CopyPrefix(e, 0, "joined") != engine.CopyPrefix(e, 1, "joined") {
		t.Error("the copy of a joined partition does not go with it")
	}
}
