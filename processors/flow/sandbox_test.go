package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/internal/sandbox/wasmtest"
	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// cacheDir holds the modules that this run of the tests compiled.
var cacheDir string

func TestMain(m *testing.M) {
	dir, remove, err := wasmtest.Cache()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cacheDir = dir
	code := m.Run()
	if err := remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

var hello = sync.OnceValues(func() ([]byte, error) {
	return appbuild.Builder{}.Compile(context.Background(), "../../apps/hello")
})

// realSandbox is the sandbox with the hello application built for it.
func realSandbox(t *testing.T) (*sandbox.Runtime, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds an application")
	}
	wasm, err := hello()
	if err != nil {
		t.Fatal(err)
	}
	r, err := sandbox.New(t.Context(), sandbox.Config{CacheDir: cacheDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r, string(wasm)
}

// The flows of the hello application, in the real sandbox: a process that is killed around every record, and keeps no
// instance in memory, leaves the same bytes behind as one that runs undisturbed.
func TestRealGuest(t *testing.T) {
	r, wasm := realSandbox(t)
	for _, c := range []struct{ class, input, want string }{
		{"hello", `{"name":"Bob"}`, `"greeting":"Hello, Bob!"`},
		{"hello", `{}`, ""},
		{"countdown", `{"n":4,"seconds":1.5}`, `"n":4`},
		{"steps", `{"n":12}`, ""},
	} {
		t.Run(c.class+c.input, func(t *testing.T) {
			cfg := flow.Config{InstallWait: 10 * time.Minute, MaxStepsPerEvent: 5}
			calm := worldWith(cfg, flow.FromSandbox(r))
			run := func(w *world, each func(record) error) {
				t.Helper()
				w.install(c.class, wasm)
				if _, err := w.start(c.class, "r", c.input); err != nil {
					t.Fatal(err)
				}
				if err := finish(w, each); err != nil {
					t.Fatal(err)
				}
				w.worker.Close()
			}
			run(calm, plainly(calm))
			head := calm.head(calm.flowID("r"))
			if c.want != "" && !strings.Contains(string(head.GetResult()), c.want) {
				t.Fatalf("%s: %s %v", head.GetState(), head.GetResult(), head.GetError())
			}
			if c.input == `{}` && (head.GetState() != flowv1.FlowState_FLOW_STATE_FAILED || head.GetError().GetType() != "bad-input") {
				t.Fatalf("%s: %v", head.GetState(), head.GetError())
			}

			cfg.LiveBytes = 1
			storm := worldWith(cfg, flow.FromSandbox(r))
			run(storm, func(rec record) error {
				before, now := storm.state.clone(), storm.nowUs
				if _, err := storm.deliver(rec); err != nil {
					return err
				}
				storm.state, storm.nowUs = before, now
				storm.crash()
				if _, err := storm.deliver(rec); err != nil {
					return err
				}
				storm.crash()
				return nil
			})
			if d := difference(calm, storm); d != "" {
				t.Fatal(d)
			}

			j, err := calm.rows(calm.flowID("r"))
			if err != nil {
				t.Fatal(err)
			}
			start := j.Step(j.Line(), 0)[0].GetStart()
			m, ok := r.Module([32]byte(start.GetModuleSha256()))
			if !ok {
				t.Fatal("the module is gone")
			}
			inst, err := m.NewInstance(t.Context(), sandbox.Env{Seed: [32]byte(start.GetSeed())})
			if err != nil {
				t.Fatal(err)
			}
			defer inst.Release(t.Context())
			verdicts, err := journal.All(t.Context(), inst, j, j.Line(), 0, flow.IsGuestFault)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range verdicts {
				if v.Err != nil {
					t.Error(v.Err)
				}
			}
			if len(verdicts) != int(j.Last(j.Line())) {
				t.Errorf("%d of %d steps were replayed", len(verdicts), j.Last(j.Line()))
			}
		})
	}
}

// A flow sees its sleep pass on its own clock.
func TestRealGuestClock(t *testing.T) {
	r, wasm := realSandbox(t)
	w := worldWith(flow.Config{InstallWait: 10 * time.Minute}, flow.FromSandbox(r))
	w.install("countdown", wasm)
	if _, err := w.start("countdown", "r", `{"n":2,"seconds":30}`); err != nil {
		t.Fatal(err)
	}
	if err := finish(w, plainly(w)); err != nil {
		t.Fatal(err)
	}
	w.worker.Close()
	var result struct{ Began, Ended time.Time }
	if err := json.Unmarshal(w.head(w.flowID("r")).GetResult(), &result); err != nil {
		t.Fatal(err)
	}
	if d := result.Ended.Sub(result.Began); d < time.Minute || d > time.Minute+time.Second {
		t.Errorf("two sleeps of 30s took %s on the flow's clock", d)
	}
}

// BenchmarkResume is what a step costs with its instance in memory, and without.
func BenchmarkResume(b *testing.B) {
	wasm, err := hello()
	if err != nil {
		b.Fatal(err)
	}
	r, err := sandbox.New(b.Context(), sandbox.Config{CacheDir: cacheDir})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := r.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	for name, live := range map[string]int64{"live": 0, "replay of 10 steps": 1} {
		b.Run(name, func(b *testing.B) {
			w := worldWith(flow.Config{InstallWait: 10 * time.Minute, LiveBytes: live}, flow.FromSandbox(r))
			defer w.worker.Close()
			w.install("countdown", string(wasm))
			if _, err := w.start("countdown", "r", `{"n":1000}`); err != nil {
				b.Fatal(err)
			}
			work := func() {
				w.nowUs = w.nextTimer()
				rec, ok := w.next()
				if !ok {
					b.Fatal("nothing to do")
				}
				if _, err := w.deliver(rec); err != nil {
					b.Fatal(err)
				}
			}
			for range 9 {
				work()
			}
			state := w.state.clone()
			for b.Loop() {
				if live != 0 || w.head(w.flowID("r")).GetStep() > 900 {
					b.StopTimer()
					w.state = state.clone()
					b.StartTimer()
				}
				work()
			}
		})
	}
}

// BenchmarkStart is what a flow of one step costs, from start to end.
func BenchmarkStart(b *testing.B) {
	wasm, err := hello()
	if err != nil {
		b.Fatal(err)
	}
	r, err := sandbox.New(b.Context(), sandbox.Config{CacheDir: cacheDir})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := r.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	w := worldWith(flow.Config{InstallWait: 10 * time.Minute}, flow.FromSandbox(r))
	defer w.worker.Close()
	w.install("hello", string(wasm))
	start := func() {
		if _, err := w.start("hello", "r", `{"name":"Bob"}`); err != nil {
			b.Fatal(err)
		}
		w.state = emptyState()
		clear(w.names)
	}
	start() // compiles the module
	for b.Loop() {
		start()
	}
}
