package flowtest

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Step is one suspension of a flow.
type Step struct {
	// Requests are what the flow asked for together, for people: "sleep 1m0s", "send 12 bytes to O=Bob, L=Paris, C=FR".
	Requests []string
	// At is the flow's clock when it asked.
	At time.Time
}

// Outcome is what a flow did.
type Outcome struct {
	// Class is the flow's class.
	Class string
	// JSON is the result as the caller of the flow gets it; nil when the flow failed.
	JSON []byte
	// Err is why the flow failed; nil when it did not.
	Err *flow.Error
	// Steps are the flow's suspensions.
	Steps []Step
	// Log are the lines that the flow wrote to its log.
	Log []string
	// Began and Ended are the flow's clock at both ends.
	Began, Ended time.Time
}

// Result decodes the result into a pointer, and fails the test when the flow failed or the result does not fit.
func (o *Outcome) Result(t testing.TB, into any) {
	t.Helper()
	if o.Err != nil {
		t.Fatalf("flow %s failed: %s: %s", o.Class, o.Err.Type, o.Err.Message)
	}
	if err := json.Unmarshal(o.JSON, into); err != nil {
		t.Fatalf("the result %s of flow %s: %v", o.JSON, o.Class, err)
	}
}

// Flow is a flow that was started. Its function runs in a goroutine of its own, and only while the network lets it.
type Flow struct {
	m       *Member
	id      flow.ID
	start   *wire.Start
	fail    map[int]*flow.Error
	seed    [32]byte
	random  *rand.ChaCha8
	clock   time.Time
	ends    []*end
	outcome Outcome

	begun, ended bool
	ending       *wire.Yield // the flow's code is done, and only closes of its sessions are waited for
	open         []*request  // of the current step
	journal      []entry

	asking atomic.Bool
	toFlow chan []wire.Answer
	toNet  chan event
	quit   chan struct{} // closed when the flow is given up
	gone   chan struct{} // closed when its goroutine is gone
}

// event is what a flow's goroutine tells: what it asks, or how it ended.
type event struct {
	requests []wire.Request
	end      *wire.Yield // nil when its goroutine ended by itself, as t.FailNow does
	last     bool
}

// request is one thing that a flow waits for.
type request struct {
	operation wire.Operation
	end       *end
	asked     bool
	due       time.Time // when it is answered at the latest; zero for never
	answer    *wire.Answer
}

// entry is one step of a flow's journal.
type entry struct {
	requests []wire.Request
	answers  []wire.Answer
	clock    time.Time // when it was resumed
}

// ID is the flow's id.
func (f *Flow) ID() flow.ID { return f.id }

// Class is the flow's class.
func (f *Flow) Class() string { return f.start.FlowClass }

// Ended tells whether the flow has ended.
func (f *Flow) Ended() bool { return f.ended }

// Waiting is what the flow waits for, for people; nothing when it does not wait.
func (f *Flow) Waiting() []string {
	var out []string
	for _, q := range f.open {
		if q.answer == nil {
			out = append(out, describe(q.operation, f))
		}
	}
	if f.ending != nil && !f.ended {
		out = append(out, "the close of its sessions by the other side")
	}
	return out
}

// Wait runs the network until the flow has ended, and returns what it did. Other flows may still be running: responders
// that have work to do after their last message, for example; see [Network.Settle].
func (f *Flow) Wait() *Outcome {
	f.m.net.t.Helper()
	for !f.ended {
		if !f.m.net.turn() {
			f.m.net.t.Fatalf("flowtest: flow %s of %s waits for ever: %s", f.Class(), f.m.Name(), strings.Join(f.Waiting(), ", "))
		}
	}
	return &f.outcome
}

// goOn lets the flow run until it asks for something or ends.
func (f *Flow) goOn() {
	f.clock = later(f.clock, f.m.net.now)
	if !f.begun {
		f.begun = true
		go f.run()
	} else {
		answers := make([]wire.Answer, len(f.open))
		for i, q := range f.open {
			answers[i] = *q.answer
		}
		last := &f.journal[len(f.journal)-1]
		last.answers, last.clock = answers, f.clock
		f.open = nil
		f.toFlow <- answers
	}
	e := <-f.toNet
	f.m.net.now = later(f.m.net.now, f.clock)
	if e.last {
		f.finish(e.end)
		return
	}
	f.ask(e.requests)
}

// run is the flow's goroutine.
func (f *Flow) run() {
	defer close(f.gone)
	var y *wire.Yield
	defer func() {
		select {
		case f.toNet <- event{end: y, last: true}:
		case <-f.quit:
		}
	}()
	result := registry.Run((*host)(f), f.start)
	y = &result
}

// host is a flow as its function sees it.
type host Flow

// Exchange hands requests to the network and waits for their answers.
func (f *host) Exchange(requests []wire.Request) []wire.Answer {
	if !f.asking.CompareAndSwap(false, true) {
		panic("flow: another goroutine of this flow waits for the platform already; use flow.All to wait for several things")
	}
	defer f.asking.Store(false)
	select {
	case f.toNet <- event{requests: requests}:
	case <-f.quit:
		runtime.Goexit()
	}
	select {
	case answers := <-f.toFlow:
		return answers
	case <-f.quit:
		runtime.Goexit()
	}
	return nil
}

func (f *host) Now() time.Time {
	f.clock = f.clock.Add(time.Microsecond)
	return f.clock
}

func (f *host) Random(b []byte) { _, _ = f.random.Read(b) } // never fails

