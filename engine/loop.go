package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// gokaSession is one session as goka sees it: from Setup to Cleanup.
type gokaSession struct {
	s      *session
	ctx    context.Context
	a      *assignment
	claims map[string]map[int32]*claim
	// died is told when goka stopped taking records of a partition.
	died chan int32
}

type claim struct {
	topic     string
	partition int32
	start     int64
	ch        chan *sarama.ConsumerMessage
	// records runs beside ch, for guarded callbacks: goka's message has lost the order of the headers.
	records chan *kgo.Record
	// marked is the offset behind the last settled record.
	marked atomic.Int64
	high   atomic.Int64
}

func (c *claim) Topic() string                            { return c.topic }
func (c *claim) Partition() int32                         { return c.partition }
func (c *claim) InitialOffset() int64                     { return c.start }
func (c *claim) HighWaterMarkOffset() int64               { return c.high.Load() }
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.ch }

func (g *gokaSession) Claims() map[string][]int32 {
	out := map[string][]int32{}
	for t, ps := range g.claims {
		for p := range ps {
			out[t] = append(out[t], p)
		}
	}
	return out
}
func (g *gokaSession) MemberID() string                            { return g.s.txID }
func (g *gokaSession) GenerationID() int32                         { return g.a.generation }
func (g *gokaSession) Context() context.Context                    { return g.ctx }
func (g *gokaSession) Commit()                                     {}
func (g *gokaSession) ResetOffset(string, int32, int64, string)    {}
func (g *gokaSession) MarkMessage(*sarama.ConsumerMessage, string) {}

// MarkOffset is goka's word that a record is done; offset is the next one.
func (g *gokaSession) MarkOffset(topic string, partition int32, offset int64, _ string) {
	if c := g.claims[topic][partition]; c != nil {
		c.marked.Store(offset)
	}
	if g.s.pending.Add(-1) == 0 {
		select {
		case g.s.idle <- struct{}{}:
		default:
		}
	}
}

// runGoka runs one goka session over the assignment.
func (s *session) runGoka(ctx, actx context.Context, a *assignment, handler sarama.ConsumerGroupHandler) error {
	sctx, cancel := context.WithCancel(actx)
	defer cancel()
	g := &gokaSession{s: s, ctx: sctx, a: a, claims: map[string]map[int32]*claim{}, died: make(chan int32, len(a.partitions)*len(a.topics))}
	for _, t := range a.topics {
		g.claims[t] = map[int32]*claim{}
		for _, p := range a.partitions {
			g.claims[t][p] = &claim{topic: t, partition: p, start: a.committed[t][p].offset, ch: make(chan *sarama.ConsumerMessage, 4096)}
			if s.e.graph.guarded {
				g.claims[t][p].records = make(chan *kgo.Record, 8192)
			}
		}
	}
	s.claims = g.claims
	s.pending.Store(0)
	s.clearFailures()
	if err := handler.Setup(g); err != nil {
		return errors.Join(fmt.Errorf("set up goka session: %w", err), handler.Cleanup(g))
	}
	if sctx.Err() != nil {
		return errors.Join(errGeneration, handler.Cleanup(g))
	}
	s.setState("running")
	var wg sync.WaitGroup
	for _, ps := range g.claims {
		for _, c := range ps {
			wg.Go(func() {
				if err := handler.ConsumeClaim(g, c); err != nil {
					s.e.cfg.Log.Warn("goka gave up a claim", "group", string(s.e.graph.group), "topic", c.topic, "partition", c.partition, "error", err)
				}
				if sctx.Err() == nil {
					g.died <- c.partition
				}
			})
		}
	}
	err := s.loop(ctx, sctx, g)
	cancel()
	wg.Wait()
	cleanup := handler.Cleanup(g)
	if s.open {
		if abortErr := s.end(kgo.TryAbort, false); !errors.Is(abortErr, errAborted) && errors.Is(err, errRestart) {
			err = abortErr
		}
	}
	if errors.Is(err, errRestart) && cleanup != nil {
		s.e.cfg.Log.Warn("goka session failed", "group", string(s.e.graph.group), "error", cleanup)
		s.blame(g, cleanup)
	}
	return err
}

