package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
)

func TestParts(t *testing.T) {
	all := measure.Processes{
		1: {PID: 1, Own: time.Hour}, 10: {PID: 10, Parent: 1, Name: "durable", Own: 5}, 20: {PID: 20, Parent: 1, Name: "java", Own: time.Hour},
		11: {PID: 11, Parent: 10, Name: "java", Own: 100, Ended: 1}, 12: {PID: 12, Parent: 10, Name: "java", Own: 200},
		13: {PID: 13, Parent: 10, Name: "durable", Own: 7}, 14: {PID: 14, Parent: 10, Name: "postgres", Own: 1}, 15: {PID: 15, Parent: 14, Name: "postgres", Own: 2},
	}
	got := parts(all, 10)
	if want := map[string]time.Duration{callersPart: 5, "Kafka": 301, "worker": 7, "Postgres": 3}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v: children and theirs, by program, and nobody else's", got, want)
	}
	for name := range partNames() {
		if len(name) > 15 {
			t.Errorf("%s: the system tells 15 bytes of a name", name)
		}
	}
}

func TestUsage(t *testing.T) {
	busy, err := parseMachine("cpu  1 2 4 800 1600 8 16 32 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	if err != nil || busy != 630*time.Millisecond {
		t.Errorf("%v %v, want what is neither idle nor waiting", busy, err)
	}
	for _, raw := range []string{"", "cpu 1 2 3", "cpu0 1 2 4 800 1600 8 16 32 0 0", "cpu x 2 4 800 1600 8 16 32 0 0"} {
		if got, err := parseMachine(raw); err == nil {
			t.Errorf("%q: %v", raw, got)
		}
	}
	from := time.Now()
	before := usage{from, map[string]time.Duration{"a": time.Second}, 10 * time.Second}
	after := usage{from.Add(2 * time.Second), map[string]time.Duration{"a": 2 * time.Second, "b": time.Second}, 13 * time.Second}
	if got := after.others(before); got != 0.5 {
		t.Errorf("%v", got)
	}
}

func TestSubjects(t *testing.T) {
	names := map[string]bool{}
	first := map[group]string{}
	for _, s := range subjects() {
		if names[s.name] || s.title == "" || s.durable == "" || s.start == nil {
			t.Errorf("subject %q", s.name)
		}
		names[s.name] = true
		if first[s.group] == "" {
			first[s.group] = s.name
		}
	}
	if len(first) != len(groups) {
		t.Errorf("groups %v", first)
	}
	for g, name := range first {
		if !strings.HasPrefix(name, "fairlead") {
			t.Errorf("group %s is compared with %s", g, name)
		}
	}
	if got, err := choose(subjects(), "temporal,restate"); err != nil || len(got) != 2 || got[0].name != "temporal" || got[1].name != "restate" {
		t.Errorf("%v %v", got, err)
	}
	if _, err := choose(subjects(), "restate,nobody"); err == nil || !strings.Contains(err.Error(), `"nobody"`) || !strings.Contains(err.Error(), "temporal-local") {
		t.Errorf("%v", err)
	}
}

// TestPins compares what is named in several places.
func TestPins(t *testing.T) {
	var lock struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	if err := json.Unmarshal(npmLock, &lock); err != nil {
		t.Fatal(err)
	}
	for name, p := range lock.Packages {
		if name != "" && (p.Version == "" || !strings.HasPrefix(p.Integrity, "sha512-")) {
			t.Errorf("%s is not pinned: %+v", name, p)
		}
	}
	for _, goos := range []string{"linux", "darwin"} {
		for _, arch := range []string{"amd64", "arm64"} {
			p, ok := lock.Packages["node_modules/"+restatePlatform(goos, arch)]
			if !ok || p.Version != restateVersion {
				t.Errorf("%s/%s: %q %+v; the lock file has %v", goos, arch, restatePlatform(goos, arch), p, slices.Sorted(maps.Keys(lock.Packages)))
			}
		}
	}
	for _, p := range [][2]string{{"windows", "amd64"}, {"linux", "riscv64"}} {
		if got := restatePlatform(p[0], p[1]); got != "" {
			t.Errorf("%v: %s", p, got)
		}
	}
}

