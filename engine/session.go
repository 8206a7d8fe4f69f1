package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// session is one goka processor's place in the group: a member with transactions of its own. It is the consumer
// group, the producer, the consumer, the topic manager and the storage builder that the processor sees.
//
// One goroutine, the one that goka calls Consume in, runs everything: it joins, recovers, hands records to goka,
// waits for all of them, and ends the transaction. franz-go's callbacks only set flags.
type session struct {
	e *Engine
	n int
	// txID is the transactional id, memberID the static member's.
	txID, memberID string

	cl *kgo.GroupTransactSession
	// open is set while a transaction is.
	open bool
	// running is the input of the running transaction, nil when there is none of input.
	running *batch
	parts   map[int32]*partition
	// produceCtx is that of what the running goka session writes; it ends a while after the session, so that nobody waits
	// for brokers that are away.
	produceCtx context.Context
	// claims are those of the goka session that runs.
	claims map[string]map[int32]*claim
	// generation is that of the assignment in hand.
	generation int32

	mu       sync.Mutex
	assigned *assignment        // the newest, nil while there is none
	cancel   context.CancelFunc // ends the work on the current assignment
	changed  chan struct{}      // tells that assigned changed

	// pending counts records given to goka and not yet settled; idle is told when it reaches zero.
	pending atomic.Int64
	idle    chan struct{}

	stored storedTopics // the topics that the client writes to
	staged *staged      // the rows of the running transaction, from when nothing is added to them

	// What the running transaction has met.
	txRecords, txBytes atomic.Int64
	produceErr         atomic.Pointer[produceError]
	failed             atomic.Pointer[error]
	overflowed         atomic.Pointer[overflow]

	// strikes counts, by record, aborts that it caused; refused holds those over the limit.
	strikes map[Cause]int
	refused verdicts

	// fetched is when a poll last brought records, or patience with suspected ranges was out.
	fetched   time.Time
	paused    map[int32]string // partitions whose input is paused, by the key that waits
	wasPaused bool
	// solo counts records whose batch is run one by one, because the batch as a whole failed.
	solo int
	// ahead bounds what is fetched before it is needed.
	ahead ahead
	fan   fan // bounds batches by how much is written for their records
	// paced bounds batches by how long their records take, 0 when it is not known.
	paced int
	// cap bounds batches while a full retry queue is near, 0 when not.
	cap        int
	lastCommit time.Duration // how long it took, of lastBatch records
	lastBatch  int
	state      sessionState
}

// assignment is one generation's partitions and where their input stands.
type assignment struct {
	generation int32
	partitions []int32
	topics     []string
	committed  map[string]map[int32]committed
}

// committed is what the group coordinator keeps for an input partition.
type committed struct {
	offset   int64
	epoch    int32
	now      int64
	clean    bool
	fresh    bool // there was none; offset is the log's start
	metadata string
}

type produceError struct {
	cause Cause
	topic string
	err   error
}

type overflow struct {
	partition int32
	key       string
}

var (
	errGeneration = errors.New("assignment changed")
	errRestart    = errors.New("restart the goka session")
	errRebuild    = errors.New("rebuild the client")
)

func newSession(e *Engine, n int) *session {
	id := e.cfg.InstanceID
	if id == "" {
		id = e.processID
	}
	return &session{
		e: e, n: n,
		// Colons, which names cannot hold, so that no other group and instance make the same id.
		txID:     fmt.Sprintf("%s%s:%s:%d", e.cfg.Prefix, e.graph.group, id, n),
		memberID: fmt.Sprintf("%s%s-%s-%d", e.cfg.Prefix, e.graph.group, id, n),
		changed:  make(chan struct{}, 1), idle: make(chan struct{}, 1),
		// Begins small, for nothing is known yet of how long a record takes; doubles with each commit.
		cap:     512,
		strikes: map[Cause]int{}, refused: verdicts{over: map[Cause]verdict{}}, paused: map[int32]string{},
	}
}

