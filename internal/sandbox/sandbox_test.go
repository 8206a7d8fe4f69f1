package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/sandbox"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

func TestHello(t *testing.T) {
	m := install(t, hello, sandbox.Config{})
	if !m.HasFlows() || m.HasContracts() {
		t.Errorf("flows %v, contracts %v", m.HasFlows(), m.HasContracts())
	}
	tr, err := run(t, m, "hello", `{"name":"Bob"}`)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(tr.last.GetDone().GetResult(), &got); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, got["at"])
	if err != nil || at.Sub(time.UnixMicro(now)).Abs() > time.Millisecond {
		t.Errorf("at %q: %v", got["at"], err)
	}
	delete(got, "at")
	if want := `map[flowId:30313233-3435-3637-3839-616263646566 from:O=Alice, L=London, C=GB greeting:Hello, Bob!]`; want != sprint(got) {
		t.Errorf("got %v\nwant %v", sprint(got), want)
	}
	if !slices.Equal(tr.log, []string{"level=INFO msg=greeting name=Bob"}) {
		t.Errorf("log %q", tr.log)
	}

	tr, err = run(t, m, "countdown", `{"n":3,"seconds":0.5}`)
	if err != nil || len(tr.yields) != 4 {
		t.Fatalf("countdown: %d yields, %v", len(tr.yields), err)
	}
	want := encode(t, &appv1.Yield{Outcome: &appv1.Yield_Requests{Requests: &appv1.Requests{Requests: []*appv1.Request{
		{Operation: &appv1.Request_Sleep{Sleep: &appv1.Sleep{DurationUs: 500_000}}}}}}})
	if !bytes.Equal(tr.yields[1], want) {
		t.Errorf("yield %x, want %x", tr.yields[1], want)
	}
	if r := string(tr.last.GetDone().GetResult()); !strings.Contains(r, `"n":3`) {
		t.Errorf("result %s", r)
	}
	if tr, err = run(t, m, "steps", `{"n":100}`); err != nil || len(tr.yields) != 101 {
		t.Errorf("steps: %d yields, %v", len(tr.yields), err)
	}
}

func sprint(m map[string]string) string {
	var parts []string
	for k, v := range m {
		parts = append(parts, k+":"+v)
	}
	slices.Sort(parts)
	return "map[" + strings.Join(parts, " ") + "]"
}

func TestFlowsAreListed(t *testing.T) {
	flows, err := install(t, hello, sandbox.Config{}).Flows(t.Context())
	want := []sandbox.Flow{{Class: "countdown", Startable: true}, {Class: "hello", Startable: true}, {Class: "steps", Startable: true}}
	if err != nil || !reflect.DeepEqual(flows, want) {
		t.Errorf("%v, %v", flows, err)
	}
	flows, err = install(t, rogue, sandbox.Config{}).Flows(t.Context())
	if err != nil || !slices.ContainsFunc(flows, func(f sandbox.Flow) bool { return f.Class == "internal" && !f.Startable }) {
		t.Errorf("%v, %v", flows, err)
	}
}

