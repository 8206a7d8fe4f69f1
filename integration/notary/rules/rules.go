package rules

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/processors/uniqueness"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Statements make the tables and the functions, in the database and schema in which they run. States are looked up by their
// keys, in one statement for all of a list.
func Statements() []string {
	return []string{
		`CREATE TABLE tx (id bytea PRIMARY KEY, answer text NOT NULL, outputs bigint NOT NULL)`,
		`CREATE TABLE spent (tx bytea, idx bigint, by bytea NOT NULL, PRIMARY KEY (tx, idx))`,
		`CREATE FUNCTION name(id bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper(encode(id, 'hex')) $$`,
		`CREATE FUNCTION ask(me bytea, in_txs bytea[], in_idxs bigint[], ref_txs bytea[], ref_idxs bigint[],
	outputs bigint, from_us bigint, until_us bigint, reading boolean, now_ns bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	listed text;
	now_us bigint := now_ns / 1000;
	ins int := cardinality(in_txs);
	refs int := cardinality(ref_txs);
BEGIN
	IF until_us <= 0 OR ins + refs > 1 AND (SELECT count(*) <> count(DISTINCT (s.tx, s.idx)) FROM unnest(in_txs || ref_txs, in_idxs || ref_idxs) s(tx, idx)) THEN
		RETURN 'malformed';
	END IF;
	SELECT t.answer INTO result FROM tx t WHERE t.id = me;
	IF FOUND THEN
		RETURN result;
	END IF;
	IF reading THEN
		RETURN CASE WHEN now_us < from_us THEN 'too early' WHEN now_us >= until_us THEN 'out of window' ELSE 'not seen' END;
	END IF;
	IF ins > 0 THEN` + unknown("in", "input") + `
	END IF;
	IF result IS NULL AND refs > 0 THEN` + unknown("ref", "reference") + `
	END IF;
	IF result IS NULL AND ins > 0 THEN` + conflict("in", "input") + `
	END IF;
	IF result IS NULL AND refs > 0 THEN` + conflict("ref", "reference") + `
	END IF;
	IF result IS NULL THEN
		result := CASE WHEN now_us < from_us OR now_us >= until_us THEN 'out of window' ELSE 'accepted at ' || now_ns END;
	END IF;
	IF result LIKE 'accepted%' THEN
		INSERT INTO tx VALUES (me, result, outputs);
		IF ins > 0 THEN
			INSERT INTO spent SELECT s.tx, s.idx, me FROM unnest(in_txs, in_idxs) s(tx, idx);
		END IF;
	ELSE
		INSERT INTO tx VALUES (me, result, 0);
	END IF;
	RETURN result;
END $$`,
		`CREATE FUNCTION ask_many(asks jsonb, until_us bigint, now_ns bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	a record;
	results text[] := '{}';
BEGIN
	FOR a IN SELECT * FROM jsonb_to_recordset(asks) AS x(me bytea, txs bytea[], idxs bigint[], outputs bigint) LOOP
		results := results || ask(a.me, a.txs, a.idxs, '{}', '{}', a.outputs, 0, until_us, false, now_ns + cardinality(results));
	END LOOP;
	RETURN results;
END $$`,
	}
}

// unknown looks for states of a list that nobody has made.
func unknown(list, word string) string {
	return strings.NewReplacer("LIST", list, "WORD", word).Replace(`
		SELECT string_agg(name(s.tx) || ':' || s.idx || ' ', ',' ORDER BY s.n) INTO listed
		FROM unnest(LIST_txs, LIST_idxs) WITH ORDINALITY s(tx, idx, n)
		LEFT JOIN tx t ON t.id = s.tx AND t.answer LIKE 'accepted%' AND s.idx < t.outputs
		WHERE t.id IS NULL;
		result := 'WORD unknown: ' || listed;`)
}

// conflict looks for states of a list that others have consumed.
func conflict(list, word string) string {
	return strings.NewReplacer("LIST", list, "WORD", word).Replace(`
		SELECT string_agg(name(s.tx) || ':' || s.idx || ' ' || name(p.by), ',' ORDER BY s.n) INTO listed
		FROM unnest(LIST_txs, LIST_idxs) WITH ORDINALITY s(tx, idx, n)
		JOIN spent p ON p.tx = s.tx AND p.idx = s.idx
		WHERE p.by <> me;
		result := 'WORD conflict: ' || listed;`)
}

// Ask is the statement that asks for one transaction; [Arguments] are its arguments, and it returns one text: [Words].
const Ask = "SELECT ask($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)"

// AskMany is the statement that asks for several: its arguments are what [Batch] writes, the end of their time windows in
// microseconds and the time in nanoseconds, and it returns an array of texts in their order.
const AskMany = "SELECT ask_many($1::text::jsonb,$2,$3)"

// Arguments are a request at a time, as the SQL takes them.
func Arguments(r uniqueness.Request, nowNs int64) []any {
	inTxs, inIdxs := columns(r.Inputs)
	refTxs, refIdxs := columns(r.References)
	return []any{r.Tx[:], inTxs, inIdxs, refTxs, refIdxs, int64(r.Outputs), r.Window.FromUs, r.Window.UntilUs, r.Read, nowNs}
}

// Batch writes requests without references for [AskMany].
func Batch(requests []uniqueness.Request) (string, error) {
	type one struct {
		Me      string   `json:"me"`
		Txs     []string `json:"txs"`
		Idxs    []int64  `json:"idxs"`
		Outputs int64    `json:"outputs"`
	}
	all := make([]one, len(requests))
	for i, r := range requests {
		if len(r.References) > 0 || r.Read {
			return "", fmt.Errorf("request %s: only checks without references are asked together", r.Tx)
		}
		txs, idxs := columns(r.Inputs)
		all[i] = one{hexed(r.Tx[:]), make([]string, len(txs)), idxs, int64(r.Outputs)}
		for j := range txs {
			all[i].Txs[j] = hexed(txs[j])
		}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("encode requests: %w", err)
	}
	return string(raw), nil
}

// hexed is how a bytea is written in JSON.
func hexed(b []byte) string { return `\x` + hex.EncodeToString(b) }

// Words writes an answer as the SQL does.
func Words(a uniqueness.Answer) string {
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
func columns(all []ledger.StateRef) (txs [][]byte, idxs []int64) {
	txs, idxs = make([][]byte, len(all)), make([]int64, len(all))
	for i := range all {
		txs[i], idxs[i] = all[i].Transaction[:], int64(all[i].Index)
	}
	return txs, idxs
}
