package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// longestLinger is how long a record may wait for others of its transaction before it is sent. All is sent at once when the
// callbacks are done; so this is how much of a long batch's output is under way meanwhile, in how many requests.
const longestLinger = 20 * time.Millisecond

// finish ends the transaction of a batch that goka is done with.
func (s *session) finish(b *batch) error {
	try, fenced := kgo.TryCommit, false
	flushCtx, cancel := context.WithTimeout(context.Background(), s.e.cfg.EndTimeout)
	defer cancel()
	if s.failed.Load() != nil || s.overflowed.Load() != nil {
		try = kgo.TryAbort
	} else {
		s.clearSuspicion(b)
		s.stage()
		if err := s.cl.Client().Flush(flushCtx); err != nil {
			return s.ended(false, fmt.Errorf("flush: %w", err))
		}
		if err := s.stored.wait(flushCtx, s.cl.Client().PartitionLeader); err != nil {
			return s.ended(false, err)
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
	s.fan.learn(len(b.records), s.txRecords.Load(), s.txBytes.Load())
	started := time.Now()
	produceErr, failed, over := s.produceErr.Load(), s.failed.Load(), s.overflowed.Load()
	var err error
	if fenced && try == kgo.TryCommit {
		err = s.endPlain(flushCtx)
	} else {
		err = s.end(try)
	}
	if err != nil {
		if produceErr != nil && errors.Is(err, errAborted) {
			return s.strike(produceErr)
		}
		s.clearFailures()
		if over != nil && errors.Is(err, errAborted) {
			if err := s.makeRoom(flushCtx, over, len(b.records)); err != nil {
				return err
			}
		}
		if errors.Is(err, errAborted) {
			if failed != nil {
				return *failed
			}
			return nil // polled again from the committed offsets
		}
		return err
	}
	s.lastCommit, s.lastBatch = time.Since(started), len(b.records)
	s.solo = max(0, s.solo-len(b.records))
	if s.cap > 0 && len(b.records) > 0 { // a transaction of due timers says nothing of batches
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
	if err := s.end(kgo.TryAbort); err != nil && !errors.Is(err, errAborted) {
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
func (s *session) end(try kgo.TransactionEndTry) error {
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
				p.Metadata = kmsg.StringPtr(metadata(now, false))
			}
		}
		return nil
	})
	ok, err := s.cl.End(ctx, try)
	return s.ended(ok, err)
}

// ended applies or forgets what a transaction wrote, now that its outcome is known, or is not.
func (s *session) ended(ok bool, err error) error {
	s.open = false
	s.txRecords.Store(0)
	s.txBytes.Store(0)
	ran := s.running
	s.running = nil
	st := s.unstage()
	if st != nil && (err != nil || !ok) && st.err == nil {
		st.drop()
	}
	switch {
	case err != nil:
		// The outcome is unknown: the topics will tell.
		if err := s.abortParts(); err != nil {
			return err
		}
		return fmt.Errorf("%w: end transaction: %w", errRebuild, err)
	case !ok:
		if err := s.abortParts(); err != nil {
			return err
		}
		if ran != nil {
			s.e.metrics.aborts.Inc()
			s.e.metrics.abortedRecords.Add(float64(len(ran.records)))
		}
		return errAborted
	}
	if st == nil {
		s.stage()
		st = s.unstage()
	}
	if st.err != nil {
		return Fatal(fmt.Errorf("apply committed transaction: %w", st.err))
	}
	positions := &Writes{}
	for _, p := range s.parts {
		if err := p.commit(positions); err != nil {
			st.drop()
			return Fatal(err)
		}
	}
	if err := st.apply(positions); err != nil {
		return Fatal(fmt.Errorf("apply committed transaction: %w", err))
	}
	return nil
}

func (s *session) abortParts() error {
	var failed error
	for _, p := range s.parts {
		if err := p.abort(); err != nil {
			failed = Fatal(err)
		}
		s.e.onAbort(p.id)
	}
	return failed
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

// commitClean is the last act of a clean stop: whoever takes over need not suspect any record, and trailing markers
// do not look like lag.
func (s *session) commitClean(ctx context.Context, g *gokaSession) {
	s.commitPositions(context.WithoutCancel(ctx), g, true)
}

// commitTrailing commits past control records while idle, so that retention never overtakes an idle group.
func (s *session) commitTrailing(ctx context.Context, g *gokaSession) {
	s.commitPositions(ctx, g, false)
}

// commitPositions commits how far was polled; whatever was polled must have been run.
func (s *session) commitPositions(ctx context.Context, g *gokaSession, clean bool) {
	s.mu.Lock()
	ours := s.assigned == g.a
	s.mu.Unlock()
	if !ours {
		return // franz-go's positions are those of another assignment
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for _, positions := range []map[string]map[int32]kgo.EpochOffset{s.cl.Client().CommittedOffsets(), s.cl.Client().UncommittedOffsets()} {
		for t, ps := range positions {
			for p, o := range ps {
				if s.parts[p] == nil {
					continue
				}
				if offsets[t] == nil {
					offsets[t] = map[int32]kgo.EpochOffset{}
				}
				offsets[t][p] = o
			}
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
