package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// recoverLogs brings local storage up to the end of the changelogs.
//
// The order is the point. The caller has joined the group and fetched the committed input offsets with
// require-stable, so every transaction that moved them is decided. Only then is the end of each changelog read, and
// read *uncommitted*: the markers of a decided transaction reach each partition separately, and a stalled member's
// transaction may still be open below records that are committed; the last stable offset would end before them.
// Reading committed up to that end waits for both.
func (s *session) recoverLogs(ctx context.Context, logs []*changelog) error {
	start, wall := time.Now(), s.e.cfg.Outside.wall()
	ends, starts, err := s.logBounds(ctx, logs)
	if err != nil {
		return err
	}
	if err := s.checkForgotten(logs, ends); err != nil {
		return err
	}
	var behind []*changelog
	var missing int64
	for _, l := range logs {
		end := ends[l.topic][l.partition]
		if err := l.prepare(end, s.e.cfg.DeleteRetention, wall); err != nil {
			return err
		}
		l.position = max(l.position, starts[l.topic][l.partition])
		if l.position < end {
			behind = append(behind, l)
			missing += end - l.position
		}
	}
	s.progress(missing, missing)
	defer s.progress(0, 0)
	if len(behind) == 0 {
		return nil
	}
	err = s.readLogs(ctx, behind, ends, missing)
	if err == nil && missing > 100_000 {
		s.e.cfg.Log.Info("recovered", "group", string(s.e.graph.group), "records", missing, "took", time.Since(start).Round(time.Millisecond))
	}
	return err
}

// checkForgotten refuses to begin at a log's start when the group has been here before: its offsets are gone (they
// expire when a group is empty for long), and everything would be processed a second time in silence.
func (s *session) checkForgotten(logs []*changelog, ends map[string]map[int32]int64) error {
	s.mu.Lock()
	a := s.assigned
	s.mu.Unlock()
	if a == nil {
		return nil // taken away meanwhile
	}
	for _, l := range logs {
		fresh := true
		for _, ps := range a.committed {
			fresh = fresh && ps[l.partition].fresh
		}
		if fresh && ends[l.topic][l.partition] > 0 {
			return Fatal(fmt.Errorf("partition %d has state in %s but the group has no committed offsets: they expired or were deleted; "+
				"restore them with 'fairlead group seek', or delete the group's own topics to begin anew", l.partition, l.topic))
		}
	}
	return nil
}

// prepare decides whether the local copy can be used, and wipes it otherwise.
func (c *changelog) prepare(end int64, retention time.Duration, now time.Time) error {
	m, ok, err := c.load()
	if err != nil {
		return fmt.Errorf("read position of %s/%d: %w", c.topic, c.partition, err)
	}
	if ok && m.usable(c.cluster, c.topicID, end, retention, now) {
		c.position, c.now = m.Position, m.NowUS
		return nil
	}
	if err := c.wipe(); err != nil {
		return fmt.Errorf("wipe local copy of %s/%d: %w", c.topic, c.partition, err)
	}
	return nil
}

func (s *session) readLogs(ctx context.Context, logs []*changelog, ends map[string]map[int32]int64, missing int64) error {
	byTP := map[string]map[int32]*changelog{}
	from := map[string]map[int32]kgo.Offset{}
	for _, l := range logs {
		t := s.e.cfg.Prefix + l.topic
		if byTP[t] == nil {
			byTP[t], from[t] = map[int32]*changelog{}, map[int32]kgo.Offset{}
		}
		byTP[t][l.partition] = l
		from[t][l.partition] = kgo.NewOffset().At(l.position)
	}
	opts := append(clientOpts(s.e.cfg.Brokers, s.e.cfg.Outside),
		kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(32<<20), kgo.FetchMaxPartitionBytes(16<<20),
		kgo.FetchMaxWait(500*time.Millisecond))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("make recovery client: %w", err)
	}
	defer cl.Close()
	open := len(logs)
	total := missing
	for open > 0 {
		pollCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
		fetches := cl.PollRecords(pollCtx, 20_000)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := recoveryError(fetches); err != nil {
			return err
		}
		batch := &Writes{}
		progressed := false
		fetches.EachPartition(func(ftp kgo.FetchTopicPartition) {
			l := byTP[ftp.Topic][ftp.Partition]
			if l == nil || len(ftp.Records) == 0 {
				return
			}
			before := l.position
			for _, r := range ftp.Records {
				if r.Offset >= l.position {
					l.position = r.Offset + 1
				}
				if r.Attrs.IsControl() {
					continue
				}
				if now, err := strconv.ParseInt(headerOf(r, HeaderNow), 10, 64); err == nil {
					l.now = max(l.now, now)
				}
				if r.Value == nil {
					batch.Delete(l.dataKey(string(r.Key)))
				} else {
					batch.Set(l.dataKey(string(r.Key)), r.Value)
				}
			}
			progressed = true
			missing -= l.position - before
		})
		if !progressed {
			if err := s.passGaps(ctx, cl, logs, ends); err != nil {
				return err
			}
		}
		open = 0
		for _, l := range logs {
			if l.position < ends[l.topic][l.partition] {
				open++
			}
			if err := l.addPosition(batch, s.e.wall()); err != nil {
				return err
			}
		}
		if err := s.e.cfg.DB.Apply(batch); err != nil {
			return fmt.Errorf("apply recovered records: %w", err)
		}
		s.progress(max(missing, 0), total)
	}
	return nil
}

