package persistence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/processors/persistence"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

const (
	vnodeA, vnodeB = "AAAAAAAAAAA1", "AAAAAAAAAAA2"
	checksum       = "CCCCCCCCCCCC"
	flowA          = "11111111-2222-4333-8444-555555555555"
)

// view is a view that a test fills.
type view map[string]any

func (v view) Get(key string) (any, bool) { m, ok := v[key]; return m, ok }
func (v view) OnChange(f func(string, any)) {
	for k, m := range v {
		f(k, m)
	}
}

// change puts another message under a key.
func (v *changing) change(key string, m any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.view[key] = m
}

// changing is a view that changes, and that tells of every look at a key.
type changing struct {
	mu     sync.Mutex
	view   view
	looked chan string
}

func (v *changing) Get(key string) (any, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case v.looked <- key:
	default:
	}
	return v.view.Get(key)
}

func (v *changing) OnChange(f func(string, any)) { v.view.OnChange(f) }

// cpi declares table item (id text, v text) with a feed, and where it goes.
func cpi() *cpiv1.Cpi {
	return &cpiv1.Cpi{Checksum: checksum, Cpks: []*cpiv1.Cpk{{
		Tables: []*cpiv1.TableDeclaration{{Name: "item", PrimaryKey: []string{"id"}, Feed: true, Columns: []*cpiv1.ColumnDeclaration{
			{Name: "id", Type: "text"}, {Name: "v", Type: "text"},
		}}},
		Channels: []*cpiv1.ChannelDeclaration{
			{Name: "proto", Kind: cpiv1.ChannelKind_CHANNEL_KIND_FEED},
			{Name: "json", Kind: cpiv1.ChannelKind_CHANNEL_KIND_FEED, Format: cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON},
			{Name: "other", Kind: cpiv1.ChannelKind_CHANNEL_KIND_SEND},
		},
	}}}
}

func vnodeOf(hash string) *vnodev1.VirtualNode {
	return &vnodev1.VirtualNode{ShortHash: hash, CpiChecksum: checksum, Channels: []*vnodev1.ChannelRoute{
		{Channel: "proto", Topic: "feed.proto." + hash, Active: true}, {Channel: "json", Topic: "feed.json", Active: true},
		{Channel: "other", Topic: "elsewhere", Active: true},
	}}
}

func newWorker(t testing.TB, s persistence.Store) *persistence.Worker {
	t.Helper()
	w, err := persistence.NewWorker(persistence.Config{}, persistence.Deps{
		VirtualNodes: view{vnodeA: vnodeOf(vnodeA), vnodeB: vnodeOf(vnodeB)}, Packages: view{checksum: cpi()}, Store: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// memory is a Store that keeps table item in memory. It does at once, with its answer remembered, what Vault does in a
// transaction.
type memory struct {
	mu      sync.Mutex
	items   map[string]map[string]string // by virtual node and id
	answers map[string]*rpcv1.Reply
	outbox  map[string][]persistence.CapturedChange
	last    map[string]uint64
	effects int
	// interrupt may make a call fail, before or after it had its effect.
	interrupt func(call string, after bool) error
}

func newMemory() *memory {
	return &memory{items: map[string]map[string]string{}, answers: map[string]*rpcv1.Reply{}, outbox: map[string][]persistence.CapturedChange{}, last: map[string]uint64{}}
}

func (m *memory) broken(call string, after bool) error {
	if m.interrupt == nil {
		return nil
	}
	return m.interrupt(call, after)
}

func (m *memory) Do(_ context.Context, p *persistence.Plan) persistence.Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.broken("do", false); err != nil {
		return persistence.Result{Err: err}
	}
	id := p.Vnode + "/" + p.RequestID
	if a, ok := m.answers[id]; ok {
		return persistence.Result{Reply: a, Repeated: true}
	}
	reply := &rpcv1.Reply{Outcome: &rpcv1.Reply_Result{}}
	table := m.items[p.Vnode]
	if table == nil {
		table = map[string]string{}
		m.items[p.Vnode] = table
	}
	switch op := p.Request.GetOperation().(type) {
	case *persistencev1.Request_Persist:
		for _, r := range op.Persist.GetRows() {
			if row := decode(r); has(table, row.ID) {
				reply = &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: &rpcv1.Error{Type: rows.TypeExists}}}
			} else {
				table[row.ID] = row.V
				m.capture(p, 1, row)
			}
		}
	case *persistencev1.Request_Remove:
		for _, r := range op.Remove.GetKeys() {
			if row := decode(r); has(table, row.ID) {
				delete(table, row.ID)
				m.capture(p, 3, row)
			}
		}
	}
	if p.Writes {
		m.answers[id] = reply
		m.effects++
	}
	if err := m.broken("do", true); err != nil {
		return persistence.Result{Err: err}
	}
	return persistence.Result{Reply: reply}
}

type item struct{ ID, V string }

func decode(b []byte) item {
	var i item
	if json.Unmarshal(b, &i) != nil {
		return item{}
	}
	return i
}

func has(m map[string]string, id string) bool { _, ok := m[id]; return ok }

func (m *memory) capture(p *persistence.Plan, op int32, i item) {
	m.last[p.Vnode]++
	c := persistence.CapturedChange{
		Number: m.last[p.Vnode], CommittedAtUs: 1, FlowID: p.FlowID, Shape: `{"table":"item","columns":["id","v"],"types":[25,25],"key":[0]}`, Operation: op,
		Key: fmt.Appendf(nil, `{"id":%q}`, i.ID),
	}
	if op != 3 {
		c.Columns = fmt.Appendf(nil, `{"id":%q,"v":%q}`, i.ID, i.V)
	}
	m.outbox[p.Vnode] = append(m.outbox[p.Vnode], c)
}

func (m *memory) Changes(_ context.Context, vnode string, after uint64, limit int) (persistence.Changes, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := persistence.Changes{Last: m.last[vnode]}
	for _, c := range m.outbox[vnode] {
		if c.Number > after && len(out.Rows) < limit {
			out.Rows = append(out.Rows, c)
		}
	}
	return out, m.broken("changes", true)
}

func (m *memory) Told(_ context.Context, vnode string, upTo uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.broken("told", false); err != nil {
		return err
	}
	m.outbox[vnode] = slices.DeleteFunc(m.outbox[vnode], func(c persistence.CapturedChange) bool { return c.Number <= upTo })
	return m.broken("told", true)
}

func (m *memory) Forget(context.Context, string, time.Time) error { return nil }
func (m *memory) Ping(context.Context, string) error              { return nil }

// left is how many changes have not left the outbox.
func (m *memory) left() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, rows := range m.outbox {
		n += len(rows)
	}
	return n
}

func persist(vnode string, ids ...string) *persistencev1.Request {
	op := &appv1.PersistRows{Table: "item"}
	for _, id := range ids {
		op.Rows = append(op.Rows, fmt.Appendf(nil, `{"id":%q,"v":"x"}`, id))
	}
	return &persistencev1.Request{Vnode: vnode, CpiChecksum: checksum, FlowId: flowA, Operation: &persistencev1.Request_Persist{Persist: op}}
}
