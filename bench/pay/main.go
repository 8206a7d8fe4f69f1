// Command pay measures payments: how long one takes until it is final, what a hop costs meanwhile, how many are final in a
// second when many are made at once, and whose processor time that takes. It runs apps/tokens and apps/notary on a cluster
// with a process for each worker type on one node of Apache Kafka, and then on `fairlead dev` with its embedded broker; it
// prints tables and records them with a page and a picture for the documentation.
//
// A payment is flow tokens-pay of one member to another: tokens are claimed, the transaction built, signed, verified, sent to
// the payee, notarised, stored on both sides. Starts are written to flow.mapper.start as the REST worker would; a payment's
// time counts from there until its flow is visible as completed to a read-committed reader. Members pay in pairs, so that
// after the first payments nobody needs a backchain that it does not have.
//
// Hops are those of `fairlead trace`: topic crossings, each one commit of the engine.
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
	"syscall"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
)

// options are the flags of a run.
type options struct {
	root    string
	machine string
	members int
	single  int
	lasts   time.Duration
	only    string
	profile string
	record  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/pay:", err)
		os.Exit(1)
	}
}

// What -only can say.
const (
	onlyKafka = "kafka"
	onlyDev   = "dev"
)

func run(ctx context.Context) (err error) {
	var o options
	flag.StringVar(&o.root, "root", ".", "the repository's root")
	flag.StringVar(&o.machine, "machine", "alone", "what else the machine does, for the record")
	flag.IntVar(&o.members, "members", 16, "how many members pay each other; an even number")
	flag.IntVar(&o.single, "single", 100, "how many payments are made one at a time")
	flag.DurationVar(&o.lasts, "lasts", 10*time.Second, "how long each load of many at once lasts")
	flag.StringVar(&o.only, "only", "", "run on one cluster only, kafka or dev; nothing is recorded then")
	flag.StringVar(&o.profile, "profile", "", "a `directory` for processor profiles of the workers on Kafka, one for each load of many at once; none when empty")
	flag.BoolVar(&o.record, "record", true, "write bench/pay/results.json, docs/performance-pay.md and .svg")
	pageOnly := flag.Bool("page", false, "measure nothing: write the page anew from bench/pay/results.json")
	flag.Parse()
	if _, err := os.Stat(filepath.Join(o.root, "apps", "tokens", "go.mod")); err != nil {
		return fmt.Errorf("%s is not the repository's root: use -root", o.root)
	}
	if o.root, err = filepath.Abs(o.root); err != nil {
		return fmt.Errorf("find -root: %w", err)
	}
	if *pageOnly {
		return rewrite(o)
	}
	if o.profile != "" {
		if o.profile, err = filepath.Abs(o.profile); err != nil {
			return fmt.Errorf("find -profile: %w", err)
		}
	}
	if o.members < 2 || o.members%2 != 0 || o.single < 1 {
		return errors.New("-members is an even number, -single one or more")
	}
	if o.only != "" && o.only != onlyKafka && o.only != onlyDev {
		return fmt.Errorf("-only: %q is neither %s nor %s", o.only, onlyKafka, onlyDev)
	}
	dir, err := os.MkdirTemp("", "fairlead-bench-pay-")
	if err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres may run as another user
		return fmt.Errorf("open the directory of the run: %w", err)
	}
	b := bench{options: o, dir: dir, binary: filepath.Join(dir, "fairlead.exe")}
	build := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./cmd/fairlead")
	build.Dir = o.root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build fairlead: %w\n%s", err, out)
	}
	now := results{Recorded: time.Now().UTC().Format(time.DateOnly), Machine: measure.Machine(o.machine), Cores: runtime.NumCPU(), Members: o.members}
	for _, c := range []struct {
		name  string
		start func(context.Context) (*cluster, error)
	}{{onlyKafka, b.onKafka}, {onlyDev, b.inDev}} {
		if o.only != "" && o.only != c.name {
			continue
		}
		s, err := b.measure(ctx, c.start)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		now.Sites = append(now.Sites, s)
	}
	if o.only != "" {
		b.record = false
	}
	return report(b.options, now)
}

// bench is one run.
type bench struct {
	options
	dir, binary string
}

// siteTime bounds what happens on one cluster.
const siteTime = 10 * time.Minute

// measure measures on one cluster.
func (b bench) measure(ctx context.Context, start func(context.Context) (*cluster, error)) (s site, err error) {
	ctx, cancel := context.WithTimeout(ctx, siteTime)
	defer cancel()
	began := time.Now()
	c, err := start(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	s.Kind = c.kind
	p, err := newPayer(c)
	if err != nil {
		return s, err
	}
	defer p.close()
	if err := p.issue(ctx, tokensEach()); err != nil {
		return s, fmt.Errorf("issue tokens: %w\n%s", err, c.tail())
	}
	fmt.Printf("%s: ready after %.0f s\n", c.kind, time.Since(began).Seconds())
	warm := many{AtOnce: levels()[1]} // a broker that has just started takes twice as long for a commit
	if err := p.many(ctx, &warm, 2*b.lasts); err != nil {
		return s, fmt.Errorf("warm up: %w", err)
	}
	if err := p.single(ctx, b.single, &s); err != nil {
		return s, fmt.Errorf("one at a time: %w", err)
	}
	fmt.Printf("  one at a time: final after p50 %.0f  p99 %.0f ms; %d hops in a row of %d, %.1f ms a hop\n", s.Single.P50, s.Single.P99, s.Hops.InARow, s.Hops.All, s.Hops.Each)
	for _, n := range levels() {
		l := many{AtOnce: n}
		profiles := b.profiles(ctx, c, n)
		if err := errors.Join(p.many(ctx, &l, b.lasts), profiles()); err != nil {
			return s, fmt.Errorf("%d at once: %w", n, err)
		}
		fmt.Printf("  %3d at once: %6.1f payments/s, p50 %.0f  p99 %.0f ms, %d failed; %s\n", n, l.PerSecond, l.Millis.P50, l.Millis.P99, l.Failed, l.limit(runtime.NumCPU()))
		s.Many = append(s.Many, l)
	}
	return s, nil
}

// levels are how many payments are under way at once.
func levels() []int { return []int{16, 64, 192} }

// tokensEach is how many tokens each pair of members gets for each level: a payment claims one at least.
func tokensEach() int { return levels()[len(levels())-1] }
