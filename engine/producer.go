package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ProducerConfig says where a [Producer] writes.
type ProducerConfig struct {
	Brokers []string
	Prefix  string
	Outside Outside
	Log     *slog.Logger
	// Timeout bounds one Produce. Default 10 s.
	Timeout time.Duration
}

// Producer writes records from outside any group: requests that come over HTTP, commands, seeds. It is idempotent
// (a retried send is stored once); whoever repeats a call must bring an id that its reader knows again.
type Producer struct {
	cfg ProducerConfig
	cl  *kgo.Client
}

// Record is what a Producer writes. Partition -1 means: by the key's murmur2.
type Record struct {
	Topic, Key string
	Partition  int32
	// Msg is encoded by Codec; nil writes a tombstone.
	Msg     any
	Codec   Codec
	Headers map[string]string
}

// Placed is where a record came to lie.
type Placed struct {
	TopicID   [16]byte
	Partition int32
	Offset    int64
}

// NewProducer makes a producer; it connects when it is first used.
func NewProducer(cfg ProducerConfig) (*Producer, error) {
	if len(cfg.Brokers) == 0 {
		return nil, errors.New("engine: a producer needs Brokers")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	cl, err := kgo.NewClient(append(clientOpts(cfg.Brokers, cfg.Outside),
		kgo.RecordPartitioner(explicitOrKey{kgo.StickyKeyPartitioner(nil)}),
		kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(MaxProduceBytes), kgo.RequiredAcks(kgo.AllISRAcks()))...)
	if err != nil {
		return nil, fmt.Errorf("make producer: %w", err)
	}
	return &Producer{cfg, cl}, nil
}

// Produce writes one record and waits until it is stored. The wall clock is its fl-now; it has no cause. A record
// over the limits is a *[SizeError].
func (p *Producer) Produce(ctx context.Context, r Record) (Placed, error) {
	rec := &kgo.Record{Topic: p.cfg.Prefix + r.Topic, Partition: r.Partition, Key: []byte(r.Key)}
	if r.Msg != nil {
		raw, err := r.Codec.Encode(r.Msg)
		if err != nil {
			return Placed{}, fmt.Errorf("encode record for %s: %w", r.Topic, err)
		}
		if raw == nil {
			raw = []byte{}
		}
		rec.Value = raw
		if t := typeName(r.Codec, r.Msg); t != "" {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: HeaderType, Value: []byte(t)})
		}
	}
	names := make([]string, 0, len(r.Headers))
	for k := range r.Headers {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: k, Value: []byte(r.Headers[k])})
	}
	rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: HeaderNow, Value: strconv.AppendInt(nil, p.cfg.Outside.wall().UnixMicro(), 10)})
	if size := recordSize(rec); size > MaxRecordBytes {
		return Placed{}, &SizeError{"record", r.Topic, size, MaxRecordBytes}
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	if err := p.cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
		return Placed{}, fmt.Errorf("produce to %s: %w", r.Topic, err)
	}
	id, err := p.topicID(ctx, rec.Topic)
	if err != nil {
		return Placed{}, err
	}
	return Placed{id, rec.Partition, rec.Offset}, nil
}

// topicID asks each time: a topic that was made again has another id, and a wrong one would name another's flow.
func (p *Producer) topicID(ctx context.Context, topic string) ([16]byte, error) {
	meta, err := kadm.NewClient(p.cl).Metadata(ctx, topic)
	if err != nil {
		return [16]byte{}, fmt.Errorf("read id of topic %s: %w", topic, err)
	}
	t, ok := meta.Topics[topic]
	if !ok || t.Err != nil {
		return [16]byte{}, fmt.Errorf("read id of topic %s: %w", topic, t.Err)
	}
	return t.ID, nil
}

// Close flushes and disconnects.
func (p *Producer) Close() { p.cl.Close() }
