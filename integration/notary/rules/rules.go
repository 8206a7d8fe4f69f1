package rules

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/processors/uniqueness"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Statements make the tables and the functions, in the database and schema in which they run.
func Statements() []string {
	return []string{
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
		`CREATE FUNCTION ask_many(asks jsonb, until_us bigint, now_ns bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	a record;
	results text[] := '{}';
BEGIN
	FOR a IN SELECT * FROM jsonb_to_recordset(asks) AS x(me text, names text[], txs text[], idxs bigint[], outputs bigint) LOOP
		results := results || ask(a.me, a.names, a.txs, a.idxs, '{}', '{}', '{}', a.outputs, 0, until_us, false, now_ns + cardinality(results));
	END LOOP;
	RETURN results;
END $$`,
	}
}

// Ask is the statement that asks for one transaction; [Arguments] are its arguments, and it returns one text: [Words].
const Ask = "SELECT ask($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)"

// AskMany is the statement that asks for several: its arguments are what [Batch] writes, the end of their time windows in
// microseconds and the time in nanoseconds, and it returns an array of texts in their order.
const AskMany = "SELECT ask_many($1::text::jsonb,$2,$3)"

// Arguments are a request at a time, as the SQL takes them.
func Arguments(r uniqueness.Request, nowNs int64) []any {
	inNames, inTxs, inIdxs := columns(r.Inputs)
	refNames, refTxs, refIdxs := columns(r.References)
	return []any{r.Tx.String(), inNames, inTxs, inIdxs, refNames, refTxs, refIdxs, int64(r.Outputs), r.Window.FromUs, r.Window.UntilUs, r.Read, nowNs}
}

// Batch writes requests without references for [AskMany].
func Batch(requests []uniqueness.Request) (string, error) {
	type one struct {
		Me      string   `json:"me"`
		Names   []string `json:"names"`
		Txs     []string `json:"txs"`
		Idxs    []int64  `json:"idxs"`
		Outputs int64    `json:"outputs"`
	}
	all := make([]one, len(requests))
	for i, r := range requests {
		if len(r.References) > 0 || r.Read {
			return "", fmt.Errorf("request %s: only checks without references are asked together", r.Tx)
		}
		names, txs, idxs := columns(r.Inputs)
		all[i] = one{r.Tx.String(), names, txs, idxs, int64(r.Outputs)}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("encode requests: %w", err)
	}
	return string(raw), nil
}

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
func columns(all []ledger.StateRef) (names, txs []string, idxs []int64) {
	names, txs, idxs = []string{}, []string{}, []int64{}
	for _, s := range all {
		names, txs, idxs = append(names, s.String()), append(txs, s.Transaction.String()), append(idxs, int64(s.Index))
	}
	return names, txs, idxs
}
