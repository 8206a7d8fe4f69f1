package uniqueness_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// behaviours are those of Corda's uniqueness checker, as scripts; see [site.run]. Each is played twice: its requests in
// one batch, and in batches of their own.
var behaviours = map[string][]string{
	// Inputs.
	"unknown input":                       {"a in=nobody:0 => input unknown: nobody:0"},
	"one spend":                           {"issue out=1 => accepted", "a in=issue:0 => accepted"},
	"many spends in a transaction":        {"issue out=5 => accepted", "a in=issue:0,issue:1,issue:2,issue:3,issue:4 => accepted"},
	"the same transaction twice":          {"issue out=1 => accepted", "a in=issue:0 => accepted", "a in=issue:0 => again", "a in=issue:0 => again"},
	"several transactions, single inputs": {"issue out=3 => accepted", "a in=issue:0 => accepted", "b in=issue:1 => accepted", "c in=issue:2 => accepted"},
	"several transactions, several inputs": {
		"issue out=6 => accepted", "a in=issue:0,issue:1 => accepted", "b in=issue:2,issue:3 => accepted", "c in=issue:4,issue:5 => accepted",
	},
	"two transactions, one input: the second conflicts": {"issue out=1 => accepted", "a in=issue:0 => accepted", "b in=issue:0 => input conflict: issue:0 by a"},
	"a double spend lists exactly the overlapping states": {
		"issue out=6 => accepted", "a in=issue:0,issue:1,issue:2 => accepted", "b in=issue:5 => accepted",
		"c in=issue:2,issue:3,issue:5,issue:0 => input conflict: issue:2 by a, issue:5 by b, issue:0 by a",
		"d in=issue:3,issue:4 => accepted",
	},
	"a refusal is for ever": {
		"issue out=1 => accepted", "a in=issue:0 => accepted", "b in=issue:0 => input conflict: issue:0 by a", "b in=issue:0 => again", "c in=later:0 => input unknown: later:0",
		"later out=1 => accepted", "c in=later:0 => again",
	},
	"an index beyond the outputs is unknown": {"issue out=2 => accepted", "a in=issue:1,issue:2,nobody:7 => input unknown: issue:2, nobody:7"},
	"what was refused makes nothing":         {"bad in=nobody:0 out=3 => input unknown: nobody:0", "a in=bad:0 => input unknown: bad:0"},

	// References.
	"unknown reference":                    {"a ref=nobody:0,nobody:1 => reference unknown: nobody:0, nobody:1"},
	"references only":                      {"issue out=1 => accepted", "a ref=issue:0 => accepted"},
	"references only, retried":             {"issue out=1 => accepted", "a ref=issue:0 => accepted", "a ref=issue:0 => again"},
	"several transactions, one reference":  {"issue out=1 => accepted", "a ref=issue:0 out=1 => accepted", "b ref=issue:0 => accepted", "c ref=issue:0 in=a:0 => accepted"},
	"several transactions, own references": {"issue out=3 => accepted", "a ref=issue:0 => accepted", "b ref=issue:1 => accepted", "c ref=issue:2 => accepted"},
	"one input and one reference":          {"issue out=2 => accepted", "a in=issue:0 ref=issue:1 => accepted", "b in=issue:1 => accepted"},
	"a reference that was spent":           {"issue out=2 => accepted", "a in=issue:0 => accepted", "b ref=issue:0,issue:1 => reference conflict: issue:0 by a"},
	"a success stays one after its reference was spent": {
		"issue out=1 => accepted", "a ref=issue:0 => accepted", "b in=issue:0 => accepted", "a ref=issue:0 => again",
	},
	"each uses the other's input as reference: the first wins": {
		"issue out=2 => accepted", "a in=issue:0 ref=issue:1 => accepted", "b in=issue:1 ref=issue:0 => reference conflict: issue:0 by a",
	},

	// Outputs.
	"issuance, repeated": {"issue out=3 => accepted", "issue out=3 => again"},

	// Time.
	"inside its window":                         {"@10", "a within=5..20 => accepted"},
	"no lower bound":                            {"@10", "a within=..20 => accepted"},
	"inside, and retried outside":               {"@10", "a within=5..20 => accepted", "@30", "a within=5..20 => again"},
	"before the lower bound":                    {"@3", "a within=5..20 => out of window: 5..20"},
	"before the lower bound, and retried after": {"@3", "a within=5..20 => out of window: 5..20", "@10", "a within=5..20 => again"},
	"after the upper bound":                     {"@30", "a within=5..20 => out of window: 5..20"},
	"the window is half-open": {
		"@4", "a within=5..20 => out of window: 5..20", "@5", "b within=5..20 => accepted", "@19", "c within=5..20 => accepted", "@20", "d within=5..20 => out of window: 5..20",
	},

	// Notaries.
	"notaries are independent": {
		"issue out=1 => accepted", "a in=issue:0 => accepted", "issue out=1 at=" + notaryB + " => accepted",
		"b in=issue:0 at=" + notaryB + " => accepted", "c in=issue:0 => input conflict: issue:0 by a",
	},
	"what another notary knows is unknown": {"issue out=1 => accepted", "a in=issue:0 at=" + notaryB + " => input unknown: issue:0"},

	// Within a batch.
	"issue and spend":     {"issue out=1 => accepted", "a in=issue:0 out=1 => accepted", "b in=a:0 => accepted"},
	"spend, then issue":   {"a in=issue:0 => input unknown: issue:0", "issue out=1 => accepted", "a in=issue:0 => again", "b in=issue:0 => accepted"},
	"order of the checks": precedence(),
	"ten requests, all kinds": {
		"i1 out=4 => accepted", "i2 out=2 => accepted", "a in=i1:0,i2:0 ref=i1:3 out=1 => accepted", "b in=i1:0 => input conflict: i1:0 by a",
		"c in=a:0 ref=i1:3 => accepted", "a in=i1:0,i2:0 ref=i1:3 out=1 => again", "d in=i1:9 => input unknown: i1:9", "read c => accepted",
		"e in=i1:1 ref=a:0 => reference conflict: a:0 by c", "f in=i1:1 => accepted",
	},

	// Reading.
	"reading a success": {"issue out=1 => accepted", "issue read => again"},
	"reading a failure": {"a in=nobody:0 => input unknown: nobody:0", "a read => again"},
	"reading what was not seen consumes nothing": {
		"issue out=1 => accepted", "a in=issue:0 read => not seen", "b in=issue:0 => accepted",
	},
	"reading what was not seen and has expired":  {"@30", "a within=5..20 read => out of window: 5..20", "a within=5..20 read => out of window: 5..20"},
	"reading early, and a later check":           {"@3", "a within=5..20 read => too early: 5..20", "@10", "a within=5..20 => accepted"},
	"reading what was accepted and then expired": {"@10", "a within=5..20 => accepted", "@30", "a within=5..20 read => again"},
	"what was read does not stop a later check":  {"a read => not seen", "a => accepted", "a read => accepted"},
	"a process that restarts remembers the same": {"issue out=2 => accepted", "a in=issue:0 => accepted", "restart", "a in=issue:0 => again", "b in=issue:0 => input conflict: issue:0 by a"},
	"a chain": {"a out=1 => accepted", "b in=a:0 out=1 => accepted", "c in=b:0 out=1 => accepted", "d in=c:0 out=1 => accepted", "e in=a:0 => input conflict: a:0 by b"},
}

