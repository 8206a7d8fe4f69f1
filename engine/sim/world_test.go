//go:build synctests

package sim

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fairleadio/fairlead/engine"
)

// settings are what a seed decides about the world besides its faults.
type settings struct {
	static   bool // members have stable names
	sessions int
	pebble   bool // the product's database, else a map
	prefix   string
	maxBatch int
	queue    int // bound of the records behind a retried one
	leave    bool
	records  int
	killer   bool // the input holds a record that kills its process
	// transactions says that the input is written in transactions, some of which are aborted.
	transactions bool
	restart      time.Duration // after a death
	fetch        time.Duration
	txn          time.Duration
	shape        string
	// markers says that what a transaction wrote becomes visible in each partition at a time of its own.
	markers bool
	// retention is delete.retention.ms of the compacted topics; clocks go wrong by up to skew.
	retention, skew time.Duration
}

func newSettings(seed uint64, records int) settings {
	r := newRNG(seed, "settings")
	s := settings{
		static: r.chance(60), sessions: 1 + r.intn(2), pebble: r.chance(25), leave: r.chance(50), records: records, killer: r.chance(15),
		maxBatch: pick(r, []int{0, 0, 1, 7, 50}), queue: pick(r, []int{0, 0, 3}),
		restart: r.between(200*time.Millisecond, 8*time.Second),
		fetch:   pick(r, []time.Duration{200 * time.Millisecond, time.Second, 5 * time.Second}),
		txn:     pick(r, []time.Duration{4 * time.Second, 10 * time.Second}),
	}
	if r.chance(50) {
		s.prefix = "p."
	}
	s.transactions = r.chance(25)
	s.markers = r.chance(60)
	s.shape, s.retention, s.skew = chains.name, 7*24*time.Hour, time.Hour
	if r.chance(40) {
		s.shape = parking.name
	}
	if r.chance(40) {
		s.retention, s.skew = time.Minute, 10*time.Second
	}
	return s
}

// kind is the group's shape.
func (s settings) kind() *shape {
	if s.shape == parking.name {
		return parking
	}
	return chains
}

func (s settings) engineConfig(n *node, l *life) engine.Config {
	cfg := engine.Config{
		Brokers: brokers, Prefix: s.prefix, Sessions: s.sessions, LeaveOnStop: s.leave, Log: l.log, Build: "sim",
		MaxBatch: s.maxBatch, RetryQueue: s.queue, SessionTimeout: 6 * time.Second, HeartbeatInterval: time.Second,
		TransactionTimeout: s.txn, FetchMaxWait: s.fetch, DeleteRetention: s.retention,
	}
	if s.static {
		cfg.InstanceID = n.id
	}
	return cfg
}

var brokers = []string{"broker0:9092", "broker1:9092", "broker2:9092"}

// count is what a run tells about itself.
type count struct {
	Inputs      int `json:"inputs"`
	Outputs     int `json:"outputs"`
	Commits     int `json:"commits"`
	Aborts      int `json:"aborts"`
	Deaths      int `json:"deaths"`
	EffectKills int `json:"effect_kills"`
	Killers     int `json:"killers"`
	Stops       int `json:"stops"`
	Stalls      int `json:"stalls"`
	Crashes     int `json:"crashes"`
	Lost        int `json:"lost_responses"`
	Injected    int `json:"injected_errors"`
	Messages    int `json:"messages"`
	DeadLetters int `json:"dead_letters"`
	// Blamed are dead letters of records that only happened to be in hand when their process died, again and again.
	Blamed int `json:"blamed"`
	Timers int `json:"timers"`
	Disks  int `json:"disks"`
	// Redriven are dead letters that the operator had run again.
	Redriven    int `json:"redriven"`
	Compactions int `json:"compactions"`
	ClockSteps  int `json:"clock_steps"`
	Views       int `json:"views"`
}