// Consume is called by goka once; it returns when ctx ends or something is fatal.
func (s *session) Consume(ctx context.Context, _ []string, handler sarama.ConsumerGroupHandler) error {
	for wait := 50 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 5*time.Second) {
		began := time.Now()
		err := s.runClient(ctx, handler)
		var fatal *fatalError
		if errors.As(err, &fatal) {
			s.e.fail(fmt.Errorf("group %s: %w", s.e.graph.group, err))
			return err
		}
		if ctx.Err() != nil {
			break
		}
		s.e.cfg.Log.Warn("Kafka client is made anew", "group", string(s.e.graph.group), "session", s.n, "error", err)
		s.e.metrics.rebuilds.Inc()
		if time.Since(began) > time.Minute {
			wait = 50 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil //nolint:nilerr // ctx ended, which is a clean stop
}

// runClient joins with a new client and works until the client cannot be used any more.
func (s *session) runClient(ctx context.Context, handler sarama.ConsumerGroupHandler) error {
	s.setState("joining")
	s.state.spare.Store(false)
	s.mu.Lock()
	s.assigned = nil
	s.mu.Unlock()
	cfg := s.e.cfg
	prefixed := func(topics []string) []string {
		out := make([]string, len(topics))
		for i, t := range topics {
			out[i] = cfg.Prefix + t
		}
		return out
	}
	opts := append(clientOpts(cfg.Brokers, cfg.Outside),
		kgo.ClientID("fairlead-engine"),
		kgo.ConsumerGroup(cfg.Prefix+string(s.e.graph.group)),
		kgo.ConsumeTopics(prefixed(s.e.inputs)...),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.BlockRebalanceOnPoll(),
		kgo.DisableAutoCommit(),
		kgo.TransactionalID(s.txID),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(cfg.HeartbeatInterval),
		kgo.RebalanceTimeout(cfg.RebalanceTimeout),
		kgo.FetchMaxWait(cfg.FetchMaxWait),
		kgo.DisableFetchSessions(),
		kgo.FetchMaxBytes(mostOfAnswer),
		kgo.FetchMaxPartitionBytes(s.ahead.limit()),
		kgo.ProducerBatchMaxBytes(MaxProduceBytes),
		kgo.BrokerMaxWriteBytes(64<<20),
		kgo.MaxBufferedRecords(4*MaxTransactionRecords),
		kgo.MaxBufferedBytes(2*MaxTransactionBytes),
		kgo.ProducerLinger(longestLinger),
		kgo.RecordPartitioner(explicitOrKey{kgo.StickyKeyPartitioner(nil)}),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.AdjustFetchOffsetsFn(s.onFetched),
		kgo.OnPartitionsAssigned(s.onJoined),
		kgo.OnPartitionsRevoked(s.onGone),
		kgo.OnPartitionsLost(s.onGone),
		kgo.WithHooks(groupErrors{s}, &s.ahead),
	)
	if cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(s.memberID))
	}
	cl, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	s.cl = cl
	s.stored.forget()
	defer s.closeClient(ctx)
	// Ends the transaction that a former life of this id left open, before anything waits for it.
	initCtx, done := context.WithTimeout(ctx, cfg.EndTimeout)
	_, _, err = cl.Client().ProducerID(initCtx)
	done()
	if err != nil {
		return fmt.Errorf("begin as %s: %w", s.txID, err)
	}
	for {
		s.setState("joining")
		a, actx, err := s.nextAssignment(ctx)
		if err != nil {
			return err
		}
		err = s.runAssignment(ctx, actx, a, handler)
		if err != nil && !errors.Is(err, errGeneration) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.mu.Lock()
		same := s.assigned == a
		s.mu.Unlock()
		if same {
			return fmt.Errorf("%w: franz-go holds partitions that were not assigned", errRebuild)
		}
		if err := s.reset(); err != nil {
			return err
		}
	}
}

func (s *session) closeClient(ctx context.Context) {
	s.setState("stopped")
	if s.e.cfg.LeaveOnStop && s.e.cfg.InstanceID != "" && ctx.Err() != nil {
		s.leave(ctx)
	}
	s.cl.CloseAllowingRebalance()
	s.mu.Lock()
	if s.cancel != nil {
		s.cancel()
	}
	s.assigned = nil
	s.mu.Unlock()
}

// leave gives a static member's partitions away; closing alone keeps them for the session time-out.
func (s *session) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = s.e.cfg.Prefix + string(s.e.graph.group)
	m := kmsg.NewLeaveGroupRequestMember()
	m.InstanceID = kmsg.StringPtr(s.memberID)
	req.Members = append(req.Members, m)
	if _, err := req.RequestWith(ctx, s.cl.Client()); err != nil {
		s.e.cfg.Log.Warn("could not leave the group; its partitions move after the session time-out",
			"group", string(s.e.graph.group), "member", s.memberID, "error", err)
	}
}