// precedence is a script in which each request has all the faults that the answer to the one before had but the first.
func precedence() []string {
	return []string{
		"@50", "issue out=4 => accepted", "spent in=issue:0,issue:1 => accepted",
		"a in=nobody:0,issue:0 ref=nobody:1,issue:1 within=..1 => input unknown: nobody:0",
		"b in=issue:0 ref=nobody:1,issue:1 within=..1 => reference unknown: nobody:1",
		"c in=issue:0 ref=issue:1 within=..1 => input conflict: issue:0 by spent",
		"d in=issue:2 ref=issue:1 within=..1 => reference conflict: issue:1 by spent",
		"e in=issue:2 ref=issue:3 within=..1 => out of window: ..1",
		"f in=issue:2 ref=issue:3 => accepted",
	}
}

func TestBehaviours(t *testing.T) {
	for name, script := range behaviours {
		t.Run(name, func(t *testing.T) {
			for i, line := range script {
				if strings.HasPrefix(line, "read ") { // written so that it reads well
					request, answer, _ := strings.Cut(strings.TrimPrefix(line, "read "), " => ")
					script[i] = request + " read => " + answer
				}
			}
			t.Run("in one batch", func(t *testing.T) { newSite(t).run(script, false) })
			t.Run("in batches of their own", func(t *testing.T) { newSite(t).run(script, true) })
		})
	}
}

