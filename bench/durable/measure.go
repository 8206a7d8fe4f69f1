package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// measured is one subject in numbers.
type measured struct {
	Name string `json:"name"`
	// Calls is how many calls, one at a time, the latency was taken from; P50, P90 and P99 are milliseconds.
	Calls int     `json:"calls"`
	P50   float64 `json:"p50Millis"`
	P90   float64 `json:"p90Millis"`
	P99   float64 `json:"p99Millis"`
	// Completed counts the workflows whose result came back within Seconds, with all callers at once.
	Completed int     `json:"completed"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"workflowsPerSecond"`
	// CPUMillis is processor time of servers and worker for each of them, in milliseconds.
	CPUMillis float64 `json:"cpuMillisPerWorkflow"`
}

const (
	// warmCalls are made before anything is measured.
	warmCalls = 30
	// ramp is how long all callers run before workflows are counted.
	ramp = 3 * time.Second
	// callTime bounds one call.
	callTime = 30 * time.Second
)

// percentile is the nearest rank: the least value that at least so many percent do not exceed; 0 of nothing.
func percentile(all []time.Duration, percent float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	rank := int(math.Ceil(percent / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (s *system) measure(ctx context.Context, o options) (m measured, err error) {
	if _, err := s.oneByOne(ctx, "warm", warmCalls); err != nil {
		return m, fmt.Errorf("warm up: %w", err)
	}
	took, err := s.oneByOne(ctx, "one", o.calls)
	if err != nil {
		return m, fmt.Errorf("one at a time: %w", err)
	}
	m.Calls, m.P50, m.P90, m.P99 = o.calls, millis(percentile(took, 50)), millis(percentile(took, 90)), millis(percentile(took, 99))
	if err := s.together(ctx, o, &m); err != nil {
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

// together has callers that each call one workflow after the other, and counts what they complete within the window.
func (s *system) together(ctx context.Context, o options, m *measured) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var completed atomic.Int64
	var enough atomic.Bool
	var callers sync.WaitGroup
	for c := range o.callers {
		callers.Go(func() {
			for i := 0; !enough.Load(); i++ {
				if _, err := s.timed(ctx, fmt.Sprintf("many-%d-%d", c, i)); err != nil {
					cancel(fmt.Errorf("caller %d, call %d: %w", c, i, err)) // the first one counts
					return
				}
				completed.Add(1)
			}
		})
	}
	err := func() error {
		if err := pause(ctx, ramp); err != nil {
			return err
		}
		cpu, err := processorTime()
		if err != nil {
			return err
		}
		from, before := time.Now(), completed.Load()
		if err := pause(ctx, o.window); err != nil {
			return err
		}
		m.Seconds, m.Completed = time.Since(from).Seconds(), int(completed.Load()-before)
		after, err := processorTime()
		if err != nil {
			return err
		}
		if m.Completed == 0 {
			return fmt.Errorf("no workflow ended within %v", o.window)
		}
		m.PerSecond, m.CPUMillis = float64(m.Completed)/m.Seconds, millis(after-cpu)/float64(m.Completed)
		return nil
	}()
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