func TestCached(t *testing.T) {
	cache := t.TempDir()
	calls := 0
	fill := func(dir string) error {
		calls++
		return os.WriteFile(filepath.Join(dir, "x"), []byte{byte(calls)}, 0o644)
	}
	one, err := cached(cache, "thing", "a", fill)
	if err != nil {
		t.Fatal(err)
	}
	again, err := cached(cache, "thing", "a", fill)
	if err != nil || again != one || calls != 1 {
		t.Errorf("%s %v, filled %d times", again, err, calls)
	}
	if other, err := cached(cache, "thing", "b", fill); err != nil || other == one || calls != 2 {
		t.Errorf("other content: %s %v, filled %d times", other, err, calls)
	}
	failed := errors.New("no network")
	if _, err := cached(cache, "thing", "c", func(dir string) error { return errors.Join(fill(dir), failed) }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 2 {
		t.Errorf("%v %v: what failed must not stay", left, err)
	}
}

func TestMeasure(t *testing.T) {
	var calls atomic.Int64
	refused := errors.New("refused")
	s := &system{dir: t.TempDir()}
	s.call = func(_ context.Context, id string) error {
		if calls.Add(1); strings.HasPrefix(id, "many-3-") {
			return refused
		}
		return nil
	}
	took, err := s.oneByOne(t.Context(), "one", 5)
	if err != nil || len(took) != 5 || calls.Load() != 5 {
		t.Errorf("%v %v after %d calls", took, err, calls.Load())
	}
	// A caller that fails ends the others and the run, long before the time is over.
	wait := func(ctx context.Context, _ *tally) error { return pause(ctx, time.Hour) }
	if err := s.together(t.Context(), options{callers: 8}, "many", wait); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.call = func(ctx context.Context, _ string) error { return ctx.Err() }
	if err := s.together(ctx, options{callers: 2}, "many", wait); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	var tallied tally
	tallied.add(1)
	tallied.add(2)
	if got := tallied.take(); len(got) != 2 || tallied.take() != nil {
		t.Errorf("%v: what was taken is not taken again", got)
	}
}

func example() results {
	r := results{Recorded: "2026-01-02", Machine: "2 cores", Cores: 2, SyncMicros: 321, Callers: 64, Versions: []version{{"Thing", "v1"}}}
	for i, s := range subjects() {
		r.Subjects = append(r.Subjects, measured{
			Name: s.name, Single: measure.Percentiles{P50: float64(i + 1), P90: 20, P99: 30, Count: 200}, Completed: 800, Seconds: 8, PerSecond: float64(100 * (i + 1)),
			Many: measure.Percentiles{P50: 40, P99: 50, Count: 800}, Cores: 1.5, Callers: float64(i%2) * 0.3, Others: 0.07, OthersSingle: 0.05, Parts: map[string]float64{"Kafka": 1, "worker": 4},
		})
	}
	return r
}

func TestPage(t *testing.T) {
	r := example()
	text := page(r)
	for _, want := range []string{
		"| fairlead, one broker | 1.0 | 20.0 | 30.0 | 1.00× | 100 | 1.00× | 40 | 50 | 5.00 | 1.00× |\n",
		"| Restate, without fsync | 3.0 | 20.0 | 30.0 | 3.00× | 300 | 3.00× | 40 | 50 | 5.00 | 1.00× |\n",
		"321 µs", "| Thing | v1 |", "Temporal's local activities", "64 callers", "200 calls",
		"- outlives a power cut, fairlead, one broker, fsync: one at a time it is 1.2 times faster than Restate; it gets 1.2 times fewer workflows through, and each takes it 1.0 times more processor time.\n",
		"| fairlead, one broker | 1.50 | 0.00 | 0.07 | waiting | worker 4.00, Kafka 1.00 |\n", "| fairlead, embedded broker | 1.50 | 0.30 | 0.07 | the processors |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, s := range subjects() {
		if strings.Count(text, "| "+s.title+" |") != 2 || !strings.Contains(text, s.durable) {
			t.Errorf("%s is not in two tables on the page, with what it makes durable", s.title)
		}
	}
	r.Subjects = r.Subjects[:1]
	if text := page(r); strings.Contains(text, groups[1].title) || !strings.Contains(text, groups[0].title) {
		t.Errorf("groups without subjects are left out:\n%s", text)
	}
	if got := ratio(1, 0); got != "–" {
		t.Errorf("%s", got)
	}
	if got := verdict(row{}, row{}); !strings.Contains(got, "not measured") {
		t.Errorf("%s", got)
	}
}

func TestPlot(t *testing.T) {
	svg := plot(example())
	if !strings.HasPrefix(svg, "<svg") || strings.Count(svg, "<rect x=") != 2*len(subjects()) || strings.Contains(svg, "NaN") {
		t.Errorf("%s", svg)
	}
	if svg := plot(results{}); !strings.Contains(svg, "</svg>") {
		t.Errorf("%s", svg)
	}
}
