// Command tokens is an application of money: issuers issue tokens, members pay with them, exchange them and redeem them.
package main

import (
	"errors"
	"strings"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/contract/exact"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/native"
)

// The protocols: who is paid, who takes back, who exchanges.
const (
	receiving = "tokens-receive"
	redeeming = "tokens-take-back"
	swapping  = "tokens-exchange"
)

func init() {
	exact.Learn[token.Token]()
	exact.Learn[token.Of]()
	contract.Register(token.Contract, token.Verify)
	flow.Register("tokens-issue", Issue)
	flow.Register("tokens-pay", Pay)
	flow.Register("tokens-redeem", Redeem)
	flow.Register("tokens-balance", Balance)
	flow.Register("tokens-offer", Offer)
	flow.Register("tokens-swap", Swap)
	flow.Register("tokens-repair", Repair)
	flow.Responder(receiving, Receive)
	flow.Responder(redeeming, TakeBack)
	flow.Responder(swapping, Exchange)
}

// main is for debugging: on the platform it is never called.
func main() { native.Main() }

// Final is a transaction that is final, and who has what of it.
type Final struct {
	// Transaction is its id.
	Transaction string `json:"transaction"`
	// Change is what came back, empty for nothing.
	Change flow.Decimal `json:"change,omitempty"`
}

func badInput(format string, args ...any) error {
	return flow.Errorf("bad-input", format, args...)
}

// amountOf reads an amount as people write it: 10.50 is 10.5. Field is the argument's, for the error.
func amountOf(field string, d flow.Decimal) (amount.Amount, error) {
	s := strings.TrimLeft(string(d), "0")
	if whole, fraction, point := strings.Cut(s, "."); point {
		if s = whole; s == "" {
			s = "0"
		}
		if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
			s += "." + fraction
		}
	}
	a, err := amount.Parse(s)
	if err != nil {
		return a, badInput("field %s is %q: it is a number more than 0 in plain digits, such as 10 or 0.25", field, string(d))
	}
	return a, nil
}

// checkSymbol refuses what is no symbol, before anything is asked with it. Field is the argument's, for the error.
func checkSymbol(field, symbol string) error {
	if err := token.CheckSymbol("field "+field, symbol); err != nil {
		return badInput("%s", err)
	}
	return nil
}

// memberOf finds a member by its X.500 name. Field is the argument's, for the error.
func memberOf(ctx *flow.Context, field, name string) (flow.Member, error) {
	m, err := ctx.Member(name)
	var e *flow.Error
	switch {
	case name == "":
		return m, badInput("field %s is empty: it is the X.500 name of a member, such as O=Alice, L=London, C=GB", field)
	case errors.As(err, &e):
		return m, flow.Errorf(e.Type, "field %s is %q: %s. It is the X.500 name of a member, such as O=Alice, L=London, C=GB", field, name, e.Message)
	}
	return m, err
}

// keysOf are a member's ledger keys, the current one first. Field is the argument's, for the error.
func keysOf(ctx *flow.Context, field, name string) ([]ledger.PublicKey, error) {
	m, err := memberOf(ctx, field, name)
	if err != nil {
		return nil, err
	}
	if len(m.LedgerKeys) == 0 {
		return nil, flow.Errorf("no-key", "%s has no ledger key: its operator makes one with fairlead key generate VNODE ledger LEDGER", m.X500Name)
	}
	var out []ledger.PublicKey
	for _, k := range m.LedgerKeys {
		out = append(out, ledger.PublicKey(k))
	}
	return out, nil
}

// mineOf tells which keys are the virtual node's ledger keys.
func mineOf(ctx *flow.Context) (token.Mine, error) {
	keys, err := ctx.Keys("LEDGER")
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, k := range keys {
		own[string(k.PublicKey)] = true
	}
	return func(k ledger.PublicKey) bool { return own[string(k)] }, nil
}
