package engine

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// storedTopics keeps a commit from being taken for an empty transaction. franz-go v1.22 (storePartitionsUpdate) buffers
// the first records of a topic before it stores that it knows the topic's partitions. A machine under load can send, flush
// and end the transaction in between: EndTransaction then finds no partition that was written to, aborts at the broker,
// and returns no error. Offsets that move with the transaction hide that; one of timers alone would be lost, and local
// storage would hold what no topic does. So a transaction ends only when franz-go knows every topic that it wrote to.
type storedTopics struct {
	mu sync.Mutex
	// known are topics that franz-go has stored, new those that were written to and were not seen stored, by a partition.
	known map[string]bool
	new   map[string]int32
}

// wrote is told of every record that a broker has taken.
func (t *storedTopics) wrote(topic string, partition int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known[topic] {
		return
	}
	if t.new == nil {
		t.new = map[string]int32{}
	}
	t.new[topic] = partition
}

// forget is for a new client.
func (t *storedTopics) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known, t.new = nil, nil
}

// wait returns when all that was written to is stored; leader is [kgo.Client.PartitionLeader].
func (t *storedTopics) wait(ctx context.Context, leader func(string, int32) (int32, int32, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for topic, partition := range t.new {
		for {
			// One of both tells a partition without a leader at present from one that is not stored.
			if id, epoch, _ := leader(topic, partition); id >= 0 || epoch >= 0 {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait until the client knows topic %s, which it has written to: %w", topic, ctx.Err())
			case <-time.After(100 * time.Microsecond):
			}
		}
		if t.known == nil {
			t.known = map[string]bool{}
		}
		t.known[topic] = true
		delete(t.new, topic)
	}
	return nil
}
