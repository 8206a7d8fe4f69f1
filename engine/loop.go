package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// loop polls, hands over, and ends transactions until the session's context ends.
func (s *session) loop(ctx, sctx context.Context, g *gokaSession) error {
	defer s.cl.AllowRebalance()
	idleSince := time.Now()
	s.fetched = idleSince
	unrun := false // the last poll brought records that nobody has run
	for {
		if sctx.Err() != nil {
			if ctx.Err() != nil && !unrun {
				s.commitClean(ctx, g)
			}
			return sctx.Err()
		}
		s.applyPauses(g)
		pollCtx, cancel := s.untilNextTimer(sctx)
		fetches := s.cl.PollRecords(pollCtx, s.limit())
		cancel()
		if sctx.Err() != nil {
			unrun = fetches.NumRecords() > 0
			continue
		}
		if _, generation := s.cl.Client().GroupMetadata(); generation != s.generation {
			return errGeneration // whoever should have told has not
		}
		if err := s.fetchErrors(sctx, fetches); err != nil {
			return err
		}
		b := &batch{began: time.Now(), wall: s.e.wall()}
		if fetches.NumRecords() > 0 {
			s.fetched = b.began
		}
		if err := s.collect(g, fetches, b); err != nil {
			return err
		}
		if len(b.records) == 0 && !s.timersDue(b.wall) {
			if fetches.NumRecords() == 0 && !s.wasPaused {
				s.caughtUp()
			}
			if time.Since(idleSince) > time.Hour {
				idleSince = time.Now()
				s.commitTrailing(sctx, g)
			}
			s.cl.AllowRebalance()
			continue
		}
		err := s.transact(sctx, g, b)
		s.cl.AllowRebalance()
		if err != nil {
			return err // callbacks may still run, and what they change is not for this goroutine to look at
		}
		s.observe()
		idleSince = time.Now()
	}
}

// batch is one transaction's input.
type batch struct {
	records []*kgo.Record
	fed     int
	began   time.Time
	waited  time.Duration // for more records
	wall    int64
}

