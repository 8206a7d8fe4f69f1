package flows

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Asked is a request and what its client was answered.
type Asked struct {
	Request
	// FlowIDs are those that answers named.
	FlowIDs []string
	// Taken is how often the answer was that there is such a flow.
	Taken int
	// Tries counts the calls.
	Tries int
}

// Row is a row of a journal.
type Row struct {
	Attempt, Step, Ordinal uint32
	*flowv1.JournalRow
}

// Step is a step of a history, as REST tells it.
type Step struct {
	Attempt, Step, Ordinal uint32
	Kind, Operation        string
	AnsweredAt             string
	Answer                 []byte
}

// Found is what a run left behind.
type Found struct {
	// Statuses are the records of flow.status by key, oldest first.
	Statuses map[string][]*flowv1.FlowStatus
	// Started are the keys of the requests for which flow.events says that a flow was started, by flow id.
	Started map[string][]string
	// Journals by flow id, in the order of their keys.
	Journals map[string][]Row
	// Heads are the rows of flow-table by flow id.
	Heads map[string]*flowv1.Checkpoint
	// Histories are what REST said, by the request's key; of some or all of the requests.
	Histories map[string][]Step
	// Running and Waiting are the mapper's counts over all partitions.
	Running, Waiting uint64
	// Lag is what is left to be read, by group and topic.
	Lag map[string]int
	// Dead are the places of records in dead-letter topics, with the reason.
	Dead []string
	// Listed is how many flows each worker lists as ended, by address.
	Listed map[string]int
}

func ended(s flowv1.FlowState) bool {
	switch s {
	case flowv1.FlowState_FLOW_STATE_COMPLETED, flowv1.FlowState_FLOW_STATE_FAILED, flowv1.FlowState_FLOW_STATE_KILLED:
		return true
	default:
		return false
	}
}

