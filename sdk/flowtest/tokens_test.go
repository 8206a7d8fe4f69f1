package flowtest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/tokens"
	"github.com/fairleadio/fairlead/sdk/vault"
)

var pounds = tokens.Pool{Type: "cash", Symbol: "GBP", Issuer: ledger.Hash{7}, Notary: "O=Notary, L=London, C=GB"}

// mint stores a verified transaction with tokens, all visible.
func mint(ctx *flow.Context, salt byte, list []ledger.Token, inputs ...ledger.StateRef) (*ledger.Transaction, error) {
	plain, err := made(ctx, salt, len(list), inputs...)
	if err != nil {
		return nil, err
	}
	c := plain.Content()
	var visible []int
	for i := range list {
		list[i].Type, list[i].Symbol, list[i].Issuer = "cash", "GBP", ledger.Hash{7}
		c.Outputs[i].Contract, c.Outputs[i].Token = "cash", &list[i]
		visible = append(visible, i)
	}
	tx, err := ledger.New(c, ledger.Salt{salt})
	if err != nil {
		return nil, err
	}
	_, _, err = vault.Store(ctx, tx, vault.Verified, vault.Options{Visible: visible})
	return tx, err
}

// A state of another contract is in no pool, whatever it says that it is worth: no payment meets it.
func TestCounterfeitTokens(t *testing.T) {
	alice := flowtest.New(t).Member("O=Alice, L=London, C=GB")
	onLedger(t, alice, func(ctx *flow.Context) (any, error) {
		plain, err := made(ctx, 9, 1)
		if err != nil {
			return nil, err
		}
		c := plain.Content()
		c.Outputs[0].Token = &ledger.Token{Type: pounds.Type, Symbol: pounds.Symbol, Issuer: pounds.Issuer, Amount: "1000000"}
		tx, err := ledger.New(c, ledger.Salt{9})
		if err != nil {
			return nil, err
		}
		if _, _, err = vault.Store(ctx, tx, vault.Verified, vault.Options{Visible: []int{0}}); err != nil {
			return nil, err
		}
		if claim, err := tokens.Claim(ctx, pounds, "1", tokens.Options{}); !errors.Is(err, tokens.ErrNotEnough) {
			t.Errorf("%+v, %v", claim, err)
		}
		b, err := tokens.Balance(ctx, pounds, tokens.Options{})
		if b.Total != "0" {
			t.Errorf("%+v", b)
		}
		return nil, err
	})
}

// A claim has at most 1,500 tokens: more is another error than too little, with what to do.
func TestTooManyTokens(t *testing.T) {
	alice := flowtest.New(t).Member("O=Alice, L=London, C=GB")
	onLedger(t, alice, func(ctx *flow.Context) (any, error) {
		list := make([]ledger.Token, 1501)
		for i := range list {
			list[i].Amount = "1"
		}
		if _, err := mint(ctx, 1, list); err != nil {
			return nil, err
		}
		if _, err := tokens.Claim(ctx, pounds, "1501", tokens.Options{}); !errors.Is(err, tokens.ErrTooMany) || !strings.Contains(err.Error(), "merge some first") {
			t.Errorf("%v", err)
		}
		c, err := tokens.Claim(ctx, pounds, "1500", tokens.Options{})
		if len(c.Tokens) != 1500 {
			t.Errorf("%d tokens", len(c.Tokens))
		}
		return nil, err
	})
}

