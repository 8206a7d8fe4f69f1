package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/config"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/native"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	"github.com/fairleadio/fairlead/topics"
)

// Options are what a process is built from.
type Options struct {
	Config config.Config
	// Workers are worker types, as [ParseTypes] returns them.
	Workers []string
	// DB is the local storage; nil opens Pebble in the configured directory.
	DB engine.DB
	// Sandbox runs application code; nil makes one when a worker needs it.
	Sandbox *sandbox.Runtime
	// RestListener takes the place of the configured address.
	RestListener net.Listener
	// Outside reaches Kafka; the zero value is the real world.
	Outside engine.Outside
	// Kafka says how brokers are reached, in place of the configuration's TLS and SASL; nil for those.
	Kafka *kafkaadmin.Connection
	// Native runs flows in a developer's native program instead of the sandbox; nil for the sandbox.
	Native *native.Host
	// FlowSees is told the topic and key of each record about virtual nodes and their keys, when flows of this process see
	// what it says; nil for nobody. It must not block.
	FlowSees func(topic, key string)
	Log      *slog.Logger
	// Build is the version, for dead letters and /status.
	Build string
}

// App is the workers of one process.
type App struct {
	opts    Options
	cfg     config.Config
	log     *slog.Logger
	conn    kafkaadmin.Connection
	outside engine.Outside
	metrics *prometheus.Registry
	// trials are all groups', for one process runs them.
	trials  *engine.Trials
	closers []func() error

	views   *viewSet
	engines []*groupWorker
	besides []besides
	// pulses are those of the Postgres servers, by host.
	pulses map[string]*postgres.Pulse
	// channels reads external channels, nil without a flow mapper.
	channels *flowmapper.Channels
	rest     *restWorker
	monitor  net.Listener

	mu    sync.Mutex
	phase string
	ready chan struct{}
}

