package database

import (
	"context"
	"sync"
	"time"
)

// jobs runs what takes long beside the group, so that no partition waits for it. A job is known by its name; whoever
// asks for it first starts it, and its result is kept until it is taken.
type jobs struct {
	ctx  context.Context
	stop context.CancelFunc
	room chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	running map[string]*job
}

type job struct {
	done   chan struct{}
	result Result
}

func newJobs(atOnce int) *jobs {
	j := &jobs{room: make(chan struct{}, atOnce), running: map[string]*job{}}
	j.ctx, j.stop = context.WithCancel(context.Background())
	return j
}

// do returns the result of a job, when it comes within wait.
func (j *jobs) do(ctx context.Context, name string, wait time.Duration, f func(ctx context.Context) Result) (Result, bool) {
	j.mu.Lock()
	run := j.running[name]
	if run == nil {
		run = &job{done: make(chan struct{})}
		j.running[name] = run
		j.wg.Go(func() {
			defer close(run.done)
			select {
			case j.room <- struct{}{}:
				defer func() { <-j.room }()
			case <-j.ctx.Done():
				run.result = Result{Err: j.ctx.Err()}
				return
			}
			run.result = f(j.ctx)
		})
	}
	j.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-run.done:
		return run.result, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return Result{}, false
}

// beside runs f, and close waits for it.
func (j *jobs) beside(f func()) { j.wg.Go(f) }

// taken forgets a job whose result was taken.
func (j *jobs) taken(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.running, name)
}

// close ends the jobs and waits for them.
func (j *jobs) close() {
	j.stop()
	j.wg.Wait()
}
