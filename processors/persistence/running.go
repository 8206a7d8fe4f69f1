package persistence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
)

// How long a batch waits for the requests of one virtual node: as long as some of them end, within a bound. A virtual node
// that used that up is slow for a while, and hardly waited for. What is waited for no more goes on beside the group, and
// its record looks for the result again.
const (
	stillFor, mostFor         = 250 * time.Millisecond, time.Second
	slowStillFor, slowMostFor = 10 * time.Millisecond, 100 * time.Millisecond
	slowTime                  = 10 * time.Second
	// Each look is a transaction: the longer a request runs, the rarer they are.
	firstLook, lastLook = 100 * time.Millisecond, time.Second
)

const (
	// maxRunning bounds the requests of one virtual node that run or wait for a connection, maxSlow those of a slow one.
	maxRunning, maxSlow = maxBatch, 16
	// runTime bounds one run, the wait for a connection included.
	runTime = 30 * time.Second
	// keepResult is how long the result of a request is kept whose record does not come back: it is another process's now.
	keepResult = time.Minute
	// patience is how long a request is tried that fails although the server is there.
	patience = 30 * time.Second
)

var (
	errRunning = errors.New("the request is still running")
	errShare   = errors.New("the virtual node has as many requests running as it may")
)

// running are the requests that this process runs. It is only a memory: what it forgets is run again, and gets the answer
// that was remembered.
type running struct {
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	runs   map[engine.Cause]*run
	vnodes map[string]*usage
	pruned time.Time
	// failing are requests that have failed before, and since when.
	failing map[engine.Cause]time.Time
}

// run is one request that runs.
type run struct {
	plan   *Plan
	begun  time.Time
	done   chan struct{}
	ended  time.Time
	result Result
}

// usage is what a virtual node uses.
type usage struct {
	running int
	slow    time.Time     // until when
	ended   chan struct{} // closed, and made anew, when a run ends
}

func newRunning() *running {
	r := &running{runs: map[engine.Cause]*run{}, vnodes: map[string]*usage{}, failing: map[engine.Cause]time.Time{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// close ends what runs and waits for it.
func (r *running) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.wg.Wait()
}

func (r *running) find(c engine.Cause) *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runs[c]
}

// taken forgets a run whose result was taken.
func (r *running) taken(c engine.Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs, c)
}

// start runs f beside the group. It returns nil when the virtual node may have no more.
func (r *running) start(c engine.Cause, p *Plan, deadlineUs int64, f func(context.Context) Result) *run {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prune(now)
	u := r.vnodes[p.Vnode]
	if u == nil {
		u = &usage{ended: make(chan struct{})}
		r.vnodes[p.Vnode] = u
	}
	most := maxRunning
	if now.Before(u.slow) {
		most = maxSlow
	}
	if r.closed || u.running >= most {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, runTime)
	if deadlineUs > 0 {
		outer := cancel
		var inner context.CancelFunc
		ctx, inner = context.WithDeadline(ctx, time.UnixMicro(deadlineUs))
		cancel = func() { inner(); outer() }
	}
	x := &run{plan: p, begun: now, done: make(chan struct{})}
	r.runs[c] = x
	u.running++
	r.wg.Go(func() {
		defer cancel()
		result := f(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		x.result, x.ended = result, time.Now()
		close(x.done)
		u.running--
		close(u.ended)
		u.ended = make(chan struct{})
	})
	return x
}

// prune forgets what nobody came back for. The lock is held.
func (r *running) prune(now time.Time) {
	if now.Sub(r.pruned) < keepResult/4 {
		return
	}
	r.pruned = now
	maps.DeleteFunc(r.runs, func(_ engine.Cause, x *run) bool { return !x.ended.IsZero() && now.Sub(x.ended) > keepResult })
	maps.DeleteFunc(r.vnodes, func(_ string, u *usage) bool { return u.running == 0 && now.After(u.slow) })
	maps.DeleteFunc(r.failing, func(_ engine.Cause, since time.Time) bool { return now.Sub(since) > 10*patience })
}

// await waits for runs of one virtual node, as long as it may hold up a batch that began at a time.
func (r *running) await(ctx context.Context, vnode string, begin time.Time, runs []*run) {
	r.mu.Lock()
	u := r.vnodes[vnode]
	still, most := stillFor, mostFor
	if u != nil && time.Now().Before(u.slow) {
		still, most = slowStillFor, slowMostFor
	}
	r.mu.Unlock()
	if u == nil { // all of them ended long ago
		return
	}
	end := time.NewTimer(time.Until(begin.Add(most)))
	defer end.Stop()
	quiet := time.NewTimer(still)
	defer quiet.Stop()
	for _, x := range runs {
		for waits := true; waits && !x.answered(); {
			r.mu.Lock()
			ended := u.ended
			r.mu.Unlock()
			select {
			case <-x.done:
			case <-ended:
				quiet.Reset(still)
			case <-ctx.Done():
				return
			case <-quiet.C:
				waits = false
			case <-end.C:
				waits = false
			}
		}
		if !x.answered() {
			r.mu.Lock()
			u.slow = time.Now().Add(slowTime)
			r.mu.Unlock()
			return
		}
	}
}

// failed returns since when a request fails.
func (r *running) failed(c engine.Cause, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.failing[c]; !ok {
		r.failing[c] = now
	}
	return r.failing[c]
}

// recovered forgets that a request failed; with no request named, that any did.
func (r *running) recovered(c *engine.Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c == nil {
		clear(r.failing)
		return
	}
	delete(r.failing, *c)
}

// run runs a plan. One that fails is run again, but not for ever: where the shared server is there it is the virtual
// node's own trouble, and whoever waits is told.
func (w *Worker) run(ctx context.Context, c engine.Cause, p *Plan) (r Result) {
	defer func() {
		if x := recover(); x != nil { // in a goroutine of its own it would end the process
			r = Result{Err: fmt.Errorf("persistence: running a request of %s: %v", p.subject(), x)}
		}
	}()
	r = w.deps.Store.Do(ctx, p)
	now := time.Now()
	switch {
	case r.Err == nil:
		w.running.recovered(&c)
		return r
	case isAway(r.Err):
		w.serverAway(p.Vnode)
	}
	if w.paused.Load() || w.running.ctx.Err() != nil {
		return r
	}
	since, id := w.running.failed(c, now), IDGivenUp
	if own := (*vnodes.ElsewhereError)(nil); errors.As(r.Err, &own) {
		id = IDElsewhere
		if own.Since.Before(since) {
			since = own.Since
		}
	}
	if now.Sub(since) < patience {
		return r
	}
	w.running.recovered(&c)
	return Result{Reply: errorReply(&rows.Problem{ID: id, Type: TypeUnavailable,
		Message: fmt.Sprintf("%s: the request was given up after %s and may have been run: %s", p.subject(), patience, firstLine(r.Err.Error()))})}
}

// answered tells whether a run ended.
func (x *run) answered() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// again is when to look at a run again.
func (x *run) again(now time.Time) time.Duration {
	return min(max(now.Sub(x.begun)/2, firstLook), lastLook)
}
