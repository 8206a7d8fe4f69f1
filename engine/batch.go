package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine/enginepb"
)

// Item is one record of a batch: its message and a context of its own, through which its effects are collected. Hand
// item.Context, not the item, to a function that takes a [Context].
// Value, SetValue and Delete of the table are not available in a batch.
type Item[T any] struct {
	Context
	Msg T
}

// Settle says that this item is done and will be returned nil for: what it wrote may be sent while the rest of the batch is worked
// off, as soon as all items before it are settled too. It is called in the goroutine in which run was called. To write
// through the item's context afterwards fails the record.
func (it Item[T]) Settle() {
	rc, ok := it.Context.(*recordContext)
	if !ok {
		return
	}
	rc.settled = true
	if rc.early != nil {
		rc.early.send()
	}
}

// earlyItems are those of a batch of which nothing was sent yet.
type earlyItems []*pendingItem

// send sends what those at the head wrote that are settled.
func (e *earlyItems) send() {
	for ; len(*e) > 0 && (*e)[0].rc.settled; *e = (*e)[1:] {
		rc := (*e)[0].rc
		rc.sent = true
		rc.settle()
	}
}

// BatchOptions says how records are worked off together.
type BatchOptions struct {
	// Independent declares that records of one key may be settled in any order. Without it, a record whose key has
	// an unsettled item waits for it.
	Independent bool
}

// Batch is an input whose records are worked off together: once for each transaction, run gets all that the poll
// brought, of all partitions of the session, in input order within a partition, and returns an error (or nil) for
// each. What nil, [Retry], [Poison] and [Fatal] mean is as for a [Callback]. Writes of an item are seen by the items
// after it, and are sent in the order of the items, so what several write to one row is to be written in that order too; an
// item should decide before it writes: when one that has written returns an error, the transaction is aborted and its records
// are run one by one.
//
// The context ends after a third of the transaction time-out; items that cannot be done by then should be retried.
func Batch[T any](topic goka.Stream, codec Codec, opts BatchOptions, run func(ctx context.Context, items []Item[T]) []error) goka.Edge {
	return &edge{kind: EdgeInput, name: string(topic), codec: codec, batch: &batchDef{
		independent: opts.Independent,
		check: func(msg any) error {
			if _, ok := msg.(T); !ok {
				var want T
				return Poison("message is a %T, topic %s carries %T", msg, topic, want)
			}
			return nil
		},
		run: func(ctx context.Context, items []*pendingItem) []error {
			typed := make([]Item[T], len(items))
			for i, it := range items {
				typed[i] = Item[T]{it.rc, it.msg.(T)}
			}
			return run(ctx, typed)
		},
	}}
}

type batchDef struct {
	independent bool
	check       func(msg any) error
	run         func(ctx context.Context, items []*pendingItem) []error
}

// pendingItem is a record that waits for its batch.
type pendingItem struct {
	rc          *recordContext
	msg         any
	attempts    uint32
	firstFailed int64
	pos         uint64
	// settle is called with the outcome, for a record from the retry store.
	settle func(outcome)
}

// errSolo asks for the transaction to be run again, one record at a time.
var errSolo = errors.New("run the batch one by one")

// batched tells whether a record must wait because an item of its key is unsettled.
func (p *partition) batched(key string) bool { return p.unsettled[key] > 0 }

// enqueue takes a decoded record into the batch of its edge.
func (p *partition) enqueue(in inputDef, it *pendingItem) {
	if it.holds() {
		p.unsettled[string(it.rc.src.key)]++
	}
	p.items = append(p.items, it)
}

// holds tells whether records of the item's key wait until it is settled. For one from the retry store they always do:
// another command for the key would run it again.
func (it *pendingItem) holds() bool { return !it.rc.in.batch.independent || it.settle != nil }

// done says that an item is settled, whatever has become of it.
func (it *pendingItem) done() {
	if !it.holds() {
		return
	}
	p, key := it.rc.p, string(it.rc.src.key)
	if p.unsettled[key]--; p.unsettled[key] == 0 {
		delete(p.unsettled, key)
	}
}

