package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Engine runs one processor group in this process.
type Engine struct {
	cfg     Config
	graph   *Graph
	metrics *metrics
	// processID stands in for an instance id where none is given.
	processID string
	inputs    []string
	expires   map[string]bool
	adminCl   *kgo.Client
	admin     *kadm.Client
	dynamic   dynamicTopics

	stop context.CancelFunc

	mu       sync.Mutex
	fatal    error
	sessions []*session
	reason   string // why fetching is paused, empty when it is not
	ran      bool
}

// sessionState is what others may read of a session.
type sessionState struct {
	mu         sync.Mutex
	phase      string
	missing    int64
	total      int64
	partitions []int32
	since      time.Time
	lag        map[Cause]lag // by topic and partition; the offset is zero
	waiting    int
	parked     int
	topology   atomic.Pointer[topology]
	progressed atomic.Int64
	// spare: the group gave this member no partitions, and does not share them out at present.
	spare atomic.Bool
}

// lag is how far an input partition is behind.
type lag struct {
	high, next int64
	newest     time.Time
}

// New checks a group's definition and configuration. It does not contact the brokers yet.
func New(cfg Config, g *Graph) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := g.Err(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, graph: g, expires: map[string]bool{}}
	for _, t := range cfg.Expires {
		e.expires[t] = true
	}
	for _, ed := range g.gg.InputStreams() {
		e.inputs = append(e.inputs, ed.Topic())
	}
	if l := g.gg.LoopStream(); l != nil {
		e.inputs = append(e.inputs, l.Topic())
	}
	slices.Sort(e.inputs)
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("make process id: %w", err)
	}
	e.processID = hex.EncodeToString(id[:])
	e.metrics = newMetrics(cfg.Metrics, string(g.group), e)
	return e, nil
}

// Run processes until ctx ends, which is a clean stop and returns nil, or until something is fatal. It can be called
// once. Topics that do not exist after Config.TopicWait are a *[MissingTopicsError]: making them is an operator's decision.
func (e *Engine) Run(ctx context.Context) (err error) {
	e.mu.Lock()
	if e.ran {
		e.mu.Unlock()
		return errors.New("engine: Run was called twice")
	}
	e.ran = true
	e.mu.Unlock()
	ctx, e.stop = context.WithCancel(ctx)
	defer e.stop()
	defer func() {
		e.mu.Lock()
		told := e.fatal != nil
		e.mu.Unlock()
		if err != nil && !told {
			e.fail(err) // whoever waits for readiness hears of it
		}
	}()
	if e.adminCl, err = kgo.NewClient(clientOpts(e.cfg.Brokers, e.cfg.Outside)...); err != nil {
		return fmt.Errorf("group %s: make admin client: %w", e.graph.group, err)
	}
	defer e.adminCl.Close()
	e.admin = kadm.NewClient(e.adminCl)
	if err := e.awaitTopics(ctx); err != nil {
		return err
	}
	for n := range e.cfg.Sessions {
		e.mu.Lock()
		e.sessions = append(e.sessions, newSession(e, n))
		e.mu.Unlock()
	}
	var wg sync.WaitGroup
	for _, s := range e.sessions {
		wg.Go(func() {
			if err := e.runProcessor(ctx, s); err != nil && ctx.Err() == nil {
				e.fail(err)
			}
		})
	}
	wg.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fatal
}

