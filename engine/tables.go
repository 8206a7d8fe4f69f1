package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// skipKey is the key of a message that only says how far the log was read: goka ends a recovery when it meets the
// offset before the log's end, and the record there may be a marker, aborted, or compacted away.
const skipKey = "\x00engine/position"

// tableConsumer reads the topics of goka's joins and lookups, read-committed.
type tableConsumer struct {
	e  *Engine
	mu sync.Mutex
	// high is the end of each partition as the last fetch told it.
	high map[string]map[int32]int64
	open sync.WaitGroup
}

func newTableConsumer(e *Engine) *tableConsumer {
	return &tableConsumer{e: e, high: map[string]map[int32]int64{}}
}

func (c *tableConsumer) Topics() ([]string, error)          { return nil, nil }
func (c *tableConsumer) Partitions(string) ([]int32, error) { return nil, nil }
func (c *tableConsumer) Pause(map[string][]int32)           {}
func (c *tableConsumer) Resume(map[string][]int32)          {}
func (c *tableConsumer) PauseAll()                          {}
func (c *tableConsumer) ResumeAll()                         {}

func (c *tableConsumer) HighWaterMarks() map[string]map[int32]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]map[int32]int64{}
	for t, ps := range c.high {
		out[t] = map[int32]int64{}
		for p, o := range ps {
			out[t][p] = o
		}
	}
	return out
}

// Close waits for the partition consumers, which goka has closed before.
func (c *tableConsumer) Close() error {
	c.open.Wait()
	return nil
}

func (c *tableConsumer) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	cl, err := kgo.NewClient(append(clientOpts(c.e.cfg.Brokers, c.e.cfg.Outside),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.e.cfg.Prefix + topic: {partition: kgo.NewOffset().At(offset)}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(c.e.cfg.FetchMaxWait))...)
	if err != nil {
		return nil, fmt.Errorf("consume table %s/%d: %w", topic, partition, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &tablePartition{c: c, cl: cl, topic: topic, partition: partition, next: offset, cancel: cancel,
		messages: make(chan *sarama.ConsumerMessage, 1000), errors: make(chan *sarama.ConsumerError, 1)}
	c.open.Go(func() { p.run(ctx) })
	return p, nil
}

type tablePartition struct {
	c         *tableConsumer
	cl        *kgo.Client
	topic     string
	partition int32
	next      int64
	id        [16]byte // of the topic that is read, zero when it could not be learned
	cancel    context.CancelFunc
	messages  chan *sarama.ConsumerMessage
	errors    chan *sarama.ConsumerError
}

func (p *tablePartition) AsyncClose()                              { p.cancel() }
func (p *tablePartition) Close() error                             { p.cancel(); return nil }
func (p *tablePartition) Messages() <-chan *sarama.ConsumerMessage { return p.messages }
func (p *tablePartition) Errors() <-chan *sarama.ConsumerError     { return p.errors }
func (p *tablePartition) Pause()                                   {}
func (p *tablePartition) Resume()                                  {}
func (p *tablePartition) IsPaused() bool                           { return false }
func (p *tablePartition) HighWaterMarkOffset() int64 {
	return p.c.HighWaterMarks()[p.topic][p.partition]
}

func (p *tablePartition) run(ctx context.Context) {
	defer close(p.messages)
	defer close(p.errors)
	defer p.cl.Close()
	p.id = p.identify(ctx)
	for ctx.Err() == nil {
		pollCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
		fetches := p.cl.PollRecords(pollCtx, 10_000)
		cancel()
		if err := p.fatal(ctx, fetches); err != nil {
			select {
			case p.errors <- &sarama.ConsumerError{Topic: p.topic, Partition: p.partition, Err: err}:
			case <-ctx.Done():
			}
			return
		}
		progressed := false
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			p.c.mu.Lock()
			if p.c.high[p.topic] == nil {
				p.c.high[p.topic] = map[int32]int64{}
			}
			p.c.high[p.topic][p.partition] = f.HighWatermark
			p.c.mu.Unlock()
			for _, r := range f.Records {
				progressed = true
				p.next = r.Offset + 1
				m := message(r, p.topic, true)
				if r.Attrs.IsControl() {
					m.Key, m.Value = []byte(skipKey), nil
				}
				if !p.send(ctx, m) {
					return
				}
			}
		})
		if progressed || ctx.Err() != nil {
			continue
		}
		if next, err := p.c.e.probe(ctx, p.cl, p.topic, p.partition, p.next); err == nil && next > p.next {
			p.next = next
			p.send(ctx, &sarama.ConsumerMessage{Topic: p.topic, Partition: p.partition, Offset: next - 1, Key: []byte(skipKey)})
		}
	}
}

func (p *tablePartition) send(ctx context.Context, m *sarama.ConsumerMessage) bool {
	select {
	case p.messages <- m:
		return true
	case <-ctx.Done():
		return false
	}
}

// fatal returns what will not mend itself.
func (p *tablePartition) fatal(ctx context.Context, fetches kgo.Fetches) error {
	var out error
	fetches.EachError(func(_ string, _ int32, err error) {
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.Is(err, kerr.UnknownTopicID):
			// A broker may only not have heard of it yet. A client never goes over to a topic that was made again.
			if id := p.identify(ctx); id != p.id && id != [16]byte{} {
				out = fmt.Errorf("read table %s/%d: the topic was deleted and made again", p.topic, p.partition)
			}
		case kerr.IsRetriable(err):
		default:
			out = fmt.Errorf("read table %s/%d: %w", p.topic, p.partition, err)
		}
	})
	return out
}

// identify returns the topic's id, zero when it cannot be had.
func (p *tablePartition) identify(ctx context.Context) [16]byte {
	ctx, cancel := context.WithTimeout(ctx, p.c.e.cfg.EndTimeout)
	defer cancel()
	_, id, err := p.c.e.identify(ctx, p.topic)
	if err != nil {
		return [16]byte{}
	}
	return id
}