// loop polls, hands over, and ends transactions until the session's context ends.
func (s *session) loop(ctx, sctx context.Context, g *gokaSession) error {
	defer s.cl.AllowRebalance()
	idleSince := time.Now()
	for {
		if sctx.Err() != nil {
			if ctx.Err() != nil {
				s.commitClean(ctx, g)
			}
			return sctx.Err()
		}
		s.applyPauses(g)
		pollCtx, cancel := s.untilNextTimer(sctx)
		fetches := s.cl.PollRecords(pollCtx, s.limit())
		cancel()
		if sctx.Err() != nil {
			continue
		}
		if err := s.fetchErrors(sctx, fetches); err != nil {
			return err
		}
		b := &batch{began: time.Now(), wall: time.Now().UnixMicro()}
		s.collect(g, fetches, b)
		if len(b.records) == 0 && !s.timersDue(b.wall) {
			if fetches.NumRecords() == 0 {
				s.caughtUp()
			}
			if time.Since(idleSince) > time.Hour {
				idleSince = time.Now()
				s.commitTrailing(sctx)
			}
			s.cl.AllowRebalance()
			continue
		}
		err := s.transact(sctx, g, b)
		s.cl.AllowRebalance()
		s.observe()
		idleSince = time.Now()
		if err != nil {
			return err
		}
	}
}

// batch is one transaction's input.
type batch struct {
	records []*kgo.Record
	fed     int
	began   time.Time
	wall    int64
}

// transact runs one batch as one transaction.
func (s *session) transact(sctx context.Context, g *gokaSession, b *batch) error {
	if err := s.suspectBatch(sctx, b); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	for _, p := range s.parts {
		if n := p.fireTimers(b.wall, 1000); n > 0 {
			s.e.metrics.timers.Add(float64(n))
		}
	}
	if err := s.process(sctx, g, b); err != nil {
		// Callbacks may still run: goka's session ends first, runGoka aborts then.
		return err
	}
	if err := s.runBatches(sctx); errors.Is(err, errSolo) {
		s.solo = len(b.records)
		if err := s.end(kgo.TryAbort, false); err != nil && !errors.Is(err, errAborted) {
			return err
		}
		return nil
	} else if err != nil {
		return err
	}
	return s.finish(b)
}

// process hands records to goka and waits until all of them are settled, taking more while they keep coming.
func (s *session) process(sctx context.Context, g *gokaSession, b *batch) error {
	for {
		if err := s.feed(sctx, g, b); err != nil {
			return err
		}
		if s.full(b) {
			break
		}
		more := s.more(sctx, b)
		if err := s.fetchErrors(sctx, more); err != nil {
			return err
		}
		n := len(b.records)
		s.collect(g, more, b)
		if len(b.records) == n {
			break
		}
	}
	for s.pending.Load() > 0 {
		if p := s.failed.Load(); p != nil {
			return *p
		}
		select {
		case <-s.idle:
		case <-g.died:
			return errRestart
		case <-sctx.Done():
			return sctx.Err()
		}
	}
	return nil
}

// more polls for records that are there already; a large batch waits a little, as long as its commit would take.
func (s *session) more(sctx context.Context, b *batch) kgo.Fetches {
	left := s.e.cfg.MaxBatch - len(b.records)
	if len(b.records) < 256 {
		return s.cl.PollRecords(nil, left) //nolint:staticcheck // franz-go's word for "do not wait"
	}
	wait := min(s.lastCommit, s.e.cfg.MaxDelay-time.Since(b.began))
	if wait <= 0 {
		return s.cl.PollRecords(nil, left) //nolint:staticcheck // as above
	}
	ctx, cancel := context.WithTimeout(sctx, wait)
	defer cancel()
	return s.cl.PollRecords(ctx, left)
}

