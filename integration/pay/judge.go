package pay

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

// unknowing are the errors with which a flow says that it does not know what became of its transaction.
var unknowing = map[string]bool{"finality-unknown": true, "party-refused": true}

// Judge names all that is wrong with a world in which all flows have ended and every member has repaired.
func Judge(w World) []string {
	var problems []string
	for _, rule := range []func(World) []string{JudgeSums, JudgeSpenders, JudgeAgreement, JudgeFinished, JudgeOutcomes, JudgePools, JudgeNotary} {
		problems = append(problems, rule(w)...)
	}
	return problems
}

// list gathers what a rule finds.
type list []string

func (l *list) add(format string, args ...any) { *l = append(*l, fmt.Sprintf(format, args...)) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// sums are amounts by symbol.
type sums map[string]*big.Rat

func (s sums) add(symbol, amount string, sign int64) {
	if s[symbol] == nil {
		s[symbol] = new(big.Rat)
	}
	s[symbol].Add(s[symbol], new(big.Rat).Mul(big.NewRat(sign, 1), ledger.AmountOf(amount)))
}

func (s sums) of(symbol string) string {
	if s[symbol] == nil {
		return "0"
	}
	return strings.TrimSuffix(s[symbol].RatString(), "/1")
}

// JudgeSums sees that the unspent tokens of all vaults are what was issued less what was redeemed, by the tables and by what
// each member's flow says.
func JudgeSums(w World) (problems []string) {
	var out list
	want, have, told := sums{}, sums{}, sums{}
	all := w.verified()
	for _, o := range w.Ops {
		for _, tx := range all {
			switch {
			case o.Class != Issue && o.Class != Redeem || !w.is(o, tx):
			case o.Class == Issue:
				want.add(o.Symbol, o.Amount, 1)
			default:
				want.add(o.Symbol, o.Amount, -1)
			}
		}
	}
	for _, name := range sorted(w.Vaults) {
		own := sums{}
		for _, s := range w.Vaults[name].States {
			if s.By == "" {
				have.add(s.Symbol, s.Amount, 1)
				own.add(s.Symbol, s.Amount, 1)
			}
		}
		balance := sums{}
		for symbol, a := range w.Vaults[name].Balance {
			told.add(symbol, a, 1)
			balance.add(symbol, a, 1)
		}
		for _, symbol := range symbols(own, balance) {
			if own.of(symbol) != balance.of(symbol) {
				out.add("%s has %s %s in its vault, and its flow says %s", name, own.of(symbol), symbol, balance.of(symbol))
			}
		}
	}
	for _, symbol := range symbols(want, have, told) {
		if want.of(symbol) != have.of(symbol) {
			out.add("%s %s were issued and not redeemed, all vaults together have %s", want.of(symbol), symbol, have.of(symbol))
		}
		if want.of(symbol) != told.of(symbol) {
			out.add("%s %s were issued and not redeemed, all members together say that they have %s", want.of(symbol), symbol, told.of(symbol))
		}
	}
	return out
}

func symbols(all ...sums) []string {
	seen := map[string]bool{}
	for _, s := range all {
		for symbol := range s {
			seen[symbol] = true
		}
	}
	return sorted(seen)
}

// JudgeSpenders sees that no state is consumed by two verified transactions, in one vault or in two, and that a vault's state
// is consumed exactly when a verified transaction consumes it.
func JudgeSpenders(w World) (problems []string) {
	var out list
	spender := map[string]string{}
	all := w.verified()
	for _, id := range sorted(all) {
		for _, ref := range all[id].Inputs {
			if other := spender[ref]; other != "" {
				out.add("state %s is consumed by two verified transactions, %s and %s", ref, other, id)
			}
			spender[ref] = id
		}
	}
	for _, name := range sorted(w.Vaults) {
		for _, ref := range sorted(w.Vaults[name].States) {
			if by := w.Vaults[name].States[ref].By; by != spender[ref] {
				out.add("%s has state %s as consumed by %q, verified transactions say by %q", name, ref, by, spender[ref])
			}
		}
	}
	return out
}

// JudgeAgreement sees that what is verified somewhere is verified, with the same bytes, at all who have it.
func JudgeAgreement(w World) (problems []string) {
	var out list
	all := w.verified()
	for _, name := range sorted(w.Vaults) {
		for _, id := range sorted(w.Vaults[name].Txs) {
			tx := w.Vaults[name].Txs[id]
			same, ok := all[id]
			switch {
			case !ok || tx.Filtered:
			case tx.Status != "V":
				out.add("transaction %s is verified elsewhere, and has status %s at %s", id, tx.Status, name)
			case tx.Bytes != same.Bytes:
				out.add("transaction %s has other bytes at %s than elsewhere", id, name)
			}
		}
	}
	return out
}

// JudgeFinished sees that nothing is unfinished. What its notary has never seen stays unverified until its window has passed:
// the last moment in which somebody could still have it decided.
func JudgeFinished(w World) (problems []string) {
	var out list
	for _, name := range sorted(w.Vaults) {
		for _, id := range sorted(w.Vaults[name].Txs) {
			tx := w.Vaults[name].Txs[id]
			_, decided := w.Memory.Accepted[id]
			switch {
			case tx.Status == "D":
				out.add("transaction %s is a draft at %s", id, name)
			case tx.Status != "U":
			case decided:
				out.add("transaction %s is unverified at %s after repair, and its notary has decided", id, name)
			case tx.Until <= w.Repaired:
				out.add("transaction %s is unverified at %s after repair, and its window has passed", id, name)
			}
		}
	}
	return out
}

// JudgeOutcomes sees that what a flow said is true: one that reported success has its transaction, once, verified at both
// parties; one that failed has none, unless it said that it does not know.
func JudgeOutcomes(w World) (problems []string) {
	var out list
	all := w.verified()
	pairs := map[string][]Op{}
	for _, o := range w.Ops {
		var found []string
		for _, id := range sorted(all) {
			if w.is(o, all[id]) {
				found = append(found, id)
			}
		}
		if len(found) > 1 {
			out.add("%s: it happened %d times, by transactions %v", o, len(found), found)
		}
		switch o.Status {
		case Completed:
			if !slices.Contains(found, o.Transaction) {
				out.add("%s: its flow says transaction %q, verified for it are %v", o, o.Transaction, found)
			}
			for _, party := range []string{o.From, o.To} {
				if w.Vaults[party].Txs[o.Transaction].Status != "V" {
					out.add("%s: its flow reported success, and transaction %s has status %q at %s", o, o.Transaction, w.Vaults[party].Txs[o.Transaction].Status, party)
				}
			}
		case Failed, Killed:
			if len(found) > 0 && !unknowing[o.ErrorType] {
				out.add("%s: its flow failed (%s: %s), and transaction %s is verified", o, o.ErrorType, o.Error, found[0])
			}
		default:
			out.add("%s: its flow has not ended: %q", o, o.Status)
		}
		if o.Class == Spend {
			pairs[o.Input] = append(pairs[o.Input], o)
		}
	}
	for _, input := range sorted(pairs) {
		judgePair(w, &out, input, pairs[input])
	}
	return out
}

// judgePair sees that whoever was refused a state was told by whom it is consumed.
func judgePair(w World, out *list, input string, pair []Op) {
	by := w.Memory.Spent[input]
	for _, o := range pair {
		if o.Status == Failed && o.ErrorType == "transaction-refused" && (by == "" || !strings.Contains(o.Error, by) || !strings.Contains(o.Error, "consumed before")) {
			out.add("%s: it was refused state %s, which transaction %q has consumed, and its error does not say so: %s", o, input, by, o.Error)
		}
	}
	if len(pair) != 2 || pair[0].Status == Completed && pair[1].Status == Completed {
		out.add("state %s was spent %d times: %v", input, len(pair), pair)
	}
}

// JudgePools sees that token selection has exactly the tokens that can be spent, and keeps none from being spent. A pool that
// is not complete has only some of them, and looks into the vault for more.
func JudgePools(w World) (problems []string) {
	var out list
	for _, p := range w.Pools {
		unspent := map[string]bool{}
		for ref, s := range w.Vaults[p.Member].States {
			if s.By == "" && s.Symbol == p.Symbol {
				unspent[ref] = true
			}
		}
		if len(p.Claims) > 0 || p.Waiting > 0 {
			out.add("pool %s of %s: flows %v, which have ended, hold claims, and %d requests wait", p.Symbol, p.Member, p.Claims, p.Waiting)
		}
		for _, ref := range p.Known {
			if !unspent[ref] {
				out.add("pool %s of %s has token %s, which cannot be spent", p.Symbol, p.Member, ref)
			}
			delete(unspent, ref)
		}
		if p.Complete && len(unspent) > 0 {
			out.add("pool %s of %s says that it is complete, and lacks %v", p.Symbol, p.Member, sorted(unspent))
		}
	}
	return out
}

// JudgeNotary sees that the notary has accepted exactly what is verified, and that each input of it is spent by it.
func JudgeNotary(w World) (problems []string) {
	var out list
	all := w.verified()
	spent := map[string]string{}
	for _, id := range sorted(all) {
		if !w.Memory.Accepted[id] {
			out.add("transaction %s is verified, and its notary has not accepted it", id)
		}
		for _, ref := range all[id].Inputs {
			spent[ref] = id
			if by := w.Memory.Spent[ref]; by != id {
				out.add("state %s is consumed by verified transaction %s, the notary says by %q", ref, id, by)
			}
		}
	}
	for _, id := range sorted(w.Memory.Accepted) {
		if _, ok := all[id]; w.Memory.Accepted[id] && !ok {
			out.add("the notary has accepted transaction %s, which is verified nowhere", id)
		}
	}
	for _, ref := range sorted(w.Memory.Spent) {
		if spent[ref] == "" {
			out.add("the notary says that state %s is consumed by %s, and no verified transaction consumes it", ref, w.Memory.Spent[ref])
		}
	}
	return out
}