// TestGuestsThatMisbehave has one case for each thing that a guest can do to its host.
func TestGuestsThatMisbehave(t *testing.T) {
	m := install(t, rogue, sandbox.Config{})
	for _, c := range []struct {
		class string
		kind  sandbox.ErrorKind
		word  string
	}{
		{"loop", sandbox.OutOfInstructions, "budget of 200000000"},
		{"tight-loop", sandbox.OutOfInstructions, "checkpoint"},
		{"slow-host-calls", sandbox.OutOfInstructions, "budget"},
		{"sleep-forever", sandbox.OutOfInstructions, "budget"},
		{"allocate", sandbox.OutOfMemory, "67108864"},
		{"allocate-once", sandbox.OutOfMemory, "67108864"},
		{"recurse", sandbox.OutOfStack, "recursion"},
		{"goroutine-panic", sandbox.Panic, "panic: in a goroutine"},
		{"deadlock", sandbox.Panic, "all goroutines are asleep"},
		{"exit", sandbox.Exit, "status 3"},
		{"megabyte", sandbox.ResultTooLarge, "at most 983040"},
	} {
		t.Run(c.class, func(t *testing.T) {
			idle := sandbox.Idle(m)
			i, err := m.NewInstance(t.Context(), sandbox.Env{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = play(t.Context(), i, startOf(t, c.class, ""))
			if sandbox.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.word) {
				t.Errorf("%v; want kind %s and %q", err, c.kind, c.word)
			}
			if !errors.Is(err, &sandbox.Error{Kind: c.kind}) {
				t.Errorf("errors.Is does not know the kind of %v", err)
			}
			if _, err := i.Resume(t.Context(), now, nil); err == nil {
				t.Error("a failed instance goes on")
			}
			i.Release(t.Context())
			if n := sandbox.Idle(m); n > idle {
				t.Error("a failed instance went into the pool")
			}
		})
	}
	// After all that the module still works.
	if tr, err := run(t, m, "echo", `{"a":1}`); err != nil || string(tr.last.GetDone().GetResult()) != `{"a":1}` {
		t.Errorf("%v, %v", tr.last, err)
	}
}

// TestFlowsThatFail has failures that the flow's own code or the SDK reports, so that they are ordinary yields.
func TestFlowsThatFail(t *testing.T) {
	m := install(t, rogue, sandbox.Config{})
	for _, c := range []struct{ class, input, typ, word string }{
		{"nil-map", "", "panic", "assignment to entry in nil map (in main.nilMap, main.go:"},
		{"index", "", "panic", "index out of range [16] with length 3 (in main.index, main.go:"},
		{"nil-pointer", "", "panic", "nil pointer dereference"},
		{"error", "", "application", "it did not work"},
		{"typed-error", "", "insufficient-funds", "pay: have 2, need 6"},
		{"no-such-flow", "", "unknown-flow", `no flow "no-such-flow"`},
		{"trace", `{"steps":"many"}`, "bad-input", "steps"},
		{"trace", `{"stepz":1}`, "bad-input", `unknown field "stepz"`},
		{"trace", `{"steps":1} true`, "bad-input", "behind the JSON value"},
	} {
		tr, err := run(t, m, c.class, c.input)
		if err != nil {
			t.Errorf("%s: %v", c.class, err)
			continue
		}
		e := tr.last.GetFailed().GetError()
		if e.GetType() != c.typ || !strings.Contains(e.GetMessage(), c.word) {
			t.Errorf("%s: %v; want type %s and %q", c.class, tr.last, c.typ, c.word)
		}
	}
	tr, err := run(t, m, "two-waiters", "")
	if r := string(tr.last.GetDone().GetResult()); err != nil || !strings.Contains(r, "flow.All") {
		t.Errorf("two goroutines waited at once: %v, %v", tr.last, err)
	}
}

func TestNothingOutsideIsReached(t *testing.T) {
	tr, err := run(t, install(t, rogue, sandbox.Config{}), "outside", "")
	if err != nil || string(tr.last.GetDone().GetResult()) != "null" {
		t.Errorf("reached %v, %v", tr.last, err)
	}
}

func TestAnswersOutOfTurn(t *testing.T) {
	m := install(t, hello, sandbox.Config{})
	i := newInstance(t, m, sandbox.Env{})
	y, err := i.Resume(t.Context(), now, nil)
	if d, err2 := sandbox.DecodeYield(y); err != nil || err2 != nil || d.GetFailed().GetError().GetType() != "protocol" {
		t.Errorf("resume before start: %v, %v, %v", d, err, err2)
	}
	i = newInstance(t, m, sandbox.Env{})
	if _, err := i.Start(t.Context(), now, startOf(t, "countdown", `{"n":2}`)); err != nil {
		t.Fatal(err)
	}
	y, err = i.Start(t.Context(), now, startOf(t, "hello", `{"name":"x"}`))
	if d, err2 := sandbox.DecodeYield(y); err != nil || err2 != nil || d.GetFailed().GetError().GetType() != "protocol" {
		t.Errorf("start after start: %v, %v, %v", d, err, err2)
	}
	y, err = i.Resume(t.Context(), now, encode(t, &appv1.Resume{}))
	if d, err2 := sandbox.DecodeYield(y); err != nil || err2 != nil || d.GetFailed().GetError().GetType() != "panic" {
		t.Errorf("no answers to one request: %v, %v, %v", d, err, err2)
	}
	// An answer that is an error wakes the flow with it.
	i = newInstance(t, m, sandbox.Env{})
	if _, err := i.Start(t.Context(), now, startOf(t, "countdown", `{"n":2}`)); err != nil {
		t.Fatal(err)
	}
	y, err = i.Resume(t.Context(), now, encode(t, &appv1.Resume{Answers: []*appv1.Answer{
		{Outcome: &appv1.Answer_Error{Error: &appv1.Error{Type: "killed", Message: "by an operator"}}}}}))
	d, err2 := sandbox.DecodeYield(y)
	if e := d.GetFailed().GetError(); err != nil || err2 != nil || e.GetType() != "killed" || e.GetMessage() != "sleep at 2: by an operator" {
		t.Errorf("killed: %v, %v, %v", d, err, err2)
	}
}

func TestArgumentTooLarge(t *testing.T) {
	m := install(t, hello, sandbox.Config{Limits: sandbox.Limits{Instructions: 1_000_000_000}})
	i := newInstance(t, m, sandbox.Env{})
	if _, err := i.Start(t.Context(), now, make([]byte, 4<<20+1)); sandbox.KindOf(err) != sandbox.ArgumentTooLarge {
		t.Errorf("%v", err)
	}
	// The guest was not called, so the instance is as good as before.
	name := strings.Repeat("n", 500<<10)
	y, err := i.Start(t.Context(), now, startOf(t, "hello", `{"name":"`+name+`"}`))
	if err != nil || !bytes.Contains(y, []byte("Hello, nnn")) {
		t.Errorf("%v", err)
	}
}

func TestLogIsBounded(t *testing.T) {
	tr, err := run(t, install(t, rogue, sandbox.Config{}), "chatter", "")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, l := range tr.log {
		if len(l) > 4<<10 {
			t.Errorf("a line of %d bytes", len(l))
		}
		total += len(l)
	}
	if last := tr.log[len(tr.log)-1]; total > 80<<10 || !strings.Contains(last, "left out") || tr.log[1] != "line 0" {
		t.Errorf("%d bytes in %d lines, the last %q", total, len(tr.log), last)
	}
}

func TestCancelAndSecondNet(t *testing.T) {
	cfg := sandbox.Config{Limits: sandbox.Limits{Instructions: 1 << 60}}
	m := install(t, rogue, cfg)
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("the partition was taken away")
	timer := time.AfterFunc(time.Millisecond, func() { cancel(because) })
	defer timer.Stop()
	i := newInstance(t, m, sandbox.Env{})
	if _, err := i.Start(ctx, now, startOf(t, "tight-loop", "")); !errors.Is(err, because) || sandbox.KindOf(err) != "" {
		t.Errorf("cancelled: %v", err)
	}
	sandbox.SetWallClock(m, time.Millisecond)
	i = newInstance(t, m, sandbox.Env{})
	if _, err := i.Start(t.Context(), now, startOf(t, "loop", "")); sandbox.KindOf(err) != sandbox.OutOfTime {
		t.Errorf("second net: %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	r := newRuntime(t, sandbox.Config{IdleInstances: 2, ColdInstances: -1})
	wasm := guest(t, hello)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			m, err := r.Install(t.Context(), wasm)
			if err != nil {
				t.Error(err)
				return
			}
			for range 5 {
				i, err := m.NewInstance(t.Context(), sandbox.Env{Seed: [32]byte{byte(n)}})
				if err != nil {
					t.Error(err)
					return
				}
				if tr, err := play(t.Context(), i, startOf(t, "steps", `{"n":5}`)); err != nil || tr.last.GetDone() == nil {
					t.Errorf("%v, %v", tr.last, err)
				}
				i.Release(t.Context())
				i.Release(t.Context()) // a second time does nothing
			}
		})
	}
	wg.Wait()
	m, err := r.Install(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	if n := sandbox.Idle(m); n == 0 || n > 2 {
		t.Errorf("%d instances are kept, want 1 or 2", n)
	}
	if again, ok := r.Module(m.SHA256()); !ok || again != m {
		t.Error("the module is not found by its hash")
	}
	if _, ok := r.Module([32]byte{}); ok {
		t.Error("a module that is not there is found")
	}
}

func TestCloseWaitsAndEndsEverything(t *testing.T) {
	r, err := sandbox.New(t.Context(), sandbox.Config{CacheDir: cacheDir})
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Install(t.Context(), guest(t, rogue))
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan struct{})
	once := sync.OnceFunc(func() { close(running) })
	busy, err := m.NewInstance(t.Context(), sandbox.Env{Log: func(string) { once() }})
	if err != nil {
		t.Fatal(err)
	}
	parked, err := m.NewInstance(t.Context(), sandbox.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parked.Start(t.Context(), now, startOf(t, "secret", "")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := busy.Start(t.Context(), now, startOf(t, "chatter", ""))
		done <- err
	}()
	<-running
	go func() { done <- r.Close(t.Context()) }()
	if err := errors.Join(<-done, <-done); err != nil {
		t.Error(err)
	}
	if _, err := parked.Resume(t.Context(), now, nil); err == nil {
		t.Error("an instance works after Close")
	}
	parked.Release(t.Context())
	busy.Release(t.Context())
	if _, err := m.NewInstance(t.Context(), sandbox.Env{}); err == nil {
		t.Error("a new instance after Close")
	}
	if _, err := r.Install(t.Context(), guest(t, hello)); err == nil {
		t.Error("a module was installed after Close")
	}
	if err := r.Close(t.Context()); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestDecodeYield(t *testing.T) {
	sleep := &appv1.Request{Operation: &appv1.Request_Sleep{Sleep: &appv1.Sleep{DurationUs: 1}}}
	requests := func(n int) *appv1.Yield {
		return &appv1.Yield{Outcome: &appv1.Yield_Requests{Requests: &appv1.Requests{Requests: slices.Repeat([]*appv1.Request{sleep}, n)}}}
	}
	good := encode(t, requests(2))
	if y, err := sandbox.DecodeYield(good); err != nil || !proto.Equal(y, requests(2)) {
		t.Errorf("%v, %v", y, err)
	}
	for name, b := range map[string][]byte{
		"empty":          nil,
		"not protobuf":   []byte("\xff\xff"),
		"no request":     encode(t, requests(0)),
		"many requests":  encode(t, requests(sandbox.MaxRequests+1)),
		"no operation":   encode(t, &appv1.Yield{Outcome: &appv1.Yield_Requests{Requests: &appv1.Requests{Requests: []*appv1.Request{{}}}}}),
		"no error":       encode(t, &appv1.Yield{Outcome: &appv1.Yield_Failed{Failed: &appv1.Failed{}}}),
		"no JSON":        encode(t, &appv1.Yield{Outcome: &appv1.Yield_Done{Done: &appv1.Done{Result: []byte("{")}}}),
		"two outcomes":   append(encode(t, &appv1.Yield{Outcome: &appv1.Yield_Done{Done: &appv1.Done{}}}), good...),
		"default":        {0x0a, 0x02, 0x0a, 0x00},
		"long number":    {0x1a, 0x07, 0x0a, 0x05, 0x0a, 0x03, 0x08, 0x81, 0x00},
		"unknown field":  append(slices.Clone(good), 0xfa, 0x01, 0x00),
		"text not UTF-8": {0x12, 0x05, 0x0a, 0x03, 0x0a, 0x01, 0xff},
	} {
		if y, err := sandbox.DecodeYield(b); sandbox.KindOf(err) != sandbox.BadYield {
			t.Errorf("%s: %v, %v", name, y, err)
		}
	}
}
