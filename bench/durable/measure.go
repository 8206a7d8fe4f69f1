package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
)

// measured is one subject in numbers.
type measured struct {
	Name string `json:"name"`
	// Single is how long a workflow took when there was no other.
	Single measure.Percentiles `json:"oneAtATimeMs"`
	// Completed counts the workflows whose result came back within Seconds, with all callers at once; Many is how long they took.
	Completed int                 `json:"completed"`
	Seconds   float64             `json:"seconds"`
	PerSecond float64             `json:"workflowsPerSecond"`
	Many      measure.Percentiles `json:"manyAtOnceMs"`
	// Cores is how many cores the subject kept busy then, Callers how many the callers did.
	Cores   float64 `json:"cores"`
	Callers float64 `json:"callersCores"`
	// Parts is processor time of servers and worker for each of these workflows, milliseconds.
	Parts map[string]float64 `json:"cpuMsPerWorkflow"`
}

// cpu is the processor time of all parts for a workflow, in milliseconds.
func (m measured) cpu() (sum float64) {
	for _, v := range m.Parts {
		sum += v
	}
	return sum
}

const (
	// ramp is how long all callers run before workflows are counted.
	ramp = 2 * time.Second
	// settle is how many calls are made one at a time before their time counts.
	settle = 10
	// callTime bounds one call.
	callTime = 30 * time.Second
)

// measure warms the system up with all callers, for compilers that compile what is run often, and measures.
func (s *system) measure(ctx context.Context, o options) (m measured, err error) {
	if err := s.together(ctx, o, "warm", func(context.Context, *tally) error { return pause(ctx, o.warm) }); err != nil {
		return m, fmt.Errorf("warm up: %w", err)
	}
	if _, err := s.oneByOne(ctx, "settle", settle); err != nil {
		return m, fmt.Errorf("warm up: %w", err)
	}
	took, err := s.oneByOne(ctx, "one", o.calls)
	if err != nil {
		return m, fmt.Errorf("one at a time: %w", err)
	}
	m.Single = measure.PercentilesOf(took)
	if err := s.together(ctx, o, "many", func(ctx context.Context, t *tally) error { return m.count(ctx, o, t) }); err != nil {
		return m, fmt.Errorf("%d callers: %w", o.callers, err)
	}
	return m, s.running()
}

// timed makes one call.
func (s *system) timed(ctx context.Context, id string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	began := time.Now()
	err := s.call(ctx, id)
	return time.Since(began), err
}

// oneByOne calls n workflows, each after the one before has brought its result.
func (s *system) oneByOne(ctx context.Context, prefix string, n int) ([]time.Duration, error) {
	var out []time.Duration
	for i := range n {
		d, err := s.timed(ctx, fmt.Sprintf("%s-%d", prefix, i))
		if err != nil {
			return nil, fmt.Errorf("call %d: %w", i, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// tally is what has completed since it was last taken.
type tally struct {
	mu   sync.Mutex // guards took
	took []time.Duration
}

func (t *tally) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = append(t.took, d)
}

func (t *tally) take() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.took
	t.took = nil
	return out
}

// together has callers that each call one workflow after the other, for as long as meanwhile takes.
func (s *system) together(ctx context.Context, o options, prefix string, meanwhile func(context.Context, *tally) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var t tally
	var enough atomic.Bool
	var callers sync.WaitGroup
	for c := range o.callers {
		callers.Go(func() {
			for i := 0; !enough.Load(); i++ {
				d, err := s.timed(ctx, fmt.Sprintf("%s-%d-%d", prefix, c, i))
				if err != nil {
					cancel(fmt.Errorf("caller %d, call %d: %w", c, i, err)) // the first one counts
					return
				}
				t.add(d)
			}
		})
	}
	err := meanwhile(ctx, &t)
	enough.Store(true)
	if err != nil {
		cancel(err)
	}
	callers.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// count fills in what callers complete within the window.
func (m *measured) count(ctx context.Context, o options, t *tally) error {
	if err := pause(ctx, ramp); err != nil {
		return err
	}
	before, err := processorTime()
	if err != nil {
		return err
	}
	from := time.Now()
	t.take()
	if err := pause(ctx, o.window); err != nil {
		return err
	}
	took := t.take()
	lasted := time.Since(from)
	after, err := processorTime()
	if err != nil {
		return err
	}
	if len(took) == 0 {
		return fmt.Errorf("no workflow ended within %v", o.window)
	}
	m.Seconds, m.Completed, m.PerSecond = lasted.Seconds(), len(took), float64(len(took))/lasted.Seconds()
	m.Many = measure.PercentilesOf(took)
	m.Parts = map[string]float64{}
	for part, used := range after {
		used -= before[part]
		if part == callersPart {
			m.Callers = used.Seconds() / lasted.Seconds()
			continue
		}
		m.Cores += used.Seconds() / lasted.Seconds()
		m.Parts[part] = measure.Millis(used) / float64(len(took))
	}
	return nil
}

// callersPart is this program itself: the callers.
const callersPart = "the callers"

// partNames says what part of a system a program is, by its name as the system shortens it.
func partNames() map[string]string {
	return map[string]string{
		"java": "Kafka", "fairlead.exe": "fairlead", "restate-server": "Restate", temporalServer: "Temporal", "postgres": "Postgres",
	}
}

// processorTime is what this program and its children have used so far, by part. Only one subject runs at a time. A child
// that is none of the servers is the worker.
func processorTime() (map[string]time.Duration, error) {
	all, err := measure.Snapshot()
	if err != nil {
		return nil, err
	}
	return parts(all, os.Getpid()), nil
}

func parts(all measure.Processes, self int) map[string]time.Duration {
	out := map[string]time.Duration{callersPart: all[self].Own}
	for _, p := range all.Children(self) {
		name, ok := partNames()[p.Name]
		if !ok {
			name = "worker"
		}
		out[name] += all.Tree(p.PID)
	}
	return out
}

// pause lets time pass: it is what is measured. The error is why the context ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
