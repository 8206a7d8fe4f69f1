package uniqueness_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/processors/uniqueness"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// notary is a memory and a clock.
type notary struct {
	txs    map[ledger.Hash]uniqueness.Record
	spent  map[ledger.StateRef]ledger.Hash
	now    int64
	writes int
}

func newNotary() *notary {
	return &notary{txs: map[ledger.Hash]uniqueness.Record{}, spent: map[ledger.StateRef]ledger.Hash{}, now: 1_000_000}
}

func (n *notary) Tx(id ledger.Hash) (uniqueness.Record, bool) { r, ok := n.txs[id]; return r, ok }
func (n *notary) Spender(s ledger.StateRef) (ledger.Hash, bool) {
	by, ok := n.spent[s]
	return by, ok
}

func (n *notary) ask(r uniqueness.Request) uniqueness.Answer {
	n.now++
	a, e := uniqueness.Decide(n, r, n.now*1000)
	if e.Record != nil {
		n.txs[r.Tx] = *e.Record
		n.writes++
	}
	for _, s := range e.Spent {
		n.spent[s] = r.Tx
		n.writes++
	}
	return a
}

func id(name string) ledger.Hash { return sha256.Sum256([]byte(name)) }

// states reads "a:0 b:1".
func states(text string) []ledger.StateRef {
	var out []ledger.StateRef
	for _, f := range strings.Fields(text) {
		name, index, _ := strings.Cut(f, ":")
		var i uint32
		if _, err := fmt.Sscan(index, &i); err != nil {
			panic(err)
		}
		out = append(out, ledger.StateRef{Transaction: id(name), Index: i})
	}
	return out
}

// tx is a request without time bounds that matter.
func tx(name, inputs, references string, outputs uint32) uniqueness.Request {
	return uniqueness.Request{
		Tx: id(name), Originator: "O=Alice, L=London, C=GB", Inputs: states(inputs), References: states(references), Outputs: outputs,
		Window: ledger.TimeWindow{UntilUs: 1 << 60},
	}
}

func within(r uniqueness.Request, from, until int64) uniqueness.Request {
	r.Window = ledger.TimeWindow{FromUs: from, UntilUs: until}
	return r
}

func reading(r uniqueness.Request) uniqueness.Request { r.Read = true; return r }

// conflicts are those of an answer, as "a:0 by x".
func conflicts(a uniqueness.Answer, names ...string) string {
	known := map[ledger.Hash]string{}
	for _, n := range names {
		known[id(n)] = n
	}
	var out []string
	for _, c := range a.Conflicts {
		out = append(out, fmt.Sprintf("%s:%d by %s", known[c.State.Transaction], c.State.Index, known[c.By]))
	}
	return strings.Join(out, ", ")
}

func want(t *testing.T, a uniqueness.Answer, kind uniqueness.Kind) uniqueness.Answer {
	t.Helper()
	if a.Kind != kind {
		t.Errorf("the answer is %s %+v, want %s", a.Kind, a, kind)
	}
	return a
}

func TestMalformed(t *testing.T) {
	for name, r := range map[string]uniqueness.Request{
		"no id":                {Window: ledger.TimeWindow{UntilUs: 1}},
		"no upper bound":       within(tx("a", "", "", 1), 0, 0),
		"duplicate input":      tx("a", "i:0 i:1 i:0", "", 1),
		"duplicate reference":  tx("a", "", "i:0 i:0", 1),
		"input and reference":  tx("a", "i:0", "i:0", 1),
		"read is no exception": reading(tx("a", "i:0 i:0", "", 1)),
	} {
		n := newNotary()
		if a := want(t, n.ask(r), uniqueness.Malformed); a.Text == "" || n.writes != 0 {
			t.Errorf("%s: text %q, %d writes", name, a.Text, n.writes)
		}
	}
	// Nothing of it is remembered: the same id may come again in good form.
	n := newNotary()
	want(t, n.ask(tx("a", "", "i:0 i:0", 1)), uniqueness.Malformed)
	want(t, n.ask(tx("a", "", "", 1)), uniqueness.Accepted)
}

