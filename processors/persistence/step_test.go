package persistence_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/processors/persistence"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

func state(t testing.TB) persistence.State {
	t.Helper()
	s, err := rows.CompilePackage(cpi())
	if err != nil {
		t.Fatal(err)
	}
	return persistence.State{Vnode: vnodeOf(vnodeA), Schema: s, Replies: []string{topics.FlowRepliesPersistence}, NowUs: 1000}
}

// show writes effects in one line.
func show(effects []persistence.Effect) string {
	var out []string
	for _, e := range effects {
		switch e := e.(type) {
		case persistence.Run:
			out = append(out, fmt.Sprintf("run writes=%v feeds=%v dedup=%q", e.Plan.Writes, e.Plan.Feeds, e.Plan.DedupID))
		case persistence.SendReply:
			out = append(out, fmt.Sprintf("reply %s/%d/%s %s", e.Topic, e.Partition, e.Key, e.Reply.GetError().GetType()))
		case persistence.SendDrain:
			out = append(out, "drain "+e.Vnode)
		case persistence.Later:
			out = append(out, "later: "+e.Err.Error())
		case persistence.Refuse:
			out = append(out, "refuse: "+e.Err.Error())
		case persistence.Note:
			out = append(out, "note "+string(e.What))
		}
	}
	return strings.Join(out, "; ")
}

