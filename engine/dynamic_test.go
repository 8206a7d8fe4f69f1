package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// courier emits each message to the topic that its key names, and tells in "out" when it cannot.
func courier() *engine.Graph {
	return engine.Define("courier",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			topic, blind := strings.CutPrefix(ctx.Key(), "blind:")
			err := engine.CanEmit(ctx, topic)
			if err == nil || blind {
				ctx.Emit(goka.Stream(topic), "", msg)
			}
			switch {
			case errors.Is(err, engine.ErrTopicNotAllowed):
				ctx.Emit("out", topic, "not allowed")
			case errors.Is(err, engine.ErrNoTopic):
				ctx.Emit("out", topic, "no topic")
			default:
				ctx.Emit("out", topic, "sent")
			}
			return err
		})),
		goka.Output("out", text),
		engine.EmitsDynamic("external", text, func(topic string) bool { return strings.HasPrefix(topic, "ext.") || topic == "courier-engine" }),
	)
}

func TestEmitsDynamic(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := courier()
	c.CreateTopics(t, 1, g)
	c.CreateTopic(t, "ext.there", 2, nil)
	c.CreateTopic(t, "ext.vanishes", 1, nil)
	c.Start(t, g)
	send := func(topic, msg string) { c.Produce(t, "in", topic, msg, text) }
	send("ext.there", "one")
	send("ext.vanishes", "two")
	c.Consume(t, "out", 2)
	if r := c.Consume(t, "ext.there", 1)[0]; string(r.Value) != "one" || r.Key != nil || header(r, engine.HeaderCause) != "in/0/0" {
		t.Errorf("emitted %q under %q, cause %q", r.Value, r.Key, header(r, engine.HeaderCause))
	}
	if _, err := c.Admin().DeleteTopics(enginetest.Context(t), c.Prefix+"ext.vanishes"); err != nil {
		t.Fatal(err)
	}
	send("ext.vanishes", "lost")      // thought to be there: costs aborts, then this record
	send("ext.missing", "x")          // asked first
	send("blind:ext.missing", "x")    // not asked
	send("blind:courier-engine", "x") // the group's own topic, whatever the function says
	send("blind:somewhere.else", "x") // not allowed
	send("ext.there", "three")        // goes on
	c.Drained(t, g)
	if got := c.Consume(t, "ext.there", 2); string(got[1].Value) != "three" {
		t.Errorf("second record %q", got[1].Value)
	}
	dead := map[string]string{}
	for _, r := range c.Consume(t, "courier.dlq", 5) {
		dead[string(r.Key)] = header(r, engine.HeaderDLQError)
	}
	for key, want := range map[string]string{
		"ext.vanishes": "UNKNOWN_TOPIC", "ext.missing": "there is no such topic", "blind:ext.missing": "there is no such topic",
		"blind:courier-engine": "may not emit", "blind:somewhere.else": "may not emit",
	} {
		if !strings.Contains(dead[key], want) {
			t.Errorf("%s is dead for %q, not %q", key, dead[key], want)
		}
	}
	for _, e := range g.Edges() {
		if e.Kind == engine.EdgeDynamic && e.Topic == "external" {
			return
		}
	}
	t.Error("the graph does not tell its dynamic edge")
}
