package engine

import (
	"container/heap"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginepb"
)

// fireTimers moves due timers into the loop topic.
func (p *partition) fireTimers(wall int64, limit int) {
	now := p.time(wall)
	for range limit {
		k, ok := p.timers.pop(now)
		if !ok {
			return
		}
		p.begin(wall)
		p.touched = true
		p.counted.timers++
		if k[0] == rowRetry {
			key := k[5 : len(k)-8]
			p.s.produce(&kgo.Record{
				Topic: LoopTopic(p.s.e.graph.group), Partition: p.id, Key: []byte(key),
				Headers: []kgo.RecordHeader{{Key: headerCommand, Value: []byte(commandRetry)}},
			}, p, Cause{})
			continue
		}
		raw := p.rows.get(k)
		if raw == nil {
			continue
		}
		row := &enginepb.TimerRow{}
		if err := proto.Unmarshal(raw, row); err != nil {
			p.s.fail(Fatal(fmt.Errorf("timer row %x of %s/%d: %w", k, p.rows.topic, p.id, err)))
			return
		}
		payload := row.Payload
		if row.HasPayload && payload == nil {
			payload = []byte{} // a message of nothing but defaults; nil would be no message
		}
		headers := []kgo.RecordHeader{{Key: HeaderCause, Value: []byte(row.Cause)}}
		if row.Type != "" {
			headers = append(headers, kgo.RecordHeader{Key: HeaderType, Value: []byte(row.Type)})
		}
		p.s.produce(&kgo.Record{
			Topic: LoopTopic(p.s.e.graph.group), Partition: p.id, Key: row.Key, Value: payload, Headers: headers,
		}, p, Cause{})
		p.dropRow(k)
	}
}

// timerQueue orders timers by due time; a timer that was moved or cancelled leaves a stale entry behind, which is
// passed over when its turn comes.
type timerQueue struct {
	due   map[string]int64
	items timerHeap
}

type timerItem struct {
	due int64
	key string
}

type timerHeap []timerItem

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].key < h[j].key
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timerItem)) }
func (h *timerHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func (q *timerQueue) set(key string, due int64) {
	q.due[key] = due
	heap.Push(&q.items, timerItem{due, key})
	if len(q.items) > 64 && len(q.items) > 2*len(q.due) {
		// More moved timers than real ones: leave them behind.
		q.items = q.items[:0]
		for k, d := range q.due {
			q.items = append(q.items, timerItem{d, k})
		}
		heap.Init(&q.items)
	}
}

func (q *timerQueue) cancel(key string) { delete(q.due, key) }

// next returns when the first timer is due; false when there is none.
func (q *timerQueue) next() (int64, bool) {
	for len(q.items) > 0 {
		top := q.items[0]
		if due, ok := q.due[top.key]; ok && due == top.due {
			return top.due, true
		}
		heap.Pop(&q.items)
	}
	return 0, false
}

// pop takes the first timer that is due.
func (q *timerQueue) pop(now int64) (string, bool) {
	due, ok := q.next()
	if !ok || due > now {
		return "", false
	}
	it := heap.Pop(&q.items).(timerItem)
	delete(q.due, it.key)
	return it.key, true
}