func TestInputs(t *testing.T) {
	n := newNotary()
	a := want(t, n.ask(tx("x", "nobody:0", "", 1)), uniqueness.InputUnknown)
	if !slices.Equal(a.Unknown, states("nobody:0")) {
		t.Errorf("unknown %v", a.Unknown)
	}
	first := want(t, n.ask(tx("issue", "", "", 4)), uniqueness.Accepted)
	a = want(t, n.ask(tx("beyond", "issue:3 issue:4 nobody:0", "", 1)), uniqueness.InputUnknown)
	if !slices.Equal(a.Unknown, states("issue:4 nobody:0")) {
		t.Errorf("unknown %v, want all of them and no other", a.Unknown)
	}
	second := want(t, n.ask(tx("pay", "issue:0 issue:1", "", 2)), uniqueness.Accepted)
	if again := n.ask(tx("pay", "issue:0 issue:1", "", 2)); !reflect.DeepEqual(again, second) {
		t.Errorf("asked again it is %+v, it was %+v", again, second)
	}
	if first.TimeNs == second.TimeNs {
		t.Error("two have one commit time")
	}
	want(t, n.ask(tx("other", "issue:2", "", 1)), uniqueness.Accepted)
	a = want(t, n.ask(tx("double", "issue:1 issue:3 issue:2", "", 1)), uniqueness.InputConflict)
	if got := conflicts(a, "issue", "pay", "other"); got != "issue:1 by pay, issue:2 by other" {
		t.Errorf("conflicts %s", got)
	}
	// What it wanted beside them is still there.
	want(t, n.ask(tx("rest", "issue:3", "", 1)), uniqueness.Accepted)
	// A refusal is for ever.
	if again := n.ask(tx("double", "issue:1 issue:3 issue:2", "", 1)); !reflect.DeepEqual(again, a) {
		t.Errorf("asked again it is %+v", again)
	}
}

func TestReferences(t *testing.T) {
	n := newNotary()
	want(t, n.ask(tx("issue", "", "", 5)), uniqueness.Accepted)
	want(t, n.ask(tx("x", "", "nobody:0", 1)), uniqueness.ReferenceUnknown)
	only := want(t, n.ask(tx("only", "", "issue:0", 1)), uniqueness.Accepted)
	if again := n.ask(tx("only", "", "issue:0", 1)); !reflect.DeepEqual(again, only) {
		t.Errorf("asked again it is %+v", again)
	}
	want(t, n.ask(tx("shared 1", "issue:1", "issue:0", 1)), uniqueness.Accepted)
	want(t, n.ask(tx("shared 2", "issue:2", "issue:0", 1)), uniqueness.Accepted)
	a := want(t, n.ask(tx("late", "", "issue:1 issue:0", 1)), uniqueness.ReferenceConflict)
	if got := conflicts(a, "issue", "shared 1"); got != "issue:1 by shared 1" {
		t.Errorf("conflicts %s", got)
	}
	// A success stays one after its reference was consumed.
	want(t, n.ask(tx("consume", "issue:0", "", 1)), uniqueness.Accepted)
	if again := n.ask(tx("only", "", "issue:0", 1)); !reflect.DeepEqual(again, only) {
		t.Errorf("asked again after its reference was consumed it is %+v", again)
	}
	// Each uses what the other consumes: the first wins.
	want(t, n.ask(tx("p", "issue:3", "issue:4", 1)), uniqueness.Accepted)
	want(t, n.ask(tx("q", "issue:4", "issue:3", 1)), uniqueness.ReferenceConflict)
}

func TestOutputs(t *testing.T) {
	n := newNotary()
	first := want(t, n.ask(tx("issue", "", "", 32_767)), uniqueness.Accepted)
	if again := n.ask(tx("issue", "", "", 32_767)); !reflect.DeepEqual(again, first) {
		t.Errorf("issued again it is %+v", again)
	}
	spend := tx("spend", "", "", 0)
	for i := range uint32(2048) {
		spend.Inputs = append(spend.Inputs, ledger.StateRef{Transaction: id("issue"), Index: i * 7})
	}
	want(t, n.ask(spend), uniqueness.Accepted)
	want(t, n.ask(tx("x", "issue:32767", "", 0)), uniqueness.InputUnknown)
	// Nothing is made by what was refused.
	want(t, n.ask(tx("bad", "issue:0", "", 3)), uniqueness.InputConflict)
	want(t, n.ask(tx("y", "bad:0", "", 0)), uniqueness.InputUnknown)
}

func TestTime(t *testing.T) {
	n := newNotary()
	n.now = 999
	good := within(tx("in", "", "", 1), 1000, 2000)
	ok := want(t, n.ask(good), uniqueness.Accepted) // at 1000
	n.now = 5000
	if again := n.ask(good); !reflect.DeepEqual(again, ok) {
		t.Errorf("after its window it is %+v", again)
	}
	n = newNotary()
	n.now = 998
	early := within(tx("early", "", "", 1), 1000, 2000)
	a := want(t, n.ask(early), uniqueness.OutOfWindow) // at 999
	if a.Window != early.Window || a.TimeNs != 999_000 {
		t.Errorf("it says %+v", a)
	}
	n.now = 1500
	want(t, n.ask(early), uniqueness.OutOfWindow) // permanently
	n.now = 1999
	want(t, n.ask(within(tx("late", "", "", 1), 1000, 2000)), uniqueness.OutOfWindow) // at 2000
	n.now = 1998
	want(t, n.ask(within(tx("last", "", "", 1), 1000, 2000)), uniqueness.Accepted) // at 1999
	want(t, n.ask(within(tx("no lower bound", "", "", 1), 0, 1<<50)), uniqueness.Accepted)
}