func TestStep(t *testing.T) {
	good := persistence.Meta{Key: flowA, RequestID: "r1"}
	reply := "reply flow.replies.persistence/-1/" + flowA + " "
	find := &persistencev1.Request{Vnode: vnodeA, CpiChecksum: checksum, FlowId: flowA, Operation: &persistencev1.Request_FindAll{FindAll: &appv1.FindAllRows{Table: "item"}}}
	deduped := persist(vnodeA, "1")
	deduped.GetPersist().DedupId = "d1"
	long := persist(vnodeA, "1")
	long.GetPersist().DedupId = strings.Repeat("d", 201)
	with := func(f func(*persistence.State)) persistence.State {
		s := state(t)
		f(&s)
		return s
	}
	none := persist(vnodeA)
	none.Operation = nil
	elsewhere := good
	elsewhere.ReplyTo = engine.ReplyTo(topics.FlowRepliesPersistence, 2, "k")
	stolen := good
	stolen.ReplyTo = engine.ReplyTo(topics.FlowRepliesCrypto, -1, flowA)
	odd := good
	odd.ReplyTo = "x"
	late, early := good, good
	late.DeadlineUs, early.DeadlineUs = 1000, 1001
	onLedger := func(r *appv1.LedgerRequest) *persistencev1.Request {
		return &persistencev1.Request{Vnode: vnodeA, CpiChecksum: checksum, FlowId: flowA, Operation: &persistencev1.Request_Ledger{Ledger: r}}
	}
	id := make([]byte, 32)
	repair := onLedger(&appv1.LedgerRequest{Operation: &appv1.LedgerRequest_IncrementRepairAttempts{IncrementRepairAttempts: &appv1.IncrementRepairAttempts{Id: id}}})
	statuses := onLedger(&appv1.LedgerRequest{Operation: &appv1.LedgerRequest_FindStatuses{FindStatuses: &appv1.FindTransactionStatuses{Ids: [][]byte{id}}}})
	badTx := onLedger(&appv1.LedgerRequest{Operation: &appv1.LedgerRequest_PersistTransaction{PersistTransaction: &appv1.PersistTransaction{Transaction: id}}})
	badQuery := onLedger(&appv1.LedgerRequest{Operation: &appv1.LedgerRequest_QueryStates{QueryStates: &appv1.QueryStates{Name: "x"}}})
	plan := persistence.Step(state(t), persistence.Asked{Meta: good, Request: persist(vnodeA, "1")})[0].(persistence.Run).Plan
	read := persistence.Step(state(t), persistence.Asked{Meta: good, Request: find})[0].(persistence.Run).Plan
	answer := &rpcv1.Reply{Outcome: &rpcv1.Reply_Result{}}
	failed := &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: &rpcv1.Error{Type: "exists"}}}
	for name, c := range map[string]struct {
		s    persistence.State
		e    persistence.Event
		want string
	}{
		"write":              {s: state(t), e: persistence.Asked{Meta: good, Request: persist(vnodeA, "1")}, want: `run writes=true feeds=true dedup=""`},
		"write once":         {s: state(t), e: persistence.Asked{Meta: good, Request: deduped}, want: `run writes=true feeds=true dedup="d1"`},
		"read":               {s: state(t), e: persistence.Asked{Meta: early, Request: find}, want: `run writes=false feeds=true dedup=""`},
		"ledger write":       {s: state(t), e: persistence.Asked{Meta: good, Request: repair}, want: `run writes=true feeds=true dedup=""`},
		"ledger read":        {s: state(t), e: persistence.Asked{Meta: good, Request: statuses}, want: `run writes=false feeds=true dedup=""`},
		"bad transaction":    {s: state(t), e: persistence.Asked{Meta: good, Request: badTx}, want: reply + "invalid-transaction; note refused"},
		"no query of states": {s: state(t), e: persistence.Asked{Meta: good, Request: badQuery}, want: reply + "not-declared; note refused"},
		"nothing asked":      {s: state(t), e: persistence.Asked{Meta: good, Request: onLedger(&appv1.LedgerRequest{})}, want: reply + "platform; note refused"},
		"expired":            {s: state(t), e: persistence.Asked{Meta: late, Request: find}, want: "drain " + vnodeA + "; note expired"},
		"no virtual node":    {s: with(func(s *persistence.State) { s.Vnode = nil }), e: persistence.Asked{Meta: good, Request: find}, want: "later: virtual node " + vnodeA + " is not known here yet; note later"},
		"no package":         {s: with(func(s *persistence.State) { s.Schema = nil }), e: persistence.Asked{Meta: good, Request: find}, want: "later: package " + checksum + " is not known here yet; note later"},
		"bad package":        {s: with(func(s *persistence.State) { s.Schema, s.SchemaErr = nil, errors.New("x") }), e: persistence.Asked{Meta: good, Request: find}, want: reply + "invalid-declaration; note refused"},
		"maintenance":        {s: with(func(s *persistence.State) { s.Vnode.VaultDb = vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE }), e: persistence.Asked{Meta: good, Request: find}, want: reply + "unavailable; note refused"},
		"bad row":            {s: state(t), e: persistence.Asked{Meta: good, Request: &persistencev1.Request{Vnode: vnodeA, FlowId: flowA, Operation: &persistencev1.Request_Find{Find: &appv1.FindRows{Table: "item", Keys: [][]byte{[]byte("{}")}}}}}, want: reply + "invalid-row; note refused"},
		"no table":           {s: state(t), e: persistence.Asked{Meta: good, Request: &persistencev1.Request{Vnode: vnodeA, FlowId: flowA, Operation: &persistencev1.Request_Merge{Merge: &appv1.MergeRows{Table: "x"}}}}, want: reply + "not-declared; note refused"},
		"no query":           {s: state(t), e: persistence.Asked{Meta: good, Request: &persistencev1.Request{Vnode: vnodeA, FlowId: flowA, Operation: &persistencev1.Request_Query{Query: &appv1.NamedQuery{Name: "x"}}}}, want: reply + "not-declared; note refused"},
		"no operation":       {s: state(t), e: persistence.Asked{Meta: good, Request: none}, want: reply + "platform; note refused"},
		"long dedup id":      {s: state(t), e: persistence.Asked{Meta: good, Request: long}, want: reply + "invalid-row; note refused"},
		"no id":              {s: state(t), e: persistence.Asked{Meta: persistence.Meta{Key: flowA}, Request: find}, want: "refuse: FL-PERSISTENCE-010: header fl-request is empty or too long; it must hold the request's id"},
		"wrong virtual node": {s: state(t), e: persistence.Asked{Meta: good, Request: persist("x", "1")}, want: `refuse: FL-PERSISTENCE-010: field vnode is "x"; it must be a virtual node's short hash`},
		"wrong flow":         {s: state(t), e: persistence.Asked{Meta: good, Request: &persistencev1.Request{Vnode: vnodeA, FlowId: "'; DROP"}}, want: `refuse: FL-PERSISTENCE-010: field flow_id is "'; DROP"; it must be a flow's id`},
		"answer elsewhere":   {s: state(t), e: persistence.Done{Meta: elsewhere, Plan: read, Result: persistence.Result{Reply: answer}}, want: "reply flow.replies.persistence/2/k ; note done"},
		"answer to others":   {s: state(t), e: persistence.Asked{Meta: stolen, Request: find}, want: "refuse: FL-PERSISTENCE-010: the answer is to go to topic flow.replies.crypto, and requests on persistence.requests may ask only for [flow.replies.persistence]"},
		"odd reply header":   {s: state(t), e: persistence.Asked{Meta: odd, Request: find}, want: `refuse: FL-PERSISTENCE-010: header fl-reply is "x", not topic/partition/key`},
		"done":               {s: state(t), e: persistence.Done{Meta: good, Plan: plan, Result: persistence.Result{Reply: answer}}, want: reply + "; drain " + vnodeA + "; note done"},
		"read done":          {s: state(t), e: persistence.Done{Meta: good, Plan: read, Result: persistence.Result{Reply: answer}}, want: reply + "; note done"},
		"repeated":           {s: state(t), e: persistence.Done{Meta: good, Plan: plan, Result: persistence.Result{Reply: answer, Repeated: true}}, want: reply + "; drain " + vnodeA + "; note repeated"},
		"refused":            {s: state(t), e: persistence.Done{Meta: good, Plan: plan, Result: persistence.Result{Reply: failed}}, want: reply + "exists; drain " + vnodeA + "; note refused"},
		"to be run again":    {s: state(t), e: persistence.Done{Meta: good, Plan: plan, Result: persistence.Result{Err: errors.New("gone")}}, want: "later: gone; note later"},
		"given up":           {s: state(t), e: persistence.GivenUp{Meta: good, Vnode: vnodeA, Cause: errors.New("x")}, want: "note given up; drain " + vnodeA + "; " + reply + "unavailable"},
		"given up, no id":    {s: state(t), e: persistence.GivenUp{Vnode: "x", Cause: errors.New("x")}, want: "note given up"},
		"given up, stolen":   {s: state(t), e: persistence.GivenUp{Meta: stolen, Cause: errors.New("x")}, want: "note given up"},
	} {
		if got := show(persistence.Step(c.s, c.e)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// However an outbox is looked at, each change is emitted once, in order, to every channel, and confirmed.
func TestFeedStepProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMemory()
		var s *persistencev1.FeedState
		emitted, confirmed := uint64(0), uint64(0)
		now := int64(1)
		for range rapid.IntRange(1, 30).Draw(rt, "turns") {
			now += rapid.Int64Range(0, 100).Draw(rt, "later")
			for range rapid.IntRange(0, 5).Draw(rt, "changes") {
				m.capture(&persistence.Plan{Vnode: vnodeA}, 1, item{ID: "i"})
			}
			e := persistence.Looked{Vnode: vnodeA, NowUs: now, Rules: persistence.FeedRules{SweepEveryUs: 50, Page: 3}}
			e.Routes, _ = persistence.Routes(vnodeOf(vnodeA), cpi())
			if rapid.Bool().Draw(rt, "missing") {
				e.Routes[1].Missing = engine.ErrNoTopic
			}
			e.Hold = rapid.Bool().Draw(rt, "hold")
			var err error
			if e.Changes, err = m.Changes(t.Context(), vnodeA, s.GetEmitted(), 3); err != nil {
				rt.Fatal(err)
			}
			before := proto.Clone(s)
			next, effects := persistence.FeedStep(s, e)
			if !proto.Equal(before, s) {
				rt.Fatal("the step changed the state that it was given")
			}
			perChannel := map[string]uint64{}
			for _, effect := range effects {
				switch f := effect.(type) {
				case persistence.EmitChange:
					if perChannel[f.Route.Topic] == 0 {
						perChannel[f.Route.Topic] = emitted
					}
					if f.Change.GetNumber() != perChannel[f.Route.Topic]+1 {
						rt.Fatalf("%s: %d after %d", f.Route.Topic, f.Change.GetNumber(), perChannel[f.Route.Topic])
					}
					perChannel[f.Route.Topic]++
				case persistence.ConfirmLater:
					confirmed = f.UpTo
					if f.More != (f.UpTo < e.Changes.Last) {
						rt.Fatal("more is wrong")
					}
				case persistence.SetSweep:
					if f.AtUs != now+50 || next.GetSweepAtUs() != f.AtUs {
						rt.Fatal("the sweep's time is wrong")
					}
				case persistence.Report:
					if f.ID != persistence.IDFeedTopic {
						rt.Fatal(f.Message)
					}
				}
			}
			if next.GetSweepAtUs() <= now {
				rt.Fatal("no sweep is set")
			}
			for topic, n := range perChannel {
				if n != next.GetEmitted() || len(perChannel) != 2 {
					rt.Fatalf("%s was told up to %d of %d", topic, n, next.GetEmitted())
				}
			}
			emitted, s = next.GetEmitted(), next
		}
		if confirmed != emitted {
			rt.Fatalf("%d emitted, %d confirmed", emitted, confirmed)
		}
	})
}

