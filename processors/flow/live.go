package flow

import (
	"container/list"
	"context"
	"sync"

	"github.com/fairleadio/fairlead/identity"
)

// place says where an instance stands: at which yield of which attempt, made in which transaction. An instance is
// used only when this is where the journal stands.
type place struct {
	attempt, step uint32
	askedAtUs     int64
}

// parked is an instance whose flow waits.
type parked struct {
	flow      identity.UUID
	partition int32
	at        place
	instance  Instance
	muted     *bool // while the journal is replayed: its log is
	bytes     int64
}

// liveInstances keeps the instances of waiting flows, least recently used first out. It may be used by many
// goroutines; instances are released outside of its lock.
type liveInstances struct {
	maxCount int
	maxBytes int64
	metrics  *Metrics

	mu     sync.Mutex
	order  *list.List // of *parked, least recently used first
	byFlow map[identity.UUID]*list.Element
	bytes  int64
}

func newLiveInstances(maxCount int, maxBytes int64, m *Metrics) *liveInstances {
	return &liveInstances{maxCount: maxCount, maxBytes: maxBytes, metrics: m, order: list.New(), byFlow: map[identity.UUID]*list.Element{}}
}

// take gives the instance of a flow to the caller; nil when there is none.
func (l *liveInstances) take(flow identity.UUID) *parked {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byFlow[flow]
	if e == nil {
		return nil
	}
	return l.remove(e)
}

// put keeps an instance, and lets go of others when there are too many.
func (l *liveInstances) put(ctx context.Context, p *parked) {
	p.bytes = int64(p.instance.MemoryBytes())
	var out []*parked
	l.mu.Lock()
	if e := l.byFlow[p.flow]; e != nil {
		out = append(out, l.remove(e))
	}
	l.byFlow[p.flow] = l.order.PushBack(p)
	l.bytes += p.bytes
	for l.order.Len() > 0 && (l.order.Len() > l.maxCount || l.bytes > l.maxBytes) {
		out = append(out, l.remove(l.order.Front()))
	}
	l.metrics.live(l.order.Len(), l.bytes)
	l.mu.Unlock()
	release(ctx, out)
}

// drop lets go of a flow's instance.
func (l *liveInstances) drop(ctx context.Context, flow identity.UUID) {
	if p := l.take(flow); p != nil {
		release(ctx, []*parked{p})
	}
}

// dropPartition lets go of all instances of a partition.
func (l *liveInstances) dropPartition(ctx context.Context, partition int32) {
	l.dropWhere(ctx, func(p *parked) bool { return p.partition == partition })
}

func (l *liveInstances) dropAll(ctx context.Context) {
	l.dropWhere(ctx, func(*parked) bool { return true })
}

func (l *liveInstances) dropWhere(ctx context.Context, which func(*parked) bool) {
	var out []*parked
	l.mu.Lock()
	for e := l.order.Front(); e != nil; {
		next := e.Next()
		if which(e.Value.(*parked)) {
			out = append(out, l.remove(e))
		}
		e = next
	}
	l.mu.Unlock()
	release(ctx, out)
}

// remove takes an element out; the lock is held.
func (l *liveInstances) remove(e *list.Element) *parked {
	p := l.order.Remove(e).(*parked)
	delete(l.byFlow, p.flow)
	l.bytes -= p.bytes
	l.metrics.live(l.order.Len(), l.bytes)
	return p
}

func release(ctx context.Context, ps []*parked) {
	for _, p := range ps {
		p.instance.Release(ctx)
	}
}