// Of several reasons the first in order is told: inputs unknown, references unknown, inputs consumed, references
// consumed, time.
func TestPrecedence(t *testing.T) {
	n := newNotary()
	want(t, n.ask(tx("issue", "", "", 4)), uniqueness.Accepted)
	want(t, n.ask(tx("spent", "issue:0 issue:1", "", 0)), uniqueness.Accepted)
	closed := func(r uniqueness.Request) uniqueness.Request { return within(r, 0, 1) }
	for name, c := range map[string]struct {
		r    uniqueness.Request
		kind uniqueness.Kind
	}{
		"all":               {closed(tx("1", "nobody:0 issue:0", "nobody:1 issue:1", 0)), uniqueness.InputUnknown},
		"without the first": {closed(tx("2", "issue:0", "nobody:1 issue:1", 0)), uniqueness.ReferenceUnknown},
		"and the second":    {closed(tx("3", "issue:0", "issue:1", 0)), uniqueness.InputConflict},
		"and the third":     {closed(tx("4", "issue:2", "issue:1", 0)), uniqueness.ReferenceConflict},
		"and the fourth":    {closed(tx("5", "issue:2", "issue:3", 0)), uniqueness.OutOfWindow},
	} {
		if a := n.ask(c.r); a.Kind != c.kind {
			t.Errorf("%s: %s, want %s", name, a.Kind, c.kind)
		}
	}
}

func TestReading(t *testing.T) {
	n := newNotary()
	ok := want(t, n.ask(within(tx("issue", "", "", 1), 0, n.now+10)), uniqueness.Accepted)
	refused := want(t, n.ask(tx("bad", "nobody:0", "", 1)), uniqueness.InputUnknown)
	writes := n.writes
	n.now += 1000
	if a := n.ask(reading(within(tx("issue", "", "", 1), 0, 5))); !reflect.DeepEqual(a, ok) {
		t.Errorf("a success is read as %+v", a)
	}
	if a := n.ask(reading(tx("bad", "nobody:0", "", 1))); !reflect.DeepEqual(a, refused) {
		t.Errorf("a refusal is read as %+v", a)
	}
	want(t, n.ask(reading(tx("unseen", "issue:0", "", 1))), uniqueness.NotSeen)
	want(t, n.ask(reading(within(tx("unseen", "issue:0", "", 1), 0, 10))), uniqueness.OutOfWindow)
	early := within(tx("unseen", "issue:0", "", 1), n.now+100, 1<<50)
	want(t, n.ask(reading(early)), uniqueness.TooEarly)
	if n.writes != writes {
		t.Errorf("reading has written %d times", n.writes-writes)
	}
	n.now += 200
	want(t, n.ask(early), uniqueness.Accepted) // reading has decided nothing
}

// naive is the same notary in the plainest form: a list of all that exists and of all that was answered.
type naive struct {
	unspent, consumed map[string]string // state, by whom
	answers           map[ledger.Hash]string
	now               int64
}

func newNaive() *naive {
	return &naive{map[string]string{}, map[string]string{}, map[ledger.Hash]string{}, 1_000_000}
}

func (n *naive) ask(r uniqueness.Request) string {
	n.now++
	return n.at(r, n.now*1000)
}

