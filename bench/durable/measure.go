package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
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
	// Others is how many cores were busy then with what is no part of the benchmark, OthersSingle while there was one at a time.
	Others       float64 `json:"othersCores"`
	OthersSingle float64 `json:"othersCoresOneAtATime"`
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
	before, err := takeUsage()
	if err != nil {
		return m, err
	}
	took, err := s.oneByOne(ctx, "one", o.calls)
	if err != nil {
		return m, fmt.Errorf("one at a time: %w", err)
	}
	after, err := takeUsage()
	if err != nil {
		return m, err
	}
	m.Single, m.OthersSingle = measure.PercentilesOf(took), after.others(before)
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
	before, err := takeUsage()
	if err != nil {
		return err
	}
	t.take()
	if err := pause(ctx, o.window); err != nil {
		return err
	}
	took := t.take()
	after, err := takeUsage()
	if err != nil {
		return err
	}
	if len(took) == 0 {
		return fmt.Errorf("no workflow ended within %v", o.window)
	}
	m.Seconds = after.at.Sub(before.at).Seconds()
	m.Completed, m.PerSecond, m.Others = len(took), float64(len(took))/m.Seconds, after.others(before)
	m.Many = measure.PercentilesOf(took)
	m.Parts = map[string]float64{}
	for part, used := range after.parts {
		used -= before.parts[part]
		if part == callersPart {
			m.Callers = used.Seconds() / m.Seconds
			continue
		}
		m.Cores += used.Seconds() / m.Seconds
		m.Parts[part] = measure.Millis(used) / float64(len(took))
	}
	return nil
}

// usage is what has been used of the processors at a moment.
type usage struct {
	at time.Time
	// parts are this program and its children, machine is all that runs.
	parts   map[string]time.Duration
	machine time.Duration
}

// others is how many cores were busy since then with what is neither this program nor its children.
func (u usage) others(since usage) float64 {
	rest := u.machine - since.machine
	for part, used := range u.parts {
		rest -= used - since.parts[part]
	}
	return max(0, rest.Seconds()/u.at.Sub(since.at).Seconds())
}

func takeUsage() (usage, error) {
	all, err := measure.Snapshot()
	if err != nil {
		return usage{}, err
	}
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, fmt.Errorf("read the machine's time, which needs Linux: %w", err)
	}
	machine, err := parseMachine(string(raw))
	return usage{time.Now(), parts(all, os.Getpid()), machine}, err
}

// parseMachine reads from /proc/stat how long the processors were busy.
func parseMachine(raw string) (time.Duration, error) {
	const ticks = 100 // in a second
	line, _, _ := strings.Cut(raw, "\n")
	fields := strings.Fields(line)
	// After its name: user, nice, system, idle, waiting for the disk, interrupts of two kinds, stolen by the machine below.
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("read the machine's time: %q", line)
	}
	sum := int64(0)
	for _, at := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the machine's time: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// callersPart is this program itself: the callers.
const callersPart = "the callers"

// partNames says what part of a system a program is, by its name as the system shortens it.
func partNames() map[string]string {
	return map[string]string{
		"java": "Kafka", "fairlead.exe": "fairlead", "restate-server": "Restate", temporalServer: "Temporal", "postgres": "Postgres",
	}
}

// parts are what a program and its children have used, by part. Only one subject runs at a time. A child that is none of the
// servers is the worker.
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
