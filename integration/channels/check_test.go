package channels

import (
	"fmt"
	"strings"
	"testing"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// perfect is a run without fault: what was written, and all that it must leave behind.
func perfect() ([]Order, Found) {
	f := Found{
		Vnode: "029DBED145F2", Inbound: "ext.orders", TopicID: [16]byte{1}, Orders: map[string][]Place{},
		Statuses: map[string][]*flowv1.FlowStatus{}, Started: map[string][]string{}, Lag: map[string]int{},
	}
	orders := []Order{
		{Small, "Zoë 0", "tea", 3}, {Large, "Zoë 1", "tea", 12}, {Odd, "Zoë 2", "tea", 1}, {Huge, "huge 3", "", 0}, {Large, "Zoë 4", "tea", 18},
	}
	for n, o := range orders {
		at := Place{int32(n % 2), int64(n / 2)}
		f.Orders[o.Key] = []Place{at}
		if o.Kind == Huge {
			f.Dead = append(f.Dead, Dead{
				"dlq", fmt.Sprintf("ext.orders/%d/%d", at.Partition, at.Offset), "poison",
				"FL-MAPPER-006: channel orders: the record makes an argument of 600000 bytes", []byte(`{"item":"x"}`),
			})
			continue
		}
		id, key := fmt.Sprintf("flow-%d", n), RequestKey(f, at)
		f.Started[id] = []string{key}
		last := &flowv1.FlowStatus{
			FlowId: id, State: flowv1.FlowState_FLOW_STATE_COMPLETED, Initiator: flowv1.Initiator_INITIATOR_CHANNEL, InitiatedBy: "channel orders",
		}
		f.Statuses[key] = []*flowv1.FlowStatus{{FlowId: id, State: flowv1.FlowState_FLOW_STATE_RUNNING}, last}
		if o.Kind == Odd {
			last.State, last.Error = flowv1.FlowState_FLOW_STATE_FAILED, &flowv1.FlowError{Type: "bad-order"}
			continue
		}
		deal := fmt.Sprintf(`{"flowId":%q,"partition":%d,"offset":%d,"item":"tea","quantity":%d,"kept":%t}`, id, at.Partition, at.Offset, o.Quantity, o.Kind == Large)
		f.Deals = append(f.Deals, Seen{Place{0, int64(n)}, map[string]string{"source": "orders", "fl-cause": "c"}, o.Key, deal})
		f.DealsThere++
		if o.Kind == Large {
			f.ChangesThere++
			row := fmt.Sprintf(`{"id":%q,"customer":%q,"item":"tea","quantity":%d}`, id, o.Key, o.Quantity)
			change := fmt.Sprintf(`{"vnode":"029DBED145F2","number":%d,"committedAt":"2026-01-01T00:00:00Z","flowId":%q,"table":"orders","operation":"created","key":{"id":%q},"row":%s}`,
				f.ChangesThere, id, id, row)
			f.Changes = append(f.Changes, Seen{Place{0, int64(n)}, map[string]string{"content-type": "application/json"}, fmt.Sprintf(`orders {"id": %q}`, id), change})
		}
	}
	return orders, f
}

// The judge finds nothing in a run without fault, and each kind of fault in a run that has it.
func TestCheck(t *testing.T) {
	if problems := Check(perfect()); len(problems) > 0 {
		t.Fatal(problems)
	}
	spoiled := func(all []Seen, n int, from, to string) []Seen {
		out := append([]Seen(nil), all...)
		out[n].Value = strings.Replace(out[n].Value, from, to, 1)
		return out
	}
	for want, spoil := range map[string]func(f *Found, key string){
		"it is 0 times in the topic":        func(f *Found, _ string) { delete(f.Orders, "Zoë 0") },
		"it is 2 times in the topic":        func(f *Found, _ string) { f.Orders["Zoë 0"] = append(f.Orders["Zoë 0"], Place{5, 5}) },
		"nobody wrote it":                   func(f *Found, _ string) { f.Orders["undone 0"] = []Place{{5, 5}} },
		"it has started no flow":            func(f *Found, key string) { delete(f.Statuses, key) },
		"there are 5 flows, 4 are right":    func(f *Found, _ string) { f.Statuses["ghost"] = nil },
		"it has the flows":                  func(f *Found, key string) { f.Statuses[key][1].FlowId = "other" },
		"its flow ended 2 times":            func(f *Found, key string) { f.Statuses[key] = append(f.Statuses[key], f.Statuses[key][1]) },
		"its flow ended 0 times":            func(f *Found, key string) { f.Statuses[key] = f.Statuses[key][:1] },
		"and is FLOW_STATE_KILLED":          func(f *Found, key string) { f.Statuses[key][1].State = flowv1.FlowState_FLOW_STATE_KILLED },
		"its flow was started by":           func(f *Found, key string) { f.Statuses[key][1].InitiatedBy = "somebody" },
		"was started for":                   func(f *Found, key string) { f.Started["flow-0"] = []string{key, key} },
		"flow ghost is no order's":          func(f *Found, key string) { f.Started["ghost"] = []string{key} },
		"saw 2 records, 3 are in the topic": func(f *Found, _ string) { f.Deals = f.Deals[:2] },
		"order Zoë 4: its deal is":          func(f *Found, _ string) { f.Deals, f.DealsThere = f.Deals[:2], 2 },
		"its deal is told twice": func(f *Found, _ string) {
			again := f.Deals[0]
			again.Offset = 99
			f.Deals, f.DealsThere = append(f.Deals, again), 4
		},
		"saw the record at 0 of partition 0 twice": func(f *Found, _ string) { f.Deals[1].Place = f.Deals[0].Place },
		"order Zoë 1: its deal is":                 func(f *Found, _ string) { f.Deals = spoiled(f.Deals, 1, `"quantity":12`, `"quantity":13`) },
		"which is not its order's":                 func(f *Found, _ string) { f.Deals[0].Key = "Zoë 1" },
		"has the headers":                          func(f *Found, _ string) { delete(f.Deals[0].Headers, "fl-cause") },
		"invalid character":                        func(f *Found, _ string) { f.Deals[0].Value = "?" },
		"of changes saw 1 records, 2 are":          func(f *Found, _ string) { f.Changes = f.Changes[:1] },
		"its row is told twice":                    func(f *Found, _ string) { f.Changes = append(f.Changes, f.Changes[0]) },
		"its row is told false":                    func(f *Found, _ string) { f.Changes, f.ChangesThere = f.Changes[:1], 1 },
		"its row is told true": func(f *Found, _ string) {
			f.Changes = spoiled(f.Changes, 0, `"customer":"Zoë 1"`, `"customer":"Zoë 0"`)
		},
		"a gap or a double at 2":               func(f *Found, _ string) { f.Changes = spoiled(f.Changes, 1, `"number":2`, `"number":3`) },
		"change 1 has the key":                 func(f *Found, _ string) { f.Changes[0].Key = "orders" },
		"change 1 is":                          func(f *Found, _ string) { f.Changes[0].Headers = nil },
		"is not in the dead letters":           func(f *Found, _ string) { f.Dead = nil },
		"is in the dead letters twice":         func(f *Found, _ string) { f.Dead = append(f.Dead, f.Dead[0]) },
		"it is in the dead letters because of": func(f *Found, _ string) { f.Dead[0].Error = "too large" },
		"its dead letter begins with":          func(f *Found, _ string) { f.Dead[0].Value = nil },
		"it can start no flow and has one": func(f *Found, key string) {
			f.Statuses[RequestKey(*f, f.Orders["huge 3"][0])] = f.Statuses[key]
		},
		"dead letter in dlq of ext.orders/7/7": func(f *Found, _ string) { f.Dead = append(f.Dead, Dead{Topic: "dlq", Source: "ext.orders/7/7"}) },
		"2 records are not processed":          func(f *Found, _ string) { f.Lag["flow of flow.events"] = 2 },
	} {
		orders, f := perfect()
		spoil(&f, RequestKey(f, f.Orders["Zoë 0"][0]))
		if problems := Check(orders, f); !strings.Contains(strings.Join(problems, "\n"), want) {
			t.Errorf("%s: not noticed in %q", want, problems)
		}
	}
}

// What the console consumer prints is read as it is meant.
func TestParseSeen(t *testing.T) {
	s, err := parseSeen("Partition:3\tOffset:12\tfl-cause:a/1/2,source:orders\tZoë\t{\"a\":\"x\ty\"}")
	if err != nil || s.Place != (Place{3, 12}) || s.Headers["source"] != "orders" || s.Key != "Zoë" || s.Value != "{\"a\":\"x\ty\"}" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, line := range []string{"", "WARN something", "Partition:x\tOffset:1\tNO_HEADERS\tk\tv"} {
		if _, err := parseSeen(line); err == nil {
			t.Errorf("%q was read", line)
		}
	}
}
