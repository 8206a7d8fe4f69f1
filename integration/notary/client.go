package notary

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Client asks notaries and keeps the history of what it was answered.
type Client struct {
	prefix string
	cl     *kgo.Client
	began  time.Time
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	history []Asked
	waiting map[string]chan struct{} // by request id
	index   map[string]int           // of the history, by request id
	strange []string                 // what came that nobody asked for
}

// NewClient makes a client; the topics must exist.
func NewClient(brokers []string, prefix string) (*Client, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(prefix+topics.FlowRepliesUniqueness),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{prefix: prefix, cl: cl, began: time.Now(), cancel: cancel, done: make(chan struct{}), waiting: map[string]chan struct{}{}, index: map[string]int{}}
	go c.read(ctx)
	return c, nil
}

// Close ends the client.
func (c *Client) Close() {
	c.cancel()
	<-c.done
	c.cl.Close()
}

func (c *Client) read(ctx context.Context) {
	defer close(c.done)
	for ctx.Err() == nil {
		c.cl.PollFetches(ctx).EachRecord(c.take)
	}
}

func (c *Client) take(r *kgo.Record) {
	request := ""
	for _, h := range r.Headers {
		if h.Key == engine.HeaderRequest {
			request = string(h.Value)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.index[request]
	if !ok {
		c.strange = append(c.strange, fmt.Sprintf("an answer to %q, which nobody asked", request))
		return
	}
	a := &c.history[at]
	a.Replies++
	if a.Replies > 1 {
		return
	}
	a.Returned = time.Since(c.began).Nanoseconds()
	var m rpcv1.Reply
	answer := &appv1.UniquenessAnswer{}
	if err := proto.Unmarshal(r.Value, &m); err == nil && m.GetError() == nil && proto.Unmarshal(m.GetResult(), answer) == nil {
		a.Answer = answer
	} else {
		c.strange = append(c.strange, fmt.Sprintf("an answer about %s: %v %v", a.Tx, err, m.GetError()))
	}
	close(c.waiting[request])
	delete(c.waiting, request)
}

// Ask asks and waits for the answer.
func (c *Client) Ask(ctx context.Context, a Ask) error {
	raw, err := schemas.Marshal(a.Message())
	if err != nil {
		return err
	}
	answered := make(chan struct{})
	c.mu.Lock()
	request := fmt.Sprintf("q%d", len(c.history))
	c.index[request] = len(c.history)
	c.history = append(c.history, Asked{Ask: a, Called: time.Since(c.began).Nanoseconds()})
	c.waiting[request] = answered
	c.mu.Unlock()
	rec := &kgo.Record{Topic: c.prefix + topics.UniquenessRequests, Key: []byte(a.Notary), Value: raw, Headers: []kgo.RecordHeader{
		{Key: engine.HeaderRequest, Value: []byte(request)}, {Key: engine.HeaderReply, Value: []byte(engine.ReplyTo(topics.FlowRepliesUniqueness, -1, request))},
	}}
	if err := c.cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
		return fmt.Errorf("ask about %s: %w", a.Tx, err)
	}
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no answer about %s: %w", a.Tx, ctx.Err())
	}
}

// History returns what was asked and answered, and what came besides.
func (c *Client) History() ([]Asked, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Asked(nil), c.history...), append([]string(nil), c.strange...)
}

// Tell asks for all of a story by so many clients at once, in the story's order.
func (c *Client) Tell(ctx context.Context, story iter.Seq[Ask], clients int) error {
	queue := make(chan Ask)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	for range clients {
		wg.Go(func() {
			for a := range queue {
				if err := c.Ask(ctx, a); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	for a := range story {
		queue <- a
	}
	close(queue)
	wg.Wait()
	return first
}

// Rows returns what the topic of the store folds to, for a read-committed reader.
func (c *Client) Rows(ctx context.Context) (map[string][]byte, error) {
	topic := c.prefix + topics.StoreTopic(topics.UniquenessGroup, topics.UniquenessMemoryStore)
	ends, err := kadm.NewClient(c.cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("read the end of %s: %w", topic, err)
	}
	from, open := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition], open[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	rows := map[string][]byte{}
	if len(from) == 0 {
		return rows, nil
	}
	cl, err := kgo.NewClient(append(c.cl.Opts(), kgo.ConsumeTopics(), kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))...)
	if err != nil {
		return nil, fmt.Errorf("make a reader: %w", err)
	}
	defer cl.Close()
	for len(open) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("topic %s: its end was not reached: %w", topic, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= open[r.Partition] {
				delete(open, r.Partition)
			}
			switch {
			case r.Attrs.IsControl():
			case r.Value == nil:
				delete(rows, string(r.Key))
			default:
				rows[string(r.Key)] = r.Value
			}
		})
	}
	return rows, nil
}
