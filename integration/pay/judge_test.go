package pay

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// right is a world with nothing wrong: 10 GBP issued to Alice, who pays Bob 3; Bob redeems 2, after a split of his 3; Alice
// and Bob exchange; two spend one token; one payment was refused, one is not known to be refused.
func right() World {
	tx := func(status, command string, inputs []string, outputs ...Output) Tx {
		return Tx{Status: status, Bytes: "bytes", Command: "fairlead.Token." + command, Inputs: inputs, Outputs: outputs, Until: 100}
	}
	in := func(refs ...string) []string { return refs }
	issue := tx("V", "issue", nil, Output{"GBP", "10", "i"})
	euros := tx("V", "issue", nil, Output{"EUR", "5", "e"})
	pay := tx("V", "transfer", in("ISSUE:0"), Output{"GBP", "3", "p"}, Output{"GBP", "7", ""})
	split := tx("V", "transfer", in("PAY:0"), Output{"GBP", "2", ""}, Output{"GBP", "1", ""})
	redeem := tx("V", "redeem", in("SPLIT:0"))
	swap := tx("V", "transfer", in("PAY:1", "EUROS:0"), Output{"GBP", "6.5", ""}, Output{"GBP", "0.5", ""}, Output{"EUR", "5", ""})
	first := tx("V", "transfer", in("SWAP:1"), Output{"GBP", "0.5", "da"})
	second := tx("I", "transfer", in("SWAP:1"), Output{"GBP", "0.5", "db"})
	young := tx("U", "transfer", in("SWAP:2"), Output{"EUR", "5", "y"})
	alice, bob, bank := Vault{}, Vault{}, Vault{}
	alice.Txs = map[string]Tx{"ISSUE": issue, "PAY": pay, "EUROS": euros, "SWAP": swap, "FIRST": first, "SECOND": second, "YOUNG": young}
	bob.Txs = map[string]Tx{"ISSUE": issue, "EUROS": euros, "PAY": pay, "SPLIT": split, "REDEEM": redeem, "SWAP": swap, "FIRST": first}
	bank.Txs = map[string]Tx{"ISSUE": issue, "EUROS": euros, "PAY": pay, "SPLIT": split, "REDEEM": redeem}
	alice.States = map[string]State{"ISSUE:0": {"GBP", "10", "PAY"}, "PAY:1": {"GBP", "7", "SWAP"}, "SWAP:1": {"GBP", "0.5", "FIRST"}, "SWAP:2": {"EUR", "5", ""}}
	bob.States = map[string]State{
		"EUROS:0": {"EUR", "5", "SWAP"}, "PAY:0": {"GBP", "3", "SPLIT"}, "SPLIT:0": {"GBP", "2", "REDEEM"}, "SPLIT:1": {"GBP", "1", ""},
		"SWAP:0": {"GBP", "6.5", ""}, "FIRST:0": {"GBP", "0.5", ""},
	}
	alice.Balance, bob.Balance = map[string]string{"EUR": "5"}, map[string]string{"GBP": "8"}
	return World{
		Vaults: map[string]Vault{"Alice": alice, "Bob": bob, "Bank": bank},
		Pools: []Pool{
			{Member: "Alice", Symbol: "EUR", Known: []string{"SWAP:2"}, Complete: true}, {Member: "Alice", Symbol: "GBP", Complete: true},
			{Member: "Bob", Symbol: "GBP", Known: []string{"SPLIT:1"}},
		},
		Memory: Memory{
			Accepted: map[string]bool{"ISSUE": true, "EUROS": true, "PAY": true, "SPLIT": true, "REDEEM": true, "SWAP": true, "FIRST": true, "SECOND": false},
			Spent: map[string]string{
				"ISSUE:0": "PAY", "PAY:0": "SPLIT", "PAY:1": "SWAP", "EUROS:0": "SWAP", "SPLIT:0": "REDEEM", "SWAP:1": "FIRST",
			},
		},
		Ops: []Op{
			{ID: "1", Class: Issue, From: "Bank", To: "Alice", Symbol: "GBP", Amount: "10", Tag: "i", Status: Completed, Transaction: "ISSUE"},
			{ID: "2", Class: Issue, From: "Bank", To: "Bob", Symbol: "EUR", Amount: "5", Tag: "e", Status: Completed, Transaction: "EUROS"},
			{ID: "3", Class: Pay, From: "Alice", To: "Bob", Symbol: "GBP", Amount: "3", Tag: "p", Status: Completed, Transaction: "PAY"},
			{ID: "4", Class: Redeem, From: "Bob", To: "Bank", Symbol: "GBP", Amount: "2", Status: Completed, Transaction: "REDEEM"},
			{ID: "5", Class: Swap, From: "Alice", To: "Bob", Symbol: "GBP", Amount: "6.5", GetSymbol: "EUR", GetAmount: "5", Status: Completed, Transaction: "SWAP"},
			{ID: "6", Class: Spend, From: "Alice", To: "Bob", Symbol: "GBP", Amount: "0.5", Tag: "da", Input: "SWAP:1", Status: Failed, ErrorType: "finality-unknown"},
			{ID: "7", Class: Spend, From: "Alice", To: "Bank", Symbol: "GBP", Amount: "0.5", Tag: "db", Input: "SWAP:1", Status: Failed, ErrorType: "transaction-refused",
				Error: "it consumes states that were consumed before: SWAP:1 by transaction FIRST"},
			{ID: "8", Class: Pay, From: "Alice", To: "Bank", Symbol: "EUR", Amount: "5", Tag: "y", Status: Failed, ErrorType: "transaction-refused"},
			{ID: "9", Class: Pay, From: "Bank", To: "Bob", Symbol: "EUR", Amount: "500", Tag: "n", Status: Killed},
		},
		Repaired: 50,
	}
}

