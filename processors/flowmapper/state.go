package flowmapper

import (
	"slices"
	"strings"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// State is what a step decides on.
type State struct {
	// Mapping is the row under the event's key, nil when there is none.
	Mapping *flowv1.MapperState
	// Places counts who runs and who waits in the partition.
	Places Places
	// Responders counts the responders' sides of sessions that are open on the virtual node of the event, in the partition.
	Responders uint64
	Rules      Rules
}

// Rules are the settings that decide.
type Rules struct {
	MaxRunningPerVnode uint64
	MaxRunning         uint64
	// MaxResponders bounds Responders; 0 for no bound.
	MaxResponders uint64
	// KeepUs is how long a mapping outlives its flow, microseconds.
	KeepUs int64
	// SessionKeepUs is how long the mapping of a session outlives it, SessionTTLUs how old a message may be that begins
	// one, PeerWaitUs how long one waits for its peer's virtual node to become known; microseconds.
	SessionKeepUs, SessionTTLUs, PeerWaitUs int64
}

// Places is the admission of one partition. A value is never changed after it was handed over.
type Places struct {
	// Running counts the places taken: flows that were let start and have not ended.
	Running uint64
	// Waiting counts the starts in all queues.
	Waiting uint64
	// Last is the virtual node that got the last place that became free.
	Last string
	// Vnodes has a row for each virtual node that runs or waits, in the order of their short hashes. While
	// nobody waits in the partition, it need not have more than the row of the event's own virtual node.
	Vnodes []VnodePlaces
}

// VnodePlaces is one virtual node's part of the places.
type VnodePlaces struct {
	Vnode   string
	Running uint64
	// First counts the starts that have left the queue, Next those that ever stood in it: a start's position is the
	// count before it.
	First, Next uint64
}

func (v VnodePlaces) waiting() uint64 { return v.Next - v.First }

func (p Places) find(vnode string) (int, bool) {
	return slices.BinarySearchFunc(p.Vnodes, vnode, func(v VnodePlaces, s string) int { return strings.Compare(v.Vnode, s) })
}

// of returns the row of a virtual node, zero when there is none.
func (p Places) of(vnode string) VnodePlaces {
	if i, ok := p.find(vnode); ok {
		return p.Vnodes[i]
	}
	return VnodePlaces{Vnode: vnode}
}

// with returns the places with one row replaced or added.
func (p Places) with(v VnodePlaces) Places {
	i, ok := p.find(v.Vnode)
	p.Vnodes = slices.Clone(p.Vnodes)
	if ok {
		p.Vnodes[i] = v
	} else {
		p.Vnodes = slices.Insert(p.Vnodes, i, v)
	}
	return p
}

// free tells whether a virtual node may have one more place.
func (p Places) free(vnode string, r Rules) bool {
	return p.Running < r.MaxRunning && p.of(vnode).Running < r.MaxRunningPerVnode
}

// take gives a place to a virtual node.
func (p Places) take(vnode string) Places {
	v := p.of(vnode)
	v.Running++
	p.Running++
	return p.with(v)
}

// give takes a place back from a virtual node.
func (p Places) give(vnode string) Places {
	v := p.of(vnode)
	if v.Running == 0 || p.Running == 0 {
		return p
	}
	v.Running--
	p.Running--
	return p.with(v)
}

// push puts a start at the end of its virtual node's queue and returns its position and how many are before it.
func (p Places) push(vnode string) (next Places, position, ahead uint64) {
	v := p.of(vnode)
	position, ahead = v.Next, v.waiting()
	v.Next++
	p.Waiting++
	return p.with(v), position, ahead
}

// leave takes a start that waits out of its virtual node's queue.
func (p Places) leave(vnode string) Places {
	v := p.of(vnode)
	if v.waiting() == 0 || p.Waiting == 0 {
		return p
	}
	v.First++
	p.Waiting--
	return p.with(v)
}

// fill gives the free places to those who wait, virtual node by virtual node, beginning after the one that was
// served last.
func (p Places) fill(r Rules) (Places, []TakeNext) {
	var taken []TakeNext
	for p.Waiting > 0 && p.Running < r.MaxRunning {
		i, ok := p.next(r)
		if !ok {
			break
		}
		v := p.Vnodes[i]
		taken = append(taken, TakeNext{Vnode: v.Vnode})
		v.First++
		p.Waiting--
		p.Last = v.Vnode
		p = p.with(v).take(v.Vnode)
	}
	return p, taken
}

// next finds whose turn it is.
func (p Places) next(r Rules) (int, bool) {
	n := len(p.Vnodes)
	start, same := p.find(p.Last)
	if same {
		start++
	}
	for k := range n {
		i := (start + k) % n
		if v := p.Vnodes[i]; v.waiting() > 0 && v.Running < r.MaxRunningPerVnode {
			return i, true
		}
	}
	return 0, false
}
