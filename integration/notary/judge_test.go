package notary

import (
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
)

func answer(t *testing.T, tx string, result appv1.UniquenessResult, at int64) *appv1.UniquenessAnswer {
	t.Helper()
	h := id(tx)
	return &appv1.UniquenessAnswer{Transaction: h[:], Result: result, DecidedAtNs: at}
}

// perfect is a run without fault: an issuance, a payment, a double spend, each seen before the next, and one repeated.
func perfect(t *testing.T) ([]Asked, map[string][]byte) {
	t.Helper()
	const n = "AAAAAAAAAAA1"
	issue := Ask{Notary: n, Tx: "issue", Outputs: 2}
	pay := Ask{Notary: n, Tx: "pay", Inputs: []Ref{{"issue", 0}}, Outputs: 1}
	double := Ask{Notary: n, Tx: "double", Inputs: []Ref{{"issue", 0}, {"issue", 1}}}
	refused := answer(t, "double", appv1.UniquenessResult_UNIQUENESS_RESULT_INPUT_CONFLICT, 3000)
	from, by := id("issue"), id("pay")
	refused.Conflicts = []*appv1.UniquenessConflict{{State: &ledgerv1.StateRef{Transaction: from[:]}, ConsumedBy: by[:]}}
	history := []Asked{
		{Ask: issue, Called: 1, Returned: 2, Replies: 1, Answer: answer(t, "issue", appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED, 1000)},
		{Ask: pay, Called: 3, Returned: 4, Replies: 1, Answer: answer(t, "pay", appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED, 2000)},
		{Ask: double, Called: 5, Returned: 6, Replies: 1, Answer: refused},
		{Ask: pay, Called: 7, Returned: 8, Replies: 1, Answer: answer(t, "pay", appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED, 2000)},
	}
	rows := map[string][]byte{}
	for _, a := range history {
		row := proto.Clone(a.Answer).(*appv1.UniquenessAnswer)
		row.Transaction = nil
		rows[txKey(n, a.Tx)] = mustMarshal(t, &uniquenessv1.Transaction{Answer: row})
	}
	rows[spentKey(n, Ref{"issue", 0})] = mustMarshal(t, &uniquenessv1.Spent{By: by[:]})
	return history, rows
}

func mustMarshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := schemas.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The judge sees no fault where there is none, and each fault where there is one.
func TestJudge(t *testing.T) {
	history, rows := perfect(t)
	if p := Judge(history, rows); len(p) != 0 {
		t.Fatalf("a perfect run: %v", p)
	}
	accepted := appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED
	for name, c := range map[string]struct {
		spoil func(h []Asked, rows map[string][]byte)
		want  string
	}{
		"no answer":            {func(h []Asked, _ map[string][]byte) { h[1].Replies = 0 }, "has 0 answers"},
		"two answers":          {func(h []Asked, _ map[string][]byte) { h[1].Replies = 2 }, "has 2 answers"},
		"no answer to be read": {func(h []Asked, _ map[string][]byte) { h[1].Answer = nil }, "cannot be read"},
		"another's answer":     {func(h []Asked, _ map[string][]byte) { h[1].Answer = h[0].Answer }, "is answered about issue"},
		"a double spend":       {func(h []Asked, _ map[string][]byte) { h[2].Answer = answer(t, "double", accepted, 3000) }, "was consumed by pay and by double"},
		"not linearizable": {func(h []Asked, _ map[string][]byte) {
			h[0], h[1] = h[1], h[0]
			h[0].Called, h[0].Returned, h[1].Called, h[1].Returned = 1, 2, 3, 4
		}, "not linearizable"},
		"another answer later": {func(h []Asked, _ map[string][]byte) {
			h[3].Answer = answer(t, "pay", appv1.UniquenessResult_UNIQUENESS_RESULT_OUT_OF_WINDOW, 2000)
		}, "not linearizable"},
		"another time later": {func(h []Asked, _ map[string][]byte) { h[3].Answer.DecidedAtNs = 2001 }, "was decided at 2000 and at 2001"},
		"one time for two":   {func(h []Asked, _ map[string][]byte) { h[2].Answer.DecidedAtNs = 2000 }, "were decided at one time"},
		"time goes back":     {func(h []Asked, _ map[string][]byte) { h[2].Answer.DecidedAtNs = 1500 }, "was asked for after an answer of time 2000"},
		"a row is missing":   {func(_ []Asked, r map[string][]byte) { delete(r, txKey("AAAAAAAAAAA1", "double")) }, "has no row"},
		"a row says more": {func(_ []Asked, r map[string][]byte) {
			r[txKey("AAAAAAAAAAA1", "pay")] = r[txKey("AAAAAAAAAAA1", "issue")]
		}, "the row of pay says"},
		"a state is forgotten": {func(_ []Asked, r map[string][]byte) { delete(r, spentKey("AAAAAAAAAAA1", Ref{"issue", 0})) }, "a state that pay has consumed"},
		"a row too many":       {func(_ []Asked, r map[string][]byte) { r["x"] = nil }, "the store has 5 rows"},
	} {
		t.Run(name, func(t *testing.T) {
			history, rows := perfect(t)
			c.spoil(history, rows)
			if got := strings.Join(Judge(history, rows), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("the judge says %q", got)
			}
		})
	}
}

// A story has what makes it hard.
func TestStory(t *testing.T) {
	story := Story(rand.New(rand.NewPCG(1, 2)), []string{"AAAAAAAAAAA1", "BBBBBBBBBBB2"}, 60)
	asked, reads, spends := map[string]int{}, 0, map[Ref]map[string]bool{}
	for _, a := range story {
		asked[a.Tx]++
		if a.Read {
			reads++
		}
		for _, r := range a.Inputs {
			if spends[r] == nil {
				spends[r] = map[string]bool{}
			}
			spends[r][a.Tx] = true
		}
	}
	fought := 0
	for _, txs := range spends {
		if len(txs) > 1 {
			fought++
		}
	}
	if len(asked) != 360 || len(story) < 600 || reads < 50 || fought < 60 {
		t.Errorf("%d transactions, %d requests, %d reads, %d states that several want", len(asked), len(story), reads, fought)
	}
}
