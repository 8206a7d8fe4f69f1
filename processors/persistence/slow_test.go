package persistence_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/processors/persistence"
	"github.com/fairleadio/fairlead/schemas"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	"github.com/fairleadio/fairlead/topics"
)

// blocked is a store in which the requests of virtual node A do not end before they may.
type blocked struct {
	*memory
	want    int32
	begun   atomic.Int32
	all     chan struct{} // closed when that many have begun
	release chan struct{}
}

func (b *blocked) Do(ctx context.Context, p *persistence.Plan) persistence.Result {
	if p.Vnode == vnodeA {
		if b.begun.Add(1) == b.want {
			close(b.all)
		}
		<-b.release
	}
	return b.memory.Do(ctx, p)
}

// The requests of one step run side by side, and however long they take, those of others do not wait for them.
func TestSlowQueriesHoldNobodyUp(t *testing.T) {
	const slow = 10
	s := &blocked{memory: newMemory(), want: slow, all: make(chan struct{}), release: make(chan struct{})}
	w := newWorker(t, s)
	c := enginetest.NewCluster(t)
	c.CreateTopics(t, 1, w.Graph())
	codec := schemas.Codec[*persistencev1.Request]()
	for n := range slow {
		c.Produce(t, topics.PersistenceRequests, flowA, persist(vnodeA, fmt.Sprint(n)), codec, engine.HeaderRequest, fmt.Sprint("a", n))
	}
	other := "99999999-2222-4333-8444-555555555555"
	c.Produce(t, topics.PersistenceRequests, other, persist(vnodeB, "1"), codec, engine.HeaderRequest, "b")
	cfg := c.Config(t)
	cfg.Retries = 1 << 30
	enginetest.StartConfig(t, cfg, w.Graph())
	<-s.all
	if r := c.Consume(t, topics.FlowRepliesPersistence, 1)[0]; header(r, engine.HeaderRequest) != "b" {
		t.Errorf("%s was answered before it could be", header(r, engine.HeaderRequest))
	}
	close(s.release)
	answered := map[string]int{}
	c.ConsumeUntil(t, topics.FlowRepliesPersistence, func(all []*kgo.Record) bool {
		clear(answered)
		for _, r := range all {
			answered[header(r, engine.HeaderRequest)]++
		}
		return len(answered) == slow+1
	})
	for id, n := range answered {
		if n != 1 {
			t.Errorf("%s was answered %d times", id, n)
		}
	}
	if n := s.begun.Load(); n != slow {
		t.Errorf("%d requests were run %d times", slow, n)
	}
	w.Close()
}
