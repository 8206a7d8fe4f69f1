package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginepb"
)

// wait puts a record into the retry store. A record that failed for the first time, or that queues behind another of
// its key, takes the next position of its key's queue; one that failed again keeps its own (pos).
func (p *partition) wait(src source, row *enginepb.RetryRow, pos uint64) {
	key := string(src.key)
	p.touched = true
	if pos == 0 {
		pos = max(p.tail[key], firstPosition)
		p.tail[key] = pos + 1
		p.waiting[key]++
	}
	k := rowKey(rowRetry, key, position(pos))
	if row.Attempts > 0 {
		p.timers.set(k, row.DueUs)
	}
	p.writeRow(k, row)
}

// firstPosition is where a key's queue begins; redriven records have a range of their own in front of it.
const (
	redrivePosition = 1 << 31
	firstPosition   = 1 << 32
)

// runBound is how many records of one key's queue are run in one go; the rest follow in a transaction of their own.
const runBound = 100

// runWaiting runs the head of a key's queue, and, while they settle, those behind it.
func (p *partition) runWaiting(gctx goka.Context, key string) {
	p.runQueue(gctx, key, 0)
}

// wouldRun returns the place of the record that a retry command would run now, empty when it would run none.
func (p *partition) wouldRun(key string, wall int64) string {
	headKey, head := p.head(rowKey(rowRetry, key, ""))
	if headKey == "" || p.parked[key] || head.DueUs > p.time(wall) {
		return ""
	}
	return sourceFromProto(head.Record).String()
}

func (p *partition) runQueue(gctx goka.Context, key string, n int) {
	prefix := rowKey(rowRetry, key, "")
	for ; ; n++ {
		headKey, head := p.head(prefix)
		p.touched = true
		switch {
		case headKey == "":
			delete(p.waiting, key)
			delete(p.tail, key)
			p.s.drained(p, key)
			return
		case p.parked[key]:
			return
		case n == 0 && head.DueUs > p.now:
			p.timers.set(headKey, head.DueUs) // an older firing arrived late
			return
		case n == runBound, n > 0 && p.suspects != nil: // a suspect is found by running one at a time
			p.timers.set(headKey, p.now)
			return
		}
		p.timers.cancel(headKey)
		src := sourceFromProto(head.Record)
		in, ok := p.s.e.graph.input(src.Topic)
		if over, refused := p.s.refused.get(src.Cause); refused {
			p.deadLetterUnrun(gctx, src, over, max(head.Attempts, uint32(p.s.e.cfg.CrashLimit)))
			p.dequeue(key, headKey)
			continue
		}
		if !ok {
			p.deadLetter(gctx, src, "refused", fmt.Errorf("group %s no longer reads topic %s", p.s.e.graph.group, src.Topic), head.Attempts)
			p.dequeue(key, headKey)
			continue
		}
		pos := binary.BigEndian.Uint64([]byte(headKey[len(prefix):]))
		at := n
		out := p.run(gctx, in, src, head.Attempts, head.FirstFailedUs, pos, func(out outcome) {
			if out == settled {
				p.dequeue(key, headKey)
				p.runQueue(gctx, key, at+1)
			}
		})
		if out != settled {
			return
		}
		p.dequeue(key, headKey)
	}
}

// dequeue removes the settled head of a queue.
func (p *partition) dequeue(key, headKey string) {
	p.dropRow(headKey)
	p.waiting[key]--
}

// head returns the first row of a queue, "" when it is empty.
func (p *partition) head(prefix string) (string, *enginepb.RetryRow) {
	for k, v := range p.rows.scan(prefix) {
		if len(k) != len(prefix)+8 {
			continue
		}
		row := &enginepb.RetryRow{}
		if err := proto.Unmarshal(v, row); err != nil {
			p.s.fail(Fatal(fmt.Errorf("retry row %x of %s/%d: %w", k, p.rows.topic, p.id, err)))
			return "", nil
		}
		return string(k), row
	}
	return "", nil
}

// park makes later records of a key wait for an operator.
func (p *partition) park(key, reason string) {
	p.touched = true
	p.parked[key] = true
	p.s.drained(p, key) // any number waits behind a parked key, so a full queue no longer holds the partition up
	p.writeRow(rowKey(rowParked, key, ""), &enginepb.ParkedRow{Reason: reason, AtUs: p.now})
}

// redrive runs a dead letter again, ahead of what waits under its key, and ends the key's parking.
func (p *partition) redrive(gctx goka.Context, src source) {
	place, err := ParseCause(src.header(HeaderDLQSource))
	if err != nil {
		p.deadLetter(gctx, src, "refused", fmt.Errorf("redrive: header %s: %w", HeaderDLQSource, err), 0)
		return
	}
	if src.header(headerReference) != "" {
		p.deadLetter(gctx, src, "refused", errors.New("redrive: the dead letter holds a reference, not the record: send the record again from its source"), 0)
		return
	}
	key := string(src.key)
	if p.parked[key] {
		delete(p.parked, key)
		p.dropRow(rowKey(rowParked, key, ""))
	}
	src.Cause = place
	p.s.refused.lift(func(c Cause) bool { return c == place }) // whoever redrives it wants it run
	src.headers = slices.DeleteFunc(slices.Clone(src.headers), func(h kgo.RecordHeader) bool {
		return h.Key == headerCommand || strings.HasPrefix(h.Key, "fl-dlq-")
	})
	p.touched = true
	// Behind what was redriven before, in front of what waits.
	pos, first := uint64(redrivePosition), true
	prefix := rowKey(rowRetry, key, "")
	for k := range p.rows.scan(prefix) {
		if len(k) != len(prefix)+8 {
			continue
		}
		at := binary.BigEndian.Uint64(k[len(prefix):])
		if at >= firstPosition {
			p.timers.cancel(string(k))
			break
		}
		pos, first = at+1, false
	}
	p.waiting[key]++
	p.tail[key] = max(p.tail[key], firstPosition)
	k := rowKey(rowRetry, key, position(pos))
	if first {
		p.timers.set(k, p.now)
	}
	p.writeRow(k, &enginepb.RetryRow{Record: src.toProto(), DueUs: p.now})
}
