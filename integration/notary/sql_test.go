package notary

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// rules are the same rules in SQL, over the tables that a notary with a database would have.
var rules = []string{
	`CREATE TABLE tx (id text PRIMARY KEY, answer text NOT NULL, outputs bigint NOT NULL)`,
	`CREATE TABLE spent (tx text, idx bigint, by text NOT NULL, PRIMARY KEY (tx, idx))`,
	`CREATE FUNCTION list(names text[], txs text[], idxs bigint[], what text, me text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(s.name || ' ' || coalesce(p.by, ''), ',' ORDER BY s.n)
	FROM unnest(names, txs, idxs) WITH ORDINALITY s(name, tx, idx, n)
	LEFT JOIN spent p ON p.tx = s.tx AND p.idx = s.idx
	LEFT JOIN tx t ON t.id = s.tx AND t.answer LIKE 'accepted%' AND s.idx < t.outputs
	WHERE CASE what WHEN 'unknown' THEN t.id IS NULL ELSE p.by IS NOT NULL AND p.by <> me END
$$`,
	`CREATE FUNCTION ask(me text, in_names text[], in_txs text[], in_idxs bigint[], ref_names text[], ref_txs text[], ref_idxs bigint[],
	outputs bigint, from_us bigint, until_us bigint, reading boolean, now_ns bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	now_us bigint := now_ns / 1000;
BEGIN
	IF until_us <= 0 OR (SELECT count(*) <> count(DISTINCT n) FROM unnest(in_names || ref_names) n) THEN
		RETURN 'malformed';
	END IF;
	SELECT t.answer INTO result FROM tx t WHERE t.id = me;
	IF FOUND THEN
		RETURN result;
	END IF;
	IF reading THEN
		RETURN CASE WHEN now_us < from_us THEN 'too early' WHEN now_us >= until_us THEN 'out of window' ELSE 'not seen' END;
	END IF;
	result := coalesce(
		'input unknown: ' || list(in_names, in_txs, in_idxs, 'unknown', me),
		'reference unknown: ' || list(ref_names, ref_txs, ref_idxs, 'unknown', me),
		'input conflict: ' || list(in_names, in_txs, in_idxs, 'spent', me),
		'reference conflict: ' || list(ref_names, ref_txs, ref_idxs, 'spent', me),
		CASE WHEN now_us < from_us OR now_us >= until_us THEN 'out of window' END,
		'accepted at ' || now_ns);
	INSERT INTO tx VALUES (me, result, CASE WHEN result LIKE 'accepted%' THEN outputs ELSE 0 END);
	IF result LIKE 'accepted%' THEN
		INSERT INTO spent SELECT s.tx, s.idx, me FROM unnest(in_txs, in_idxs) s(tx, idx);
	END IF;
	RETURN result;
END $$`,
}

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

// inWords writes an answer as the SQL does.
func inWords(a uniqueness.Answer) string {
	var states []string
	for _, s := range a.Unknown {
		states = append(states, s.String()+" ")
	}
	for _, c := range a.Conflicts {
		states = append(states, c.State.String()+" "+c.By.String())
	}
	switch {
	case a.Kind == uniqueness.Accepted:
		return fmt.Sprint("accepted at ", a.TimeNs)
	case len(states) > 0:
		return a.Kind.String() + ": " + strings.Join(states, ",")
	}
	return a.Kind.String()
}

// columns are states as the SQL takes them.
func columns(all []ledger.StateRef) (names, txs []string, idxs []int64) {
	names, txs, idxs = []string{}, []string{}, []int64{}
	for _, s := range all {
		names, txs, idxs = append(names, s.String()), append(txs, s.Transaction.String()), append(idxs, int64(s.Index))
	}
	return names, txs, idxs
}

// TestSQL asks the decision and the database the same, at random, and compares every answer and what is remembered at the
// end.
func TestSQL(t *testing.T) {
	url := pgtest.Database(t)
	seed := seedOf(t)
	rnd := rand.New(rand.NewPCG(seed, 3))
	db := pgtest.Open(t, postgres.Config{URL: url})
	for _, statement := range rules {
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
		inNames, inTxs, inIdxs := columns(r.Inputs)
		refNames, refTxs, refIdxs := columns(r.References)
		var want string
		err := db.One(t.Context(), []any{&want}, "SELECT ask($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)", r.Tx.String(), inNames, inTxs, inIdxs,
			refNames, refTxs, refIdxs, int64(r.Outputs), r.Window.FromUs, r.Window.UntilUs, r.Read, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := inWords(a); got != want {
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
