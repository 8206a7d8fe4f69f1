package persistence

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
)

// failing is a store that fails.
type failing struct {
	Store
	err error
}

func (f failing) Do(context.Context, *Plan) Result { return Result{Err: f.err} }

// Who waits for the shared server waits; who waits for anything else is told after a bound, and pauses nobody.
func TestPatience(t *testing.T) {
	down := &postgres.Error{Class: postgres.Unavailable, Message: "refused"}
	cause := engine.Cause{Topic: "t", Offset: 7}
	long := time.Now().Add(-2 * patience)
	for name, c := range map[string]struct {
		err    error
		failed bool // since long
		paused bool
		want   string // the id of the answer, "" when it is run again
		asks   bool   // whether somebody looks at the shared server
	}{
		"shared, away":                      {err: down, failed: true, paused: true, asks: true},
		"shared, for the first time":        {err: down, asks: true},
		"shared, but there":                 {err: down, failed: true, want: IDGivenUp, asks: true},
		"raised by the application's SQL":   {err: &postgres.Error{Class: postgres.Retry, Code: "40001"}, failed: true, want: IDGivenUp},
		"own server, a moment ago":          {err: &vnodes.ElsewhereError{Since: time.Now(), Err: down}},
		"own server, since long":            {err: &vnodes.ElsewhereError{Since: long, Err: down}, want: IDElsewhere},
		"own server, this request for long": {err: &vnodes.ElsewhereError{Since: time.Now(), Err: down}, failed: true, want: IDElsewhere},
		"unknown":                           {err: errors.New("x\nstack"), failed: true, want: IDGivenUp},
	} {
		w, err := NewWorker(Config{}, Deps{Store: failing{err: c.err}})
		if err != nil {
			t.Fatal(err)
		}
		w.paused.Store(c.paused)
		if c.failed {
			w.running.failed(cause, long)
		}
		r := w.run(t.Context(), cause, &Plan{Vnode: "AAAAAAAAAAA1", Request: &persistencev1.Request{}})
		if got := r.Reply.GetError().GetId(); got != c.want || (r.Err == nil) == (c.want == "") || (len(w.away) > 0) != c.asks {
			t.Errorf("%s: %q, %v, asks %d", name, got, r.Err, len(w.away))
		}
	}
}

// What nobody comes back for is forgotten, and a slow virtual node has few places.
func TestRunningIsBounded(t *testing.T) {
	r := newRunning()
	release := make(chan struct{})
	start := func(offset int64, f func(context.Context) Result) *run {
		return r.start(engine.Cause{Offset: offset}, &Plan{Vnode: "a"}, 0, f)
	}
	block := func(context.Context) Result { <-release; return Result{} }
	r.vnodes["a"] = &usage{ended: make(chan struct{}), slow: time.Now().Add(time.Hour)}
	for n := range int64(maxSlow) {
		if start(n, block) == nil {
			t.Fatalf("request %d was refused", n)
		}
	}
	if start(99, block) != nil {
		t.Error("a slow virtual node has more than its share")
	}
	if r.start(engine.Cause{Offset: 100}, &Plan{Vnode: "b"}, 0, block) == nil {
		t.Error("another one has no place")
	}
	close(release)
	r.close()
	if start(101, block) != nil {
		t.Error("something was started after the end")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pruned = time.Time{}
	r.prune(time.Now().Add(2 * time.Hour))
	if len(r.runs)+len(r.vnodes) > 0 {
		t.Errorf("%d runs and %d virtual nodes stay", len(r.runs), len(r.vnodes))
	}
}
