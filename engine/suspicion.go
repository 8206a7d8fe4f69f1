package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginepb"
)

// suspicion is how a partition is run whose last owner died with records in hand. Before each batch the range that
// is about to be run is written down; if the process dies again, its successor halves the range, down to one record,
// which at the limit is dead-lettered without being run. It ends when a full batch has passed.
type suspicion struct {
	// size bounds the next batch.
	size int
	// until is the end of the range in which the last owner died, by input topic; until it has passed, batches stay
	// small.
	until map[string]int64
	// rows are the ranges written down so far, by input topic.
	rows map[string]*enginepb.SuspectRow
	// absent is set when records of the range did not come; whoever dies over them later begins again.
	absent bool
}

func (s *suspicion) limit(most int) int { return min(max(s.size, 1), most) }

// verdicts are the records that are not run any more, and why. Callbacks of several partitions look at them at once.
type verdicts struct {
	mu   sync.Mutex
	over map[Cause]verdict
}

// verdict is what is held against a record.
type verdict struct {
	cause error
	// killer: processes or callbacks died with it in hand; it is not even decoded again. Otherwise a broker refuses what it
	// makes.
	killer bool
	// refusals counts how often its dead letter was refused as well: each time the engine does with less.
	refusals int
}

// reason is the dead letter's.
func (v verdict) reason() string {
	if v.killer {
		return "kills its process"
	}
	return "output refused"
}

func (v *verdicts) get(c Cause) (verdict, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	over, ok := v.over[c]
	return over, ok
}

func (v *verdicts) set(c Cause, over verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over[c] = over
}

// lift takes back those that match.
func (v *verdicts) lift(match func(Cause) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.DeleteFunc(v.over, func(c Cause, _ verdict) bool { return match(c) })
}

func suspectKey(topic string) string { return rowKey(rowSuspect, topic, "") }

// suspect looks whether the last owner stopped cleanly, and takes up what is written down of it.
func (p *partition) suspect(a *assignment) (err error) {
	// What this process once held against records that are passed was settled by it, or by others since.
	p.s.refused.lift(func(c Cause) bool { return c.Partition == p.id && c.Offset < a.committed[c.Topic][p.id].offset })
	dirty := false
	for _, ps := range a.committed {
		dirty = dirty || !ps[p.id].clean
	}
	sus := &suspicion{size: p.s.e.cfg.MaxBatch, until: map[string]int64{}, rows: map[string]*enginepb.SuspectRow{}}
	for k, v := range p.rows.scan(string(rowSuspect)) {
		row := &enginepb.SuspectRow{}
		if err := proto.Unmarshal(v, row); err != nil {
			return fmt.Errorf("suspect row %x of %s/%d: %w", k, p.rows.topic, p.id, err)
		}
		if !dirty {
			row.Records, row.Attempts = 0, 0 // left by an owner that stopped in good order: only to be taken back
		}
		sus.rows[row.Topic] = row
		at := a.committed[row.Topic][p.id].offset
		if at > row.To || row.Records == 0 {
			continue // it passed; another range is in hand
		}
		sus.until[row.Topic] = row.To
		deaths := int(row.Attempts)
		own := row.Process == p.s.e.processID // it lives: a new client is no death
		if own {
			deaths--
		}
		if row.Records > 1 {
			size := int(row.Records)
			if !own {
				size = (size + 1) / 2
			}
			sus.size = min(sus.size, size)
			continue
		}
		sus.size = 1
		if deaths >= p.s.e.cfg.CrashLimit {
			place := Cause{row.Topic, p.id, row.To}
			if row.Head != "" { // it is what the command ran, wherever that stands by now
				if place, err = ParseCause(row.Head); err != nil {
					return fmt.Errorf("suspect row %x of %s/%d: %w", k, p.rows.topic, p.id, err)
				}
			}
			p.s.refused.set(place, verdict{cause: fmt.Errorf("the process died %d times with this record in hand", deaths), killer: true})
		}
	}
	if !dirty && len(sus.rows) == 0 {
		return nil
	}
	p.suspects = sus
	return nil
}

// suspected tells whether a range of a topic is under suspicion and has not passed yet.
func (p *partition) suspected(topic string) bool {
	if p.suspects == nil {
		return false
	}
	_, ok := p.suspects.until[topic]
	return ok
}

// focusPatience is how long suspected ranges are waited for.
const focusPatience = 3 * time.Second

// focuses tells whether the next poll is for suspected ranges alone. They are run in small batches, each with a
// transaction before it, and a backlog of other inputs, which franz-go may well hand over first, would have to be
// worked off at that pace before the suspicion can end. Records of a range can be gone (retention, compaction): when
// none comes for a while, others are run, and at their own pace.
func (s *session) focuses() bool {
	late := time.Since(s.fetched) >= focusPatience
	focus := false
	for _, p := range s.parts {
		if p.suspects == nil || p.suspects.absent || len(p.suspects.until) == 0 {
			continue
		}
		p.suspects.absent = late
		focus = focus || !late
	}
	return focus
}

func (s *session) suspicious() bool {
	for _, p := range s.parts {
		if p.suspects != nil {
			return true
		}
	}
	return false
}

