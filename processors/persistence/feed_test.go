package persistence_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/processors/persistence"
	"github.com/fairleadio/fairlead/schemas"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// sick is a store in which something is wrong with virtual node A.
type sick struct {
	*memory
	mu       sync.Mutex
	err      error
	forgot   int
	forged   bool // a change's operation is none
	readings int  // of changes, and tellings
}

func (s *sick) Changes(ctx context.Context, vnode string, after uint64, limit int) (persistence.Changes, error) {
	c, err := s.memory.Changes(ctx, vnode, after, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if vnode != vnodeA {
		return c, err
	}
	s.readings++
	if s.forged && len(c.Rows) > 0 {
		c.Rows[0].Operation = 9
	}
	return c, s.err
}

func (s *sick) Told(ctx context.Context, vnode string, upTo uint64) error {
	s.mu.Lock()
	s.readings++
	s.mu.Unlock()
	return s.memory.Told(ctx, vnode, upTo)
}

func (s *sick) Forget(context.Context, string, time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot++
	return nil
}

func (s *sick) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.forged = nil, false
}

// feeding runs the group that tells, over one partition, with a queue of few places.
func feeding(t *testing.T, s persistence.Store, nodes persistence.View) *enginetest.Cluster {
	t.Helper()
	w, err := persistence.NewWorker(persistence.Config{SweepEvery: 200 * time.Millisecond}, persistence.Deps{
		VirtualNodes: nodes, Packages: view{checksum: cpi()}, Store: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := enginetest.NewCluster(t)
	c.CreateTopics(t, 1, w.FeedGraph())
	for _, topic := range []string{"feed.proto." + vnodeA, "feed.proto." + vnodeB, "feed.json"} {
		c.CreateTopic(t, topic, 1, nil)
	}
	cfg := c.Config(t)
	cfg.RetryBackoff, cfg.Retries, cfg.RetryQueue = time.Millisecond, 1<<30, 5
	enginetest.StartConfig(t, cfg, w.FeedGraph())
	return c
}

func drain(t *testing.T, c *enginetest.Cluster, vnode string) {
	t.Helper()
	c.Produce(t, topics.PersistenceDrain, vnode, &persistencev1.Drain{Vnode: vnode}, schemas.Codec[*persistencev1.Drain]())
}

// An outbox that cannot be read stops nobody else's feed, and goes on when it can be read again, without anybody asking.
func TestFeedThatCannotBeReadIsParked(t *testing.T) {
	for name, err := range map[string]error{
		"unreadable":        errors.New("captured change: time: bigint out of range"),
		"too large":         &postgres.Error{Class: postgres.Data, Message: "too large"},
		"its own server":    &vnodes.ElsewhereError{Err: &postgres.Error{Class: postgres.Unavailable}},
		"out of time":       &postgres.Error{Class: postgres.Timeout},
		"a wrong operation": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := &sick{memory: newMemory(), err: err, forged: err == nil}
			for _, v := range []string{vnodeA, vnodeB} {
				s.capture(&persistence.Plan{Vnode: v, FlowID: flowA}, 1, item{"i", "x"})
			}
			c := feeding(t, s, view{vnodeA: vnodeOf(vnodeA), vnodeB: vnodeOf(vnodeB)})
			for range 20 {
				drain(t, c, vnodeA)
			}
			drain(t, c, vnodeB)
			told(t, c.Consume(t, "feed.proto."+vnodeB, 1), map[string]int{vnodeB: 1})
			s.heal()
			told(t, c.Consume(t, "feed.proto."+vnodeA, 1), map[string]int{vnodeA: 1})
		})
	}
}

// A virtual node in maintenance keeps its sweep, whose database is left alone.
func TestFeedGoesOnAfterMaintenance(t *testing.T) {
	s := &sick{memory: newMemory()}
	s.capture(&persistence.Plan{Vnode: vnodeA, FlowID: flowA}, 1, item{"i", "x"})
	asleep := vnodeOf(vnodeA)
	asleep.VaultDb = vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE
	nodes := &changing{view: view{vnodeA: asleep}, looked: make(chan string, 1)}
	c := feeding(t, s, nodes)
	drain(t, c, vnodeA)
	confirm := &persistencev1.FeedTimer{Event: &persistencev1.FeedTimer_Confirm_{Confirm: &persistencev1.FeedTimer_Confirm{UpTo: 1}}}
	c.Produce(t, topics.LoopTopic(topics.PersistenceFeedGroup), vnodeA, confirm, schemas.Codec[*persistencev1.FeedTimer]())
	for range 6 { // the drain, the confirmation, and sweeps
		<-nodes.looked
	}
	s.mu.Lock()
	if s.forgot+s.readings > 0 {
		t.Errorf("its database was used: %d, %d", s.forgot, s.readings)
	}
	s.mu.Unlock()
	nodes.change(vnodeA, vnodeOf(vnodeA))
	told(t, c.Consume(t, "feed.proto."+vnodeA, 1), map[string]int{vnodeA: 1})
}
