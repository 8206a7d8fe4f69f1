package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produce adds a record to the running transaction; its topic is without prefix. cause is the record's place that it
// follows from, zero for what the engine does by itself.
func (s *session) produce(r *kgo.Record, p *partition, cause Cause) {
	log := p.changelogOf(r.Topic)
	topic := r.Topic
	if !s.hasPartition(s.produceCtx, topic, r.Partition) {
		s.produceErr.CompareAndSwap(nil, &produceError{cause, topic, fmt.Errorf("%w: %d", errNoPartition, r.Partition)})
		return
	}
	stampHeaders(r, p.stamps.nowText(p.now), p.stamps.causeText(cause))
	r.Topic = s.e.cfg.Prefix + topic
	s.txRecords.Add(1)
	s.txBytes.Add(int64(recordSize(r)))
	// A callback's context must not take records out of a transaction. This one ends when the transaction is aborted anyway.
	s.cl.Produce(s.produceCtx, r, func(r *kgo.Record, err error) {
		if errors.Is(err, kgo.ErrAborting) {
			return // the transaction is being aborted for another reason
		}
		if err != nil {
			s.produceErr.CompareAndSwap(nil, &produceError{cause, topic, err})
			return
		}
		s.stored.wrote(r.Topic, r.Partition)
		if log != nil {
			for {
				seen := log.acked.Load()
				if r.Offset <= seen || log.acked.CompareAndSwap(seen, r.Offset) {
					return
				}
			}
		}
	})
}

var errNoPartition = errors.New("topic has no such partition")

// hasPartition tells whether a topic has a partition, as far as is known; a topic may have grown since it was looked
// at, so a no is looked up again.
func (s *session) hasPartition(ctx context.Context, topic string, partition int32) bool {
	known := func() bool {
		t := s.state.topology.Load()
		return t == nil || t.topics[topic].partitions == 0 || partition < t.topics[topic].partitions
	}
	if known() {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, s.e.cfg.EndTimeout)
	defer cancel()
	for range 2 {
		if t, err := s.e.describe(ctx); err == nil {
			s.state.topology.Store(t)
		}
		if known() {
			return true
		}
		// franz-go may have answered from what it heard a moment ago.
		select {
		case <-ctx.Done():
			return false
		case <-time.After(2 * metadataMinAge):
		}
	}
	return known()
}

// produceLog writes one row of a changelog.
func (s *session) produceLog(l *changelog, key string, value []byte, p *partition, cause Cause, headers []kgo.RecordHeader) {
	s.produce(&kgo.Record{Topic: l.topic, Partition: p.id, Key: []byte(key), Value: value, Headers: headers}, p, cause)
}

func (p *partition) changelogOf(topic string) *changelog {
	for _, l := range p.logs {
		if l.topic == topic {
			return l
		}
	}
	return nil
}

// stamps are the texts of the stamps that records got last: those of one record, and all of a transaction, have the same.
type stamps struct {
	now    int64
	cause  Cause
	nowIs  []byte
	causes []byte
}

// nowText is header fl-now's value; nil for no time.
func (s *stamps) nowText(now int64) []byte {
	if now != s.now {
		s.now, s.nowIs = now, nil
		if now != 0 {
			s.nowIs = strconv.AppendInt(nil, now, 10)
		}
	}
	return s.nowIs
}

// causeText is header fl-cause's value; nil for no cause.
func (s *stamps) causeText(cause Cause) []byte {
	if cause != s.cause {
		s.cause, s.causes = cause, nil
		if cause.Topic != "" {
			s.causes = []byte(cause.String())
		}
	}
	return s.causes
}

// stampHeaders adds fl-cause and fl-now where they are absent and known. Dead letters keep the headers of their record.
func stampHeaders(r *kgo.Record, now, cause []byte) {
	hasCause, hasNow := false, false
	for _, h := range r.Headers {
		hasCause = hasCause || h.Key == HeaderCause
		hasNow = hasNow || h.Key == HeaderNow
	}
	if !hasCause && cause != nil {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: HeaderCause, Value: cause})
	}
	if !hasNow && now != nil {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: HeaderNow, Value: now})
	}
}

// byReference replaces a record that does not fit into the dead-letter topic by its place, its digest and its start.
func byReference(rec *kgo.Record, src source) {
	sum := sha256.Sum256(src.value)
	text := fmt.Sprintf("by reference: %s, %d bytes, sha256 %s", src.Cause, len(src.value), hex.EncodeToString(sum[:]))
	rec.Value = src.value[:min(len(src.value), MaxReferenceBytes)]
	if len(rec.Key) > MaxReferenceBytes {
		rec.Key = rec.Key[:MaxReferenceBytes]
	}
	kept := rec.Headers[:0]
	total := 0
	for _, h := range rec.Headers {
		isOurs := len(h.Key) > 3 && h.Key[:3] == "fl-"
		if !isOurs {
			if total += len(h.Key) + len(h.Value); total > MaxReferenceBytes {
				continue
			}
		}
		kept = append(kept, h)
	}
	rec.Headers = append(kept, kgo.RecordHeader{Key: headerReference, Value: []byte(text)})
}

// EmitWithHeaders is the producer that goka uses for graphs of its own; guarded callbacks go past it.
func (s *session) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	promise, finish := goka.NewPromiseWithFinisher()
	rec := &kgo.Record{Topic: topic, Partition: -1, Key: []byte(key), Value: value}
	cause := Cause{}
	for k, v := range headers {
		switch k {
		case HeaderPartition:
			if p, err := strconv.ParseInt(string(v), 10, 32); err == nil && p >= 0 {
				rec.Partition = int32(p)
			}
			continue
		case HeaderCause:
			if c, err := ParseCause(string(v)); err == nil {
				cause = c
			}
		}
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: k, Value: v})
	}
	part := s.parts[cause.Partition]
	if part == nil {
		return finish(nil, errors.New("emit outside a callback: no transaction to join"))
	}
	if size := recordSize(rec); size > MaxRecordBytes {
		return finish(nil, &SizeError{"record", topic, size, MaxRecordBytes})
	}
	s.produce(rec, part, cause)
	finish(nil, nil)
	return promise
}

// Emit is goka's emit without headers.
func (s *session) Emit(topic, key string, value []byte) *goka.Promise {
	return s.EmitWithHeaders(topic, key, value, nil)
}
