package flowmapper_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// world is one partition as a table of values: what the goka group keeps in Kafka, in memory.
type world struct {
	rules    flowmapper.Rules
	nowUs    int64
	offset   int64
	mappings map[string]*flowv1.MapperState
	status   map[string]*flowv1.FlowStatus
	started  []string // client request ids in the order in which their flows were let start
	places   flowmapper.Places
	queues   map[string]string
	expiry   map[string]int64
	loop     []string // keys that an Admit is under way to
	notes    map[flowmapper.Outcome]int
	hashes   map[string]string // short hash → the script's short name
}

func newWorld(perVnode, perPartition uint64) *world {
	return &world{
		rules:    flowmapper.Rules{MaxRunningPerVnode: perVnode, MaxRunning: perPartition, KeepUs: flowmapper.DefaultKeep.Microseconds()},
		mappings: map[string]*flowv1.MapperState{},
		status:   map[string]*flowv1.FlowStatus{},
		queues:   map[string]string{},
		expiry:   map[string]int64{},
		notes:    map[flowmapper.Outcome]int{},
		hashes:   map[string]string{},
	}
}

// holder makes a holding identity of a script's short name.
func (w *world) holder(name string) identity.Holding {
	h, err := identity.NewHolding("O="+name+", L=London, C=GB", "group")
	if err != nil {
		panic(err)
	}
	w.hashes[h.ShortHash()] = name
	return h
}

func (w *world) key(name, request string) string { return request + "-" + w.holder(name).ShortHash() }

func (w *world) startOf(name, request string) *flowv1.StartFlow {
	h := w.holder(name)
	return &flowv1.StartFlow{
		Identity:        &identityProto{X500Name: h.Name.String(), GroupId: h.GroupID},
		Vnode:           h.ShortHash(),
		ClientRequestId: request,
		FlowClass:       "pay",
		RequestBody:     []byte(`{"to":"Bob"}`),
		InitiatedBy:     "admin",
		CreatedAtUs:     w.nowUs,
		Initiator:       flowv1.Initiator_INITIATOR_RPC,
	}
}

func (w *world) flowID(offset int64) identity.UUID { return identity.FlowID([16]byte{1}, 0, offset) }

// start is the next record of the input topic.
func (w *world) start(key string, s *flowv1.StartFlow) ([]string, error) {
	w.offset++
	return w.step(key, flowmapper.StartAsked{Key: key, Start: s, FlowID: w.flowID(w.offset), NowUs: w.nowUs})
}

// step takes one step for one key and does what it asks for; the result is what a reader of the topics sees.
func (w *world) step(key string, e flowmapper.Event) ([]string, error) {
	before := flowmapper.State{Mapping: w.mappings[key], Places: w.places, Rules: w.rules}
	frozen := proto.Clone(before.Mapping)
	after, effects, err := flowmapper.Step(before, e)
	if err != nil {
		return nil, err
	}
	if before.Mapping != nil && !proto.Equal(frozen, before.Mapping) {
		return nil, fmt.Errorf("the step changed its argument")
	}
	delete(w.mappings, key)
	if after.Mapping != nil {
		w.mappings[key] = after.Mapping
	}
	w.places = after.Places
	var seen []string
	for _, effect := range effects {
		switch f := effect.(type) {
		case flowmapper.SendStarted:
			w.started = append(w.started, w.show(key))
			seen = append(seen, "flow.events started "+w.show(key))
		case flowmapper.SendStatus:
			if f.Status == nil {
				delete(w.status, key)
				seen = append(seen, "flow.status "+w.show(key)+" forgotten")
				continue
			}
			w.status[key] = f.Status
			line := "flow.status " + w.show(key) + " " + strings.TrimPrefix(f.Status.GetState().String(), "FLOW_STATE_")
			if f.Status.GetWaitingFor() != "" {
				line += ", waits for " + f.Status.GetWaitingFor()
			}
			if f.Status.GetTerminatedReason() != "" {
				line += ", " + f.Status.GetTerminatedReason()
			}
			if c := f.Status.GetLastCommand(); c != nil {
				line += fmt.Sprintf(", last command refused=%v", c.GetRefused())
			}
			seen = append(seen, line)
		case flowmapper.SetExpiry:
			w.expiry[key] = f.AtUs
			seen = append(seen, fmt.Sprintf("timer expire in %dh", (f.AtUs-w.nowUs)/3_600_000_000))
		case flowmapper.Enqueue:
			w.queues[place(f.Vnode, f.Position)] = key
		case flowmapper.TakeNext:
			next, at, ok := w.first(f.Vnode)
			if !ok {
				return nil, fmt.Errorf("the queue of %s is empty", f.Vnode)
			}
			delete(w.queues, at)
			w.loop = append(w.loop, next)
			seen = append(seen, "loop admit "+w.show(next))
		case flowmapper.Leave:
			if at := place(f.Vnode, f.Position); w.queues[at] != key {
				return nil, fmt.Errorf("%s does not stand at place %d", w.show(key), f.Position)
			}
			delete(w.queues, place(f.Vnode, f.Position))
			seen = append(seen, "leaves the queue "+w.show(key))
		case flowmapper.PassOn:
			seen = append(seen, fmt.Sprintf("flow.events command %s %s", strings.TrimPrefix(f.Command.GetKind().String(), "FLOW_COMMAND_KIND_"), w.show(key)))
		case flowmapper.Audit:
			seen = append(seen, fmt.Sprintf("fairlead.audit %s by %s: %s, %s", f.Entry.GetAction(), f.Entry.GetBy(), strings.TrimPrefix(f.Entry.GetOutcome().String(), "OUTCOME_"), f.Entry.GetDetail()))
		case flowmapper.Note:
			w.notes[f.What]++
			if len(effects) == 1 {
				seen = append(seen, "dropped: "+string(f.What))
			}
		}
	}
	return seen, nil
}

