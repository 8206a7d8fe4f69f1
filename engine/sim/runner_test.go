package sim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// options are the flags, of the runner and of the child that runs one seed.
type options struct {
	seeds, kinds, mutation, keep, out string
	faults, records, jobs             int
	seed                              uint64
	shrink, logs                      bool
}

var opts = func() *options {
	o := &options{}
	flag.StringVar(&o.seeds, "seeds", "1-10", "seeds to run: N for 1-N, or FROM-TO")
	flag.IntVar(&o.faults, "faults", 25, "faults of each seed")
	flag.IntVar(&o.records, "records", 400, "input records of each seed")
	flag.StringVar(&o.kinds, "kinds", "", "letters of the faults to draw from; empty for all")
	flag.StringVar(&o.mutation, "mutation", "", "break a promise on purpose; mutation_test.go lists them")
	flag.IntVar(&o.jobs, "jobs", 2, "seeds at a time")
	flag.StringVar(&o.out, "results", "", "file of results; seeds that stand in it are not run again")
	flag.BoolVar(&o.shrink, "shrink", false, "take faults away from failing seeds while they fail")
	flag.Uint64Var(&o.seed, "seed", 0, "child: the seed to run")
	flag.StringVar(&o.keep, "keep", "all", "numbers of the faults to keep, by commas")
	flag.BoolVar(&o.logs, "logs", false, "print what the processes logged")
	return o
}()

// result is what a child tells.
type result struct {
	Seed     uint64         `json:"seed"`
	OK       bool           `json:"ok"`
	Failures []string       `json:"failures,omitempty"`
	Settings string         `json:"settings,omitempty"`
	Faults   []string       `json:"faults,omitempty"`
	Count    map[string]int `json:"count,omitempty"`
	Virtual  float64        `json:"virtual_seconds"`
	Wall     float64        `json:"wall_seconds"`
}

// TestSeeds runs each seed in a process of its own: a hang costs one seed.
func TestSeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a binary of its own")
	}
	from, to, err := seedRange(opts.seeds)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := buildChild(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	done, err := readResults(opts.out)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	sum := &summary{count: map[string]int{}}
	for _, r := range done {
		if r.Seed >= from && r.Seed <= to {
			sum.add(r)
		}
	}
	began := time.Now()
	queue := make(chan uint64)
	var workers sync.WaitGroup
	for range max(opts.jobs, 1) {
		workers.Go(func() {
			for seed := range queue {
				r := runSeed(bin, seed, opts.keep)
				mu.Lock()
				sum.add(r)
				if err := appendResult(opts.out, r); err != nil {
					t.Error(err)
				}
				if !r.OK {
					t.Logf("seed %d failed (%s)\n  %s\nfaults:\n  %s\nagain: %s", seed, r.Settings, strings.Join(r.Failures, "\n  "),
						strings.Join(r.Faults, "\n  "), again(seed, ""))
				}
				mu.Unlock()
				if !r.OK && opts.shrink {
					keep, last := shrink(bin, seed, len(r.Faults))
					t.Logf("seed %d fails with %d faults alone:\n  %s\n  %s\nagain: %s", seed, len(last.Faults), strings.Join(last.Faults, "\n  "),
						strings.Join(last.Failures, "\n  "), again(seed, keep))
				}
			}
		})
	}
	for seed := from; seed <= to; seed++ {
		if _, ok := done[seed]; !ok {
			queue <- seed
		}
	}
	close(queue)
	workers.Wait()
	t.Logf("%s in %s", sum, time.Since(began).Round(time.Second))
	if len(sum.failed) > 0 {
		t.Errorf("%d seeds failed: %v", len(sum.failed), sum.failed)
	}
}

// TestJudgeCanFail breaks promises that the engine relies on; seeds must fail then.
func TestJudgeCanFail(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a binary of its own")
	}
	bin, err := buildChild(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		name, kinds string
		seeds       uint64
	}{{"offsets", "", 10}, {"torn", "", 10}, {"stable", "zzzktS", 60}, {"clock", "ccczsk", 20}, {"graves", "CCCwkz", 40}, {"blind", "", 20}, {"twice", "", 20}} {
		seen := ""
		for seed := uint64(1); seed <= m.seeds && seen == ""; seed++ {
			r := runSeed(bin, seed, "all", "-mutation", m.name, "-kinds", m.kinds)
			for _, f := range r.Failures {
				// Getting stuck is no verdict on what was done.
				if !strings.HasPrefix(f, "not quiet") && !strings.HasPrefix(f, "no result") {
					seen = f
					t.Logf("%s: seed %d fails: %s", m.name, seed, f)
					break
				}
			}
		}
		if seen == "" {
			t.Errorf("%s: %d seeds pass, although the promise is broken", m.name, m.seeds)
		}
	}
}