// awaitTopics retries while the brokers are away, and gives up when topics are missing for a while: a broker may not
// have heard yet of topics that were just made.
func (e *Engine) awaitTopics(ctx context.Context) error {
	began := time.Now()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		_, err := e.describe(ctx)
		var missing *MissingTopicsError
		if err == nil || errors.As(err, &missing) && time.Since(began) > e.cfg.TopicWait {
			return err
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // stopped while it waited: a clean stop
		}
		if missing == nil {
			e.cfg.Log.Warn("brokers cannot be reached yet", "group", string(e.graph.group), "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// runProcessor runs one goka processor on a session's builders.
func (e *Engine) runProcessor(ctx context.Context, s *session) error {
	proc, err := goka.NewProcessor(e.cfg.Brokers, e.graph.gg,
		goka.WithClientID(s.txID),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) { return &gokaGroup{session: s}, nil }),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return &gokaProducer{s}, nil }),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return newTableConsumer(e), nil }),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return &topicManager{e, s}, nil }),
		goka.WithStorageBuilder(func(topic string, partition int32) (storage.Storage, error) { return s.storage(topic, partition) }),
		goka.WithContextWrapper(s.wrap),
		goka.WithHasher(NewHasher),
		goka.WithNilHandling(goka.NilProcess),
		goka.WithPartitionChannelSize(100),
		goka.WithLogger(gokaLogger{e.cfg.Log}),
	)
	if err != nil {
		return fmt.Errorf("group %s: make goka processor: %w", e.graph.group, err)
	}
	if err := proc.Run(ctx); err != nil {
		return fmt.Errorf("group %s: %w", e.graph.group, err)
	}
	return nil
}

// fail stops the engine; the first error is the one that Run returns.
func (e *Engine) fail(err error) {
	e.cfg.Log.Error("the engine stops", "group", string(e.graph.group), "error", err)
	e.mu.Lock()
	if e.fatal == nil {
		e.fatal = err
	}
	e.mu.Unlock()
	e.stop()
}

// wall is the wall clock in microseconds.
func (e *Engine) wall() int64 { return e.cfg.Outside.wall().UnixMicro() }

func (e *Engine) strip(topic string) string { return strings.TrimPrefix(topic, e.cfg.Prefix) }

// backoff is the wait before the given attempt (from 1).
func (e *Engine) backoff(attempt uint32) time.Duration {
	d := e.cfg.RetryBackoff << min(attempt-1, 20)
	if d <= 0 || d > e.cfg.RetryBackoffMax {
		return e.cfg.RetryBackoffMax
	}
	return d
}

func (g *Graph) input(topic string) (inputDef, bool) {
	if topic == LoopTopic(g.group) && g.loop != nil {
		return *g.loop, true
	}
	in, ok := g.inputs[topic]
	return in, ok
}

func (e *Engine) onDrop(p int32, key string) {
	for _, h := range e.graph.hooks {
		if h.OnDrop != nil {
			h.OnDrop(p, key)
		}
	}
}

func (e *Engine) onAbort(p int32) {
	for _, h := range e.graph.hooks {
		if h.OnAbort != nil {
			h.OnAbort(p)
		}
	}
}

func (e *Engine) onAssign(p int32) {
	for _, h := range e.graph.hooks {
		if h.OnAssign != nil {
			h.OnAssign(p)
		}
	}
}

func (e *Engine) onRevoke(p int32) {
	for _, h := range e.graph.hooks {
		if h.OnRevoke != nil {
			h.OnRevoke(p)
		}
	}
}

// Pause stops fetching input, because something that every record needs is away; requests wait in Kafka. Timers and
// the loop go on. The reason shows in Status and metrics until Resume.
func (e *Engine) Pause(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reason = reason
}

// Resume goes on after Pause.
func (e *Engine) Resume() { e.Pause("") }

// SessionStatus says how one of the engine's sessions is.
type SessionStatus struct {
	// Phase is joining, spare, recovering, running or stopped. A spare has joined its group, which gave it no partitions.
	Phase string
	// Partitions are those that it owns.
	Partitions []int32
	// Missing is how many changelog records recovery still has to read, of Total.
	Missing, Total int64
	// Progressed is when it last committed; Since when it is in its phase.
	Progressed, Since time.Time
	// LagRecords is how many offsets of its inputs it has yet to read; after the end of a transaction of somebody
	// else's one of them may be a marker.
	LagRecords int64
	// LagSeconds is the age of the newest record that it has read, when there are more; 0 when there are none.
	LagSeconds float64
	// Waiting counts records in the retry store, Parked keys that wait for an operator.
	Waiting, Parked int
}