func TestRightWorld(t *testing.T) {
	if p := Judge(right()); len(p) > 0 {
		t.Errorf("nothing is wrong, and the judge says\n%s", strings.Join(p, "\n"))
	}
}

// with changes a transaction in a vault.
func (w World) with(member, id string, change func(*Tx)) {
	tx := w.Vaults[member].Txs[id]
	tx.Inputs, tx.Outputs = slices.Clone(tx.Inputs), slices.Clone(tx.Outputs)
	change(&tx)
	w.Vaults[member].Txs[id] = tx
}

// Each rule finds what it is for: a fault is in the list of its rule, and its text names it.
func TestEveryRuleCanFail(t *testing.T) {
	unverified := func(tx *Tx) { tx.Status = "U" }
	for _, c := range []struct {
		name  string
		rule  func(World) []string
		spoil func(w *World)
		want  string
	}{
		{"a token is lost", JudgeSums, func(w *World) { delete(w.Vaults["Bob"].States, "SPLIT:1") }, "8 GBP were issued and not redeemed, all vaults together have 7"},
		{"a token is there twice", JudgeSums, func(w *World) { w.Vaults["Alice"].States["SPLIT:1"] = State{"GBP", "1", ""} }, "all vaults together have 9"},
		{"a balance is another", JudgeSums, func(w *World) { w.Vaults["Bob"].Balance["GBP"] = "8.5" }, "all members together say that they have 17/2"},
		{"a balance is another's", JudgeSums, func(w *World) {
			w.Vaults["Bob"].Balance["GBP"], w.Vaults["Alice"].Balance["GBP"] = "7", "1"
		}, "Bob has 8 GBP in its vault, and its flow says 7"},
		{"an issue that nobody asked for", JudgeSums, func(w *World) { w.Ops = w.Ops[1:] }, "-2 GBP were issued"},
		{"two spenders", JudgeSpenders, func(w *World) { w.with("Alice", "SECOND", func(tx *Tx) { tx.Status = "V" }) }, "consumed by two verified transactions, FIRST and SECOND"},
		{"two spenders in two vaults", JudgeSpenders, func(w *World) {
			w.Vaults["Bank"].Txs["SECOND"] = Tx{Status: "V", Inputs: []string{"SWAP:1"}}
		}, "consumed by two verified transactions, FIRST and SECOND"},
		{"a state that stays unspent", JudgeSpenders, func(w *World) { w.Vaults["Alice"].States["ISSUE:0"] = State{"GBP", "10", ""} }, `Alice has state ISSUE:0 as consumed by "", verified transactions say by "PAY"`},
		{"a state that nobody consumed", JudgeSpenders, func(w *World) { w.Vaults["Bob"].States["SPLIT:1"] = State{"GBP", "1", "X"} }, `consumed by "X", verified transactions say by ""`},
		{"unverified at one", JudgeAgreement, func(w *World) { w.with("Bob", "PAY", unverified) }, "PAY is verified elsewhere, and has status U at Bob"},
		{"invalid at one", JudgeAgreement, func(w *World) { w.with("Bank", "REDEEM", func(tx *Tx) { tx.Status = "I" }) }, "REDEEM is verified elsewhere, and has status I at Bank"},
		{"other bytes", JudgeAgreement, func(w *World) { w.with("Bob", "SWAP", func(tx *Tx) { tx.Bytes = "others" }) }, "SWAP has other bytes at"},
		{"undone although it was decided", JudgeFinished, func(w *World) { w.with("Alice", "SECOND", unverified) }, "SECOND is unverified at Alice after repair, and its notary has decided"},
		{"undone although its time is over", JudgeFinished, func(w *World) { w.with("Alice", "YOUNG", func(tx *Tx) { tx.Until = 50 }) }, "its window has passed"},
		{"a draft", JudgeFinished, func(w *World) { w.with("Alice", "YOUNG", func(tx *Tx) { tx.Status = "D" }) }, "YOUNG is a draft at Alice"},
		{"paid twice", JudgeOutcomes, func(w *World) { w.Vaults["Bob"].Txs["AGAIN"] = w.Vaults["Bob"].Txs["PAY"] }, "it happened 2 times, by transactions [AGAIN PAY]"},
		{"redeemed twice", JudgeOutcomes, func(w *World) { w.Vaults["Bob"].Txs["AGAIN"] = w.Vaults["Bob"].Txs["REDEEM"] }, "it happened 2 times"},
		{"another's transaction", JudgeOutcomes, func(w *World) { w.Ops[2].Transaction = "SPLIT" }, `its flow says transaction "SPLIT", verified for it are [PAY]`},
		{"not at the other party", JudgeOutcomes, func(w *World) { delete(w.Vaults["Bob"].Txs, "PAY") }, `reported success, and transaction PAY has status "" at Bob`},
		{"failed and done", JudgeOutcomes, func(w *World) { w.Ops[2].Status, w.Ops[2].ErrorType = Failed, "transaction-refused" }, "its flow failed (transaction-refused: ), and transaction PAY is verified"},
		{"not ended", JudgeOutcomes, func(w *World) { w.Ops[8].Status = "RUNNING" }, `its flow has not ended: "RUNNING"`},
		{"refused without a reason", JudgeOutcomes, func(w *World) {
			w.Ops[6].Error = "it consumes states that were consumed before: SWAP:1 by transaction OTHER"
		}, "its error does not say so"},
		{"both spend", JudgeOutcomes, func(w *World) { w.Ops[5].Status, w.Ops[6].Status = Completed, Completed }, "state SWAP:1 was spent 2 times"},
		{"a claim of a flow that has ended", JudgePools, func(w *World) { w.Pools[1].Claims = []string{"flow"} }, "pool GBP of Alice: flows [flow], which have ended, hold claims"},
		{"a request that waits", JudgePools, func(w *World) { w.Pools[1].Waiting = 1 }, "1 requests wait"},
		{"a spent token in a pool", JudgePools, func(w *World) { w.Pools[2].Known = []string{"PAY:0"} }, "pool GBP of Bob has token PAY:0, which cannot be spent"},
		{"a token that a pool lacks", JudgePools, func(w *World) { w.Pools[2].Complete = true }, "lacks [FIRST:0 SWAP:0]"},
		{"not accepted", JudgeNotary, func(w *World) { w.Memory.Accepted["PAY"] = false }, "PAY is verified, and its notary has not accepted it"},
		{"not remembered", JudgeNotary, func(w *World) { delete(w.Memory.Spent, "PAY:0") }, `consumed by verified transaction SPLIT, the notary says by ""`},
		{"accepted and nowhere", JudgeNotary, func(w *World) { w.Memory.Accepted["SECOND"] = true }, "accepted transaction SECOND, which is verified nowhere"},
		{"spent by nobody", JudgeNotary, func(w *World) { w.Memory.Spent["SWAP:2"] = "YOUNG" }, "SWAP:2 is consumed by YOUNG, and no verified transaction consumes it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := right()
			for name, v := range w.Vaults { // transactions of one map are not another's
				v.Txs = maps.Clone(v.Txs)
				w.Vaults[name] = v
			}
			c.spoil(&w)
			found := c.rule(w)
			if !slices.ContainsFunc(found, func(p string) bool { return strings.Contains(p, c.want) }) {
				t.Errorf("the rule says %q, want %q", found, c.want)
			}
		})
	}
}