func TestFeedReports(t *testing.T) {
	change := persistence.CapturedChange{Number: 7, Shape: `{"table":"item","columns":["id"],"types":[25],"key":[0]}`, Key: []byte("{}")}
	look := persistence.Looked{Vnode: vnodeA, NowUs: 1, Changes: persistence.Changes{Rows: []persistence.CapturedChange{change}, Last: 7}}
	gap, effects := persistence.FeedStep(&persistencev1.FeedState{Emitted: 5, SweepAtUs: 9}, look)
	if r, ok := effects[1].(persistence.Report); !ok || r.ID != persistence.IDGap || gap.GetEmitted() != 7 {
		t.Errorf("gap: %+v", effects)
	}
	behind, effects := persistence.FeedStep(&persistencev1.FeedState{Emitted: 9, SweepAtUs: 9}, look)
	if r, ok := effects[0].(persistence.Report); !ok || len(effects) != 1 || r.ID != persistence.IDBehind || behind.GetEmitted() != 9 {
		t.Errorf("behind: %+v", effects)
	}
	v := vnodeOf(vnodeA)
	v.Channels[0].Active = false
	if routes, hold := persistence.Routes(v, cpi()); len(routes) != 1 || !hold {
		t.Errorf("inactive: %v %v", routes, hold)
	}
	v.Channels[0].IgnoreWhenInactive = true
	if routes, hold := persistence.Routes(v, cpi()); len(routes) != 1 || hold {
		t.Errorf("ignored: %v %v", routes, hold)
	}
}

