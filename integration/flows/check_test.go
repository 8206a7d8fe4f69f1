package flows

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// perfect is a run without fault: what was asked for, and all that it must leave behind.
func perfect() ([]Asked, Found) {
	vnode := Vnode{"029DBED145F2", "O=Alice, L=London, C=GB"}
	f := Found{
		Statuses: map[string][]*flowv1.FlowStatus{}, Started: map[string][]string{}, Journals: map[string][]Row{},
		Heads: map[string]*flowv1.Checkpoint{}, Histories: map[string][]Step{}, Lag: map[string]int{}, Listed: map[string]int{"w": 4},
	}
	var asked []Asked
	for n, q := range []Request{
		{Class: Hello, Name: "Bob", Input: `{"name":"Bob"}`}, {Class: Hello, Input: `{"name":""}`},
		{Class: Countdown, Waits: 2, Sleep: time.Second}, {Class: Steps, Waits: 3},
	} {
		q.ID, q.Vnode = fmt.Sprintf("r%d", n), vnode
		id := fmt.Sprintf("flow-%d", n)
		result := map[string]string{
			Hello:     fmt.Sprintf(`{"greeting":"Hello, Bob!","from":%q,"flowId":%q}`, vnode.X500Name, id),
			Countdown: `{"n":2,"began":"2026-01-01T00:00:00Z","ended":"2026-01-01T00:00:02Z"}`, Steps: `{"steps":3}`,
		}[q.Class]
		if q.End() == flowv1.FlowState_FLOW_STATE_FAILED {
			result = ""
		}
		asked = append(asked, Asked{Request: q, FlowIDs: []string{id}, Tries: 1})
		for _, s := range []flowv1.FlowState{flowv1.FlowState_FLOW_STATE_START_REQUESTED, flowv1.FlowState_FLOW_STATE_RUNNING, q.End()} {
			status := &flowv1.FlowStatus{FlowId: id, State: s}
			if ended(s) {
				status.Result = []byte(result)
			}
			f.Statuses[q.Key()] = append(f.Statuses[q.Key()], status)
		}
		f.Started[id] = []string{q.Key()}
		f.Heads[id] = &flowv1.Checkpoint{State: q.End(), Result: []byte(result)}
		rows := []Row{{1, 0, 0, &flowv1.JournalRow{Row: &flowv1.JournalRow_Start{Start: &flowv1.JournalStart{}}}}}
		steps := []Step{{1, 0, 0, "start", q.Class, "", nil}}
		for range q.Waits {
			at := uint32(len(rows))
			rows = append(rows, Row{1, at, 0, &flowv1.JournalRow{Row: &flowv1.JournalRow_Request{Request: &flowv1.JournalRequest{Operation: q.operation(), AnsweredAtUs: 1}}}})
			steps = append(steps, Step{1, at, 0, "request", q.operation(), "then", nil})
		}
		at := uint32(len(rows))
		f.Journals[id] = append(rows, Row{1, at, 0, &flowv1.JournalRow{Row: &flowv1.JournalRow_End{End: &flowv1.JournalEnd{State: q.End(), Result: []byte(result)}}}})
		f.Histories[q.Key()] = append(steps, Step{1, at, 0, "end", strings.TrimPrefix(q.End().String(), "FLOW_STATE_"), "", []byte(result)})
	}
	return asked, f
}

