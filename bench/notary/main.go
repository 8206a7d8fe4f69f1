// Command notary measures what a notary's decisions cost: how many transactions of 1, 2, 10, 100 and 1,000 inputs are decided
// in a second, with how much processor time, and how long one waits for its answer; one notary, and two on two partitions,
// also when each commit takes 20 ms longer; and the same rules in SQL in Postgres, in the same run. It prints tables and
// records them with a page and a picture for the documentation.
//
// The worker is this program again as a process of its own, so that its processor time is its own: the group of
// processors/uniqueness on the engine, with the settings of `fairlead worker uniqueness` and one session for each notary.
// One node of Apache Kafka, the worker and the client share the machine.
//
// Backlog: requests lie in uniqueness.requests before the worker starts; the rate is that of the last nine tenths of the
// answers becoming visible to a read-committed reader. Paced: requests come at a fixed rate, and the time counts from when
// a request was due until its answer is read, read-committed. Each transaction consumes outputs of as many others, which
// were made long enough before to be read from the local storage, and every answer is looked at.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// options are the flags of a run.
type options struct {
	root    string
	machine string
	scale   float64
	paced   time.Duration
	profile string
	record  bool
	only    string
	loads   *regexp.Regexp
	child   child
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/notary:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var o options
	flag.StringVar(&o.root, "root", ".", "the repository's root")
	flag.StringVar(&o.machine, "machine", "alone", "what else the machine does, for the record")
	flag.Float64Var(&o.scale, "scale", 1, "how many transactions, as a share of the usual number")
	flag.DurationVar(&o.paced, "paced", 8*time.Second, "how long each paced load lasts; 0 for none")
	flag.StringVar(&o.profile, "profile", "", "a `directory` for processor profiles of the worker, one for each load; none when empty")
	flag.BoolVar(&o.record, "record", true, "write bench/notary/results.json, docs/performance-notary.md and .svg")
	flag.StringVar(&o.only, "only", "", "measure kafka or postgres alone, and record nothing")
	loads := flag.String("loads", "", "measure only the loads in whose titles this `pattern` is found, and record nothing")
	pageOnly := flag.Bool("page", false, "measure nothing: write the page anew from bench/notary/results.json")
	o.child.flags()
	flag.Parse()
	if o.child.brokers != "" {
		return o.child.run(ctx)
	}
	if _, err := os.Stat(filepath.Join(o.root, "bench", "notary", "main.go")); err != nil {
		return fmt.Errorf("%s is not the repository's root: use -root", o.root)
	}
	if *pageOnly {
		return rewrite(o)
	}
	switch o.only {
	case "":
	case "kafka", "postgres":
		o.record = false
	default:
		return fmt.Errorf("-only is %q; give kafka or postgres", o.only)
	}
	if o.loads, err = regexp.Compile(*loads); err != nil {
		return fmt.Errorf("read -loads: %w", err)
	}
	if *loads != "" {
		o.record = false
	}
	if o.profile != "" {
		if o.profile, err = filepath.Abs(o.profile); err != nil {
			return fmt.Errorf("find -profile: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "fairlead-bench-notary-")
	if err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres may run as another user
		return fmt.Errorf("open the directory of the run: %w", err)
	}
	now := results{Recorded: time.Now().UTC().Format(time.DateOnly), Machine: measure.Machine(o.machine)}
	if o.only != "postgres" {
		if err := onKafka(ctx, o, dir, &now); err != nil {
			return err
		}
	}
	if o.only != "kafka" {
		if err := inPostgres(ctx, o, filepath.Join(dir, "postgres"), &now); err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
	}
	if err := report(o, now); err != nil || len(now.Failed) == 0 {
		return err
	}
	return fmt.Errorf("%d loads could not be measured; the page says which", len(now.Failed))
}

// onKafka runs all loads of the worker. One that fails is noted, and the next begins.
func onKafka(ctx context.Context, o options, dir string, all *results) (err error) {
	if err := os.Setenv(kafkatest.RealServersVariable, "1"); err != nil {
		return err
	}
	cluster, err := kafkatest.Launch(ctx, dir, kafkatest.Options{HeapMB: 1024, Fast: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	if !cluster.Real() {
		return fmt.Errorf("a real Kafka is needed: %s", cluster.Kind())
	}
	b := bench{options: o, dir: dir, brokers: cluster.Brokers()}
	for _, l := range loads(o.scale) {
		if !o.loads.MatchString(l.title()) {
			continue
		}
		if err := b.load(ctx, &l, all.Loads); err != nil {
			if ctx.Err() != nil {
				return err
			}
			all.note(l.title(), err)
		}
		if l.PerSecond > 0 { // it failed after its backlog, if at all
			all.Loads = append(all.Loads, l)
		}
	}
	return nil
}

// bench is one run.
type bench struct {
	options
	dir     string
	brokers []string
}
