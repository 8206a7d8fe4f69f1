package engine_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// TestPlainGokaGraphRunsUnchanged runs callbacks written for goka, one of which fails as goka's do.
func TestPlainGokaGraphRunsUnchanged(t *testing.T) {
	c := enginetest.NewCluster(t)
	graph := func() *engine.Graph {
		return engine.FromGoka(goka.DefineGroup("plain",
			goka.Input("in", text, func(ctx goka.Context, msg any) {
				if msg == "fail" {
					ctx.Fail(errors.New("as goka fails"))
				}
				n := 0
				if v, ok := ctx.Value().(string); ok {
					n, _ = strconv.Atoi(v)
				}
				ctx.SetValue(strconv.Itoa(n + 1))
				ctx.Emit("out", ctx.Key(), msg)
				ctx.Loopback("echo-"+ctx.Key(), msg)
			}),
			goka.Loop(text, func(ctx goka.Context, msg any) { ctx.Emit("out", ctx.Key(), msg) }),
			goka.Output("out", text), goka.Persist(text)))
	}
	c.CreateTopics(t, 2, graph())
	for i := range 10 {
		msg := strconv.Itoa(i)
		if i == 4 {
			msg = "fail"
		}
		c.Produce(t, "in", "k", msg, text)
	}
	e := c.Start(t, graph())
	out := c.Consume(t, "out", 18)
	order := ""
	for _, r := range out {
		if string(r.Key) == "k" {
			order += string(r.Value)
		}
		if header(r, engine.HeaderCause) == "" {
			t.Errorf("record without cause: %v", r.Headers)
		}
	}
	if order != "012356789" {
		t.Errorf("order %s", order)
	}
	if dead := c.Consume(t, "plain.dlq", 1); string(dead[0].Value) != "fail" {
		t.Errorf("dead letter %s", dead[0].Value)
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if table := c.Fold(t, "plain-table"); string(table["k"]) != "9" {
		t.Errorf("table %q", table)
	}
}

// TestJoinAndLookup reads tables that another group keeps, whose logs end in transaction markers.
func TestJoinAndLookup(t *testing.T) {
	c := enginetest.NewCluster(t)
	names := engine.Define("names",
		engine.Input("names-in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			ctx.SetValue(msg)
			return nil
		})), goka.Persist(text))
	asking := func() *engine.Graph {
		return engine.Define("asking",
			engine.Input("asks", text, engine.Typed(func(ctx engine.Context, _ string) error {
				joined, _ := ctx.Join("names-table").(string)
				looked, _ := ctx.Lookup("names-table2", "fixed").(string)
				ctx.Emit("answers", ctx.Key(), joined+"/"+looked)
				return nil
			})),
			goka.Join("names-table", text), goka.Lookup("names-table2", text), goka.Output("answers", text))
	}
	c.CreateTopics(t, 2, names, asking())
	c.Produce(t, "names-table2", "fixed", "looked up", text)
	c.Start(t, names)
	for i := range 10 {
		c.Produce(t, "names-in", "k"+strconv.Itoa(i), "name "+strconv.Itoa(i), text)
	}
	c.Drained(t, names)
	c.Start(t, asking())
	c.Produce(t, "asks", "k7", "?", text)
	if got := c.Consume(t, "answers", 1); string(got[0].Value) != "name 7/looked up" {
		t.Errorf("answer %s", got[0].Value)
	}
}

func TestViewFollowsAndCanBeWaitedFor(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := counter()
	c.CreateTopics(t, 3, g)
	c.Start(t, g)
	c.Produce(t, "in", "k1", "m", text)
	c.Drained(t, g)
	v, err := engine.NewView(engine.ViewConfig{Brokers: c.Brokers(), Topic: "counter-table", Codec: text})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(enginetest.Context(t))
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	if err := v.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if m, ok := v.Get("k1"); !ok || m != "1" {
		t.Errorf("k1 is %v, %v", m, ok)
	}
	for range 4 {
		c.Produce(t, "in", "k1", "m", text)
	}
	if _, err := v.WaitKey(ctx, "k1", func(m any, ok bool) bool { return ok && m == "5" }); err != nil {
		t.Error(err)
	}
	short, stop := context.WithTimeout(ctx, time.Millisecond)
	defer stop()
	if _, err := v.WaitKey(short, "k1", func(m any, _ bool) bool { return m == "99" }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting in vain: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMissingTopicsAreNamed(t *testing.T) {
	c := enginetest.NewCluster(t)
	cfg := c.Config(t)
	cfg.TopicWait = time.Millisecond
	e := enginetest.Launch(t, cfg, counter())
	<-e.Done()
	var missing *engine.MissingTopicsError
	if err := e.Stop(); !errors.As(err, &missing) || len(missing.Missing) != 7 {
		t.Errorf("error: %v", err)
	}
}

func TestDefinitionsAreChecked(t *testing.T) {
	in := func(topic string) goka.Edge { return engine.Input(goka.Stream(topic), text, nil) }
	for name, g := range map[string]*engine.Graph{
		"no input":     engine.Define("g", goka.Persist(text)),
		"input twice":  engine.Define("g", in("a"), in("a")),
		"store twice":  engine.Define("g", in("a"), engine.Store("s"), engine.Store("s")),
		"two loops":    engine.Define("g", in("a"), engine.Loop(text, nil), engine.Loop(text, nil)),
		"mixed inputs": engine.Define("g", in("a"), goka.Input("b", text, func(goka.Context, any) {})),
	} {
		if g.Err() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