// The judge finds nothing in a run without fault, and each kind of fault in a run that has it.
func TestCheck(t *testing.T) {
	if problems := Check(perfect()); len(problems) > 0 {
		t.Fatal(problems)
	}
	running := &flowv1.FlowStatus{FlowId: "flow-0", State: flowv1.FlowState_FLOW_STATE_RUNNING}
	for want, spoil := range map[string]func(asked []Asked, f *Found, key string){
		"it has no status":                   func(_ []Asked, f *Found, key string) { delete(f.Statuses, key) },
		"RUNNING after FLOW_STATE_COMPLETED": func(_ []Asked, f *Found, key string) { f.Statuses[key] = append(f.Statuses[key], running) },
		"it ended 2 times":                   func(_ []Asked, f *Found, key string) { f.Statuses[key] = append(f.Statuses[key], f.Statuses[key][2]) },
		"it ended 0 times":                   func(_ []Asked, f *Found, key string) { f.Statuses[key] = f.Statuses[key][:2] },
		"it has the flows":                   func(_ []Asked, f *Found, key string) { f.Statuses[key][1].FlowId = "other" },
		"it is FLOW_STATE_FAILED":            func(_ []Asked, f *Found, key string) { f.Statuses[key][2].State = flowv1.FlowState_FLOW_STATE_FAILED },
		"has the result": func(_ []Asked, f *Found, key string) {
			f.Statuses[key][2].Result = []byte(`{"greeting":"Hello, Eve!"}`)
		},
		"no worker took it":            func(a []Asked, _ *Found, _ string) { a[0].FlowIDs = nil },
		"was told of flow":             func(a []Asked, _ *Found, _ string) { a[0].FlowIDs = []string{"other"} },
		"accepted 2 times":             func(a []Asked, _ *Found, _ string) { a[0].FlowIDs = []string{"flow-0", "flow-0"} },
		"at the first call":            func(a []Asked, _ *Found, _ string) { a[0].Taken = 1 },
		"was started for":              func(_ []Asked, f *Found, key string) { f.Started["flow-0"] = []string{key, key} },
		"which has another or no flow": func(_ []Asked, f *Found, key string) { f.Started["ghost"] = []string{key} },
		"nobody asked for it":          func(_ []Asked, f *Found, _ string) { f.Statuses["ghost"] = []*flowv1.FlowStatus{running} },
		"a journal of nobody's flow":   func(_ []Asked, f *Found, _ string) { f.Journals["ghost"] = nil },
		"its journal has 1 rows":       func(_ []Asked, f *Found, _ string) { f.Journals["flow-0"] = f.Journals["flow-0"][:1] },
		"is attempt 2":                 func(_ []Asked, f *Found, _ string) { f.Journals["flow-3"][2].Attempt = 2 },
		"asked for":                    func(_ []Asked, f *Found, _ string) { f.Journals["flow-3"][2].GetRequest().AnsweredAtUs = 0 },
		"its journal ends with":        func(_ []Asked, f *Found, _ string) { f.Journals["flow-0"][1].GetEnd().Result = nil },
		"its head says":                func(_ []Asked, f *Found, _ string) { delete(f.Heads, "flow-0") },
		"its history has 1 steps":      func(_ []Asked, f *Found, key string) { f.Histories[key] = f.Histories[key][:1] },
		"step 1 of its history":        func(_ []Asked, f *Found, key string) { f.Histories[key][1].Operation = "KILLED" },
		"shares the flow": func(_ []Asked, f *Found, key string) {
			for _, s := range f.Statuses[key] {
				s.FlowId = "flow-3"
			}
		},
		"3 running":               func(_ []Asked, f *Found, _ string) { f.Running = 3 },
		"2 records are not":       func(_ []Asked, f *Found, _ string) { f.Lag["flow of flow.events"] = 2 },
		"dead letter: refused":    func(_ []Asked, f *Found, _ string) { f.Dead = []string{"refused"} },
		"lists 3 ended flows":     func(_ []Asked, f *Found, _ string) { f.Listed["w"] = 3 },
		"has 0 rows, 2 are right": func(_ []Asked, f *Found, _ string) { delete(f.Journals, "flow-1") },
	} {
		asked, f := perfect()
		spoil(asked, &f, asked[0].Key())
		if problems := Check(asked, f); !strings.Contains(strings.Join(problems, "\n"), want) {
			t.Errorf("%s: not noticed in %q", want, problems)
		}
	}
}

// Requests that are drawn from one seed are the same, and of every kind.
func TestDraw(t *testing.T) {
	draw := func() []Request {
		rnd := rand.New(rand.NewPCG(1, 1))
		var out []Request
		for n := range 400 {
			out = append(out, Draw(rnd, []Vnode{{"a", "A"}, {"b", "B"}}, n))
		}
		return out
	}
	kinds := map[string]int{}
	again := draw()
	for n, q := range draw() {
		if q != again[n] {
			t.Fatalf("request %d is %+v and %+v", n, q, again[n])
		}
		kinds[q.Class+" "+q.End().String()+" "+q.Vnode.ShortHash]++
	}
	if len(kinds) != 8 {
		t.Errorf("kinds %v", kinds)
	}
}