func (s *session) full(b *batch) bool {
	return len(b.records) >= s.e.cfg.MaxBatch || time.Since(b.began) >= s.e.cfg.MaxDelay || s.suspicious() || s.cap > 0 ||
		s.txRecords.Load() >= MaxTransactionRecords || s.txBytes.Load() >= MaxTransactionBytes/2
}

// limit bounds a poll.
func (s *session) limit() int {
	n := s.e.cfg.MaxBatch
	if s.cap > 0 {
		n = min(n, s.cap)
	}
	for _, p := range s.parts {
		if p.suspects != nil {
			n = min(n, p.suspects.limit(s.e.cfg.MaxBatch))
		}
	}
	return n
}

// collect takes the data records of a poll into the batch.
func (s *session) collect(g *gokaSession, fetches kgo.Fetches, b *batch) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		topic := s.e.strip(f.Topic)
		c := g.claims[topic][f.Partition]
		if c == nil {
			return
		}
		s.observeLag(topic, f)
		c.high.Store(f.HighWatermark)
		for _, r := range f.Records {
			if !r.Attrs.IsControl() {
				b.records = append(b.records, r)
			}
		}
	})
}

// feed hands the batch's new records to goka.
func (s *session) feed(sctx context.Context, g *gokaSession, b *batch) error {
	for ; b.fed < len(b.records); b.fed++ {
		r := b.records[b.fed]
		topic := s.e.strip(r.Topic)
		p := s.parts[r.Partition]
		p.begin(b.wall)
		place := Cause{topic, r.Partition, r.Offset}
		if reason, ok := s.skip[place]; ok {
			p.deadLetter(sourceOf(r, place), "kills its process", reason, uint32(s.e.cfg.CrashLimit))
			continue
		}
		s.pending.Add(1)
		c := g.claims[topic][r.Partition]
		if c.records != nil {
			select {
			case c.records <- r:
			case <-g.died:
				return errRestart
			case <-sctx.Done():
				return sctx.Err()
			}
		}
		select {
		case c.ch <- message(r, topic, c.records == nil):
		case <-g.died:
			return errRestart
		case <-sctx.Done():
			return sctx.Err()
		}
	}
	return nil
}

func message(r *kgo.Record, topic string, headers bool) *sarama.ConsumerMessage {
	m := &sarama.ConsumerMessage{
		Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Topic: topic, Partition: r.Partition, Offset: r.Offset,
	}
	if !headers {
		return m
	}
	for i := range r.Headers {
		m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte(r.Headers[i].Key), Value: r.Headers[i].Value})
	}
	return m
}

func sourceOf(r *kgo.Record, place Cause) source {
	return source{Cause: place, key: r.Key, value: r.Value, hasValue: r.Value != nil, headers: r.Headers, timestamp: r.Timestamp}
}

