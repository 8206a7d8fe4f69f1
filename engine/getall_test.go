package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
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

// sickDB fails or panics at reads of some keys, once it is told to.
type sickDB struct {
	engine.DB
	sick   atomic.Bool
	panics bool
}

func (d *sickDB) Get(key []byte) ([]byte, error) {
	switch {
	case !d.sick.Load() || !bytes.HasSuffix(key, []byte("k399")):
		return d.DB.Get(key)
	case d.panics:
		panic("a corrupt block")
	default:
		return nil, errors.New("a bad disk")
	}
}

// A disk that fails ends the group with its reason, and not the process, whichever goroutine reads.
func TestGetAllOfABadDisk(t *testing.T) {
	for _, panics := range []bool{false, true} {
		t.Run(fmt.Sprintf("panics %v", panics), func(t *testing.T) {
			var keys [][]byte
			for n := range 400 {
				keys = append(keys, fmt.Appendf(nil, "k%03d", n))
			}
			g := engine.Define("sick",
				engine.Input("in", text, engine.Typed(func(ctx engine.Context, _ string) error {
					engine.GetAll(ctx.Store("s"), keys)
					return nil
				})), engine.Store("s"))
			c := enginetest.NewCluster(t)
			c.CreateTopics(t, 1, g)
			cfg := c.Config(t)
			db := &sickDB{DB: cfg.DB, panics: panics}
			cfg.DB = db
			e := enginetest.StartConfig(t, cfg, g)
			db.sick.Store(true)
			c.Produce(t, "in", "k", "look", text)
			select {
			case <-e.Done():
			case <-enginetest.Context(t).Done():
				t.Fatal("the group goes on with a bad disk")
			}
			want := "a bad disk"
			if panics {
				want = "a corrupt block"
			}
			if err := e.Stop(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the group ended with %v, want %q", err, want)
			}
		})
	}
}