func TestExplanations(t *testing.T) {
	for id, text := range persistence.Explanations() {
		if !strings.HasPrefix(id, "FL-PERSISTENCE-") || len(text) < 80 {
			t.Errorf("%s: %q", id, text)
		}
	}
	for n := 1; n <= 20; n++ {
		if id := fmt.Sprintf("FL-PERSISTENCE-%03d", n); persistence.Explanations()[id] == "" {
			t.Errorf("%s is not explained", id)
		}
	}
	for _, id := range []string{persistence.IDParked, persistence.IDStripped, persistence.IDElsewhere} {
		if persistence.Explanations()[id] == "" {
			t.Errorf("%s is not explained", id)
		}
	}
}

// What is too large for a record is told without its columns, and what follows is told all the same.
func TestFeedStripsWhatIsTooLarge(t *testing.T) {
	const shape = `{"table":"item","columns":["id","v"],"types":[25,25],"key":[0]}`
	change := func(n uint64, key, columns string) persistence.CapturedChange {
		return persistence.CapturedChange{Number: n, Shape: shape, Operation: 1, Key: []byte(key), Columns: []byte(columns)}
	}
	text := func(c string, n int) string { return `{"id":"` + strings.Repeat(c, n) + `"}` }
	for name, c := range map[string]struct {
		change   persistence.CapturedChange
		row, key bool // whether they are told
	}{
		"small":                     {change(1, text("a", 1), text("a", 1)), true, true},
		"large":                     {change(1, text("a", 1), text("a", 3<<20)), true, true},
		"too large":                 {change(1, text("a", 1), text("a", 4<<20)), false, true},
		"too large once it is JSON": {change(1, text("a", 1), text("<", 1<<20)), false, true},
		"key too large":             {change(1, text("a", 3<<20), text("a", 1)), false, false},
	} {
		e := persistence.Looked{Vnode: vnodeA, NowUs: 1, Changes: persistence.Changes{Rows: []persistence.CapturedChange{c.change, change(2, "{}", "{}")}, Last: 2}}
		e.Routes, _ = persistence.Routes(vnodeOf(vnodeA), cpi())
		_, effects := persistence.FeedStep(nil, e)
		emitted, reported := 0, false
		for _, effect := range effects {
			switch f := effect.(type) {
			case persistence.EmitChange:
				emitted++
				row := f.Change.GetRow()
				if f.Change.GetNumber() == 1 && (len(row.GetRow()) > 0 != c.row || string(row.GetKey()) == string(c.change.Key) != c.key || f.Change.GetNumber() == 2 && f.Key != "item {}") {
					t.Errorf("%s: %d bytes of row, %d of key are told", name, len(row.GetRow()), len(row.GetKey()))
				}
			case persistence.Report:
				reported = reported || f.ID == persistence.IDStripped
			}
		}
		if emitted != 4 || reported == (c.row && c.key) {
			t.Errorf("%s: %d emitted, reported %v", name, emitted, reported)
		}
	}
}