// finish ends the transaction of a batch that goka is done with.
func (s *session) finish(b *batch) error {
	try, fenced := kgo.TryCommit, false
	flushCtx, cancel := context.WithTimeout(context.Background(), s.e.cfg.EndTimeout)
	defer cancel()
	if s.failed.Load() != nil || s.overflowed.Load() != nil {
		try = kgo.TryAbort
	} else {
		s.clearSuspicion(b)
		if err := s.cl.Client().Flush(flushCtx); err != nil {
			s.abortParts()
			return fmt.Errorf("%w: flush: %w", errRebuild, err)
		}
		if s.produceErr.Load() != nil {
			try = kgo.TryAbort
		} else if !s.movesInput() {
			if err := s.fence(flushCtx); err != nil {
				s.e.cfg.Log.Warn("transaction aborted", "group", string(s.e.graph.group), "error", err)
				try = kgo.TryAbort
			}
			fenced = true
		}
	}
	started := time.Now()
	produceErr, failed, over := s.produceErr.Load(), s.failed.Load(), s.overflowed.Load()
	var err error
	if fenced && try == kgo.TryCommit {
		err = s.endPlain(flushCtx)
	} else {
		err = s.end(try, false)
	}
	if err != nil {
		if produceErr != nil && errors.Is(err, errAborted) {
			return s.strike(produceErr)
		}
		s.clearFailures()
		if over != nil && errors.Is(err, errAborted) {
			s.makeRoom(over, len(b.records))
		}
		if errors.Is(err, errAborted) {
			if failed != nil {
				return *failed
			}
			return nil // polled again from the committed offsets
		}
		return err
	}
	s.lastCommit = time.Since(started)
	s.solo = max(0, s.solo-len(b.records))
	if s.cap > 0 {
		if s.cap *= 2; s.cap >= s.e.cfg.MaxBatch {
			s.cap = 0
		}
	}
	s.e.metrics.commits.Inc()
	s.e.metrics.commitSeconds.Observe(s.lastCommit.Seconds())
	s.e.metrics.records.Add(float64(len(b.records)))
	s.state.progressed.Store(time.Now().UnixMicro())
	return nil
}

var errAborted = errors.New("transaction aborted")

// reset aborts an empty transaction, which costs no request: it clears what franz-go keeps of a former generation, and
// takes positions back to what is committed.
func (s *session) reset() error {
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.end(kgo.TryAbort, false); err != nil && !errors.Is(err, errAborted) {
		return err
	}
	return nil
}

func (s *session) begin() error {
	if err := s.cl.Begin(); err != nil {
		return fmt.Errorf("%w: begin: %w", errRebuild, err)
	}
	s.open = true
	return nil
}

// end ends the running transaction, and then applies what it wrote to local storage, or forgets it.
func (s *session) end(try kgo.TransactionEndTry, clean bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.e.cfg.EndTimeout)
	defer cancel()
	ctx = kgo.PreTxnCommitFnContext(ctx, func(req *kmsg.TxnOffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				p := &req.Topics[i].Partitions[j]
				now := int64(0)
				if part := s.parts[p.Partition]; part != nil {
					now = max(part.now, part.last)
				}
				p.Metadata = kmsg.StringPtr(metadata(now, clean))
			}
		}
		return nil
	})
	ok, err := s.cl.End(ctx, try)
	return s.ended(ok, err, try == kgo.TryCommit)
}

// ended applies or forgets what a transaction wrote, now that its outcome is known, or is not.
func (s *session) ended(ok bool, err error, wanted bool) error {
	s.open = false
	s.txRecords.Store(0)
	s.txBytes.Store(0)
	switch {
	case err != nil:
		// The outcome is unknown: the topics will tell.
		s.abortParts()
		return fmt.Errorf("%w: end transaction: %w", errRebuild, err)
	case !ok:
		s.abortParts()
		if wanted {
			s.e.metrics.aborts.Inc()
		}
		return errAborted
	}
	b := &Writes{}
	for _, p := range s.parts {
		if err := p.commit(b); err != nil {
			return Fatal(err)
		}
	}
	if len(b.Ops) > 0 {
		if err := s.e.cfg.DB.Apply(b); err != nil {
			return Fatal(fmt.Errorf("apply committed transaction: %w", err))
		}
	}
	return nil
}

func (s *session) abortParts() {
	for _, p := range s.parts {
		if err := p.abort(); err != nil {
			s.fail(Fatal(err))
		}
		s.e.onAbort(p.id)
	}
}

func (s *session) clearFailures() {
	s.produceErr.Store(nil)
	s.failed.Store(nil)
	s.overflowed.Store(nil)
	select {
	case <-s.idle:
	default:
	}
}