// transact runs one batch as one transaction.
func (s *session) transact(sctx context.Context, g *gokaSession, b *batch) (err error) {
	defer func() {
		// A disk that fails outside a callback's guard.
		switch r := recover().(type) {
		case nil:
		case storageFault:
			err = Fatal(r.err)
		default:
			panic(r)
		}
	}()
	if s.suspicious() {
		leave, err := s.e.cfg.Trials.enter(sctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	if err := s.suspectBatch(sctx, b); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.running = b
	for _, p := range s.parts {
		p.fireTimers(b.wall, 1000)
	}
	if err := s.process(sctx, g, b); err != nil {
		// Callbacks may still run: goka's session ends first, runGoka aborts then.
		return err
	}
	for _, id := range s.partitionIDs() {
		p := s.parts[id]
		for _, u := range p.unrun {
			p.deadLetterUnrun(nil, u.src, u.over, uint32(s.e.cfg.CrashLimit))
		}
		p.unrun = nil
	}
	if err := s.runBatches(sctx); errors.Is(err, errSolo) {
		s.solo = len(b.records)
		if err := s.end(kgo.TryAbort); err != nil && !errors.Is(err, errAborted) {
			return err
		}
		// What was refused of it, or did not fit, is nothing that the next transaction writes.
		s.produceErr.Store(nil)
		s.overflowed.Store(nil)
		return nil
	} else if err != nil {
		return err
	}
	if sctx.Err() != nil {
		// What was called while the context ended may have failed for that alone; none of it counts.
		return sctx.Err()
	}
	err = s.finish(b)
	s.pace(b, err)
	return err
}

// pace bounds the next batches by what the last one took, so that slow callbacks never hold a transaction for longer
// than a third of its time-out, and with it what is fetched for them; after an error they begin small.
func (s *session) pace(b *batch, err error) {
	if len(b.records) == 0 {
		return
	}
	if err != nil {
		s.cap = max(1, len(b.records)/2)
		return
	}
	took := time.Since(b.began)
	each := max(took/time.Duration(len(b.records)), time.Microsecond)
	s.paced = max(1, int(s.e.cfg.TransactionTimeout/3/each))
	s.ahead.worked(len(b.records), took)
	s.cl.Client().UpdateFetchMaxBytes(mostOfAnswer, s.ahead.limit())
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
		if err := s.collect(g, more, b); err != nil {
			return err
		}
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

const (
	// largeBatch is from how many records on a batch waits for more.
	largeBatch = 256
	// mostWait is the longest that it waits: what is on its way is there by then, and a commit that was slow once does not make
	// the next batch late.
	mostWait = 10 * time.Millisecond
)

// more polls for records that are there already; a large batch waits a little, in all as long as its commit would take. So
// does one behind a large one: what franz-go had fetched when that began is little, and what came since is on its way.
func (s *session) more(sctx context.Context, b *batch) kgo.Fetches {
	left := max(1, s.limit()-len(b.records))
	wait := min(min(s.lastCommit, mostWait)-b.waited, s.e.cfg.MaxDelay-time.Since(b.began))
	if len(b.records) < largeBatch && s.lastBatch < largeBatch || wait <= 0 {
		return s.cl.PollRecords(nil, left) //nolint:staticcheck // franz-go's word for "do not wait"
	}
	ctx, cancel := context.WithTimeout(sctx, wait)
	defer cancel()
	from := time.Now()
	defer func() { b.waited += time.Since(from) }()
	return s.cl.PollRecords(ctx, left)
}

func (s *session) full(b *batch) bool {
	return len(b.records) >= s.limit() || time.Since(b.began) >= s.e.cfg.MaxDelay || s.suspicious() || s.cap > 0 ||
		s.txRecords.Load() >= MaxTransactionRecords || s.txBytes.Load() >= MaxTransactionBytes/2
}

// limit bounds a poll.
func (s *session) limit() int {
	n := s.e.cfg.MaxBatch
	if s.cap > 0 {
		n = min(n, s.cap)
	}
	if s.paced > 0 {
		n = min(n, s.paced)
	}
	n = min(n, s.fan.limit())
	for _, p := range s.parts {
		if p.suspects != nil {
			n = min(n, p.suspects.limit(s.e.cfg.MaxBatch))
		}
	}
	return n
}

// collect takes the data records of a poll into the batch. A record of a partition that is not claimed tells that the
// assignment has changed and nobody has said so yet.
func (s *session) collect(g *gokaSession, fetches kgo.Fetches, b *batch) error {
	var unclaimed error
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		topic := s.e.strip(f.Topic)
		c := g.claims[topic][f.Partition]
		if c == nil {
			if len(f.Records) > 0 {
				unclaimed = errGeneration
			}
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
	return unclaimed
}

// feed hands the batch's new records to goka.
func (s *session) feed(sctx context.Context, g *gokaSession, b *batch) error {
	for ; b.fed < len(b.records); b.fed++ {
		r := b.records[b.fed]
		topic := s.e.strip(r.Topic)
		p := s.parts[r.Partition]
		p.begin(b.wall)
		place := Cause{topic, r.Partition, r.Offset}
		if !s.e.graph.guarded {
			if over, ok := s.refused.get(place); ok {
				p.unrun = append(p.unrun, unrunRecord{sourceOf(r, place), over})
				continue
			}
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

// strike counts an abort against the record that caused it; over the limit it will be dead-lettered unrun. Only what
// a broker refuses of the record itself counts; anything else is nobody's fault, and waits.
func (s *session) strike(pe *produceError) error {
	s.clearFailures()
	err := fmt.Errorf("produce to %s: %w", pe.topic, pe.err)
	s.e.cfg.Log.Warn("transaction aborted", "group", string(s.e.graph.group), "cause", pe.cause.String(), "error", err)
	ofRecord := refusesRecord(pe.err) || s.e.graph.isDynamic(pe.topic) && refusesTopic(pe.err)
	if pe.cause.Topic == "" || !ofRecord {
		return fmt.Errorf("%w: %w", errRebuild, err)
	}
	if over, ok := s.refused.get(pe.cause); ok {
		over.refusals++ // it was not run: what was refused is its dead letter, or the reaction to it
		s.refused.set(pe.cause, over)
		return nil
	}
	s.strikes[pe.cause]++
	if s.strikes[pe.cause] >= s.e.cfg.CrashLimit {
		s.refused.set(pe.cause, verdict{cause: err})
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
			s.refused.set(*c, verdict{cause: err, killer: true})
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