// What cannot be a transaction is answered so, and nothing of it is remembered.
func TestMalformedRequests(t *testing.T) {
	check := func(f func(*appv1.CheckUniqueness)) func(*uniquenessv1.Request) {
		return func(r *uniquenessv1.Request) { f(r.GetCheck()) }
	}
	for name, c := range map[string]struct {
		change func(*uniquenessv1.Request)
		want   string
	}{
		"no upper bound":          {check(func(c *appv1.CheckUniqueness) { c.Window = nil }), "upper bound"},
		"upper bound of zero":     {check(func(c *appv1.CheckUniqueness) { c.Window.UntilUs = 0 }), "upper bound"},
		"negative outputs":        {check(func(c *appv1.CheckUniqueness) { c.Outputs = -1 }), "outputs is -1"},
		"duplicate input":         {check(func(c *appv1.CheckUniqueness) { c.Inputs = append(c.Inputs, c.GetInputs()[0]) }), "twice as input"},
		"duplicate reference":     {check(func(c *appv1.CheckUniqueness) { c.References = append(c.References, c.GetReferences()[0]) }), "twice as reference"},
		"input and reference":     {check(func(c *appv1.CheckUniqueness) { c.References = c.GetInputs() }), "both input and reference"},
		"no id":                   {check(func(c *appv1.CheckUniqueness) { c.Transaction = nil }), "transaction: an id has 32 bytes, this one 0"},
		"an id of zeros":          {check(func(c *appv1.CheckUniqueness) { c.Transaction = make([]byte, 32) }), "no transaction id"},
		"an id of another length": {check(func(c *appv1.CheckUniqueness) { c.Transaction = c.GetTransaction()[:31] }), "this one 31"},
		"an input's id":           {check(func(c *appv1.CheckUniqueness) { c.GetInputs()[0].Transaction = []byte("x") }), "inputs: state 0"},
		"a reference's id":        {check(func(c *appv1.CheckUniqueness) { c.GetReferences()[0].Transaction = nil }), "references: state 0"},
		"an endless originator":   {check(func(c *appv1.CheckUniqueness) { c.Originator = strings.Repeat("x", 1025) }), "originator has 1025 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.run([]string{"issue out=2 => accepted"}, true)
			good := parseRequest(t, strings.Fields("a in=issue:0 ref=issue:1 out=1"))
			bad := good
			bad.change = c.change
			ids := s.batch(bad)
			a := s.answer(ids[0])
			if a.GetResult() != appv1.UniquenessResult_UNIQUENESS_RESULT_MALFORMED || !strings.Contains(a.GetText(), c.want) {
				t.Errorf("answered %v", a)
			}
			if txs, spent := s.rows(); txs != 1 || spent != 0 {
				t.Errorf("%d rows of transactions and %d of states", txs, spent)
			}
			// In one batch with what is well formed it changes nothing about that, nor about its order.
			ids = s.batch(bad, good, bad, good)
			for i, want := range []appv1.UniquenessResult{9, 1, 9, 1} {
				if got := s.answer(ids[i]).GetResult(); got != want {
					t.Errorf("request %d of the mixed batch: %s", i, got)
				}
			}
		})
	}
}