// world is one run.
type world struct {
	seed     uint64
	settings settings
	plan     []fault
	mutation mutation
	net      *network
	fake     *kfake.Cluster
	nodes    []*node
	logs     *logs
	watch    *observer
	shape    *shape
	began    time.Time
	virtual  time.Duration
	running  sync.WaitGroup
	abandon  func() // ends the whole run at once

	mu       sync.Mutex
	count    count
	failures []string
	lives    []*life
	kept     []keptDisk
	closing  bool
	draw     *rng
	handles  []*kfake.FaultHandle
}

// keptDisk is a disk that no later process uses; it is judged all the same.
type keptDisk struct {
	name string
	d    disk
}

func newWorld(seed uint64, records int, plan []fault, m mutation) *world {
	return &world{
		seed: seed, settings: newSettings(seed, records), plan: plan, mutation: m, net: newNetwork(seed),
		began: time.Now(), draw: newRNG(seed, "world"), logs: &logs{began: time.Now()},
		shape: newSettings(seed, records).kind(),
	}
}

func (w *world) tally(f func(*count)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.count)
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.failures) < 20 {
		w.failures = append(w.failures, fmt.Sprintf(format, args...))
	}
}

func (w *world) newDisk() disk {
	if w.settings.pebble {
		return newPebbleDisk()
	}
	return newMemoryDisk()
}

func (w *world) keepDisk(l *life, d disk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, keptDisk{l.name(), d})
}

// crashed is called when a process ended by itself; its supervisor starts it again.
func (w *world) crashed(l *life, err error) {
	w.tally(func(c *count) { c.Crashes++ })
	w.fail("node %s: ended by itself: %v", l.name(), err)
	l.n.mu.Lock()
	if l.n.life == l {
		l.n.life = nil
	}
	l.n.mu.Unlock()
	w.revive(l.n, w.settings.restart)
}

// revive boots a machine's next process after a while.
func (w *world) revive(n *node, after time.Duration) {
	time.AfterFunc(after, func() {
		w.mu.Lock()
		closing := w.closing
		w.mu.Unlock()
		if !closing {
			n.boot()
		}
	})
}

