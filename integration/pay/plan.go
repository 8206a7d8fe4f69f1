package pay

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Members of the group. The bank issues, and is paid like everybody; the notary has no money.
const (
	Bank   = "O=Bank, L=London, C=GB"
	Alice  = "O=Alice, L=London, C=GB"
	Bob    = "O=Bob, L=Paris, C=FR"
	Carol  = "O=Carol, L=Rome, C=IT"
	Notary = "O=Notary, L=London, C=GB"
)

var (
	traders = []string{Alice, Bob, Carol, Bank}
	// kinds are what is paid with; spare is what some spend twice.
	kinds = []string{"GBP", "EUR"}
	spare = "XAU"
)

// unique is an amount that no other number has: it is told from others by its four decimal places.
func unique(rnd *rand.Rand, n int) string {
	return strings.TrimRight(fmt.Sprintf("%d.%04d", 1+rnd.IntN(40), n), "0")
}

// opening are the tokens that there are at first: some of each kind for every trader, so that they can pay at once.
func opening() []Op {
	var out []Op
	for _, to := range traders {
		for _, symbol := range kinds {
			for range 3 {
				out = append(out, Op{Class: Issue, From: Bank, To: to, Symbol: symbol, Amount: "100"})
			}
		}
		out = append(out, Op{Class: Issue, From: Bank, To: to, Symbol: spare, Amount: "1"})
	}
	return out
}

// Draw makes the n-th of the random operations, from 1 to 9,999.
func Draw(rnd *rand.Rand, n int) Op {
	o := Op{Class: Pay, Symbol: kinds[rnd.IntN(len(kinds))], Amount: unique(rnd, n)}
	from := rnd.IntN(len(traders))
	to := (from + 1 + rnd.IntN(len(traders)-1)) % len(traders)
	o.From, o.To = traders[from], traders[to]
	switch d := rnd.IntN(100); {
	case d < 12:
		o.Class, o.To = Redeem, Bank
	case d < 20:
		o.Class, o.From = Issue, Bank
	case d < 30:
		o.Class, o.GetSymbol, o.GetAmount = Swap, kinds[0], unique(rnd, n)
		if o.Symbol == kinds[0] {
			o.GetSymbol = kinds[1]
		}
	case d < 35:
		o.To = o.From // to oneself, which merges
	}
	return o
}

// money is an amount as the flows take it.
type money struct {
	Issuer string `json:"issuer"`
	Symbol string `json:"symbol"`
	Amount string `json:"amount"`
}

// argument is that of an operation's flow. coin is what is spent, as the test's own flow has told it; offer is that of a
// swap.
func (o Op) argument(coin json.RawMessage, offer string) any {
	paid := money{Bank, o.Symbol, o.Amount}
	switch o.Class {
	case Issue:
		return map[string]any{"to": o.To, "symbol": o.Symbol, "amount": o.Amount, "tag": o.Tag}
	case Redeem:
		return paid
	case Swap:
		return map[string]any{"with": o.To, "offer": offer, "pay": paid, "get": money{Bank, o.GetSymbol, o.GetAmount}}
	case Spend:
		return map[string]any{"coin": coin, "to": o.To, "tag": o.Tag}
	default:
		return map[string]any{"to": o.To, "issuer": Bank, "symbol": o.Symbol, "amount": o.Amount, "tag": o.Tag}
	}
}

// offer is the argument of the flow that makes a swap's offer.
func (o Op) offer() any {
	return map[string]any{"to": o.From, "give": money{Bank, o.GetSymbol, o.GetAmount}, "take": money{Bank, o.Symbol, o.Amount}}
}
