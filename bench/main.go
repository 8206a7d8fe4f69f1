// Command bench measures the engine beside others that do the same work, in one run on one machine: stock goka, Kafka
// Streams with and without exactly-once, and a bare franz-go transaction loop. It prints a table of rates and of ratios,
// compares the ratios with the recorded ones, and records them with a page and a picture for the documentation.
//
// The work: for each input record of 100 bytes, add one to a counter under the record's key, in a table that is written
// through to a compacted topic, and pass the record on. Throughput: a million records lie ready, the rate is that of
// the last nine tenths of the output becoming visible to a read-committed reader. Latency: a hundred records a second,
// from just before producing to having read the output, read-committed.
//
// Ratios of one run on one machine mean something; its absolute numbers mean little elsewhere.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// options are the flags of a run.
type options struct {
	records int
	latency time.Duration
	only    string
	record  bool
	root    string
	child   child
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	flag.IntVar(&o.records, "records", 1_000_000, "records of the throughput runs")
	flag.DurationVar(&o.latency, "latency", 20*time.Second, "how long each latency run lasts; 0 for none")
	flag.StringVar(&o.only, "only", "", "run these subjects only, comma separated")
	flag.BoolVar(&o.record, "record", true, "write bench/results.json, docs/performance.md and docs/performance.svg")
	flag.StringVar(&o.root, "root", ".", "the repository's root")
	o.child.flags()
	flag.Parse()
	if o.child.subject != "" {
		return o.child.run(ctx)
	}
	if _, err := os.Stat(filepath.Join(o.root, "bench", "streams", "pom.xml")); err != nil {
		return fmt.Errorf("%s is not the repository's root: use -root", o.root)
	}
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	return measure(ctx, o, chosen)
}

// choose returns the subjects to run.
func choose(only string) ([]subject, error) {
	all := subjects()
	if only == "" {
		return all, nil
	}
	var out []subject
	for _, name := range strings.Split(only, ",") {
		found := false
		for _, s := range all {
			if s.name == name {
				out, found = append(out, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-only: there is no subject %q", name)
		}
	}
	return out, nil
}

// measure runs all subjects, one after the other, and reports.
func measure(ctx context.Context, o options, chosen []subject) error {
	dir, err := os.MkdirTemp("", "fairlead-bench-")
	if err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(kafkatest.RealServersVariable, "1"); err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	cluster, err := kafkatest.Launch(ctx, dir, kafkatest.Options{HeapMB: 1024, Fast: true, Log: say})
	if err != nil {
		return err
	}
	defer cluster.Close() //nolint:errcheck // it only ends processes of this run
	if !cluster.Real() {
		return fmt.Errorf("a real Kafka is needed: %s", cluster.Kind())
	}
	b, err := newBench(ctx, o, cluster.Brokers(), dir)
	if err != nil {
		return err
	}
	defer b.close()
	now := results{Recorded: time.Now().UTC().Format(time.DateOnly), Records: o.records, Machine: machine(), Throughput: map[string]rate{}, Latency: map[string]percentiles{}}
	say("producing %d records of %d bytes", o.records, valueBytes)
	if err := b.preload(ctx); err != nil {
		return err
	}
	for _, s := range chosen {
		r, err := b.throughput(ctx, s)
		if err != nil {
			return fmt.Errorf("throughput of %s: %w", s.title, err)
		}
		now.Throughput[s.name] = r
		say("%-44s %9.0f records/s  %5.1f µs of processor per record", s.title, r.PerSecond, r.CPUMicros)
	}
	for _, s := range chosen {
		if o.latency == 0 {
			break
		}
		p, err := b.latency(ctx, s, o.latency)
		if err != nil {
			return fmt.Errorf("latency of %s: %w", s.title, err)
		}
		now.Latency[s.name] = p
		say("%-44s p50 %6.1f ms  p90 %6.1f ms  p99 %6.1f ms", s.title, p.P50, p.P90, p.P99)
	}
	now.Ratios = ratios(now)
	return report(o, now, say)
}