// onFetched is called by franz-go after a join, with the committed offsets, which it has fetched with
// require-stable. It fetches them once more for their metadata, and starts partitions that never had any.
func (s *session) onFetched(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	a, err := s.fetchCommitted(ctx, offsets)
	if err != nil {
		return nil, fmt.Errorf("fetch committed offsets: %w", err)
	}
	if err := s.checkClaims(a); err != nil {
		s.e.cfg.Log.Error("this member runs nothing until the next rebalance", "group", string(s.e.graph.group), "session", s.n, "error", err)
		a = nil
	}
	for t, ps := range offsets {
		if a == nil {
			delete(offsets, t)
			continue
		}
		for p := range ps {
			c := a.committed[s.e.strip(t)][p]
			ps[p] = kgo.NewOffset().At(c.offset).WithEpoch(c.epoch)
		}
	}
	s.mu.Lock()
	s.assigned = a
	if s.cancel != nil {
		s.cancel() // whatever runs belongs to a former assignment, whether it was taken back in words or not
	}
	s.mu.Unlock()
	s.tell()
	return offsets, nil
}

// checkClaims refuses an assignment in which a partition is owned for some inputs and not for others: another member
// subscribes to other topics (an older version, in a rolling upgrade) and owns the rest, and with it the same table.
func (s *session) checkClaims(a *assignment) error {
	for _, topic := range s.e.inputs {
		for _, p := range a.partitions {
			if _, ok := a.committed[topic][p]; !ok {
				return fmt.Errorf("partition %d is assigned without topic %s: another member of the group reads other topics; stop members of the old version", p, topic)
			}
		}
	}
	return nil
}

// onJoined is called by franz-go after each join, before the offsets are fetched.
func (s *session) onJoined(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	s.state.spare.Store(len(added) == 0)
}

// onGone is called by franz-go when the partitions are taken away, and when the group shares them out again.
func (s *session) onGone(_ context.Context, _ *kgo.Client, _ map[string][]int32) {
	s.state.spare.Store(false)
	s.mu.Lock()
	s.assigned = nil
	if s.cancel != nil {
		s.cancel()
	}
	s.mu.Unlock()
	s.tell()
}

func (s *session) tell() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// nextAssignment waits for partitions; the context it returns ends when they are taken away.
func (s *session) nextAssignment(ctx context.Context) (*assignment, context.Context, error) {
	for {
		s.mu.Lock()
		a := s.assigned
		if a != nil {
			if s.cancel != nil {
				s.cancel()
			}
			var actx context.Context
			actx, s.cancel = context.WithCancel(ctx)
			s.mu.Unlock()
			_, a.generation = s.cl.Client().GroupMetadata()
			s.mu.Lock()
			current := s.assigned == a // else the generation may be the next one's
			s.mu.Unlock()
			if current {
				return a, actx, nil
			}
			continue
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-s.changed:
		}
	}
}

// runAssignment recovers the partitions and runs goka sessions over them until they are taken away.
func (s *session) runAssignment(ctx, actx context.Context, a *assignment, handler sarama.ConsumerGroupHandler) error {
	s.setState("recovering")
	s.generation = a.generation
	// franz-go's session tells of a revocation once between two Ends: one that met it without partitions would swallow
	// the one that takes these away.
	if err := s.reset(); err != nil {
		return err
	}
	s.cl.AllowRebalance()
	if err := s.openPartitions(actx, a); err != nil {
		return s.assignmentError(ctx, actx, err)
	}
	if err := s.commitOwned(actx, a); err != nil {
		return s.assignmentError(ctx, actx, err)
	}
	s.forgetPauses()
	for _, p := range s.parts {
		s.e.onAssign(p.id)
	}
	defer func() {
		for id := range s.parts {
			s.e.onRevoke(id)
		}
		s.parts = nil
	}()
	for {
		err := s.runGoka(ctx, actx, a, handler)
		if errors.Is(err, errRestart) && actx.Err() == nil {
			if err := s.reset(); err != nil {
				return s.assignmentError(ctx, actx, err)
			}
			continue
		}
		return s.assignmentError(ctx, actx, err)
	}
}

// assignmentError tells whether an error is only the assignment's end.
func (s *session) assignmentError(ctx, actx context.Context, err error) error {
	var fatal *fatalError
	switch {
	case errors.As(err, &fatal), errors.Is(err, errRebuild):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case actx.Err() != nil:
		return errGeneration
	}
	return err
}