func (f *host) Log(line string) {
	f.outcome.Log = append(f.outcome.Log, line)
	f.m.net.t.Logf("%s %s: %s", f.m.Name(), f.start.FlowClass, strings.TrimSpace(line))
}

// ask takes the requests of a step.
func (f *Flow) ask(requests []wire.Request) {
	step := Step{At: f.clock}
	for _, r := range requests {
		step.Requests = append(step.Requests, describe(r.Operation, f))
	}
	f.outcome.Steps = append(f.outcome.Steps, step)
	f.journal = append(f.journal, entry{requests: requests})
	failed := f.m.counted.nextStep()
	if err := f.fail[len(f.outcome.Steps)]; err != nil {
		failed = err
	}
	for _, r := range requests {
		q := &request{operation: r.Operation}
		err := f.m.nextRequest()
		if failed != nil {
			err = failed
		}
		if err == nil {
			err = f.m.failNow(r.Operation.Name())
		}
		if err != nil {
			a := fault(err.Type, err.Message)
			q.answer, q.asked = &a, true
		}
		f.open = append(f.open, q)
	}
}

// settle answers what can be answered. It tells whether that was anything, which others may wait for, and whether the flow
// is ready to go on.
func (f *Flow) settle() (answered, ready bool) {
	if f.ending != nil && !f.ended {
		f.finishEnding()
	}
	if len(f.open) == 0 || f.ended || slices.Contains(f.m.net.ready, f) {
		return false, false
	}
	ready = true
	for _, q := range f.open {
		if q.answer == nil {
			if a, ok := f.answer(q); ok {
				q.answer, answered = &a, true
			} else {
				ready = false
			}
			q.asked = true
		}
	}
	return answered, ready
}

// finish takes the end of the flow's code. A flow that is done ends when its sessions are closed.
func (f *Flow) finish(y *wire.Yield) {
	<-f.gone
	f.open = nil
	if y == nil { // the test has failed
		y = &wire.Yield{Failed: &wire.Failed{Error: &wire.Error{Type: "test-failed", Message: "the test ended within the flow"}}}
	} else if !f.m.net.settings.noReplay {
		f.replay(*y)
	}
	if y.Failed != nil {
		err := &flow.Error{Type: y.Failed.Error.Type, Message: y.Failed.Error.Message}
		f.leaveSessions(err)
		f.end(nil, err)
		return
	}
	f.ending = y
	f.leaveSessions(nil)
	f.finishEnding()
}

// finishEnding ends a flow whose code is done, when all closes came or one cannot come any more.
func (f *Flow) finishEnding() {
	until, wrong := f.sessionsLeft()
	switch {
	case wrong != nil:
		f.end(nil, wrong)
	case until.IsZero():
		result := f.ending.Done.Result
		if len(result) == 0 {
			result = []byte("null")
		}
		f.end(result, nil)
	}
}

func (f *Flow) end(result []byte, err *flow.Error) {
	f.ended = true
	f.outcome.JSON, f.outcome.Err, f.outcome.Ended = result, err, later(f.clock, f.m.net.now)
}

// giveUp ends the flow's goroutine.
func (f *Flow) giveUp() {
	if !f.begun || f.ended || f.ending != nil {
		return
	}
	f.ended = true
	close(f.quit)
	<-f.gone
}

// again is a flow's host when it is run again against its journal.
type again struct {
	f        *Flow
	random   *rand.ChaCha8
	clock    time.Time
	step     int
	mismatch string
}

// replay runs the flow again, and fails the test when it does something else.
func (f *Flow) replay(first wire.Yield) {
	t := f.m.net.t
	t.Helper()
	h := &again{f: f, random: rand.NewChaCha8(f.seed), clock: f.outcome.Began}
	var second *wire.Yield
	done := make(chan struct{})
	go func() {
		defer close(done)
		y := registry.Run(h, f.start)
		second = &y
	}()
	<-done
	switch {
	case h.mismatch != "":
	case second == nil:
		h.mismatch = "the second run ended the test's goroutine"
	case h.step < len(f.journal):
		h.mismatch = "the first run went on to " + describeAll(f.journal[h.step].requests, f) + ", the second ended with " + describeEnd(*second)
	case !bytes.Equal(wire.Encode(&first), wire.Encode(second)):
		h.mismatch = "the first run ended with " + describeEnd(first) + ", the second with " + describeEnd(*second)
	default:
		return
	}
	t.Errorf("flow %s of %s did something else when it was run again against its journal, as the platform does after a crash: after %d steps, %s. "+
		"What a flow does may depend on nothing but its argument, its answers, ctx.Now and ctx.Rand: look for variables outside of the flow, time.Now, the order of a map",
		f.Class(), f.m.Name(), h.step, h.mismatch)
}

func (h *again) Exchange(requests []wire.Request) []wire.Answer {
	switch {
	case h.step >= len(h.f.journal):
		h.mismatch = "the first run ended, the second went on to " + describeAll(requests, h.f)
	case !bytes.Equal(wire.Encode(&wire.Requests{Requests: requests}), wire.Encode(&wire.Requests{Requests: h.f.journal[h.step].requests})):
		h.mismatch = "the first run asked for " + describeAll(h.f.journal[h.step].requests, h.f) + ", the second for " + describeAll(requests, h.f)
	}
	if h.mismatch != "" {
		runtime.Goexit()
	}
	e := h.f.journal[h.step]
	h.step++
	h.clock = e.clock
	return e.answers
}

func (h *again) Now() time.Time {
	h.clock = h.clock.Add(time.Microsecond)
	return h.clock
}

func (h *again) Random(b []byte) { _, _ = h.random.Read(b) } // never fails

func (h *again) Log(string) {}