// Requests that cannot be put to a notary are answered with an error that names field and remedy; what nobody could be
// answered about goes to the dead letters. Both leave the others of the batch alone.
func TestRefusedRequests(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*asking)
		reply string // the error's id, empty when it is dead
		want  string
	}{
		"another notary's key": {func(a *asking) { a.change = func(r *uniquenessv1.Request) { r.Notary = notaryB } }, "FL-UNIQUENESS-003", `the record's key is "AAAAAAAAAAA1" and field notary "BBBBBBBBBBB2"`},
		"no notary":            {func(a *asking) { a.change = func(r *uniquenessv1.Request) { r.Notary = "" } }, "FL-UNIQUENESS-003", "field notary"},
		"no mode":              {func(a *asking) { a.change = func(r *uniquenessv1.Request) { r.Check.Mode = 0 } }, "FL-UNIQUENESS-003", "field check.mode is 0"},
		"a newer mode":         {func(a *asking) { a.change = func(r *uniquenessv1.Request) { r.Check.Mode = 7 } }, "FL-UNIQUENESS-003", "field check.mode is 7"},
		"nothing asked":        {func(a *asking) { a.change = func(r *uniquenessv1.Request) { r.Check = nil } }, "FL-UNIQUENESS-003", "field check.mode"},
		"too many inputs":      {func(a *asking) { a.Inputs = many("issue", uniqueness.MaxInputs+1) }, "FL-UNIQUENESS-004", "field check.inputs"},
		"too many states":      {func(a *asking) { a.References = many("issue", uniqueness.MaxStates+1) }, "FL-UNIQUENESS-004", "check.references"},
		"no request id":        {func(a *asking) { a.headers = map[string]string{engine.HeaderRequest: ""} }, "", "header fl-request"},
		"no way back":          {func(a *asking) { a.headers = map[string]string{engine.HeaderReply: ""} }, "", "FL-UNIQUENESS-001"},
		"a way back to another topic": {func(a *asking) {
			a.headers = map[string]string{engine.HeaderReply: engine.ReplyTo(topics.FlowRepliesCrypto, -1, "x")}
		}, "", "answers may go to"},
		"a deadline in words": {func(a *asking) { a.headers = map[string]string{engine.HeaderDeadline: "soon"} }, "", "fl-deadline"},
		"no message":          {func(a *asking) { a.raw = []byte{0xff, 1, 2} }, "", "FL-UNIQUENESS-002"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			good := parseRequest(t, strings.Fields("issue out=2"))
			bad := parseRequest(t, strings.Fields("bad out=1"))
			c.spoil(&bad)
			next := parseRequest(t, strings.Fields("pay in=issue:0"))
			ids := s.batch(good, bad, next)
			for _, i := range []int{0, 2} {
				if a := s.answer(ids[i]); a.GetResult() != appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED {
					t.Errorf("its neighbour %d: %v", i, a)
				}
			}
			if txs, spent := s.rows(); txs != 2 || spent != 1 {
				t.Errorf("%d rows of transactions and %d of states", txs, spent)
			}
			if c.reply == "" {
				if err := s.dead[ids[1]]; err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("dead letter %v", err)
				}
				return
			}
			e := s.replies[ids[1]].GetError()
			if e.GetId() != c.reply || !strings.Contains(e.GetMessage(), c.want) {
				t.Errorf("answered %v", e)
			}
			if uniqueness.Explanations()[e.GetId()] == "" {
				t.Errorf("%s has no explanation", e.GetId())
			}
		})
	}
}

func many(name string, n int) []ledger.StateRef {
	out := make([]ledger.StateRef, n)
	for i := range out {
		out[i] = ledger.StateRef{Transaction: id(name), Index: uint32(i)}
	}
	return out
}

func TestEmptyBatch(t *testing.T) {
	s := newSite(t)
	if ids := s.batch(); len(ids) != 0 || len(s.store) != 0 {
		t.Errorf("%v, %d rows", ids, len(s.store))
	}
}

