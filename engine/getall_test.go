package engine_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// Many keys at once are what each alone is: written in this transaction, committed before, dropped, or never there; and after a
// restart, when nothing is in memory.
func TestGetAll(t *testing.T) {
	const many = 400
	key := func(n int) []byte { return fmt.Appendf(nil, "k%03d", n) }
	graph := func() *engine.Graph {
		return engine.Define("readers",
			engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
				store := ctx.Store("s")
				if msg == "write" {
					for n := 0; n < many; n += 2 {
						store.Set(key(n), fmt.Appendf(nil, "v%d", n))
					}
				}
				if msg == "change" {
					for n := 0; n < many; n += 8 {
						store.Set(key(n), []byte("changed"))
						store.Delete(key(n + 2))
					}
				}
				var keys [][]byte
				for n := range many {
					keys = append(keys, key(n))
				}
				there := 0
				for i, v := range engine.GetAll(store, keys) {
					if v != nil {
						there++
					}
					if want := store.Get(keys[i]); !bytes.Equal(v, want) || (v == nil) != (want == nil) {
						ctx.Emit("out", ctx.Key(), fmt.Sprintf("%s is %q and %q", keys[i], v, want))
					}
				}
				ctx.Emit("out", ctx.Key(), fmt.Sprint(there))
				return nil
			})), goka.Output("out", text), engine.Store("s"))
	}
	c := enginetest.NewCluster(t)
	c.CreateTopics(t, 1, graph())
	cfg := c.Config(t)
	e := enginetest.StartConfig(t, cfg, graph())
	for _, msg := range []string{"look", "write", "look", "change"} {
		c.Produce(t, "in", "k", msg, text)
	}
	c.Drained(t, graph())
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	enginetest.StartConfig(t, cfg, graph())
	c.Produce(t, "in", "k", "look", text)
	var got []string
	for _, r := range c.Consume(t, "out", 5) {
		got = append(got, string(r.Value))
	}
	if want := []string{"0", "200", "200", "150", "150"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
