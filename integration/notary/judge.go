package notary

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
)

// Asked is a request with what came of it.
type Asked struct {
	Ask
	// Called and Returned are when the client asked and had its answer; nanoseconds of one clock.
	Called, Returned int64
	Answer           *appv1.UniquenessAnswer
	// Replies counts the answers that came.
	Replies int
}

// words are an answer without its time, names being those of the story.
func (a Asked) words(names map[[32]byte]string) string {
	out := strings.TrimPrefix(a.Answer.GetResult().String(), "UNIQUENESS_RESULT_")
	for _, s := range a.Answer.GetUnknown() {
		out += fmt.Sprintf(" %s:%d", names[[32]byte(s.GetTransaction())], s.GetIndex())
	}
	for _, c := range a.Answer.GetConflicts() {
		out += fmt.Sprintf(" %s:%d/%s", names[[32]byte(c.GetState().GetTransaction())], c.GetState().GetIndex(), names[[32]byte(c.GetConsumedBy())])
	}
	return out
}

// Judge names every difference between a history, with what its store has by key, and what a notary would have done.
func Judge(history []Asked, rows map[string][]byte) []string {
	var problems []string
	add := func(format string, args ...any) {
		if len(problems) < 30 {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	names := map[[32]byte]string{}
	for _, a := range history {
		names[id(a.Tx)] = a.Tx
		for _, r := range slices.Concat(a.Inputs, a.References) {
			names[id(r.Tx)] = r.Tx
		}
	}
	whole := history[:0:0]
	for _, a := range history {
		tx := id(a.Tx)
		switch {
		case a.Replies != 1:
			add("a request for %s has %d answers", a.Tx, a.Replies)
		case a.Answer == nil:
			add("the answer about %s cannot be read", a.Tx)
		case string(a.Answer.GetTransaction()) != string(tx[:]):
			add("a request for %s is answered about %s", a.Tx, names[[32]byte(a.Answer.GetTransaction())])
		default:
			whole = append(whole, a)
		}
	}
	judgeTimes(whole, add)
	judgeRows(whole, rows, names, add)
	judgeOrder(whole, names, add)
	return problems
}

// place names a transaction of a notary.
type place struct{ notary, tx string }

// judgeTimes sees that a decision has one time, another one another, and that whoever asks later is not decided earlier.
func judgeTimes(history []Asked, add func(string, ...any)) {
	times, owner := map[place]int64{}, map[string]map[int64]string{}
	for _, a := range history {
		if a.Read {
			continue
		}
		at, now := place{a.Notary, a.Tx}, a.Answer.GetDecidedAtNs()
		if before, ok := times[at]; ok && before != now {
			add("%s was decided at %d and at %d", a.Tx, before, now)
		}
		times[at] = now
		if owner[a.Notary] == nil {
			owner[a.Notary] = map[int64]string{}
		}
		if other, ok := owner[a.Notary][now]; ok && other != a.Tx {
			add("%s and %s of notary %s were decided at one time", other, a.Tx, a.Notary)
		}
		owner[a.Notary][now] = a.Tx
	}
	// By notary: the greatest time among the answers that were there when a transaction was first asked for.
	byNotary := map[string][]Asked{}
	for _, a := range history {
		if !a.Read {
			byNotary[a.Notary] = append(byNotary[a.Notary], a)
		}
	}
	for _, all := range byNotary {
		first := map[string]Asked{}
		for _, a := range all {
			if f, ok := first[a.Tx]; !ok || a.Called < f.Called {
				first[a.Tx] = a
			}
		}
		calls := slices.SortedFunc(maps.Values(first), func(a, b Asked) int { return cmp.Compare(a.Called, b.Called) })
		returned := slices.SortedFunc(slices.Values(all), func(a, b Asked) int { return cmp.Compare(a.Returned, b.Returned) })
		greatest, n := int64(0), 0
		for _, a := range calls {
			for ; n < len(returned) && returned[n].Returned < a.Called; n++ {
				greatest = max(greatest, returned[n].Answer.GetDecidedAtNs())
			}
			if a.Answer.GetDecidedAtNs() <= greatest {
				add("%s was asked for after an answer of time %d and was decided at %d", a.Tx, greatest, a.Answer.GetDecidedAtNs())
			}
		}
	}
}

// judgeRows sees that the store says what the answers say.
func judgeRows(history []Asked, rows map[string][]byte, names map[[32]byte]string, add func(string, ...any)) {
	txs, spenders := map[place]Asked{}, map[string]string{}
	for _, a := range history {
		if a.Read {
			continue
		}
		at := place{a.Notary, a.Tx}
		if _, again := txs[at]; again {
			continue
		}
		txs[at] = a
		if a.Answer.GetResult() != appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED {
			continue
		}
		for _, r := range a.Inputs {
			key := spentKey(a.Notary, r)
			if other, ok := spenders[key]; ok && other != a.Tx {
				add("state %s:%d of notary %s was consumed by %s and by %s", r.Tx, r.Index, a.Notary, other, a.Tx)
			}
			spenders[key] = a.Tx
		}
	}
	for at, a := range txs {
		var row uniquenessv1.Transaction
		raw := rows[txKey(at.notary, at.tx)]
		if raw == nil || proto.Unmarshal(raw, &row) != nil {
			add("%s of notary %s has no row that can be read", at.tx, at.notary)
			continue
		}
		want := proto.Clone(a.Answer).(*appv1.UniquenessAnswer)
		want.Transaction = nil
		if !proto.Equal(row.GetAnswer(), want) {
			add("the row of %s says %v, the answer was %v", at.tx, row.GetAnswer(), want)
		}
	}
	for key, tx := range spenders {
		var row uniquenessv1.Spent
		by := id(tx)
		if raw := rows[key]; raw == nil || proto.Unmarshal(raw, &row) != nil || string(row.GetBy()) != string(by[:]) {
			add("a state that %s has consumed: its row says %s", tx, names[[32]byte(append(row.GetBy(), by[len(row.GetBy()):]...))])
		}
	}
	if len(rows) != len(txs)+len(spenders) {
		add("the store has %d rows; %d transactions were decided, which consumed %d states", len(rows), len(txs), len(spenders))
	}
}

func txKey(notary, tx string) string {
	h := id(tx)
	return "t" + notary + string(h[:])
}

func spentKey(notary string, r Ref) string {
	h := id(r.Tx)
	return "s" + notary + string(h[:]) + string([]byte{byte(r.Index >> 24), byte(r.Index >> 16), byte(r.Index >> 8), byte(r.Index)})
}

// memory is the plainest notary: what was answered, who has consumed what, how many states there are. It is not changed
// once made.
type memory struct {
	answers map[string]string
	spent   map[Ref]string
	outputs map[string]int32
}

// answer is what a notary with this memory answers, and its memory thereafter.
func (m memory) answer(a Ask) (string, memory) {
	if before, ok := m.answers[a.Tx]; ok {
		return before, m
	}
	if a.Read {
		if a.Never {
			return "OUT_OF_WINDOW", m
		}
		return "NOT_SEEN", m
	}
	unknown := func(all []Ref) (out string) {
		for _, r := range all {
			if int64(r.Index) >= int64(m.outputs[r.Tx]) {
				out += fmt.Sprintf(" %s:%d", r.Tx, r.Index)
			}
		}
		return out
	}
	taken := func(all []Ref) (out string) {
		for _, r := range all {
			if by, ok := m.spent[r]; ok {
				out += fmt.Sprintf(" %s:%d/%s", r.Tx, r.Index, by)
			}
		}
		return out
	}
	next := memory{maps.Clone(m.answers), m.spent, m.outputs}
	answer := "ACCEPTED"
	if u := unknown(a.Inputs); u != "" {
		answer = "INPUT_UNKNOWN" + u
	} else if u := unknown(a.References); u != "" {
		answer = "REFERENCE_UNKNOWN" + u
	} else if c := taken(a.Inputs); c != "" {
		answer = "INPUT_CONFLICT" + c
	} else if c := taken(a.References); c != "" {
		answer = "REFERENCE_CONFLICT" + c
	} else if a.Never {
		answer = "OUT_OF_WINDOW"
	} else {
		next.spent, next.outputs = maps.Clone(m.spent), maps.Clone(m.outputs)
		for _, r := range a.Inputs {
			next.spent[r] = a.Tx
		}
		next.outputs[a.Tx] = a.Outputs
	}
	next.answers[a.Tx] = answer
	return answer, next
}

// judgeOrder asks porcupine whether some order of the requests that clients could have seen explains all answers.
func judgeOrder(history []Asked, names map[[32]byte]string, add func(string, ...any)) {
	model := porcupine.Model{
		Init: func() any { return memory{map[string]string{}, map[Ref]string{}, map[string]int32{}} },
		Step: func(state, input, output any) (bool, any) {
			got, next := state.(memory).answer(input.(Ask))
			return got == output.(string), next
		},
		Equal: func(a, b any) bool {
			x, y := a.(memory), b.(memory)
			return maps.Equal(x.answers, y.answers) && maps.Equal(x.spent, y.spent) && maps.Equal(x.outputs, y.outputs)
		},
	}
	byFamily := map[int][]porcupine.Operation{}
	for _, a := range history {
		byFamily[a.Family] = append(byFamily[a.Family], porcupine.Operation{Input: a.Ask, Output: a.words(names), Call: a.Called, Return: a.Returned})
	}
	for f, ops := range byFamily {
		if r := porcupine.CheckOperationsTimeout(model, ops, time.Minute); r != porcupine.Ok {
			text := ""
			slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
			for _, o := range ops {
				a := o.Input.(Ask)
				text += fmt.Sprintf("\n  %d..%d %s in=%v ref=%v out=%d read=%v never=%v: %s", o.Call, o.Return, a.Tx, a.Inputs, a.References, a.Outputs, a.Read, a.Never, o.Output)
			}
			add("family %d is not linearizable (%s):%s", f, r, text)
		}
	}
}