// stalled is after how long without a commit a session with lag does not count as ready.
const stalled = time.Minute

// Status says how the engine is.
type Status struct {
	Group    string
	Sessions []SessionStatus
	// Paused is the reason of [Engine.Pause], empty when fetching.
	Paused string
	// Err is what stopped the engine.
	Err error
}

// Ready tells whether every session runs, or waits as a spare without partitions, at least one runs, and none has lag
// without having made progress in the last minute.
func (s Status) Ready() bool {
	running := false
	for _, x := range s.Sessions {
		if x.Phase == "recovering" {
			return false
		}
		if x.Phase != "running" {
			continue
		}
		running = true
		if x.LagRecords > 1 && time.Since(x.Since) > stalled && time.Since(x.Progressed) > stalled {
			return false
		}
	}
	return running && s.Paused == "" && s.Err == nil
}

// Spare tells whether every session has joined the group and none has partitions, while the group shares out nothing:
// others own all of them, and this member takes over what they leave.
func (s Status) Spare() bool {
	for _, x := range s.Sessions {
		if x.Phase != "spare" {
			return false
		}
	}
	return len(s.Sessions) > 0 && s.Paused == "" && s.Err == nil
}

// Status returns the present state.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := Status{Group: string(e.graph.group), Paused: e.reason, Err: e.fatal}
	for _, s := range e.sessions {
		s.state.mu.Lock()
		st := SessionStatus{Phase: s.state.phase, Partitions: slices.Clone(s.state.partitions), Missing: s.state.missing, Total: s.state.total,
			Since: s.state.since, Waiting: s.state.waiting, Parked: s.state.parked}
		for _, l := range s.state.lag {
			if l.high > l.next {
				st.LagRecords += l.high - l.next
				st.LagSeconds = max(st.LagSeconds, time.Since(l.newest).Seconds())
			}
		}
		s.state.mu.Unlock()
		if st.Phase == "joining" && s.state.spare.Load() {
			st.Phase = "spare"
		}
		if us := s.state.progressed.Load(); us > 0 {
			st.Progressed = time.UnixMicro(us).UTC()
		}
		out.Sessions = append(out.Sessions, st)
	}
	return out
}

// WaitReady waits until [Status.Ready].
func (e *Engine) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st := e.Status()
		if st.Ready() {
			return nil
		}
		if st.Err != nil {
			return st.Err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotReady, ctx.Err())
		case <-tick.C:
		}
	}
}

func (s *session) setState(phase string) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.phase, s.state.since = phase, time.Now()
	s.state.lag, s.state.waiting, s.state.parked = nil, 0, 0
	s.state.partitions = nil
	for id := range s.parts {
		s.state.partitions = append(s.state.partitions, id)
	}
	slices.Sort(s.state.partitions)
}

// observe publishes, between batches, what only the loop's goroutine may look at, which it may while no callback runs.
func (s *session) observe() {
	waiting, parked := 0, 0
	for _, p := range s.parts {
		for _, n := range p.waiting {
			waiting += n
		}
		parked += len(p.parked)
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.waiting, s.state.parked = waiting, parked
}

// observeLag notes how far a polled partition is.
func (s *session) observeLag(topic string, f kgo.FetchTopicPartition) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.state.lag == nil {
		s.state.lag = map[Cause]lag{}
	}
	k := Cause{Topic: topic, Partition: f.Partition}
	l := s.state.lag[k]
	l.high = f.HighWatermark
	if n := len(f.Records); n > 0 {
		l.next, l.newest = f.Records[n-1].Offset+1, f.Records[n-1].Timestamp
	}
	s.state.lag[k] = l
}

// caughtUp notes that a poll waited in vain: what still lies between position and end cannot be seen.
func (s *session) caughtUp() {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	for k, l := range s.state.lag {
		l.next = max(l.next, l.high)
		s.state.lag[k] = l
	}
}

func (s *session) progress(missing, total int64) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.missing, s.state.total = missing, total
}
