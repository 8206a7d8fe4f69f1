package notary

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fairleadio/fairlead/integration/notary/rules"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// recalled is a memory of maps.
type recalled struct {
	txs   map[ledger.Hash]uniqueness.Record
	spent map[ledger.StateRef]ledger.Hash
}

func (m recalled) Tx(id ledger.Hash) (uniqueness.Record, bool) { r, ok := m.txs[id]; return r, ok }
func (m recalled) Spender(s ledger.StateRef) (by ledger.Hash, spent bool) {
	by, spent = m.spent[s]
	return by, spent
}

// TestSQL asks the decision and the database the same, at random, and compares every answer and what is remembered at the
// end.
func TestSQL(t *testing.T) {
	url := pgtest.Database(t)
	seed := seedOf(t)
	rnd := rand.New(rand.NewPCG(seed, 3))
	db := pgtest.Open(t, postgres.Config{URL: url})
	for _, statement := range rules.Statements() {
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%v\n%s", err, statement)
		}
	}
	m := recalled{map[ledger.Hash]uniqueness.Record{}, map[ledger.StateRef]ledger.Hash{}}
	var asked []uniqueness.Request
	var made []ledger.StateRef
	kinds := map[uniqueness.Kind]int{}
	now := int64(1_000_000_000)
	const count = 4000
	for n := range count {
		now += 1 + rnd.Int64N(3000)
		var r uniqueness.Request
		if len(asked) > 0 && rnd.IntN(6) == 0 {
			r = asked[rnd.IntN(len(asked))]
			r.Read = rnd.IntN(3) == 0
		} else {
			r = uniqueness.Request{Tx: id(fmt.Sprint("tx ", n)), Outputs: uint32(rnd.IntN(4)), Window: ledger.TimeWindow{UntilUs: 1 << 60}, Read: rnd.IntN(20) == 0}
			pick := func() (out []ledger.StateRef) {
				for range rnd.IntN(4) {
					s := ledger.StateRef{Transaction: id("nobody"), Index: uint32(rnd.IntN(2))}
					switch {
					case len(made) > 0 && rnd.IntN(20) != 0:
						s = made[max(0, len(made)-1-rnd.IntN(20))]
					case len(asked) > 0 && rnd.IntN(2) == 0:
						s = ledger.StateRef{Transaction: asked[rnd.IntN(len(asked))].Tx, Index: uint32(rnd.IntN(4))}
					}
					out = append(out, s)
				}
				return out
			}
			r.Inputs, r.References = pick(), pick()
			if rnd.IntN(8) == 0 {
				r.Window = ledger.TimeWindow{FromUs: now/1000 + rnd.Int64N(9) - 4, UntilUs: now/1000 + rnd.Int64N(9) - 2}
			}
			asked = append(asked, r)
		}
		a, e := uniqueness.Decide(m, r, now)
		kinds[a.Kind]++
		if e.Record != nil {
			m.txs[r.Tx] = *e.Record
		}
		for _, s := range e.Spent {
			m.spent[s] = r.Tx
		}
		if a.Kind == uniqueness.Accepted {
			for i := range r.Outputs {
				made = append(made, ledger.StateRef{Transaction: r.Tx, Index: i})
			}
		}
		var want string
		err := db.One(t.Context(), []any{&want}, rules.Ask, rules.Arguments(r, now)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := rules.Words(a); got != want {
			t.Fatalf("request %d, %+v at %d\nis answered %q\nSQL says    %q", n, r, now, got, want)
		}
	}
	var txs, spent int
	if err := db.One(t.Context(), []any{&txs, &spent}, "SELECT (SELECT count(*) FROM tx), (SELECT count(*) FROM spent)"); err != nil {
		t.Fatal(err)
	}
	if txs != len(m.txs) || spent != len(m.spent) {
		t.Errorf("SQL remembers %d transactions and %d states, the decision %d and %d", txs, spent, len(m.txs), len(m.spent))
	}
	for k := uniqueness.Accepted; k <= uniqueness.Malformed; k++ {
		if kinds[k] == 0 {
			t.Errorf("no request was answered %s", k)
		}
	}
	t.Logf("%d requests compared with PostgreSQL: %v", count, kinds)
}

// TestSQLTogether asks for several transactions in one statement: each sees what those before it did.
func TestSQLTogether(t *testing.T) {
	db := pgtest.Open(t, postgres.Config{URL: pgtest.Database(t)})
	for _, statement := range rules.Statements() {
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%v\n%s", err, statement)
		}
	}
	issue, spend, again := ledger.Hash(id("issue")), ledger.Hash(id("spend")), ledger.Hash(id("again"))
	state := ledger.StateRef{Transaction: issue}
	asks, err := rules.Batch([]uniqueness.Request{{Tx: issue, Outputs: 1}, {Tx: spend, Inputs: []ledger.StateRef{state}}, {Tx: again, Inputs: []ledger.StateRef{state}}, {Tx: issue}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := db.One(t.Context(), []any{&got}, rules.AskMany, asks, int64(1<<60), int64(7000)); err != nil {
		t.Fatal(err)
	}
	want := []string{"accepted at 7000", "accepted at 7001", fmt.Sprintf("input conflict: %s %s", state, spend), "accepted at 7000"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := rules.Batch([]uniqueness.Request{{Tx: issue, References: []ledger.StateRef{state}}}); err == nil {
		t.Error("a request with references is asked together")
	}
}