// recoveryError returns what will not mend itself.
func recoveryError(fetches kgo.Fetches) error {
	var out error
	fetches.EachError(func(t string, p int32, err error) {
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case kerr.IsRetriable(err):
		default:
			out = fmt.Errorf("read changelog %s/%d: %w", t, p, err)
		}
	})
	return out
}

// passGaps moves positions over what a client never shows: compaction leaves empty batches at a log's end, and a
// fetch that ends in one never says so. The batches' own headers do.
func (s *session) passGaps(ctx context.Context, cl *kgo.Client, logs []*changelog, ends map[string]map[int32]int64) error {
	for _, l := range logs {
		if l.position >= ends[l.topic][l.partition] {
			continue
		}
		next, err := s.e.probe(ctx, cl, l.topic, l.partition, l.position)
		if err != nil {
			s.e.cfg.Log.Warn("recovery waits", "topic", l.topic, "partition", l.partition, "position", l.position,
				"end", ends[l.topic][l.partition], "error", err)
			continue
		}
		l.position = max(l.position, next)
	}
	return nil
}

// probe fetches a partition's raw batches at its position and returns the offset behind those that hold no record.
func (e *Engine) probe(ctx context.Context, cl *kgo.Client, topic string, partition int32, from int64) (int64, error) {
	leader, epoch, err := cl.PartitionLeader(e.cfg.Prefix+topic, partition)
	if err != nil {
		return 0, fmt.Errorf("find leader: %w", err)
	}
	meta, err := e.admin.Metadata(ctx, e.cfg.Prefix+topic)
	if err != nil {
		return 0, fmt.Errorf("find topic id: %w", err)
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes, req.IsolationLevel = 100, 1<<20, 1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = e.cfg.Prefix+topic, meta.Topics[e.cfg.Prefix+topic].ID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.CurrentLeaderEpoch, p.PartitionMaxBytes = partition, from, epoch, 1<<20
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	raw, err := cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return 0, fmt.Errorf("fetch: %w", err)
	}
	resp := raw.(*kmsg.FetchResponse)
	next := from
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return 0, fmt.Errorf("fetch: %w", err)
			}
			next = invisibleUntil(rp.RecordBatches, next, rp.LastStableOffset, rp.AbortedTransactions)
		}
	}
	return next, nil
}

// invisibleUntil walks, from an offset on, over record batches that a read-committed client passes over in silence:
// those that compaction has emptied, and those of aborted transactions. It stops at the last stable offset, and at
// the first batch that a client will show (markers are shown, but an embedded broker that was killed may not have
// written the marker of what it aborted).
func invisibleUntil(batches []byte, next, stable int64, aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction) int64 {
	// Layout of a batch (Kafka protocol, record batch v2): base offset 8, length 4, leader epoch 4, magic 1, crc 4,
	// attributes 2, last offset delta 4, timestamps 16, producer id 8, producer epoch 2, base sequence 4, record count 4.
	const head, producer, count = 12, 43, 57
	const transactional, control = 0x10, 0x20
	// A broker names the aborted transactions that overlap what it sends; each ends at its producer's next marker.
	aborted = slices.Clone(aborted)
	slices.SortFunc(aborted, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	open := map[int64]bool{} // producers inside one
	for len(batches) >= count+4 {
		base := int64(binary.BigEndian.Uint64(batches))
		length := int(int32(binary.BigEndian.Uint32(batches[8:])))
		attributes := binary.BigEndian.Uint16(batches[21:])
		last := base + int64(int32(binary.BigEndian.Uint32(batches[23:])))
		id := int64(binary.BigEndian.Uint64(batches[producer:]))
		records := int32(binary.BigEndian.Uint32(batches[count:]))
		if last >= stable {
			return next
		}
		for len(aborted) > 0 && aborted[0].FirstOffset <= base {
			open[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		if attributes&control != 0 {
			delete(open, id)
		}
		if last >= next {
			hidden := records <= 0 || attributes&transactional != 0 && attributes&control == 0 && open[id]
			if !hidden {
				return max(next, base)
			}
			next = last + 1
		}
		if length <= 0 || head+length > len(batches) {
			break
		}
		batches = batches[head+length:]
	}
	return next
}
