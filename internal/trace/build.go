package trace

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/topics"
)

// Hop is one topic crossing.
type Hop struct {
	// Number counts from 1, in the order of time.
	Number    int    `json:"number"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       string `json:"key"`
	// Type is the message's full name, empty when unknown.
	Type      string `json:"type"`
	Tombstone bool   `json:"tombstone"`
	// WrittenBy and ReadBy are workers; "outside" when the catalogue does not tell.
	WrittenBy string `json:"writtenBy"`
	ReadBy    string `json:"readBy"`
	// Cause is the number of the hop that it follows from; 0 for none in this trace.
	Cause int `json:"cause"`
	// Depth counts the hops in a row up to this one.
	Depth int `json:"depth"`
	// AtMicros is when the step that wrote it began, microseconds after the first hop's.
	AtMicros int64 `json:"atMicros"`
	// WorkMicros is the time from there until the record was handed to Kafka, which tells whole milliseconds.
	WorkMicros int64 `json:"workMicros"`
	// WaitMicros is the time from there until the step that read it began: commit, transport, waiting its turn. -1
	// when nothing followed from it.
	WaitMicros int64 `json:"waitMicros"`
}

// Trace is the way of one id through the topics.
type Trace struct {
	ID string `json:"id"`
	// FlowIDs are the flows that were met.
	FlowIDs []string `json:"flowIds"`
	// StartedMicros is when the first hop's step began, microseconds UTC.
	StartedMicros int64 `json:"startedMicros"`
	// TotalMicros is the time from the first hop to the last.
	TotalMicros int64 `json:"totalMicros"`
	Hops        []Hop `json:"hops"`
	// InARow is the number of hops of the longest chain.
	InARow int `json:"inARow"`
	// Workers took part, sorted.
	Workers []string `json:"workers"`
}

// index holds records by place and by cause.
type index struct {
	records []Record
	at      map[engine.Cause]int
	effects map[engine.Cause][]int
	byKey   map[string][]int
}

func newIndex(records []Record) *index {
	x := &index{records: records, at: map[engine.Cause]int{}, effects: map[engine.Cause][]int{}, byKey: map[string][]int{}}
	for i, r := range records {
		x.at[r.Place] = i
		x.byKey[r.Key] = append(x.byKey[r.Key], i)
		if r.Cause.Topic != "" {
			x.effects[r.Cause] = append(x.effects[r.Cause], i)
		}
	}
	return x
}

// Build finds the records of an id (a flow id, a session id, a client request id with or without virtual node, or any
// key) and all
// that they follow from and caused. There are no hops when nothing has such a key.
func Build(id string, records []Record) Trace {
	x := newIndex(records)
	keys := map[string]bool{}
	for key := range x.byKey {
		if belongs(key, id) {
			keys[key] = true
		}
	}
	picked := map[int]bool{}
	// A flow's own keys are found on the way: its id behind a client request id, and the other way round.
	for grown := true; grown; {
		before := len(picked)
		for key := range keys {
			for _, i := range x.byKey[key] {
				x.climb(i, keys, picked)
				x.descend(i, keys, picked)
			}
		}
		for i := range picked {
			if r := x.records[i]; ownKey(r) && x.related(i, keys) {
				keys[r.Key] = true
			}
		}
		grown = len(picked) > before
	}
	return x.trace(id, picked)
}

// Beginning finds the ids that begin with some characters: flow ids, session ids and client request ids, each once, and
// sorted.
func Beginning(prefix string, records []Record) []string {
	found := map[string]bool{}
	for _, r := range records {
		if !strings.HasPrefix(r.Key, prefix) {
			continue
		}
		id := r.Key
		if _, err := identity.ParseUUID(id); err != nil {
			if at := strings.LastIndexByte(id, '-'); at >= len(prefix) && identity.IsShortHash(id[at+1:]) {
				id = id[:at]
			}
			// The two sides of a session have one id.
			if session, ok := strings.CutSuffix(id, identity.SessionKey("", false)); ok && strings.HasPrefix(session, prefix) {
				id = session
			}
		}
		found[id] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// belongs tells whether a key is the id, or the id and a virtual node's short hash.
func belongs(key, id string) bool {
	if key == id {
		return true
	}
	rest, ok := strings.CutPrefix(key, id+"-")
	return ok && (identity.IsShortHash(rest) || key == identity.SessionKey(id, false))
}

// ownKey tells whether a record is keyed by a flow id or by a client request id, so that its key leads to more.
func ownKey(r Record) bool {
	switch r.Place.Topic {
	case topics.FlowEvents, topics.FlowMapperStart, topics.FlowMapperSession:
		return true
	default:
		return false
	}
}

// related tells whether a record or its cause is under a key that is being followed: other flows that a chain
// merely touches are not followed further.
func (x *index) related(i int, keys map[string]bool) bool {
	r := x.records[i]
	if keys[r.Key] {
		return true
	}
	if c, ok := x.at[r.Cause]; ok && keys[x.records[c].Key] {
		return true
	}
	return slices.ContainsFunc(x.effects[r.Place], func(e int) bool {
		return keys[x.records[e].Key] && x.records[e].Place.Topic == topics.FlowEvents
	})
}

// climb picks what a record follows from: its own keys all the way up, and one step beyond.
func (x *index) climb(i int, keys map[string]bool, picked map[int]bool) {
	for {
		c, ok := x.at[x.records[i].Cause]
		if !ok {
			return
		}
		picked[c] = true
		if !keys[x.records[c].Key] {
			return
		}
		i = c
	}
}

// descend picks a record and all that it caused, up to what a group tells itself about another key: there another
// story goes on.
func (x *index) descend(i int, keys map[string]bool, picked map[int]bool) {
	stack := []int{i}
	seen := map[int]bool{}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[i] {
			continue
		}
		seen[i], picked[i] = true, true
		if r := x.records[i]; isTimer(r) && !keys[r.Key] {
			continue
		}
		stack = append(stack, x.effects[x.records[i].Place]...)
	}
}

func (x *index) trace(id string, picked map[int]bool) Trace {
	order := make([]int, 0, len(picked))
	for i := range picked {
		order = append(order, i)
	}
	depth := map[int]int{}
	var depthOf func(i int) int
	depthOf = func(i int) int {
		if d, ok := depth[i]; ok {
			return d
		}
		depth[i] = 1 // ends a circle, which no log has
		if c, ok := x.at[x.records[i].Cause]; ok && picked[c] {
			depth[i] = depthOf(c) + 1
		}
		return depth[i]
	}
	slices.SortFunc(order, func(a, b int) int {
		ra, rb := x.records[a], x.records[b]
		return cmp.Or(cmp.Compare(ra.StepMicros, rb.StepMicros), cmp.Compare(depthOf(a), depthOf(b)),
			strings.Compare(ra.Place.Topic, rb.Place.Topic), cmp.Compare(ra.Place.Partition, rb.Place.Partition), cmp.Compare(ra.Place.Offset, rb.Place.Offset))
	})
	number := map[int]int{}
	for n, i := range order {
		number[i] = n + 1
	}
	out := Trace{ID: id, FlowIDs: []string{}, Hops: []Hop{}, Workers: []string{}}
	if len(order) == 0 {
		return out
	}
	out.StartedMicros = x.records[order[0]].StepMicros
	for _, i := range order {
		r := x.records[i]
		h := Hop{
			Number: number[i], Topic: r.Place.Topic, Partition: r.Place.Partition, Offset: r.Place.Offset, Key: r.Key, Type: r.Type, Tombstone: r.Tombstone,
			WrittenBy: writer(r), ReadBy: reader(r.Place.Topic), Depth: depthOf(i), AtMicros: r.StepMicros - out.StartedMicros,
			WorkMicros: max(0, r.WrittenMicros-r.StepMicros), WaitMicros: -1,
		}
		if c, ok := x.at[r.Cause]; ok {
			h.Cause = number[c]
		}
		for _, e := range x.effects[r.Place] {
			// A timer follows from the record that set it, but not at once.
			if wait := max(0, x.records[e].StepMicros-r.StepMicros-h.WorkMicros); !isTimer(x.records[e]) && (h.WaitMicros < 0 || wait < h.WaitMicros) {
				h.WaitMicros = wait
			}
		}
		out.Hops = append(out.Hops, h)
		out.InARow = max(out.InARow, h.Depth)
		out.TotalMicros = max(out.TotalMicros, h.AtMicros+h.WorkMicros)
		for _, w := range []string{h.WrittenBy, h.ReadBy} {
			if w != outside && w != topics.Tools && !slices.Contains(out.Workers, w) {
				out.Workers = append(out.Workers, w)
			}
		}
		if r.Place.Topic == topics.FlowEvents && !slices.Contains(out.FlowIDs, r.Key) {
			out.FlowIDs = append(out.FlowIDs, r.Key)
		}
	}
	slices.Sort(out.Workers)
	return out
}

// isTimer tells whether a record lies in a loop: a timer that fell due, or a group's message to itself.
func isTimer(r Record) bool {
	t, ok := topics.Find(r.Place.Topic)
	return ok && t.Own == topics.KindLoop
}

// outside is who wrote or reads a record when no worker of ours does.
const outside = "outside"

// writer is the worker that read the cause; of a record without cause the one edge that writes its topic.
func writer(r Record) string {
	if r.Cause.Topic != "" {
		return reader(r.Cause.Topic)
	}
	t, ok := topics.Find(r.Place.Topic)
	if ok && slices.Contains(t.Writers, topics.RestWorker) {
		return topics.RestWorker
	}
	if ok && t.Own != "" {
		return t.Owner
	}
	return outside
}

// reader is the worker whose input the topic is; for other topics the first that has a view of it.
func reader(topic string) string {
	t, ok := topics.Find(topic)
	if !ok {
		return outside
	}
	switch {
	case t.Own == topics.KindLoop:
		return t.Owner
	case t.Own != "" && t.Own != topics.KindDeadLetters:
		return outside // rows are no hop, whoever looks at them
	}
	for _, r := range t.Readers {
		if r.As == topics.KindInput {
			return r.By
		}
	}
	for _, r := range t.Readers {
		return r.By
	}
	return outside
}