// strike counts an abort against the record that caused it; over the limit it will be dead-lettered unrun. Only what
// a broker refuses of the record itself counts; anything else is nobody's fault, and waits.
func (s *session) strike(pe *produceError) error {
	s.clearFailures()
	err := fmt.Errorf("produce to %s: %w", pe.topic, pe.err)
	s.e.cfg.Log.Warn("transaction aborted", "group", string(s.e.graph.group), "cause", pe.cause.String(), "error", err)
	if pe.cause.Topic == "" || !refusesRecord(pe.err) {
		return fmt.Errorf("%w: %w", errRebuild, err)
	}
	s.strikes[pe.cause]++
	if s.strikes[pe.cause] >= s.e.cfg.CrashLimit {
		s.skip[pe.cause] = err
		delete(s.strikes, pe.cause)
	}
	return nil
}

// refusesRecord tells whether a produce error is about the record and would come back with every repetition.
func refusesRecord(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) ||
		errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.InvalidTimestamp) || errors.Is(err, errNoPartition)
}

// blame finds the record on which an unguarded goka callback died: the first unsettled one of its partition.
func (s *session) blame(g *gokaSession, err error) {
	if c := s.inHand(g); c != nil {
		s.strikes[*c]++
		if s.strikes[*c] >= s.e.cfg.CrashLimit {
			s.skip[*c] = err
			delete(s.strikes, *c)
		}
	}
}

// inHand returns the record that a dead partition processor had begun and not settled.
func (s *session) inHand(g *gokaSession) *Cause {
	for _, p := range s.parts {
		if p.current.Topic == "" {
			continue
		}
		c := g.claims[p.current.Topic][p.id]
		if c != nil && c.marked.Load() <= p.current.Offset {
			out := p.current
			return &out
		}
	}
	return nil
}

// fetchErrors sorts what a poll reports.
func (s *session) fetchErrors(ctx context.Context, fetches kgo.Fetches) error {
	var out error
	fetches.EachError(func(t string, p int32, err error) {
		topic := s.e.strip(t)
		var loss *kgo.ErrDataLoss
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.Is(err, kgo.ErrClientClosed):
			out = fmt.Errorf("%w: %w", errRebuild, err)
		case errors.As(err, &loss), errors.Is(err, kerr.OffsetOutOfRange):
			if !s.e.expires[topic] {
				s.e.metrics.lost.WithLabelValues(topic).Inc()
				out = Fatal(fmt.Errorf("input %s/%d: records after the committed offset are gone (%w): restore the topic, or move the group with 'fairlead group seek' after you know what was lost", topic, p, err))
				return
			}
			if jumpErr := s.jumpToStart(ctx, t, p); jumpErr != nil {
				out = fmt.Errorf("%w: %w", errRebuild, jumpErr)
			}
		case kerr.IsRetriable(err):
		default:
			out = fmt.Errorf("%w: fetch %s/%d: %w", errRebuild, topic, p, err)
		}
	})
	return out
}

// commitClean is the last act of a clean stop: whoever takes over need not suspect any record, and trailing markers
// do not look like lag.
func (s *session) commitClean(ctx context.Context, g *gokaSession) {
	s.commitPositions(context.WithoutCancel(ctx), true)
}

// commitTrailing commits past control records while idle, so that retention never overtakes an idle group.
func (s *session) commitTrailing(ctx context.Context) { s.commitPositions(ctx, false) }

func (s *session) commitPositions(ctx context.Context, clean bool) {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for t, ps := range s.cl.Client().CommittedOffsets() {
		for p, o := range ps {
			if offsets[t] == nil {
				offsets[t] = map[int32]kgo.EpochOffset{}
			}
			offsets[t][p] = o
		}
	}
	for t, ps := range s.cl.Client().UncommittedOffsets() {
		for p, o := range ps {
			offsets[t][p] = o
		}
	}
	if len(offsets) == 0 {
		return
	}
	err := s.commitPlain(ctx, offsets, func(_ string, p int32) string {
		part := s.parts[p]
		return metadata(part.last, clean && part.suspects == nil)
	})
	if err != nil {
		s.e.cfg.Log.Debug("last commit", "group", string(s.e.graph.group), "error", err)
	}
}