// New builds the workers. Nothing runs and nothing is asked of Kafka before [App.Run]; listeners are opened, so that
// a busy port is told here.
func New(ctx context.Context, opts Options) (_ *App, err error) {
	if len(opts.Workers) == 0 {
		return nil, errors.New("no worker types are given")
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	a := &App{opts: opts, cfg: opts.Config, log: opts.Log, phase: "starting", ready: make(chan struct{}), metrics: prometheus.NewRegistry(), trials: engine.NewTrials()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.conn, err = connection(a.cfg.Kafka, "fairlead-"+a.cfg.Process.Instance); err != nil {
		return nil, err
	}
	if opts.Kafka != nil {
		a.conn.TLS, a.conn.SASL = opts.Kafka.TLS, opts.Kafka.SASL
	}
	if a.outside, err = outside(a.conn, opts.Outside); err != nil {
		return nil, err
	}
	a.conn.Dial = opts.Outside.Dial
	for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err = a.metrics.Register(c); err != nil {
			return nil, fmt.Errorf("registering the process's metrics: %w", err)
		}
	}
	a.views = &viewSet{app: a}
	for _, w := range opts.Workers {
		if err = a.build(ctx, w); err != nil {
			return nil, fmt.Errorf("worker %s: %w", w, err)
		}
	}
	if address := a.cfg.Monitor.Address; address != "" {
		if a.monitor, err = net.Listen("tcp", address); err != nil {
			return nil, fmt.Errorf("monitor.address: %w", err)
		}
	}
	return a, nil
}

func (a *App) build(ctx context.Context, workerType string) error {
	switch workerType {
	case Database:
		return a.buildDatabase(ctx)
	case Crypto:
		return a.buildCrypto()
	case Persistence:
		return a.buildPersistence(ctx)
	case FlowMapper:
		return a.buildFlowMapper()
	case Flow:
		return a.buildFlow(ctx)
	case Rest:
		return a.buildRest()
	case Tokens:
		return a.buildTokens()
	case Uniqueness:
		return a.buildUniqueness()
	case Verification:
		return a.buildVerification(ctx)
	default:
		_, err := ParseTypes(workerType)
		return err
	}
}

// besides is what a worker runs beside its groups.
type besides struct {
	name string
	run  func(context.Context) error
}

// onClose adds what is closed when the process ends, last added first.
func (a *App) onClose(f func() error) { a.closers = append(a.closers, f) }

func (a *App) close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// RestAddress returns where the rest worker listens, empty when there is none.
func (a *App) RestAddress() string {
	if a.rest == nil {
		return ""
	}
	return a.rest.listener.Addr().String()
}

// MonitorAddress returns where probes and metrics are served, empty when they are not.
func (a *App) MonitorAddress() string {
	if a.monitor == nil {
		return ""
	}
	return a.monitor.Addr().String()
}

// WaitReady waits until every worker is ready, or ctx ends.
func (a *App) WaitReady(ctx context.Context) error {
	select {
	case <-a.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the workers are not ready: %w", ctx.Err())
	}
}

// stage is a set of goroutines that start and stop together.
type stage struct {
	ctx    context.Context
	cancel context.CancelFunc
	fail   context.CancelCauseFunc
	wg     sync.WaitGroup
}

func newStage(ctx context.Context, fail context.CancelCauseFunc) *stage {
	s := &stage{fail: fail}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// run runs f; its end before the stage's is a failure of the process.
func (s *stage) run(name string, f func(context.Context) error) {
	s.wg.Go(func() {
		err := f(s.ctx)
		if s.ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		s.fail(fmt.Errorf("%s: %w", name, err))
	})
}

func (s *stage) stop() {
	s.cancel()
	s.wg.Wait()
}

// Run checks the topics, runs the workers until ctx ends or one of them fails, and stops them in order: rest first,
// while the groups behind it still decide; then the groups; then their views.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.close()) }()
	began := time.Now()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	probes, views, groups, edges := newStage(ctx, fail), newStage(ctx, fail), newStage(ctx, fail), newStage(ctx, fail)
	defer probes.stop()
	if a.monitor != nil {
		probes.run("monitor", a.serveMonitor)
	}
	err = a.start(ctx, views, groups, edges)
	if err == nil {
		a.setPhase("running")
		close(a.ready)
		a.log.Info("ready", "workers", a.opts.Workers, "took", time.Since(began).Round(time.Millisecond))
		<-ctx.Done()
	}
	a.setPhase("draining")
	edges.stop()
	groups.stop()
	views.stop()
	if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (a *App) start(ctx context.Context, views, groups, edges *stage) error {
	a.setPhase("checking topics")
	admin, err := kafkaadmin.New(a.conn)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := checkTopics(ctx, admin, a.opts.Workers, a.cfg.Engine.UnsafeTopics, a.log); err != nil {
		return err
	}
	a.setPhase("reading views")
	for topic, v := range a.views.all {
		views.run("view of "+topic, v.Run)
	}
	for _, v := range a.views.all {
		if err := v.WaitReady(ctx); err != nil {
			return err
		}
	}
	for _, b := range a.besides {
		views.run(b.name, b.run)
	}
	a.setPhase("recovering")
	for _, g := range a.engines {
		groups.run("group "+g.name, func(ctx context.Context) error { return g.run(ctx, a.log, g.engine.Run) })
	}
	for _, g := range a.engines {
		if err := waitGroup(ctx, g.engine); err != nil {
			return fmt.Errorf("group %s: %w", g.name, err)
		}
	}
	if a.channels != nil {
		edges.run(topics.FlowMapperChannels, a.channels.Run)
	}
	if a.rest != nil {
		groups.run("replies to rest", a.rest.inbox.Run)
		edges.run("rest", a.rest.run)
	}
	return nil
}

// groupReady tells whether a group is ready in this process: it works, or it is a spare, to which the group gave no
// partitions because others own all of them.
func groupReady(s engine.Status) bool { return s.Ready() || s.Spare() }

// waitGroup waits until a group is ready.
func waitGroup(ctx context.Context, e *engine.Engine) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st := e.Status()
		if groupReady(st) {
			return nil
		}
		if st.Err != nil {
			return st.Err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", engine.ErrNotReady, ctx.Err())
		case <-tick.C:
		}
	}
}

func (a *App) setPhase(p string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.phase = p
}

func (a *App) phaseNow() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.phase
}

// healthy tells whether the process is ready, and why not.
func (a *App) healthy() (bool, []string) {
	var reasons []string
	if p := a.phaseNow(); p != "running" {
		reasons = append(reasons, p)
	}
	for _, g := range a.engines {
		if st := g.engine.Status(); !groupReady(st) {
			reasons = append(reasons, g.name+": "+phaseOf(st))
		}
	}
	reasons = append(reasons, a.waiting()...)
	return len(reasons) == 0, reasons
}
