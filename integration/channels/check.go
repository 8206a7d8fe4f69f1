package channels

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Kind is what a record of the inbound topic is.
type Kind int

// The kinds.
const (
	// Small is an order that makes a deal, Large one that makes a deal and a row.
	Small Kind = iota
	Large
	// Odd starts a flow that cannot understand it, and fails.
	Odd
	// Huge can start no flow.
	Huge
)

// Order is a record that the outside wrote.
type Order struct {
	Kind Kind
	// Key is unique in a run.
	Key      string
	Item     string
	Quantity int64
}

// Place is where a record lies.
type Place struct {
	Partition int32
	Offset    int64
}

// Row is the row that a large order makes, as the change feed tells it.
type Row struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Quantity int64  `json:"quantity"`
}

// Change is a record of the change feed, in its JSON form.
type Change struct {
	Vnode, CommittedAt, FlowID, Table, Operation string
	Number                                       uint64
	Key                                          struct{ ID string }
	Row                                          Row
}

// Deal is the value of a record of the outbound topic.
type Deal struct {
	FlowID    string
	Partition int32
	Offset    int64
	Item      string
	Quantity  int64
	Kept      bool
}

// Dead is a dead letter.
type Dead struct {
	// Topic is the dead letters', Source is topic, partition and offset of the record.
	Topic, Source, Reason, Error string
	Value                        []byte
}

// Found is what a run left behind.
type Found struct {
	// Vnode is the short hash, Inbound the topic of orders, TopicID what Kafka calls it.
	Vnode, Inbound string
	TopicID        [16]byte
	// Orders are the committed records of the inbound topic: their places by their keys.
	Orders map[string][]Place
	// Statuses are the records of flow.status by key, oldest first.
	Statuses map[string][]*flowv1.FlowStatus
	// Started are the keys of the requests for which flow.events says that a flow was started, by flow id.
	Started map[string][]string
	// Deals and Changes are what the plain consumers printed.
	Deals, Changes []Seen
	// DealsThere and ChangesThere count the committed records of the two topics.
	DealsThere, ChangesThere int
	Dead                     []Dead
	// Lag is what is left to be read, by group and topic.
	Lag map[string]int
}

// Check names every difference between what was written and what was found.
func Check(orders []Order, f Found) []string {
	c := &check{found: f, deals: map[string]Deal{}, changes: map[string]Change{}, dead: map[string]Dead{}}
	c.outside()
	c.letters()
	known, flows, sources := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, o := range orders {
		known[o.Key] = true
		places := f.Orders[o.Key]
		if len(places) != 1 {
			c.add(o, "it is %d times in the topic", len(places))
			continue
		}
		if o.Kind == Huge {
			sources[c.source(places[0])] = true
			c.huge(o, places[0])
			continue
		}
		flows[c.flow(o, places[0])] = true
	}
	for _, key := range slices.Sorted(maps.Keys(f.Orders)) {
		if !known[key] {
			c.say("record %q: nobody wrote it", key)
		}
	}
	c.strangers(orders, flows, sources)
	return c.problems
}

type check struct {
	found    Found
	problems []string
	// deals and changes by flow, dead letters by source.
	deals   map[string]Deal
	changes map[string]Change
	dead    map[string]Dead
}

func (c *check) say(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *check) add(o Order, format string, args ...any) {
	c.say("order %s: "+format, append([]any{o.Key}, args...)...)
}

func (c *check) source(p Place) string {
	return fmt.Sprintf("%s/%d/%d", c.found.Inbound, p.Partition, p.Offset)
}

// outside decodes what the plain consumers saw; nothing may be there twice.
func (c *check) outside() {
	if len(c.found.Deals) != c.found.DealsThere {
		c.say("the consumer of deals saw %d records, %d are in the topic", len(c.found.Deals), c.found.DealsThere)
	}
	if len(c.found.Changes) != c.found.ChangesThere {
		c.say("the consumer of changes saw %d records, %d are in the topic", len(c.found.Changes), c.found.ChangesThere)
	}
	c.twice("deals", c.found.Deals)
	c.twice("changes", c.found.Changes)
	for _, s := range c.found.Deals {
		var d Deal
		if err := json.Unmarshal([]byte(s.Value), &d); err != nil {
			c.say("deal %s: %v", s.Value, err)
			continue
		}
		if _, ok := c.deals[d.FlowID]; ok {
			c.say("flow %s: its deal is told twice", d.FlowID)
		}
		c.deals[d.FlowID] = d
		places := c.found.Orders[s.Key]
		if len(places) == 0 || places[0] != (Place{d.Partition, d.Offset}) {
			c.say("deal of flow %s has the key %q, which is not its order's", d.FlowID, s.Key)
		}
		if s.Headers["source"] != "orders" || s.Headers["fl-cause"] == "" {
			c.say("deal of flow %s has the headers %v", d.FlowID, s.Headers)
		}
	}
	var numbers []uint64
	for _, s := range c.found.Changes {
		var n Change
		if err := json.Unmarshal([]byte(s.Value), &n); err != nil {
			c.say("change %s: %v", s.Value, err)
			continue
		}
		if _, ok := c.changes[n.FlowID]; ok {
			c.say("flow %s: its row is told twice", n.FlowID)
		}
		c.changes[n.FlowID] = n
		numbers = append(numbers, n.Number)
		if want := fmt.Sprintf("orders {\"id\":%q}", n.Row.ID); strings.ReplaceAll(s.Key, ": ", ":") != want {
			c.say("change %d has the key %s, %s is right", n.Number, s.Key, want)
		}
		if s.Headers["content-type"] != "application/json" || n.Vnode != c.found.Vnode || n.Table != "orders" || n.CommittedAt == "" {
			c.say("change %d is %s with the headers %v", n.Number, s.Value, s.Headers)
		}
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != uint64(i+1) {
			c.say("the change feed's numbers have a gap or a double at %d", i+1)
			break
		}
	}
}