// The same holds for a state: its record goes on without its payload, under its key.
func TestFeedStripsPayloads(t *testing.T) {
	for size, stripped := range map[int]bool{448 << 10: false, 700 << 10: true} {
		payload := []byte(`"` + strings.Repeat("<", size) + `"`) // six times as long in JSON
		ledger, err := schemas.Marshal(&feedv1.Change{Change: &feedv1.Change_State{State: &feedv1.StateChange{
			Operation: feedv1.StateOperation_STATE_OPERATION_CREATED, Ref: &ledgerv1.StateRef{Transaction: make([]byte, 32), Index: 3}, Type: "Coin", Payload: payload,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		e := persistence.Looked{Vnode: vnodeA, NowUs: 1, Changes: persistence.Changes{Rows: []persistence.CapturedChange{{Number: 1, Ledger: ledger}}, Last: 1}}
		e.Routes, _ = persistence.Routes(vnodeOf(vnodeA), cpi())
		_, effects := persistence.FeedStep(nil, e)
		emitted, reported := 0, ""
		for _, effect := range effects {
			switch f := effect.(type) {
			case persistence.EmitChange:
				emitted++
				if state := f.Change.GetState(); len(state.GetPayload()) > 0 == stripped || state.GetType() != "Coin" || !strings.HasPrefix(f.Key, "state SHA-256:00") || f.Change.GetVnode() != vnodeA {
					t.Errorf("%d: %q is told with %d bytes of payload", size, f.Key, len(state.GetPayload()))
				}
			case persistence.Report:
				reported += f.ID + f.Message
			}
		}
		if emitted != 2 || strings.HasPrefix(reported, persistence.IDStripped) != stripped || strings.Contains(reported, ":3 is told without its payload") != stripped {
			t.Errorf("%d: %d emitted, reported %q", size, emitted, reported)
		}
	}
}

// A step writes no more than the engine takes: what does not fit follows when the rest is confirmed.
func TestFeedStepIsBounded(t *testing.T) {
	e := persistence.Looked{Vnode: vnodeA, NowUs: 1, Changes: persistence.Changes{Last: 40}}
	for n := range uint64(40) {
		e.Changes.Rows = append(e.Changes.Rows, persistence.CapturedChange{
			Number: n + 1, Shape: `{"table":"item","columns":["id"],"types":[25],"key":[0]}`, Operation: 1, Key: []byte("{}"),
			Columns: []byte(`{"id":"` + strings.Repeat("a", 2<<20) + `"}`),
		})
	}
	e.Routes, _ = persistence.Routes(vnodeOf(vnodeA), cpi())
	s, effects := persistence.FeedStep(nil, e)
	size := 0
	for _, effect := range effects {
		switch f := effect.(type) {
		case persistence.EmitChange:
			size += proto.Size(f.Change)
		case persistence.ConfirmLater:
			if !f.More || f.UpTo != s.GetEmitted() || f.UpTo == 0 {
				t.Errorf("%+v", f)
			}
		}
	}
	if size == 0 || size > engine.MaxTransactionBytes {
		t.Errorf("%d bytes are emitted", size)
	}
}

// Whoever waits is told why, and not where in our code.
func TestAnswersHaveNoStack(t *testing.T) {
	for _, effect := range persistence.Step(state(t), persistence.GivenUp{Meta: persistence.Meta{Key: flowA, RequestID: "r1"}, Cause: errors.New("panic: boom\ngoroutine 1 [running]")}) {
		if r, ok := effect.(persistence.SendReply); ok {
			if m := r.Reply.GetError().GetMessage(); !strings.HasSuffix(m, ": panic: boom") {
				t.Error(m)
			}
			return
		}
	}
	t.Error("nobody was told")
}