// at answers at a time, in nanoseconds.
func (n *naive) at(r uniqueness.Request, nowNs int64) string {
	now := nowNs / 1000
	names := func(list []ledger.StateRef) (out []string) {
		for _, s := range list {
			out = append(out, s.String())
		}
		return out
	}
	in, ref := names(r.Inputs), names(r.References)
	all := append(slices.Clone(in), ref...)
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		return "malformed"
	}
	if a, ok := n.answers[r.Tx]; ok {
		return a
	}
	pick := func(list []string, f func(string) bool) string {
		var out []string
		for _, s := range list {
			if f(s) {
				out = append(out, s+" "+n.consumed[s])
			}
		}
		return strings.Join(out, ",")
	}
	unknown := func(s string) bool { return n.unspent[s] == "" && n.consumed[s] == "" }
	taken := func(s string) bool { return n.consumed[s] != "" }
	in1, in2, ref1, ref2 := pick(in, unknown), pick(in, taken), pick(ref, unknown), pick(ref, taken)
	if r.Read {
		switch {
		case now < r.Window.FromUs:
			return "too early"
		case now >= r.Window.UntilUs:
			return "out of window"
		}
		return "not seen"
	}
	answer := fmt.Sprint("accepted at ", nowNs)
	switch {
	case in1 != "":
		answer = "input unknown: " + in1
	case ref1 != "":
		answer = "reference unknown: " + ref1
	case in2 != "":
		answer = "input conflict: " + in2
	case ref2 != "":
		answer = "reference conflict: " + ref2
	case now < r.Window.FromUs || now >= r.Window.UntilUs:
		answer = "out of window"
	default:
		for _, s := range in {
			delete(n.unspent, s)
			n.consumed[s] = r.Tx.String()
		}
		for i := range r.Outputs {
			n.unspent[ledger.StateRef{Transaction: r.Tx, Index: i}.String()] = "yes"
		}
	}
	n.answers[r.Tx] = answer
	return answer
}

// plain writes an answer as naive does.
func plain(a uniqueness.Answer) string {
	var out []string
	for _, s := range a.Unknown {
		out = append(out, s.String()+" ")
	}
	for _, c := range a.Conflicts {
		out = append(out, c.State.String()+" "+c.By.String())
	}
	switch {
	case a.Kind == uniqueness.Accepted:
		return fmt.Sprint("accepted at ", a.TimeNs)
	case len(out) > 0:
		return a.Kind.String() + ": " + strings.Join(out, ",")
	}
	return a.Kind.String()
}

// Whatever is asked in whatever order, the answers are those of the plainest notary.
func TestAgainstTheNaive(t *testing.T) {
	kinds := map[uniqueness.Kind]int{}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		n, m := newNotary(), newNaive()
		var asked []uniqueness.Request
		var made []ledger.StateRef
		for step := range 400 {
			var r uniqueness.Request
			if len(asked) > 0 && rnd.IntN(6) == 0 {
				r = asked[rnd.IntN(len(asked))]
				r.Read = rnd.IntN(3) == 0
			} else {
				r = tx(fmt.Sprint("tx ", seed, " ", step), "", "", uint32(rnd.IntN(4)))
				pick := func() (out []ledger.StateRef) {
					for range rnd.IntN(3) {
						switch {
						case len(made) == 0 || rnd.IntN(30) == 0:
							out = append(out, states("nobody:0")...)
						case rnd.IntN(20) == 0:
							out = append(out, ledger.StateRef{Transaction: asked[rnd.IntN(len(asked))].Tx, Index: uint32(rnd.IntN(4))})
						default:
							out = append(out, made[max(0, len(made)-1-rnd.IntN(20))])
						}
					}
					return out
				}
				r.Inputs, r.References = pick(), pick()
				if rnd.IntN(8) == 0 {
					r = within(r, n.now+int64(rnd.IntN(6))-3, n.now+int64(rnd.IntN(6))-1)
				}
				r.Read = rnd.IntN(20) == 0
				asked = append(asked, r)
			}
			a := n.ask(r)
			if kinds[a.Kind]++; a.Kind == uniqueness.Accepted {
				for i := range r.Outputs {
					made = append(made, ledger.StateRef{Transaction: r.Tx, Index: i})
				}
			}
			if want := m.ask(r); plain(a) != want {
				t.Fatalf("seed %d, step %d: %+v is answered %q, the naive says %q", seed, step, r, plain(a), want)
			}
		}
		if len(n.spent) != len(m.consumed) || len(n.txs) != len(m.answers) {
			t.Fatalf("seed %d: %d states are consumed and %d answers remembered, the naive says %d and %d", seed, len(n.spent), len(n.txs), len(m.consumed), len(m.answers))
		}
	}
	if len(kinds) < int(uniqueness.Malformed) {
		t.Errorf("only these answers came: %v", kinds)
	}
}

func BenchmarkDecide(b *testing.B) {
	n := newNotary()
	n.ask(tx("seed", "", "", 2))
	before := id("seed")
	for i := 0; b.Loop(); i++ {
		next := ledger.Hash{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24), 1}
		if a := n.ask(uniqueness.Request{
			Tx: next, Inputs: []ledger.StateRef{{Transaction: before}, {Transaction: before, Index: 1}}, Outputs: 2, Window: ledger.TimeWindow{UntilUs: 1 << 60},
		}); a.Kind != uniqueness.Accepted {
			b.Fatal(a)
		}
		before = next
	}
}
