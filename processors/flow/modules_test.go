package flow_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/processors/flow"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// slowSandbox compiles when the test lets it.
type slowSandbox struct {
	*fakeSandbox
	asked   chan struct{}
	proceed chan error
}

func (s slowSandbox) Install(ctx context.Context, wasm []byte) (flow.Module, error) {
	s.asked <- struct{}{}
	select {
	case err := <-s.proceed:
		if err != nil {
			return nil, err
		}
		return s.fakeSandbox.Install(ctx, wasm)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func slowWorld(cfg flow.Config) (*world, slowSandbox) {
	s := slowSandbox{newFakeSandbox(), make(chan struct{}, 10), make(chan error)}
	w := worldWith(cfg, s)
	w.install("pay", "done 1")
	return w, s
}

// A module that is being compiled holds nobody up: the flow looks again by a timer, as often as it takes and without a
// retry, which would be counted; the module is compiled once.
func TestModuleIsCompiledBesideTheWork(t *testing.T) {
	w, s := slowWorld(flow.Config{InstallWait: time.Millisecond})
	for _, request := range []string{"r1", "r2"} {
		if seen, err := w.start("pay", request, ""); err != nil {
			t.Fatalf("%v, %v", seen, err)
		}
	}
	<-s.asked
	for range 50 {
		w.nowUs = w.nextTimer()
		if _, err := w.idle(); err != nil {
			t.Fatal(err)
		}
	}
	for _, request := range []string{"r1", "r2"} {
		if got := w.head(w.flowID(request)).GetState(); got != flowv1.FlowState_FLOW_STATE_RUNNING {
			t.Errorf("%s is %s while its module is compiled", request, got)
		}
	}
	if n := len(w.retries); n != 0 {
		t.Errorf("%d records are tried again", n)
	}
	s.proceed <- nil
	w.worker.Close() // waits for the installation
	w.boot()
	settle(t, w, newNetwork(w))
	for _, request := range []string{"r1", "r2"} {
		if got := w.head(w.flowID(request)).GetState(); got != flowv1.FlowState_FLOW_STATE_COMPLETED {
			t.Errorf("%s is %s", request, got)
		}
	}
	if n := len(s.asked); n != 0 {
		t.Errorf("the module was compiled %d times more", n)
	}
	w.worker.Close()
}

// What the machine did wrong is tried again; what is wrong with the module is not.
func TestModuleIsCompiledAgainAfterTheMachinesFault(t *testing.T) {
	w, s := slowWorld(flow.Config{InstallWait: time.Minute})
	cpi := w.cpis["CPI"].(*cpiv1.Cpi)
	w.worker.Changed(cpi)
	<-s.asked
	s.proceed <- errors.New("disk full")
	w.worker.Close()
	w.boot()
	done := make(chan []string)
	go func() {
		seen, err := w.start("pay", "r1", "")
		if err != nil {
			seen = append(seen, err.Error())
		}
		done <- seen
	}()
	<-s.asked
	s.proceed <- nil
	seen := <-done
	if w.head(w.flowID("r1")).GetState() != flowv1.FlowState_FLOW_STATE_COMPLETED {
		t.Errorf("%v", seen)
	}
	w.worker.Close()
}

// A record that is late already when the worker begins, as after a minute without any worker, waits for the compiler as
// every other: it is not given up at the first look.
func TestLateRecordsWaitForTheCompiler(t *testing.T) {
	w, s := slowWorld(flow.Config{InstallWait: time.Millisecond})
	w.install("pay", "sleep 1s\ndone 1")
	if seen, err := w.start("pay", "r1", ""); err != nil {
		t.Fatalf("%v, %v", seen, err)
	}
	<-s.asked
	look := func() *flowv1.Checkpoint {
		t.Helper()
		w.nowUs += time.Second.Microseconds()
		if _, err := w.idle(); err != nil {
			t.Fatal(err)
		}
		return w.head(w.flowID("r1"))
	}
	for range 3 { // again and again
		w.nowUs += (10 * time.Minute).Microseconds()
		if head := look(); head.GetState() != flowv1.FlowState_FLOW_STATE_RUNNING || head.GetPause() != nil || head.GetStep() != 0 {
			t.Fatal(head)
		}
	}
	s.proceed <- nil
	for look().GetStep() == 0 {
		runtime.Gosched() // until the installation is noticed
	}
	// The process dies, and the next one looks at the timer when it is long due.
	w.crash()
	clear(s.modules)
	w.nowUs += (10 * time.Minute).Microseconds()
	if _, err := w.idle(); err != nil {
		t.Fatal(err)
	}
	<-s.asked
	if head := w.head(w.flowID("r1")); head.GetPause() != nil {
		t.Fatalf("the flow is parked: %s", head.GetPause().GetReason())
	}
	s.proceed <- nil
	for look().GetState() == flowv1.FlowState_FLOW_STATE_RUNNING {
		runtime.Gosched()
	}
	if head := w.head(w.flowID("r1")); head.GetState() != flowv1.FlowState_FLOW_STATE_COMPLETED {
		t.Errorf("the flow is %s: %v", head.GetState(), head.GetError())
	}
	w.worker.Close()
}

// A worker that closes does not wait for a compiler that does not come back by itself.
func TestCloseStopsInstallations(t *testing.T) {
	w, s := slowWorld(flow.Config{InstallWait: time.Millisecond})
	w.worker.Changed(w.cpis["CPI"].(*cpiv1.Cpi))
	<-s.asked
	w.worker.Close()
	if _, err := w.start("pay", "r1", ""); err != nil {
		t.Fatal(err)
	}
}

// A long journal is dropped in several transactions, all of it.
func TestLongJournalIsForgotten(t *testing.T) {
	w := newWorld(flow.Config{MaxStepsPerEvent: 2000, MaxRequestsPerStep: 2000})
	w.install("long", strings.Repeat("sleep 0s\n", 6000)+"done 1")
	if _, err := w.start("long", "r", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.idle(); err != nil {
		t.Fatal(err)
	}
	if n := len(w.state.store); n != 6002 {
		t.Fatalf("the journal has %d rows", n)
	}
	w.nowUs += (8 * 24 * time.Hour).Microseconds()
	if _, err := w.idle(); err != nil {
		t.Fatal(err)
	}
	if len(w.state.store) != 0 || len(w.state.table) != 0 {
		t.Errorf("%d rows and %d heads are left", len(w.state.store), len(w.state.table))
	}
	w.worker.Close()
}

// A module that no package names any more stays while a flow in memory uses it, goes with the last of them, and comes
// back for a flow that waited without an instance.
func TestUnnamedModulesGo(t *testing.T) {
	w := newWorld(flow.Config{})
	w.install("pay", "sleep 10s\nsleep 10s\ndone 1")
	old := [32]byte(w.cpis["CPI"].(*cpiv1.Cpi).GetModules()[0].GetSha256())
	changed := func() { w.worker.Changed(w.cpis["CPI"].(*cpiv1.Cpi)) }
	here := func(want bool, when string) {
		t.Helper()
		if _, ok := w.sandbox.Module(old); ok != want {
			t.Fatalf("%s: the module is there: %v, want %v", when, ok, want)
		}
	}
	pass := func(n int) {
		t.Helper()
		for range n {
			w.nowUs += (10 * time.Second).Microseconds()
			if _, err := w.idle(); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := func(request string) {
		t.Helper()
		if _, err := w.start("pay", request, ""); err != nil {
			t.Fatal(err)
		}
	}
	changed()
	start("r1")
	start("r2")
	w.install("pay", "done 2")
	changed()
	here(true, "two flows in memory use it")
	pass(1)
	flow.Drop(w.worker, 0, w.flowID("r2")) // its instance is lost; it waits in its journal alone
	pass(1)
	here(false, "both flows have ended")
	for _, request := range []string{"r1", "r2"} {
		if got := w.head(w.flowID(request)).GetState(); got != flowv1.FlowState_FLOW_STATE_COMPLETED {
			t.Errorf("%s is %s", request, got)
		}
	}

	// Nobody in memory uses it when its name goes; the waiting flow gets it again.
	w.install("pay", "sleep 10s\nsleep 10s\ndone 1")
	changed()
	start("r3")
	flow.Lose(w.worker, 0)
	w.install("pay", "done 2")
	changed()
	here(false, "the flow that needs it waits without an instance")
	pass(2)
	if got := w.head(w.flowID("r3")).GetState(); got != flowv1.FlowState_FLOW_STATE_COMPLETED {
		t.Errorf("r3 is %s", got)
	}
	here(false, "the last flow has ended")
	w.worker.Close()
}
