//go:build synctests

package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
)

// observer is the read-committed reader in whose eyes everything must hold. No fault meets it.
type observer struct {
	w  *world
	cl *kgo.Client

	mu   sync.Mutex
	data map[string][][]*kgo.Record // by topic and partition, without control records
	next map[string][]int64         // the offset behind the last record, control records counted
	// compacted is where the log ended when it was last compacted.
	compacted map[string][]int64
}

func newObserver(w *world) (*observer, error) {
	o := &observer{w: w, data: map[string][][]*kgo.Record{}, next: map[string][]int64{}, compacted: map[string][]int64{}}
	var names []string
	for _, t := range w.shape.topics() {
		names = append(names, w.settings.prefix+t)
		o.data[t] = make([][]*kgo.Record, partitions)
		o.next[t] = make([]int64, partitions)
		o.compacted[t] = make([]int64, partitions)
	}
	var err error
	o.cl, err = kgo.NewClient(append(w.outside("watch"), kgo.ConsumeTopics(names...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	return o, err
}

func (o *observer) run(ctx context.Context) {
	defer o.cl.Close()
	for ctx.Err() == nil {
		fetches := o.cl.PollFetches(ctx)
		o.mu.Lock()
		for _, r := range fetches.Records() {
			t := r.Topic[len(o.w.settings.prefix):]
			if r.Offset < o.next[t][r.Partition] {
				o.w.fail("observer read %s/%d/%d again", t, r.Partition, r.Offset)
			}
			o.next[t][r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				o.data[t][r.Partition] = append(o.data[t][r.Partition], r)
			}
		}
		o.mu.Unlock()
	}
}

// busy says what the group still has to do, empty when nothing is left.
func (o *observer) busy() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.w.shape.topics() {
		for p, info := range o.w.fake.PartitionInfos(o.w.settings.prefix + t) {
			if info.LastStableOffset < info.HighWatermark {
				return fmt.Sprintf("%s/%d: a transaction is open at %d of %d", t, p, info.LastStableOffset, info.HighWatermark)
			}
			if o.next[t][p] < info.HighWatermark {
				return fmt.Sprintf("%s/%d: observed to %d of %d", t, p, o.next[t][p], info.HighWatermark)
			}
		}
	}
	g := o.w.fake.GroupInfo(o.w.settings.prefix + group)
	if g == nil {
		return "there is no group"
	}
	for _, t := range append([]string{engine.LoopTopic(group)}, o.w.shape.inputs...) {
		for p, records := range o.data[t] {
			at, ok := g.Commits[o.w.settings.prefix+t][int32(p)]
			if len(records) > 0 && (!ok || at.Offset <= records[len(records)-1].Offset) {
				return fmt.Sprintf("%s/%d: committed to %d, last record at %d (group %s, %d members)", t, p, at.Offset, records[len(records)-1].Offset,
					g.State, len(g.Members))
			}
		}
	}
	for p, records := range o.data[engine.RowsTopic(group)] {
		rows := fold(records)
		for k, r := range rows {
			// The key that may stay parked is not parked before it has met the record that nobody mends.
			_, parked := rows["p"+k[1:5+len(rowOwner(k))]]
			if k[0] != 's' && !(parked && o.w.shape.stays(rowOwner(k))) {
				return fmt.Sprintf("%s/%d: row %q written at %d is left", engine.RowsTopic(group), p, k, r.Offset)
			}
		}
	}
	for _, d := range o.toRedrive() {
		return fmt.Sprintf("%s/%d/%d waits for its operator", d.Topic, d.Partition, d.Offset)
	}
	return ""
}

// rowOwner is the key in the name of an engine row: kind, length, key.
func rowOwner(k string) string {
	n := int(binary.BigEndian.Uint32([]byte(k[1:])))
	return k[5 : 5+n]
}

// caughtUp tells whether all that a compaction may take away was seen, and notes how far that is: it passes over
// partitions in which a transaction is open.
func (o *observer) caughtUp() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.w.shape.compacted() {
		for p, info := range o.w.fake.PartitionInfos(o.w.settings.prefix + t) {
			if info.LastStableOffset == info.HighWatermark && o.next[t][p] < info.HighWatermark {
				return false
			}
		}
	}
	for _, t := range o.w.shape.compacted() {
		copy(o.compacted[t], o.next[t])
	}
	return true
}

// fold keeps the newest record of each key; tombstones take it away.
func fold(records []*kgo.Record) map[string]*kgo.Record {
	out := map[string]*kgo.Record{}
	for _, r := range records {
		if r.Value == nil {
			delete(out, string(r.Key))
		} else {
			out[string(r.Key)] = r
		}
	}
	return out
}

// dump prints what was observed, for people.
func (o *observer) dump() {
	for _, t := range o.w.shape.topics() {
		for p, records := range o.data[t] {
			for _, r := range records {
				value := "(deleted)"
				if r.Value != nil {
					value = fmt.Sprintf("%.60q", r.Value)
				}
				fmt.Printf("%s/%d/%d %.6f %q %s cause %s, producer %d/%d\n", t, p, r.Offset, r.Timestamp.Sub(o.w.began).Seconds(), r.Key, value,
					headerOf(r, engine.HeaderCause), r.ProducerID, r.ProducerEpoch)
			}
		}
	}
}
