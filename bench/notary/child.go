package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/config"
	"github.com/fairleadio/fairlead/processors/uniqueness"
)

// child is this program run as the worker.
type child struct {
	brokers, prefix, dir, profile string
	sessions                      int
	slow                          time.Duration
	most                          int
}

func (c *child) flags() {
	flag.StringVar(&c.brokers, "child", "", "for this program's own use: the brokers of the worker to be")
	flag.StringVar(&c.prefix, "child-prefix", "", "for this program's own use")
	flag.StringVar(&c.dir, "child-dir", "", "for this program's own use")
	flag.StringVar(&c.profile, "child-profile", "", "for this program's own use")
	flag.IntVar(&c.sessions, "child-sessions", 1, "for this program's own use")
	flag.IntVar(&c.most, "child-most", 0, "for this program's own use")
	flag.DurationVar(&c.slow, "child-slow", 0, "for this program's own use")
}

// command is the command that runs it.
func (c *child) command() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return exec.Command(self, "-child", c.brokers, "-child-prefix", c.prefix, "-child-dir", c.dir, "-child-profile", c.profile,
		"-child-sessions", strconv.Itoa(c.sessions), "-child-slow", c.slow.String(), "-child-most", strconv.Itoa(c.most)), nil
}

// run is the worker until it is stopped.
func (c *child) run(ctx context.Context) (err error) {
	if c.profile != "" {
		f, err := os.Create(c.profile)
		if err != nil {
			return fmt.Errorf("make a profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("begin a profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(config.Default().Process.GCPercent)
	}
	registry := prometheus.NewRegistry()
	metrics, err := uniqueness.NewMetrics(registry)
	if err != nil {
		return err
	}
	worker, err := uniqueness.NewWorker(uniqueness.Deps{Metrics: metrics})
	if err != nil {
		return err
	}
	db, err := engine.OpenPebble(c.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	cfg := engine.Config{
		Brokers: strings.Split(c.brokers, ","), Prefix: c.prefix, InstanceID: "bench", Sessions: c.sessions, DB: db, LeaveOnStop: true, Metrics: registry,
		// What fairlead worker has by default.
		MaxDelay: 100 * time.Millisecond, TransactionTimeout: 10 * time.Second, SessionTimeout: 10 * time.Second,
	}
	uniqueness.Tune(&cfg)
	if c.most > 0 {
		cfg.MaxBatch = c.most
	}
	if c.slow > 0 {
		cfg.Outside.Dial = slowCommits(c.slow)
	}
	e, err := engine.New(cfg, worker.Graph())
	if err != nil {
		return err
	}
	return e.Run(ctx)
}