func TestTokens(t *testing.T) {
	net := flowtest.New(t)
	alice := net.Member("O=Alice, L=London, C=GB")
	owner := ledger.Hash{1}
	onLedger(t, alice, func(ctx *flow.Context) (any, error) {
		_, err := mint(ctx, 1, []ledger.Token{{Amount: "5", Tag: "gold", Priority: 2}, {Amount: "0.3", Tag: "silver", Priority: 1}, {Amount: "0.7", Owner: owner}})
		return nil, err
	})
	var first tokens.Claimed
	onLedger(t, alice, func(ctx *flow.Context) (any, error) {
		for _, c := range []struct {
			amount string
			o      tokens.Options
			want   string
		}{
			{"0.2", tokens.Options{Strategy: tokens.ByPriority}, "0.3"},
			{"1", tokens.Options{Owner: owner}, "not enough"},
			{"0.7", tokens.Options{Owner: owner}, "0.7"},
			{"5", tokens.Options{TagRegex: "^si"}, "not enough"},
			{"5", tokens.Options{TagRegex: "o.d"}, "5"},
			{"6", tokens.Options{}, "6"},
			{"6.1", tokens.Options{}, "not enough"},
		} {
			got := "not enough"
			claim, err := tokens.Claim(ctx, pounds, c.amount, c.o)
			if err == nil {
				got, err = claim.Amount, tokens.Release(ctx, claim)
			}
			if err != nil && !errors.Is(err, tokens.ErrNotEnough) {
				return nil, err
			}
			if got != c.want {
				t.Errorf("%s with %+v: %s, want %s", c.amount, c.o, got, c.want)
			}
		}
		for _, bad := range []tokens.Options{{TagRegex: "("}, {Strategy: 3}} {
			if _, err := tokens.Claim(ctx, pounds, "1", bad); !errors.Is(err, flow.ErrInvalidArgument) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		var err error
		if first, err = tokens.Claim(ctx, pounds, "5.5", tokens.Options{}); err != nil {
			return nil, err
		}
		if _, err := tokens.Claim(ctx, pounds, "5", tokens.Options{}); !errors.Is(err, tokens.ErrNotEnough) {
			return nil, fmt.Errorf("what is claimed was claimed again: %w", err)
		}
		whole, err := tokens.Balance(ctx, pounds, tokens.Options{})
		if err != nil {
			return nil, err
		}
		if tagged, err := tokens.Balance(ctx, pounds, tokens.Options{TagRegex: "gold"}); err != nil || tagged.Total != "5" || whole.Total != "6" {
			t.Errorf("balances %+v of gold, %+v of all, %v", tagged, whole, err)
		}
		return nil, ctx.Sleep(11 * time.Minute)
	})
	// The claim is too old, and its flow has ended.
	onLedger(t, alice, func(ctx *flow.Context) (any, error) {
		claim, err := tokens.Claim(ctx, pounds, "6", tokens.Options{})
		if err != nil {
			return nil, err
		}
		if _, err := mint(ctx, 2, []ledger.Token{{Amount: "6"}}, claim.Refs()...); err != nil {
			return nil, err
		}
		if err := tokens.Release(ctx, claim, claim.Refs()...); err != nil {
			return nil, err
		}
		b, err := tokens.Balance(ctx, pounds, tokens.Options{})
		if b != (tokens.Amounts{Total: "6", Available: "6"}) {
			t.Errorf("balance %+v", b)
		}
		return nil, err
	})
	if len(first.Tokens) == 0 {
		t.Error("nothing was claimed")
	}
}

// What a flow keeps before it is made is nobody else's when it is made.
func TestKeep(t *testing.T) {
	alice := flowtest.New(t).Member("O=Alice, L=London, C=GB")
	onLedger(t, alice, func(ctx *flow.Context) (any, error) {
		tx, err := made(ctx, 1, 1)
		if err != nil {
			return nil, err
		}
		c := tx.Content()
		c.Outputs[0].Token = &ledger.Token{Type: pounds.Type, Symbol: pounds.Symbol, Issuer: pounds.Issuer, Amount: "5"}
		c.Outputs[0].Contract = pounds.Type
		if tx, err = ledger.New(c, ledger.Salt{1}); err != nil {
			return nil, err
		}
		kept, err := tokens.Keep(ctx, pounds, tx.Output(0))
		if err != nil {
			return nil, err
		}
		if _, _, err = vault.Store(ctx, tx, vault.Verified, vault.Options{Visible: []int{0}}); err != nil {
			return nil, err
		}
		if claim, err := tokens.Claim(ctx, pounds, "5", tokens.Options{}); !errors.Is(err, tokens.ErrNotEnough) {
			t.Errorf("%+v, %v", claim, err)
		}
		if _, err := tokens.Keep(ctx, pounds, tx.Output(0)); !errors.Is(err, tokens.ErrTaken) {
			t.Errorf("kept twice: %v", err)
		}
		if _, err := tokens.Keep(ctx, pounds); !errors.Is(err, flow.ErrInvalidArgument) {
			t.Errorf("nothing is kept: %v", err)
		}
		if err := tokens.Release(ctx, kept); err != nil {
			return nil, err
		}
		if kept, err = tokens.Keep(ctx, pounds, tx.Output(0)); err != nil || kept.Amount != "5" {
			t.Errorf("%+v, %v", kept, err)
		}
		return nil, err
	})
}