// run lives through the storm, waits for quiet, stops everything and judges.
func (w *world) run() {
	fake, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.ListenFn(w.net.listen), kfake.BrokerConfigs(map[string]string{
		"message.max.bytes": fmt.Sprint(engine.MaxProduceBytes),
	}), kfake.ClusterID(w.settings.clusterID(w.seed)))
	if err != nil {
		w.fail("start brokers: %v", err)
		return
	}
	defer fake.Close()
	w.fake = fake
	for _, t := range w.shape.topics() {
		if err := fake.CreateTopic(w.settings.prefix+t, partitions, w.topicConfig(t)); err != nil {
			w.fail("create topic %s: %v", t, err)
			return
		}
	}
	fake.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.tally(func(c *count) {
			if r.(*kmsg.EndTxnRequest).Commit {
				c.Commits++
			} else {
				c.Aborts++
			}
		})
		return nil, nil, false
	})
	w.mutation.brokers(w)
	for _, id := range []string{"a", "b", "c"} {
		n := &node{w: w, id: id, draw: newRNG(w.seed, "node "+id)}
		n.disk = w.newDisk()
		w.nodes = append(w.nodes, n)
		n.boot()
	}
	w.watch, err = newObserver(w)
	if err != nil {
		w.fail("start observer: %v", err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var around sync.WaitGroup
	around.Go(func() { w.watch.run(ctx) })
	loaded := make(chan struct{})
	w.running.Go(func() {
		defer close(loaded)
		w.load()
	})
	if w.shape.operator {
		around.Go(func() { w.redriveAll(ctx) })
	}
	w.storm()
	<-loaded
	w.heal()
	w.quiesce()
	w.judgeViews()
	w.stopAll()
	cancel()
	around.Wait()
	w.judge()
}

// clusterID tells the edited kfake whether to hold markers back, and by what seed.
func (s settings) clusterID(seed uint64) string {
	if s.markers {
		return fmt.Sprintf("%s%d", heldMarkers, seed)
	}
	return fmt.Sprintf("sim-%d", seed)
}

func (w *world) topicConfig(topic string) map[string]string {
	if !slices.Contains(w.shape.compacted(), topic) {
		return nil
	}
	return map[string]string{
		"cleanup.policy":      "compact",
		"delete.retention.ms": fmt.Sprint(w.mutation.retention(w.settings.retention).Milliseconds()),
	}
}

// compact compacts the logs at a moment at which the observer has seen all that may go.
func (w *world) compact() {
	for range 200 {
		if w.watch.caughtUp() {
			w.fake.Compact()
			w.tally(func(c *count) { c.Compactions++ })
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// heal ends every fault that still lasts and lets every machine run.
func (w *world) heal() {
	w.net.heal()
	for _, h := range w.handles {
		w.tally(func(c *count) { c.Injected += h.Hits() })
		h.Remove()
	}
	w.handles = nil
	for _, l := range w.lives {
		l.mu.Lock()
		l.effects = 0
		l.mu.Unlock()
	}
	for _, n := range w.nodes {
		n.boot()
	}
}

// quiesce waits until the group has nothing left to do.
func (w *world) quiesce() {
	deadline := time.Now().Add(30 * time.Minute)
	for {
		why := w.watch.busy()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			w.fail("not quiet after 30 minutes: %s", why)
			w.describe()
			w.logs.stacks()
			return
		}
		time.Sleep(time.Second)
	}
}

// describe logs who has what.
func (w *world) describe() {
	for _, n := range w.nodes {
		if l := n.current(); l != nil {
			w.logs.add(l.name(), fmt.Sprintf("STATUS %+v", l.eng.Status()))
		}
	}
	if g := w.fake.GroupInfo(w.settings.prefix + group); g != nil {
		for _, m := range g.Members {
			w.logs.add("", fmt.Sprintf("MEMBER %s of generation %d has %v", m.MemberID, g.Epoch, m.Assignment))
		}
	}
}

// stopAll stops the processes cleanly and waits for the ghosts.
func (w *world) stopAll() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	var stops sync.WaitGroup
	for _, n := range w.nodes {
		if l := n.current(); l != nil {
			stops.Go(l.shutdown)
		}
	}
	stops.Wait()
	ended := make(chan struct{})
	go func() {
		w.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Minute):
		w.fail("ghosts are left after 30 minutes")
		w.logs.stacks()
		w.abandon()
	}
	for _, n := range w.nodes {
		w.kept = append(w.kept, keptDisk{n.id, n.disk})
	}
	for _, k := range w.kept {
		if err := k.d.close(); err != nil {
			w.fail("close disk of %s: %v", k.name, err)
		}
	}
	w.net.mu.Lock()
	w.count.Messages, w.count.Lost = w.net.stats.messages, w.net.stats.lost
	w.net.mu.Unlock()
}

// logs collects what the processes log; nothing is printed inside the bubble, for that would be a system call.
type logs struct {
	began time.Time
	mu    sync.Mutex
	lines []string
}

type logWriter struct {
	l    *logs
	name string
}

func (l *logs) add(name, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < 200_000 {
		l.lines = append(l.lines, fmt.Sprintf("%12.6f %-4s %s", time.Since(l.began).Seconds(), name, line))
	}
}

func (w logWriter) Write(b []byte) (int, error) {
	w.l.add(w.name, strings.TrimSpace(string(b)))
	return len(b), nil
}

func (l *logs) handler(name string) slog.Handler {
	return slog.NewTextHandler(logWriter{l, name}, &slog.HandlerOptions{Level: logLevel(), ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

func (l *logs) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(slices.Clone(l.lines), "\n")
}

// logLevel is debug when the log will be read.
func logLevel() slog.Level {
	if opts.logs {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