func (c *check) twice(what string, all []Seen) {
	places := map[Place]bool{}
	for _, s := range all {
		if places[s.Place] {
			c.say("the consumer of %s saw the record at %d of partition %d twice", what, s.Offset, s.Partition)
		}
		places[s.Place] = true
	}
}

func (c *check) letters() {
	for _, d := range c.found.Dead {
		if _, ok := c.dead[d.Source]; ok {
			c.say("%s is in the dead letters twice", d.Source)
		}
		c.dead[d.Source] = d
	}
}

// huge judges a record that can start no flow.
func (c *check) huge(o Order, at Place) {
	d, ok := c.dead[c.source(at)]
	switch {
	case !ok:
		c.add(o, "it can start no flow and is not in the dead letters")
	case d.Reason != "poison" || !strings.HasPrefix(d.Error, "FL-MAPPER-006: channel orders: the record makes an argument of "):
		c.add(o, "it is in the dead letters because of %s: %s", d.Reason, d.Error)
	case !bytes.HasPrefix(d.Value, []byte(`{"item":`)):
		c.add(o, "its dead letter begins with %.20q", d.Value)
	}
	if statuses := c.found.Statuses[RequestKey(c.found, at)]; len(statuses) > 0 {
		c.add(o, "it can start no flow and has one: %v", statuses[0])
	}
}

// flow judges a record that starts a flow, and returns the flow's id.
func (c *check) flow(o Order, at Place) string {
	key := RequestKey(c.found, at)
	records := c.found.Statuses[key]
	if len(records) == 0 {
		c.add(o, "it has started no flow")
		return ""
	}
	id, ends := records[0].GetFlowId(), 0
	for _, s := range records {
		if s.GetFlowId() != id {
			c.add(o, "it has the flows %s and %s", id, s.GetFlowId())
		}
		if Ended(s.GetState()) {
			ends++
		}
	}
	last := records[len(records)-1]
	want, failure := flowv1.FlowState_FLOW_STATE_COMPLETED, ""
	if o.Kind == Odd {
		want, failure = flowv1.FlowState_FLOW_STATE_FAILED, "bad-order"
	}
	if ends != 1 || last.GetState() != want || last.GetError().GetType() != failure {
		c.add(o, "its flow ended %d times and is %s %v, %s %s is right", ends, last.GetState(), last.GetError(), want, failure)
	}
	if last.GetInitiator() != flowv1.Initiator_INITIATOR_CHANNEL || last.GetInitiatedBy() != "channel orders" {
		c.add(o, "its flow was started by %s %q", last.GetInitiator(), last.GetInitiatedBy())
	}
	if keys := c.found.Started[id]; len(keys) != 1 || keys[0] != key {
		c.add(o, "flow.events says that flow %s was started for %v", id, keys)
	}
	deal, told := c.deals[id]
	wanted := Deal{FlowID: id, Partition: at.Partition, Offset: at.Offset, Item: o.Item, Quantity: o.Quantity, Kept: o.Kind == Large}
	if o.Kind == Odd {
		wanted = Deal{}
	}
	if told != (o.Kind != Odd) || deal != wanted {
		c.add(o, "its deal is %+v, %+v is right", deal, wanted)
	}
	change, kept := c.changes[id]
	row := Row{ID: id, Customer: o.Key, Item: o.Item, Quantity: o.Quantity}
	if kept != (o.Kind == Large) || kept && (change.Operation != "created" || change.Row != row || change.Key.ID != id) {
		c.add(o, "its row is told %v as %+v", kept, change)
	}
	return id
}

// strangers judges what belongs to no order.
func (c *check) strangers(orders []Order, flows, sources map[string]bool) {
	starts := 0
	for _, o := range orders {
		if o.Kind != Huge {
			starts++
		}
	}
	if n := len(c.found.Statuses); n != starts {
		c.say("there are %d flows, %d are right", n, starts)
	}
	for _, all := range [][]string{slices.Sorted(maps.Keys(c.deals)), slices.Sorted(maps.Keys(c.changes)), slices.Sorted(maps.Keys(c.found.Started))} {
		for _, id := range all {
			if !flows[id] {
				c.say("flow %s is no order's", id)
			}
		}
	}
	for _, source := range slices.Sorted(maps.Keys(c.dead)) {
		if d := c.dead[source]; !sources[source] {
			c.say("dead letter in %s of %s: %s: %s", d.Topic, source, d.Reason, d.Error)
		}
	}
	for _, where := range slices.Sorted(maps.Keys(c.found.Lag)) {
		if n := c.found.Lag[where]; n > 0 {
			c.say("%s: %d records are not processed", where, n)
		}
	}
}

// Ended tells whether a flow's state is final.
func Ended(s flowv1.FlowState) bool {
	return s == flowv1.FlowState_FLOW_STATE_COMPLETED || s == flowv1.FlowState_FLOW_STATE_FAILED || s == flowv1.FlowState_FLOW_STATE_KILLED
}
