package flow_test

import (
	"os"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/processors/flow"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// A flow that was written in Rust is run by the worker like any other.
func TestRustGuest(t *testing.T) {
	wasm, err := os.ReadFile("../../sdk/guests/rust/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	r, err := sandbox.New(t.Context(), sandbox.Config{CacheDir: cacheDir})
	if err != nil {
		t.Fatal(err)
	}
	w := worldWith(flow.Config{InstallWait: time.Minute}, flow.FromSandbox(r))
	w.install("rust-hello", string(wasm))
	if _, err := w.start("rust-hello", "r", `"Bob"`); err != nil {
		t.Fatal(err)
	}
	if err := finish(w, plainly(w)); err != nil {
		t.Fatal(err)
	}
	w.worker.Close()
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	head := w.head(w.flowID("r"))
	if head.GetState() != flowv1.FlowState_FLOW_STATE_COMPLETED || string(head.GetResult()) != `"Hello, Bob!"` {
		t.Errorf("%v", head)
	}
}