// What a requester has given up is not decided; at its deadline it still is.
func TestDeadlines(t *testing.T) {
	s := newSite(t)
	a := parseRequest(t, strings.Fields("a out=1"))
	at := func(us int64) asking {
		a.headers = map[string]string{engine.HeaderDeadline: fmt.Sprint(us)}
		return a
	}
	ids := s.batch(at(s.nowUs))
	if s.replies[ids[0]] != nil || s.dead[ids[0]] != nil || len(s.store) != 0 {
		t.Errorf("an expired request: %v, %v", s.replies[ids[0]], s.dead[ids[0]])
	}
	ids = s.batch(at(s.nowUs + 1))
	if s.answer(ids[0]).GetResult() != appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED {
		t.Error("a request at its deadline is not decided")
	}
}

// 32,767 outputs are one row; 2,048 of them are spent at once; the one beyond is unknown.
func TestManyOutputs(t *testing.T) {
	s := newSite(t)
	issue := parseRequest(t, strings.Fields("issue out=32767"))
	spend := parseRequest(t, strings.Fields("spend"))
	for i := range uint32(2048) {
		spend.Inputs = append(spend.Inputs, ledger.StateRef{Transaction: id("issue"), Index: i * 15})
	}
	beyond := parseRequest(t, strings.Fields("beyond in=issue:32767"))
	ids := s.batch(issue, spend, beyond)
	for i, want := range []string{"accepted", "accepted", "input unknown: issue:32767"} {
		if got := words(s.answer(ids[i]), map[ledger.Hash]string{id("issue"): "issue"}); got != want {
			t.Errorf("request %d: %s", i, got)
		}
	}
	if txs, spent := s.rows(); txs != 3 || spent != 2048 {
		t.Errorf("%d rows of transactions and %d of states", txs, spent)
	}
}

// The largest request that is taken, with the longest answer that can be: it fits into records, and nothing is cut.
func TestLargestRequest(t *testing.T) {
	s := newSite(t)
	outputs := uint32(uniqueness.MaxStates)
	issue := asking{notary: notaryA, Request: tx("issue", "", "", outputs)}
	s.batch(issue)
	for i := 0; i < uniqueness.MaxStates; i += uniqueness.MaxInputs {
		spend := asking{notary: notaryA, Request: tx(fmt.Sprint("spend ", i), "", "", 0)}
		spend.Inputs = many("issue", uniqueness.MaxStates)[i:min(i+uniqueness.MaxInputs, uniqueness.MaxStates)]
		if a := s.answer(s.batch(spend)[0]); a.GetResult() != appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED {
			t.Fatal(a)
		}
	}
	late := asking{notary: notaryA, Request: tx("late", "", "", 0)}
	late.References = many("issue", uniqueness.MaxStates)
	reply := s.replies[s.batch(late)[0]]
	a := decodeAnswer(t, reply)
	if len(a.GetConflicts()) != uniqueness.MaxStates {
		t.Errorf("%d conflicts", len(a.GetConflicts()))
	}
	for what, size := range map[string]int{
		"request": proto.Size(message(notaryA, late.Request)), "reply": proto.Size(reply), "row": len(s.store[string(uniqueness.TxKey(notaryA, id("late")))]),
	} {
		if size > engine.MaxRecordBytes-4096 {
			t.Errorf("the %s has %d bytes", what, size)
		}
	}
}