func seedRange(s string) (from, to uint64, err error) {
	low, high, both := strings.Cut(s, "-")
	if !both {
		low, high = "1", s
	}
	from, err1 := strconv.ParseUint(low, 10, 64)
	to, err2 := strconv.ParseUint(high, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, fmt.Errorf("-seeds %q is neither N nor FROM-TO: %w", s, err)
	}
	return from, to, nil
}

// runSeed runs one seed in a child.
func runSeed(bin string, seed uint64, keep string, more ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	args := append([]string{"-test.run", "^TestSeed$", "-test.timeout", "0", "-seed", strconv.FormatUint(seed, 10),
		"-keep", keep, "-faults", strconv.Itoa(opts.faults), "-records", strconv.Itoa(opts.records), "-kinds", opts.kinds, "-mutation", opts.mutation}, more...)
	cmd := exec.CommandContext(ctx, bin, args...)
	// One processor, no preemption and a fixed seed of maps and selects: the same seed mostly does the same again.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1,randautoseed=0", "GOGC=400", "GOMEMLIMIT=700MiB")
	if opts.logs {
		cmd.Args = append(cmd.Args, "-logs")
	}
	out, runErr := cmd.CombinedOutput()
	if opts.logs {
		fmt.Printf("%s\n", out)
	}
	for line := range bytes.Lines(out) {
		if rest, ok := bytes.CutPrefix(line, []byte("RESULT ")); ok {
			var r result
			if err := json.Unmarshal(rest, &r); err == nil {
				return r
			}
		}
	}
	tail := out[max(0, len(out)-6000):]
	return result{Seed: seed, Failures: []string{fmt.Sprintf("no result (%v): %s", runErr, tail)}}
}

// shrink takes faults away as long as the seed fails without them. Runs differ a little, so each try has two chances.
func shrink(bin string, seed uint64, faults int) (string, result) {
	keep := make([]int, faults)
	for i := range keep {
		keep[i] = i
	}
	join := func(l []int) string {
		if len(l) == 0 {
			return "none"
		}
		s := make([]string, len(l))
		for i, n := range l {
			s[i] = strconv.Itoa(n)
		}
		return strings.Join(s, ",")
	}
	last := runSeed(bin, seed, join(keep))
	for size := max(len(keep)/2, 1); ; size /= 2 {
		for at := 0; at < len(keep); {
			less := slices.Delete(slices.Clone(keep), at, min(at+size, len(keep)))
			failed := false
			for range 2 {
				if r := runSeed(bin, seed, join(less)); !r.OK {
					failed, last = true, r
					break
				}
			}
			if failed {
				keep = less
			} else {
				at += size
			}
		}
		if size <= 1 {
			return join(keep), last
		}
	}
}

func again(seed uint64, keep string) string {
	s := fmt.Sprintf("go test -count=1 -v ./engine/sim -run TestSeeds -seeds %d-%d -faults %d -records %d", seed, seed, opts.faults, opts.records)
	for _, f := range [][2]string{{"-kinds", opts.kinds}, {"-mutation", opts.mutation}, {"-keep", keep}} {
		if f[1] != "" {
			s += " " + f[0] + " " + f[1]
		}
	}
	return s + " -logs"
}

func readResults(name string) (map[uint64]result, error) {
	done := map[uint64]result{}
	if name == "" {
		return done, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return done, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("read results in %s: %w", name, err)
		}
		done[r.Seed] = r
	}
	return done, lines.Err()
}

func appendResult(name string, r result) error {
	if name == "" {
		return nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	_, err = f.Write(append(raw, '\n'))
	return errors.Join(err, f.Close())
}

type summary struct {
	seeds   int
	failed  []uint64
	count   map[string]int
	virtual float64
}

func (s *summary) add(r result) {
	s.seeds++
	if !r.OK {
		s.failed = append(s.failed, r.Seed)
		slices.Sort(s.failed)
	}
	for k, v := range r.Count {
		s.count[k] += v
	}
	s.virtual += r.Virtual
}

func (s *summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d seeds, %d failed, %.1f virtual hours", s.seeds, len(s.failed), s.virtual/3600)
	for _, k := range slices.Sorted(maps.Keys(s.count)) {
		fmt.Fprintf(&b, ", %s %d", strings.ReplaceAll(k, "_", " "), s.count[k])
	}
	return b.String()
}
