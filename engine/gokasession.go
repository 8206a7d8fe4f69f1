package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// gokaSession is one session as goka sees it: from Setup to Cleanup.
type gokaSession struct {
	s      *session
	ctx    context.Context
	a      *assignment
	claims map[string]map[int32]*claim
	// died is told when goka stopped taking records of a partition.
	died chan int32
}

type claim struct {
	topic     string
	partition int32
	start     int64
	ch        chan *sarama.ConsumerMessage
	// records runs beside ch, for guarded callbacks: goka's message has lost the order of the headers.
	records chan *kgo.Record
	// marked is the offset behind the last settled record.
	marked atomic.Int64
	high   atomic.Int64
}

func (c *claim) Topic() string                            { return c.topic }
func (c *claim) Partition() int32                         { return c.partition }
func (c *claim) InitialOffset() int64                     { return c.start }
func (c *claim) HighWaterMarkOffset() int64               { return c.high.Load() }
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.ch }

func (g *gokaSession) Claims() map[string][]int32 {
	out := map[string][]int32{}
	for t, ps := range g.claims {
		for p := range ps {
			out[t] = append(out[t], p)
		}
	}
	return out
}
func (g *gokaSession) MemberID() string                            { return g.s.txID }
func (g *gokaSession) GenerationID() int32                         { return g.a.generation }
func (g *gokaSession) Context() context.Context                    { return g.ctx }
func (g *gokaSession) Commit()                                     {}
func (g *gokaSession) ResetOffset(string, int32, int64, string)    {}
func (g *gokaSession) MarkMessage(*sarama.ConsumerMessage, string) {}

// MarkOffset is goka's word that a record is done; offset is the next one.
func (g *gokaSession) MarkOffset(topic string, partition int32, offset int64, _ string) {
	if c := g.claims[topic][partition]; c != nil {
		c.marked.Store(offset)
	}
	if g.s.pending.Add(-1) == 0 {
		select {
		case g.s.idle <- struct{}{}:
		default:
		}
	}
}

// runGoka runs one goka session over the assignment.
func (s *session) runGoka(ctx, actx context.Context, a *assignment, handler sarama.ConsumerGroupHandler) error {
	sctx, cancel := context.WithCancel(actx)
	defer cancel()
	produceCtx, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	s.produceCtx = produceCtx
	defer context.AfterFunc(sctx, func() {
		// A full buffer of records for brokers that are away holds callbacks; after the time that ending may take nobody
		// needs them any more.
		late := time.AfterFunc(s.e.cfg.EndTimeout, giveUp)
		context.AfterFunc(produceCtx, func() { late.Stop() })
	})()
	g := &gokaSession{s: s, ctx: sctx, a: a, claims: map[string]map[int32]*claim{}, died: make(chan int32, len(a.partitions)*len(a.topics))}
	for _, t := range a.topics {
		g.claims[t] = map[int32]*claim{}
		for _, p := range a.partitions {
			g.claims[t][p] = &claim{topic: t, partition: p, start: a.committed[t][p].offset, ch: make(chan *sarama.ConsumerMessage, 4096)}
			if s.e.graph.guarded {
				g.claims[t][p].records = make(chan *kgo.Record, 8192)
			}
		}
	}
	s.claims = g.claims
	for _, p := range s.parts {
		p.current = Cause{} // what the last goka session had in hand is nobody's fault in this one
	}
	s.pending.Store(0)
	s.clearFailures()
	if err := handler.Setup(g); err != nil {
		return errors.Join(fmt.Errorf("set up goka session: %w", err), handler.Cleanup(g))
	}
	if sctx.Err() != nil {
		return errors.Join(errGeneration, handler.Cleanup(g))
	}
	s.setState("running")
	var wg sync.WaitGroup
	for _, ps := range g.claims {
		for _, c := range ps {
			wg.Go(func() {
				if err := handler.ConsumeClaim(g, c); err != nil {
					s.e.cfg.Log.Warn("goka gave up a claim", "group", string(s.e.graph.group), "topic", c.topic, "partition", c.partition, "error", err)
				}
				if sctx.Err() == nil {
					g.died <- c.partition
				}
			})
		}
	}
	err := s.loop(ctx, sctx, g)
	cancel()
	wg.Wait()
	cleanup := handler.Cleanup(g)
	if s.open {
		abortErr := s.end(kgo.TryAbort)
		if !errors.Is(abortErr, errAborted) && errors.Is(err, errRestart) {
			err = abortErr
		}
		if ctx.Err() != nil && errors.Is(abortErr, errAborted) {
			// Nothing of the batch counts; it is nobody's fault. Where the abort failed, franz-go has not taken its positions
			// back: what it has polled must not be committed.
			s.commitClean(ctx, g)
		}
	}
	if errors.Is(err, errRestart) && cleanup != nil {
		s.e.cfg.Log.Warn("goka session failed", "group", string(s.e.graph.group), "error", cleanup)
		s.blame(g, cleanup)
	}
	return err
}
