//go:build synctests

package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

// stacks are kept for the report of a run that did not get on.
func (l *logs) stacks() {
	buf := make([]byte, 4<<20)
	l.add("", string(buf[:runtime.Stack(buf, true)]))
}

// TestSeed runs one seed in this process; TestSeeds calls it.
func TestSeed(t *testing.T) {
	if opts.seed == 0 {
		t.Skip("no -seed is given; TestSeeds gives one to each of its processes")
	}
	// Whoever hangs outside the clock's sight (a mutex held over a wait, a spin) is shown and ended.
	watchdog := time.AfterFunc(4*time.Minute, func() {
		buf := make([]byte, 8<<20)
		fmt.Printf("HANG seed %d\n%s\n", opts.seed, buf[:runtime.Stack(buf, true)])
		os.Exit(3)
	})
	defer watchdog.Stop()
	cryptotest.SetGlobalRandom(t, opts.seed)
	letters := opts.kinds
	if letters == "" {
		letters = kinds
	}
	plan := newPlan(opts.seed, opts.faults, letters, stormFor, newSettings(opts.seed, opts.records).kind())
	plan = kept(t, plan)
	began := time.Now()
	var w *world
	synctest.Test(t, func(*testing.T) {
		w = newWorld(opts.seed, opts.records, plan, mutation(opts.mutation))
		w.abandon = func() {
			report(w, time.Since(w.began), 0)
			os.Exit(1)
		}
		w.run()
		w.virtual = time.Since(w.began)
	})
	if !report(w, w.virtual, time.Since(began)) {
		t.Fail()
	}
}

// report prints the result for the runner and tells whether it is good.
func report(w *world, virtual, wall time.Duration) bool {
	r := result{
		Seed: w.seed, OK: len(w.failures) == 0, Failures: w.failures, Settings: fmt.Sprintf("%+v", w.settings),
		Virtual: virtual.Seconds(), Wall: wall.Seconds(),
	}
	for _, f := range w.plan {
		r.Faults = append(r.Faults, f.String())
	}
	raw, err := json.Marshal(w.count)
	if err == nil {
		err = json.Unmarshal(raw, &r.Count)
	}
	if err != nil {
		r.Failures = append(r.Failures, err.Error())
	}
	if opts.logs {
		fmt.Println(w.logs.all())
		w.watch.dump()
	}
	if raw, err = json.Marshal(r); err != nil {
		raw = fmt.Appendf(nil, "{\"seed\":%d,\"failures\":[%q]}", w.seed, err)
	}
	fmt.Printf("RESULT %s\n", raw)
	return r.OK && err == nil
}

// kept takes the faults out of a plan that -keep does not name.
func kept(t *testing.T, plan []fault) []fault {
	switch opts.keep {
	case "all", "":
		return plan
	case "none":
		return nil
	}
	var numbers []int
	for _, s := range strings.Split(opts.keep, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("-keep %q: %v", opts.keep, err)
		}
		numbers = append(numbers, n)
	}
	var out []fault
	for i, f := range plan {
		if slices.Contains(numbers, i) {
			out = append(out, f)
		}
	}
	return out
}
