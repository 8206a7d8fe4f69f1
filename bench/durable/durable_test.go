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

	"pgregory.net/rapid"
)

func TestPercentile(t *testing.T) {
	if got := percentile(nil, 50); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for percent, want := range map[float64]time.Duration{0: 1, 50: 5, 90: 9, 99: 10, 100: 10} {
		if got := percentile([]time.Duration{10, 3, 1, 2, 9, 4, 6, 5, 8, 7}, percent); got != want {
			t.Errorf("%v %% of 1 to 10: %v, want %v", percent, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Map(rapid.Int64Range(0, 50), func(n int64) time.Duration { return time.Duration(n) }), 1, 200).Draw(t, "all")
		percent := rapid.Float64Range(1, 100).Draw(t, "percent")
		got := percentile(all, percent)
		var atMost, less int
		for _, d := range all {
			if d <= got {
				atMost++
			}
			if d < got {
				less++
			}
		}
		n := percent / 100 * float64(len(all))
		if !slices.Contains(all, got) || float64(atMost) < n-1e-9 || float64(less) >= n+1e-9 {
			t.Fatalf("%v: %d at most, %d less, of %d", got, atMost, less, len(all))
		}
	})
}

func TestParseStat(t *testing.T) {
	p, err := parseStat("42 (a) b) (c) S 7 42 42 0 -1 4194560 1 2 3 4 150 25 9 9 20 0 1 0 100 1 1\n")
	if err != nil || p.parent != 7 || p.used != 1750*time.Millisecond {
		t.Errorf("%+v %v", p, err)
	}
	for _, raw := range []string{"", "42", "42 (a) S 7", "42 (a) S x 42 42 0 -1 4194560 1 2 3 4 150 25 9", "42 (a) S 7 42 42 0 -1 4194560 1 2 3 4 150 y 9"} {
		if p, err := parseStat(raw); err == nil {
			t.Errorf("%q: %+v", raw, p)
		}
	}
}

func TestBelow(t *testing.T) {
	all := map[int]process{
		1: {0, time.Hour}, 10: {1, time.Minute}, 11: {10, 1}, 12: {11, 2}, 13: {12, 4}, 20: {1, time.Hour}, 21: {20, time.Hour},
		30: {31, time.Hour}, 31: {30, time.Hour}, // as it may look while processes end
		40: {999, time.Hour},
	}
	if got := below(all, 10); got != 7 {
		t.Errorf("%d, want 7: children and theirs, not the process itself, nobody else's", got)
	}
	if got := below(all, 13); got != 0 {
		t.Errorf("no children: %d", got)
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
	// A caller that fails ends the others and the run, long before the ramp is over.
	var m measured
	if err := s.together(t.Context(), options{callers: 8, window: time.Hour}, &m); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.call = func(ctx context.Context, _ string) error { return ctx.Err() }
	if err := s.together(ctx, options{callers: 2, window: time.Hour}, &m); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func example() results {
	r := results{Recorded: "2026-01-02", Machine: "2 cores", SyncMicros: 321, Callers: 64, Versions: []version{{"Thing", "v1"}}}
	for i, s := range subjects() {
		r.Subjects = append(r.Subjects, measured{Name: s.name, Calls: 200, P50: float64(i + 1), P90: 20, P99: 30, Completed: 800, Seconds: 8, PerSecond: float64(100 * (i + 1)), CPUMillis: 5})
	}
	return r
}

func TestPage(t *testing.T) {
	r := example()
	text := page(r)
	for _, want := range []string{
		"| fairlead, embedded broker | 1.0 | 20.0 | 30.0 | 1.00× | 100 | 1.00× | 5.00 | 1.00× |\n", "| Restate, without fsync | 3.0 | 20.0 | 30.0 | 3.00× | 300 | 3.00× | 5.00 | 1.00× |\n",
		"321 µs", "| Thing | v1 |", "Temporal's local activities", "64 callers", "200 calls",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, s := range subjects() {
		if strings.Count(text, "| "+s.title+" |") != 1 || !strings.Contains(text, s.durable) {
			t.Errorf("%s is not on the page once, with what it makes durable", s.title)
		}
	}
	r.Subjects = r.Subjects[:1]
	if text := page(r); strings.Contains(text, groups[1].title) || !strings.Contains(text, groups[0].title) {
		t.Errorf("groups without subjects are left out:\n%s", text)
	}
	if got := ratio(1, 0); got != "–" {
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
