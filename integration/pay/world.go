package pay

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Class is what an operation does.
type Class string

// The classes. Each operation has an amount, or a tag, that no other has, so that its transaction can be told.
const (
	Issue  Class = "tokens-issue"
	Pay    Class = "tokens-pay"
	Redeem Class = "tokens-redeem"
	Swap   Class = "tokens-swap"
	// Spend is a payment past token selection: one of two that spend the same token.
	Spend Class = "test-spend"
)

// Op is what a client wanted, and what its flow said.
type Op struct {
	// ID is the client's request.
	ID    string
	Class Class
	// From asks, To is paid, takes back, or has made the offer: names of members.
	From, To string
	// Symbol and Amount are paid, in the text that the ledger has; Tag is on the token that is paid, or empty.
	Symbol, Amount, Tag string
	// GetSymbol and GetAmount are what a swap gets.
	GetSymbol, GetAmount string
	// Input is the state that two spend.
	Input string

	// Status is the flow's, Transaction what it has returned, ErrorType and Error what it failed with.
	Status, Transaction, ErrorType, Error string
}

// Statuses of flows that have ended.
const (
	Completed = "COMPLETED"
	Failed    = "FAILED"
	Killed    = "KILLED"
)

func (o Op) String() string {
	return fmt.Sprintf("%s %s of %s to %s, %s %s", o.ID, o.Class, o.From, o.To, o.Amount, o.Symbol)
}

// Output is a token that a transaction makes.
type Output struct{ Symbol, Amount, Tag string }

// Tx is a transaction as a vault has it.
type Tx struct {
	// Status is U, V, I or D, as the table has it.
	Status string
	// Filtered: proofs alone are there.
	Filtered bool
	// Bytes is a hash of all that is stored of its content.
	Bytes   string
	Inputs  []string
	Outputs []Output
	// Command is the one of the first: fairlead.Token.issue, .transfer or .redeem.
	Command string
	// Until is the end of its window, microseconds since 1970.
	Until int64
}

// State is a token that a vault keeps.
type State struct {
	Symbol, Amount string
	// By is the transaction that has consumed it, empty for none.
	By string
}

// Vault is what a member's database has.
type Vault struct {
	// Txs are by their ids, States by the references "ID:INDEX".
	Txs    map[string]Tx
	States map[string]State
	// Balance is what the member's flow says it has, by symbol.
	Balance map[string]string
}

// Pool are the tokens of one symbol that token selection knows of a member.
type Pool struct {
	Member, Symbol string
	// Known are the tokens that can be chosen. Complete says that these are all.
	Known    []string
	Complete bool
	// Claims are the flows that hold a claim, Waiting how many requests wait.
	Claims  []string
	Waiting int
}

// Memory is what the notary remembers.
type Memory struct {
	// Accepted tells of each transaction that was decided whether it was accepted.
	Accepted map[string]bool
	// Spent has each consumed state's transaction.
	Spent map[string]string
}

// World is all that is judged.
type World struct {
	// Vaults are by the names of their members.
	Vaults map[string]Vault
	Pools  []Pool
	Memory Memory
	Ops    []Op
	// Repaired is when the last repair began, microseconds since 1970.
	Repaired int64
}

// content returns a transaction's content, from a vault that has it whole.
func (w World) content(id string) (Tx, bool) {
	for _, v := range w.Vaults {
		if tx, ok := v.Txs[id]; ok && !tx.Filtered {
			return tx, true
		}
	}
	return Tx{}, false
}

// verified are the transactions that are verified in some vault, with their content.
func (w World) verified() map[string]Tx {
	out := map[string]Tx{}
	for _, v := range w.Vaults {
		for id, tx := range v.Txs {
			if tx.Status == "V" && !tx.Filtered {
				out[id] = tx
			}
		}
	}
	return out
}

// is tells whether a transaction is what an operation wanted.
func (w World) is(o Op, tx Tx) bool {
	has := func(symbol, amount, tag string) bool {
		for _, out := range tx.Outputs {
			if out == (Output{symbol, amount, tag}) {
				return true
			}
		}
		return false
	}
	switch o.Class {
	case Redeem:
		if !strings.HasSuffix(tx.Command, ".redeem") {
			return false
		}
		sum := new(big.Rat)
		for _, ref := range tx.Inputs {
			made, at := w.made(ref)
			if at < 0 || made[at].Symbol != o.Symbol {
				return false
			}
			sum.Add(sum, ledger.AmountOf(made[at].Amount))
		}
		return sum.Cmp(ledger.AmountOf(o.Amount)) == 0
	case Swap:
		return has(o.Symbol, o.Amount, "") && has(o.GetSymbol, o.GetAmount, "")
	default:
		return has(o.Symbol, o.Amount, o.Tag)
	}
}

// made are the outputs of the transaction that made a state, and which of them it is; -1 for none.
func (w World) made(ref string) ([]Output, int) {
	id, index := "", -1
	if at := strings.LastIndexByte(ref, ':'); at > 0 {
		id = ref[:at]
		if _, err := fmt.Sscanf(ref[at+1:], "%d", &index); err != nil {
			index = -1
		}
	}
	tx, ok := w.content(id)
	if !ok || index >= len(tx.Outputs) {
		return nil, -1
	}
	return tx.Outputs, index
}