// commitOwned commits, before anything is run, the start of partitions that have no offset yet, so that a position
// never resets by itself; and takes back the word "clean" of the last owner: if this one dies over its first record,
// the next must know.
func (s *session) commitOwned(ctx context.Context, a *assignment) error {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for t, ps := range a.committed {
		for p, c := range ps {
			if !c.fresh && !c.clean {
				continue
			}
			if offsets[s.e.cfg.Prefix+t] == nil {
				offsets[s.e.cfg.Prefix+t] = map[int32]kgo.EpochOffset{}
			}
			offsets[s.e.cfg.Prefix+t][p] = kgo.EpochOffset{Epoch: c.epoch, Offset: c.offset}
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	return s.commitPlain(ctx, offsets, func(t string, p int32) string {
		return metadata(a.committed[s.e.strip(t)][p].now, false)
	})
}

// commitPlain commits offsets outside a transaction.
func (s *session) commitPlain(ctx context.Context, offsets map[string]map[int32]kgo.EpochOffset, meta func(topic string, p int32) string) error {
	ctx, cancel := context.WithTimeout(ctx, s.e.cfg.EndTimeout)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				p := &req.Topics[i].Partitions[j]
				p.Metadata = kmsg.StringPtr(meta(req.Topics[i].Topic, p.Partition))
			}
		}
		return nil
	})
	var failed error
	s.cl.Client().CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failed = err
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed = fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	})
	if failed != nil {
		return fmt.Errorf("commit offsets: %w", failed)
	}
	return nil
}

// openPartitions recovers tables, stores and rows.
func (s *session) openPartitions(ctx context.Context, a *assignment) error {
	topology, err := s.e.describe(ctx)
	if err != nil {
		return err
	}
	s.state.topology.Store(topology)
	parts := map[int32]*partition{}
	var logs []*changelog
	for _, id := range a.partitions {
		p := &partition{id: id, s: s, clock: clock{set: time.Now(), width: int64(s.e.cfg.NowWidth)}, stores: map[string]*changelog{}}
		add := func(topic string) *changelog {
			l := newChangelog(s.e.cfg.DB, s.e.cfg.Prefix, topic, id, topology.topics[topic].id, topology.cluster, func(err error) { s.fail(Fatal(err)) })
			p.logs = append(p.logs, l)
			logs = append(logs, l)
			return l
		}
		if s.e.graph.table != nil {
			p.table = add(TableTopic(s.e.graph.group))
		}
		for _, name := range s.e.graph.stores {
			p.stores[name] = add(StoreTopic(s.e.graph.group, name))
		}
		p.rows = add(RowsTopic(s.e.graph.group))
		for _, ps := range a.committed {
			p.last = max(p.last, ps[id].now)
		}
		parts[id] = p
	}
	if err := s.recoverLogs(ctx, logs); err != nil {
		return err
	}
	for _, p := range parts {
		// What the offsets say of the clock is lost when a tool has moved them; what was written remembers it.
		for _, l := range p.logs {
			p.last = max(p.last, l.now)
		}
		if err := p.open(a); err != nil {
			return Fatal(err)
		}
	}
	s.parts = parts
	return nil
}

// open builds what is kept in memory over a recovered partition.
func (p *partition) open(a *assignment) (err error) {
	defer func() {
		if f, ok := recover().(storageFault); ok {
			err = f.err
		}
	}()
	if err := p.index(); err != nil {
		return err
	}
	return p.suspect(a)
}

// metadata is what an offset commit carries.
func metadata(now int64, clean bool) string {
	c := "0"
	if clean {
		c = "1"
	}
	return "v1 now=" + strconv.FormatInt(now, 10) + " clean=" + c
}

// parseMetadata reads it; anything else counts as absent, which is never clean: somebody else moved the offset.
func parseMetadata(s string) (now int64, clean bool) {
	var c int
	if n, err := fmt.Sscanf(s, "v1 now=%d clean=%d", &now, &c); err != nil || n != 2 || now < 0 {
		return 0, false
	}
	return now, c == 1
}

func (s *session) partitionIDs() []int32 {
	ids := make([]int32, 0, len(s.parts))
	for id := range s.parts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// fail makes the running batch abort; the first failure counts.
func (s *session) fail(err error) {
	s.failed.CompareAndSwap(nil, &err)
	select {
	case s.idle <- struct{}{}:
	default:
	}
}

// overflow aborts the batch: more records would wait behind a retried one than may.
func (s *session) overflow(p *partition, key string) {
	s.overflowed.CompareAndSwap(nil, &overflow{p.id, key})
}

// drained is called when a key's queue is empty again.
func (s *session) drained(p *partition, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused[p.id] == key {
		s.paused[p.id] = ""
	}
}

// groupErrors makes join errors visible: without a poll nobody else would see them.
type groupErrors struct{ s *session }

func (h groupErrors) OnGroupManageError(err error) {
	h.s.e.cfg.Log.Warn("consumer group", "group", string(h.s.e.graph.group), "session", h.s.n, "error", err)
}