// runBatches runs what the partitions have collected, until nothing is left: settling an item may let records of its
// key go on that are items themselves. It is called when no callback runs.
func (s *session) runBatches(sctx context.Context) error {
	for {
		byEdge := map[*batchDef][]*pendingItem{}
		var order []*batchDef
		for _, id := range s.partitionIDs() {
			p := s.parts[id]
			for _, it := range p.items {
				d := it.rc.in.batch
				if byEdge[d] == nil {
					order = append(order, d)
				}
				byEdge[d] = append(byEdge[d], it)
			}
			p.items = nil
		}
		if len(order) == 0 {
			return nil
		}
		for _, d := range order {
			if err := s.runBatch(sctx, d, byEdge[d]); err != nil {
				return err
			}
		}
		for _, id := range s.partitionIDs() {
			p := s.parts[id]
			held := p.held
			p.held = nil
			for _, h := range held {
				p.accept(h.gctx, h.in, h.src)
			}
		}
	}
}

func (s *session) runBatch(sctx context.Context, d *batchDef, items []*pendingItem) error {
	if s.solo > 0 {
		for _, it := range items {
			if p, src := it.rc.p, it.rc.src; !d.independent && it.settle == nil && p.waiting[string(src.key)] > 0 {
				p.wait(src, &enginepb.RetryRow{Record: src.toProto()}, 0) // an item of its key, before it, has to wait
				it.done()
				continue
			}
			if err := s.settleBatch(sctx, d, []*pendingItem{it}); err != nil {
				return err
			}
		}
		return nil
	}
	return s.settleBatch(sctx, d, items)
}

// settleBatch runs some items and settles each.
func (s *session) settleBatch(sctx context.Context, d *batchDef, items []*pendingItem) error {
	results, err := s.callBatch(sctx, d, items)
	if err != nil {
		return err
	}
	failedKeys := map[string]bool{}
	for i, it := range items {
		if len(items) > 1 && (results[i] != nil && (it.rc.sent || len(it.rc.out) > 0) || failedKeys[string(it.rc.src.key)] && !d.independent) {
			return errSolo // what it wrote is on its way, or cannot be taken back alone
		}
		var retry *RetryError
		if errors.As(results[i], &retry) {
			failedKeys[string(it.rc.src.key)] = true
		}
	}
	settle := func(it *pendingItem, out outcome) {
		// In this order: settling one from the retry store takes the next of its key into the batch.
		it.done()
		if it.settle != nil {
			it.settle(out)
		}
	}
	for i, it := range items {
		if results[i] == nil {
			if !it.rc.sent {
				it.rc.settle()
			}
			settle(it, settled)
		}
	}
	// What follows a failure is written now, after what all items wrote, and so it is sent.
	for i, it := range items {
		if results[i] != nil {
			settle(it, it.rc.p.failed(it.rc, results[i], it.attempts, it.firstFailed, it.pos))
		}
	}
	return nil
}

// callBatch calls the worker; a panic of a batch is everybody's until they are run one by one.
func (s *session) callBatch(sctx context.Context, d *batchDef, items []*pendingItem) (results []error, err error) {
	ctx, cancel := context.WithTimeout(sctx, s.e.cfg.TransactionTimeout/3)
	defer cancel()
	if early := earlyItems(items); len(items) > 1 { // one alone may still panic after it was settled
		for _, it := range items {
			it.rc.early = &early
		}
	}
	defer func() {
		for _, it := range items {
			it.rc.early, it.rc.settled = nil, false
		}
		r := recover()
		if r == nil {
			return
		}
		var one error
		switch r := r.(type) {
		case storageFault:
			err = Fatal(r.err)
			return
		case failure:
			one = r.err
		default:
			one = newPanicError(r)
		}
		if len(items) > 1 {
			err = errSolo
			return
		}
		results, err = []error{one}, nil
	}()
	results = d.run(ctx, items)
	if len(results) != len(items) {
		return nil, Fatal(fmt.Errorf("batch of %d items returned %d results", len(items), len(results)))
	}
	for _, r := range results {
		var fatal *fatalError
		if errors.As(r, &fatal) {
			return nil, r
		}
	}
	return results, nil
}