// deliver takes the loop's records.
func (w *world) deliver() ([]string, error) {
	var seen []string
	for len(w.loop) > 0 {
		key := w.loop[0]
		w.loop = w.loop[1:]
		s, err := w.step(key, flowmapper.Admitted{Key: key, NowUs: w.nowUs})
		if err != nil {
			return nil, err
		}
		seen = append(seen, s...)
	}
	return seen, nil
}

// fire fires the timers that are due.
func (w *world) fire() ([]string, error) {
	var seen []string
	for _, key := range slices.Sorted(maps.Keys(w.expiry)) {
		if w.expiry[key] > w.nowUs {
			continue
		}
		delete(w.expiry, key)
		s, err := w.step(key, flowmapper.Expired{Key: key, NowUs: w.nowUs})
		if err != nil {
			return nil, err
		}
		seen = append(seen, s...)
	}
	return seen, nil
}

// show writes a key with the script's short name instead of the hash.
func (w *world) show(key string) string {
	i := strings.LastIndexByte(key, '-')
	return w.hashes[key[i+1:]] + "/" + key[:i]
}

// command is a command for the flow that the key has now; waiting in its queue or not is found out as the group does.
func (w *world) command(key string, kind flowv1.FlowCommandKind) ([]string, error) {
	m := w.mappings[key]
	id := m.GetFlowId()
	if m == nil {
		unknown := w.flowID(999)
		id = unknown[:]
	}
	return w.step(key, flowmapper.Commanded{
		Key: key, NowUs: w.nowUs, ID: w.flowID(1_000_000),
		Command: &flowv1.CommandFlow{FlowId: id, Command: &flowv1.FlowCommand{Kind: kind, By: "olga"}},
		Queued:  m.GetStatus() == flowv1.MappingStatus_MAPPING_STATUS_WAITING && w.queues[place(m.GetVnode(), m.GetWaitingPosition())] == key,
	})
}

// first finds who is first in a virtual node's queue.
func (w *world) first(vnode string) (key, at string, ok bool) {
	for _, p := range slices.Sorted(maps.Keys(w.queues)) {
		if strings.HasPrefix(p, vnode+"/") {
			return w.queues[p], p, true
		}
	}
	return "", "", false
}

// place is the key of a place in a queue; places sort by their positions.
func place(vnode string, position uint64) string { return fmt.Sprintf("%s/%08d", vnode, position) }

// check says which of the promises the world breaks.
func (w *world) check() error {
	running, waiting := map[string]uint64{}, map[string]uint64{}
	var all uint64
	standing := 0
	for _, v := range w.places.Vnodes {
		standing += int(v.Next - v.First)
	}
	if standing != len(w.queues) || standing != int(w.places.Waiting) {
		return fmt.Errorf("%d stand in queues, the virtual nodes count %d, the partition %d", len(w.queues), standing, w.places.Waiting)
	}
	for key, m := range w.mappings {
		switch m.GetStatus() {
		case flowv1.MappingStatus_MAPPING_STATUS_OPEN:
			running[m.GetVnode()]++
			all++
		case flowv1.MappingStatus_MAPPING_STATUS_WAITING:
			if slices.Contains(w.loop, key) {
				running[m.GetVnode()]++
				all++
			} else {
				waiting[m.GetVnode()]++
			}
		default: // ended: it takes no place
		}
		if w.status[key] == nil {
			return fmt.Errorf("%s has a mapping and no status", w.show(key))
		}
	}
	if len(w.status) != len(w.mappings) {
		return fmt.Errorf("%d statuses for %d mappings", len(w.status), len(w.mappings))
	}
	if all != w.places.Running || all > w.rules.MaxRunning {
		return fmt.Errorf("%d run, %d counted, %d allowed", all, w.places.Running, w.rules.MaxRunning)
	}
	for _, v := range w.places.Vnodes {
		if v.Running != running[v.Vnode] || v.Running > w.rules.MaxRunningPerVnode {
			return fmt.Errorf("%s: %d run, %d counted, %d allowed", w.hashes[v.Vnode], running[v.Vnode], v.Running, w.rules.MaxRunningPerVnode)
		}
		if v.Next-v.First != waiting[v.Vnode] {
			return fmt.Errorf("%s: %d wait, %d counted", w.hashes[v.Vnode], waiting[v.Vnode], v.Next-v.First)
		}
		if v.Next > v.First && v.Running < w.rules.MaxRunningPerVnode && w.places.Running < w.rules.MaxRunning {
			return fmt.Errorf("%s waits though there is a place", w.hashes[v.Vnode])
		}
	}
	return nil
}