// No two decisions have one time, whatever the batches, and the later one has the greater.
func TestTimesAreUnique(t *testing.T) {
	s := newSite(t)
	var inOrder []int64
	n := 0
	for _, size := range []int{1, 7, 1000, 3, uniqueness.Width * 1000, 2} {
		var batch []asking
		for range size {
			n++
			batch = append(batch, asking{notary: []string{notaryA, notaryB}[n%2], Request: tx(fmt.Sprint("t", n), "", "", 1)})
		}
		for _, id := range s.batch(batch...) {
			inOrder = append(inOrder, s.answer(id).GetDecidedAtNs())
		}
	}
	if !slices.IsSorted(inOrder) || len(slices.Compact(slices.Clone(inOrder))) != len(inOrder) {
		t.Error("times are not strictly ascending")
	}
	if first := inOrder[0]; first != (epoch+1)*1000 {
		t.Errorf("the first is %d", first)
	}
	if got := s.decided(); !slices.Equal(got, inOrder) {
		t.Error("answers have other times than they were decided at")
	}
	// A transaction whose microseconds are full takes no more: the request waits for the next one.
	for n := range uniqueness.Width * 1000 {
		if _, ok := s.worker.NextTime(7, 5); !ok {
			t.Fatalf("no time for decision %d", n)
		}
	}
	if ns, ok := s.worker.NextTime(7, 5); ok {
		t.Errorf("one decision more than a transaction has times for is at %d", ns)
	}
	if ns, ok := s.worker.NextTime(7, 5+uniqueness.Width); !ok || ns != (5+uniqueness.Width)*1000 {
		t.Errorf("the next transaction begins at %d, %v", ns, ok)
	}
	var cfg engine.Config
	if uniqueness.Tune(&cfg); cfg.NowWidth != uniqueness.Width || cfg.MaxBatch != uniqueness.Width*1000 {
		t.Errorf("the engine gives a transaction %d microseconds and %d requests", cfg.NowWidth, cfg.MaxBatch)
	}
}

// Every kind of answer is remembered as it was given: asked again after a restart it is the same to the byte.
func TestEveryAnswerIsRemembered(t *testing.T) {
	s := newSite(t)
	s.run([]string{"@50", "issue out=4 => accepted", "spent in=issue:0,issue:1 => accepted"}, true)
	var all []asking
	for _, r := range []string{
		"ok in=issue:2 out=9", "u in=nobody:0,nobody:1", "v ref=nobody:0,nobody:1", "w in=issue:0,issue:1", "x ref=issue:0,issue:1", "y within=60..70",
	} {
		all = append(all, parseRequest(t, strings.Fields(r)))
	}
	before := s.batch(all...)
	kinds := map[appv1.UniquenessResult]bool{}
	s.restart()
	for i, id := range s.batch(all...) {
		first, again := s.replies[before[i]], s.replies[id]
		if !proto.Equal(first, again) {
			t.Errorf("%v became %v", first, again)
		}
		kinds[s.answer(id).GetResult()] = true
	}
	if len(kinds) != 6 {
		t.Errorf("only these kinds: %v", kinds)
	}
	for i, a := range all {
		var row uniquenessv1.Transaction
		if err := proto.Unmarshal(s.store[string(uniqueness.TxKey(notaryA, a.Tx))], &row); err != nil {
			t.Fatal(err)
		}
		outputs := uint32(0)
		if i == 0 {
			outputs = 9
		}
		if row.GetOutputs() != outputs || row.GetExpiryUs() != a.Window.UntilUs || row.GetOriginator() != a.Originator || row.GetAnswer().GetTransaction() != nil {
			t.Errorf("row of request %d: %v", i, &row)
		}
	}
}

// A row that cannot be read stops the worker: it decides nothing without it.
func TestUnreadableRows(t *testing.T) {
	for name, spoil := range map[string]func(s *site){
		"of the transaction": func(s *site) { s.store[string(uniqueness.TxKey(notaryA, id("a")))] = []byte{0xff} },
		"of an issuance":     func(s *site) { s.store[string(uniqueness.TxKey(notaryA, id("issue")))] = []byte{10, 2, 16, 77} },
		"of a state":         func(s *site) { s.store[string(uniqueness.SpentKey(notaryA, states("issue:0")[0]))] = []byte("short") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.run([]string{"issue out=1 => accepted"}, true)
			spoil(s)
			before := len(s.store)
			ids := s.batch(parseRequest(t, strings.Fields("a in=issue:0")))
			if err := s.dead[ids[0]]; err == nil || !strings.Contains(err.Error(), "FL-UNIQUENESS-006") {
				t.Errorf("got %v, %v", err, s.replies[ids[0]])
			}
			if len(s.store) != before {
				t.Error("something was written")
			}
		})
	}
}