// Check names every difference between what was asked for and what was found.
func Check(asked []Asked, f Found) []string {
	c := check{found: f}
	keys := map[string]bool{}
	flows := map[string]string{}
	for _, a := range asked {
		keys[a.Key()] = true
		id := c.statuses(a)
		if id == "" {
			continue
		}
		if other, ok := flows[id]; ok {
			c.add(a, "shares the flow %s with %s", id, other)
		}
		flows[id] = a.Key()
		c.answers(a, id)
		c.started(a, id)
		c.journal(a, id)
		c.history(a, id)
	}
	for _, key := range slices.Sorted(maps.Keys(f.Statuses)) {
		if !keys[key] {
			c.problems = append(c.problems, fmt.Sprintf("%s: nobody asked for it", key))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.Started)) {
		if flows[id] == "" {
			c.problems = append(c.problems, fmt.Sprintf("flow %s: started for %v, which has another or no flow", id, f.Started[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.Journals)) {
		if flows[id] == "" {
			c.problems = append(c.problems, fmt.Sprintf("flow %s: a journal of nobody's flow", id))
		}
	}
	c.leftovers(len(asked))
	return c.problems
}

type check struct {
	found    Found
	problems []string
}

func (c *check) add(a Asked, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("%s (%s %s): ", a.Key(), a.Class, a.Input)+fmt.Sprintf(format, args...))
}

// statuses judges the records of flow.status and returns the flow's id; empty when there is none.
func (c *check) statuses(a Asked) string {
	records := c.found.Statuses[a.Key()]
	if len(records) == 0 {
		c.add(a, "it has no status")
		return ""
	}
	id, terminals := records[0].GetFlowId(), 0
	var last *flowv1.FlowStatus
	for _, s := range records {
		if s.GetFlowId() != id {
			c.add(a, "it has the flows %s and %s", id, s.GetFlowId())
		}
		if last != nil && ended(last.GetState()) {
			c.add(a, "%s after %s", s.GetState(), last.GetState())
		}
		if ended(s.GetState()) {
			terminals++
		}
		last = s
	}
	if terminals != 1 {
		c.add(a, "it ended %d times", terminals)
	}
	if last.GetState() != a.End() {
		c.add(a, "it is %s, %s is right: %v", last.GetState(), a.End(), last.GetError())
		return id
	}
	if wrong := a.checkResult(last.GetResult(), id); wrong != "" {
		c.add(a, "%s", wrong)
	}
	return id
}

// answers judges what the client was told.
func (c *check) answers(a Asked, id string) {
	if len(a.FlowIDs)+a.Taken == 0 {
		c.add(a, "no worker took it, and it ran")
	}
	for _, said := range a.FlowIDs {
		if said != id {
			c.add(a, "its client was told of flow %s, it is %s", said, id)
		}
	}
	if !a.Twice && a.Tries == 1 && a.Taken > 0 {
		c.add(a, "its client was told at the first call that there is such a flow")
	}
	if len(a.FlowIDs) > 1 {
		c.add(a, "it was accepted %d times", len(a.FlowIDs))
	}
}

// started judges flow.events.
func (c *check) started(a Asked, id string) {
	if keys := c.found.Started[id]; len(keys) != 1 || keys[0] != a.Key() {
		c.add(a, "flow.events says that flow %s was started for %v", id, keys)
	}
}

// journal judges the journal and the flow's head.
func (c *check) journal(a Asked, id string) {
	rows, last := c.found.Journals[id], c.last(a)
	if want := a.Waits + 2; len(rows) != want {
		c.add(a, "its journal has %d rows, %d are right", len(rows), want)
		return
	}
	for n, r := range rows {
		if r.Attempt != 1 || r.Step != uint32(n) || r.Ordinal != 0 {
			c.add(a, "row %d of its journal is attempt %d, step %d, ordinal %d", n, r.Attempt, r.Step, r.Ordinal)
		}
		request := r.GetRequest()
		switch {
		case n == 0 && r.GetStart() == nil, n == len(rows)-1 && r.GetEnd() == nil, n > 0 && n < len(rows)-1 && request == nil:
			c.add(a, "row %d of its journal is %v", n, r.JournalRow)
		case request != nil && (request.GetOperation() != a.operation() || request.GetAnsweredAtUs() == 0):
			c.add(a, "step %d of its journal asked for %q, and was answered at %d", n, request.GetOperation(), request.GetAnsweredAtUs())
		}
	}
	end := rows[len(rows)-1].GetEnd()
	if end.GetState() != last.GetState() || !bytes.Equal(end.GetResult(), last.GetResult()) {
		c.add(a, "its journal ends with %s %s, its status with %s %s", end.GetState(), end.GetResult(), last.GetState(), last.GetResult())
	}
	if head := c.found.Heads[id]; head.GetState() != last.GetState() || !bytes.Equal(head.GetResult(), last.GetResult()) || len(head.GetWaiting()) > 0 {
		c.add(a, "its head says %s %s, its status %s %s", head.GetState(), head.GetResult(), last.GetState(), last.GetResult())
	}
}

func (c *check) last(a Asked) *flowv1.FlowStatus {
	records := c.found.Statuses[a.Key()]
	return records[len(records)-1]
}

// history compares what REST says with the journal.
func (c *check) history(a Asked, id string) {
	steps, ok := c.found.Histories[a.Key()]
	if !ok {
		return
	}
	rows := c.found.Journals[id]
	if len(steps) != len(rows) {
		c.add(a, "its history has %d steps, its journal %d", len(steps), len(rows))
		return
	}
	for n, s := range steps {
		r := rows[n]
		kind, operation, answered := "start", a.Class, false
		var answer []byte
		if e := r.GetEnd(); e != nil {
			kind, operation, answer = "end", e.GetState().String()[len("FLOW_STATE_"):], e.GetResult()
		} else if q := r.GetRequest(); q != nil {
			kind, operation, answered = "request", q.GetOperation(), q.GetAnsweredAtUs() != 0
		}
		if s.Attempt != r.Attempt || s.Step != r.Step || s.Ordinal != r.Ordinal || s.Kind != kind || s.Operation != operation ||
			(s.AnsweredAt != "") != answered || kind == "end" && !bytes.Equal(s.Answer, answer) {
			c.add(a, "step %d of its history is %+v, its journal says %v", n, s, r.JournalRow)
		}
	}
}

// leftovers judges what is not of one flow.
func (c *check) leftovers(asked int) {
	f := c.found
	if f.Running != 0 || f.Waiting != 0 {
		c.problems = append(c.problems, fmt.Sprintf("the mapper counts %d running and %d waiting flows", f.Running, f.Waiting))
	}
	for _, where := range slices.Sorted(maps.Keys(f.Lag)) {
		if f.Lag[where] > 0 {
			c.problems = append(c.problems, fmt.Sprintf("%s: %d records are not processed", where, f.Lag[where]))
		}
	}
	for _, d := range f.Dead {
		c.problems = append(c.problems, "dead letter: "+d)
	}
	for _, address := range slices.Sorted(maps.Keys(f.Listed)) {
		if n := f.Listed[address]; n != asked {
			c.problems = append(c.problems, fmt.Sprintf("the worker at %s lists %d ended flows, %d are right", address, n, asked))
		}
	}
}