// suspectBatch writes down what is about to be run in suspicious partitions, ahead of the transaction.
func (s *session) suspectBatch(ctx context.Context, b *batch) error {
	spans := map[*partition]map[string]*enginepb.SuspectRow{}
	for _, r := range b.records {
		p := s.parts[r.Partition]
		if p.suspects == nil {
			continue
		}
		if spans[p] == nil {
			spans[p] = map[string]*enginepb.SuspectRow{}
		}
		t := s.e.strip(r.Topic)
		row := spans[p][t]
		if row == nil {
			row = &enginepb.SuspectRow{Topic: t, From: r.Offset, Attempts: 1, Process: s.e.processID}
			spans[p][t] = row
		}
		row.To = max(row.To, r.Offset)
		row.Records++
		row.Head = ""
		if s.command(r) == commandRetry {
			row.Head = p.wouldRun(string(r.Key), b.wall)
		}
	}
	for p, topics := range spans {
		for t, row := range topics {
			if len(b.records) > 1 {
				row.Attempts = 0 // a death tells against the batch; against one record only when it was alone in hand
			}
			if old := p.suspects.rows[t]; old != nil && old.From == row.From && old.To == row.To && (old.Head == row.Head || row.Records > 1) {
				if old.Process == s.e.processID && old.Records > 0 {
					continue // an abort is no death: this life is counted already
				}
				row.Attempts += old.Attempts
			}
			p.suspects.rows[t] = row
			if err := s.writeAhead(ctx, p, suspectKey(t), row); err != nil {
				return err
			}
		}
	}
	return nil
}

// acquit takes back, of a partition that pauses, that its records are in hand: they are not run, so whoever dies while
// they stand there does not die of them, and this process has not either.
func (s *session) acquit(ctx context.Context, p *partition) error {
	if p.suspects == nil {
		return nil
	}
	for _, t := range slices.Sorted(maps.Keys(p.suspects.rows)) {
		row := p.suspects.rows[t]
		if t == LoopTopic(s.e.graph.group) || row.Records == 0 || row.Process != s.e.processID {
			continue
		}
		row = &enginepb.SuspectRow{Topic: t, From: row.From, To: row.To, Attempts: max(row.Attempts, 1) - 1, Process: row.Process}
		p.suspects.rows[t] = row
		if err := s.writeAhead(ctx, p, suspectKey(t), row); err != nil {
			return err
		}
	}
	return nil
}

// writeAhead writes a row in a transaction of its own, so that it survives the abort of the next. It is fenced: a
// process whose partition is another's by now must not write into the other's rows.
func (s *session) writeAhead(ctx context.Context, p *partition, key string, m proto.Message) error {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode suspect row: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.e.cfg.EndTimeout)
	defer cancel()
	if err := s.begin(); err != nil {
		return err
	}
	rec := &kgo.Record{Topic: s.e.cfg.Prefix + p.rows.topic, Partition: p.id, Key: []byte(key), Value: raw}
	// A record that is under way is not given up before it is answered, whatever its context says; a flush is.
	var refused error
	s.cl.Produce(ctx, rec, func(_ *kgo.Record, err error) { refused = err })
	if err := s.cl.Client().Flush(ctx); err != nil {
		return fmt.Errorf("%w: write down suspects: flush: %w", errRebuild, err)
	}
	if refused != nil {
		return fmt.Errorf("%w: write down suspects: %w", errRebuild, refused)
	}
	s.stored.wrote(rec.Topic, rec.Partition)
	if err := s.stored.wait(ctx, s.cl.Client().PartitionLeader); err != nil {
		return fmt.Errorf("%w: write down suspects: %w", errRebuild, err)
	}
	if err := s.endFenced(ctx); err != nil {
		return fmt.Errorf("write down suspects: %w", err)
	}
	b := &Writes{}
	b.Set(p.rows.dataKey(key), raw)
	p.rows.cache.forget(key)
	p.rows.position = max(p.rows.position, rec.Offset+1)
	if err := p.rows.addPosition(b, s.e.wall()); err != nil {
		return Fatal(err)
	}
	if err := s.e.cfg.DB.Apply(b); err != nil {
		return Fatal(fmt.Errorf("apply suspect row: %w", err))
	}
	return nil
}

// clearSuspicion takes the written-down ranges back in the transaction that proves them innocent. Suspicion itself
// ends with the first ordinary batch; until then the size grows back.
func (s *session) clearSuspicion(b *batch) {
	if len(b.records) == 0 {
		return
	}
	ran := map[*partition]map[string]bool{}
	for _, r := range b.records {
		p := s.parts[r.Partition]
		if ran[p] == nil {
			ran[p] = map[string]bool{}
		}
		ran[p][s.e.strip(r.Topic)] = true
	}
	for p, topics := range ran {
		sus := p.suspects
		if sus == nil {
			continue
		}
		p.begin(b.wall)
		for t, row := range sus.rows {
			if row.Records > 0 && !topics[t] {
				continue // not run in this batch
			}
			if row.To >= sus.until[t] {
				delete(sus.until, t)
			}
			p.dropRow(suspectKey(t))
			delete(sus.rows, t)
		}
		if !sus.absent && (len(sus.until) > 0 || len(sus.rows) > 0) {
			continue
		}
		if sus.size >= s.e.cfg.MaxBatch {
			p.suspects = nil
			continue
		}
		sus.size *= 2
	}
}
