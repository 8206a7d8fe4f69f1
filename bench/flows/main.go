// Command flows measures what flows cost: how many are started and ended in a second on one core, how many suspensions
// that makes, what a resume costs with and without a live instance, and what an idle cluster of `fairlead dev` takes.
// It prints tables and records them with a page for the documentation.
//
// Flows: a process of the built binary runs the flow mapper and the flow worker with GOMAXPROCS=1 against the embedded
// broker, which runs in the benchmark's own process, and then against one node of Apache Kafka. Starts are written to
// flow.mapper.start, all at once, as the REST worker would; the rate counts from the first start's writing until the
// last flow is visible as ended to a read-committed reader. Processor time is the worker process's own, so it tells
// what one core could do when the machine is busy with other things.
//
// Resumes: the same module in the sandbox alone; the least of several runs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
)

// options are the flags of a run.
type options struct {
	root    string
	machine string
	scale   float64
	idle    time.Duration
	record  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/flows:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var o options
	flag.StringVar(&o.root, "root", ".", "the repository's root")
	flag.StringVar(&o.machine, "machine", "alone", "what else the machine does, for the record")
	flag.Float64Var(&o.scale, "scale", 1, "how many flows, as a share of the usual number")
	flag.DurationVar(&o.idle, "idle", 30*time.Second, "how long an idle fairlead dev is watched; 0 for not at all")
	flag.BoolVar(&o.record, "record", true, "write bench/flows/results.json and docs/performance-flows.md")
	pageOnly := flag.Bool("page", false, "measure nothing: write the page anew from bench/flows/results.json and channels.json")
	flag.Parse()
	if _, err := os.Stat(filepath.Join(o.root, "apps", "hello", "go.mod")); err != nil {
		return fmt.Errorf("%s is not the repository's root: use -root", o.root)
	}
	if *pageOnly {
		return rewrite(o)
	}
	dir, err := os.MkdirTemp("", "fairlead-bench-flows-")
	if err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	defer os.RemoveAll(dir)
	b := bench{options: o, dir: dir, binary: filepath.Join(dir, "fairlead.exe")}
	build := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./cmd/fairlead")
	build.Dir = o.root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build fairlead: %w\n%s", err, out)
	}
	now := results{
		Recorded: time.Now().UTC().Format(time.DateOnly),
		Machine:  measure.Machine(o.machine),
	}
	if now.Resumes, err = b.resumes(ctx); err != nil {
		return fmt.Errorf("resumes: %w", err)
	}
	for _, real := range []bool{false, true} {
		loads, err := b.flows(ctx, real)
		if err != nil {
			return err
		}
		now.Flows = append(now.Flows, loads...)
	}
	if o.idle > 0 {
		if now.Idle, err = b.idle(ctx); err != nil {
			return fmt.Errorf("idle cluster: %w", err)
		}
	}
	return report(o, now)
}

// bench is one run.
type bench struct {
	options
	dir, binary string
}
