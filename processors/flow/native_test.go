package flow_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/native"
	"github.com/fairleadio/fairlead/processors/flow"
)

// A flow of the hello application runs in a native program, by the same worker and with the same journal; its instances
// are dropped after each step, and replayed into the program.
func TestNativeProgram(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "hello")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	build.Dir = "../../apps/hello"
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	h, err := native.Listen(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	program := exec.CommandContext(ctx, bin)
	program.Env = append(os.Environ(), "FAIRLEAD_NATIVE="+h.Address())
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		_ = program.Wait() // it ends when the host is gone
		cancel()
	})

	for name, live := range map[string]int64{"kept": 0, "replayed": 1} {
		t.Run(name, func(t *testing.T) {
			w := worldWith(flow.Config{LiveBytes: live}, flow.FromNative(h))
			w.install("countdown", "a module")
			if _, err := w.start("countdown", "r", `{"n":3,"seconds":30}`); err != nil {
				t.Fatal(err)
			}
			if err := finish(w, plainly(w)); err != nil {
				t.Fatal(err)
			}
			w.worker.Close()
			var result struct {
				N            int
				Began, Ended time.Time
			}
			if err := json.Unmarshal(w.head(w.flowID("r")).GetResult(), &result); err != nil {
				t.Fatal(err)
			}
			if d := result.Ended.Sub(result.Began); result.N != 3 || d < 90*time.Second || d > 91*time.Second {
				t.Errorf("%+v took %s on the flow's clock", result, d)
			}
		})
	}
}
