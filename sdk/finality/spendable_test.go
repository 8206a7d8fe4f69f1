package finality

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// registerProposers registers who proposes to issue outputs of any contracts to Bob; the answer is why he refuses.
func registerProposers() {
	flow.Register("propose", func(ctx *flow.Context, contracts []string) (string, error) {
		in := payment{Command: "issue"}
		for range contracts {
			in.Outputs = append(in.Outputs, output{bobName, 1})
		}
		tx, _, err := build(ctx, in)
		if err != nil {
			return "", err
		}
		c := tx.Content()
		for i, name := range contracts {
			c.Outputs[i].Contract = name
		}
		if tx, err = ledger.New(c, tx.Salt()); err != nil {
			return "", err
		}
		own, err := vault.Sign(ctx, c.Signatories[0], tx.ID())
		if err != nil {
			return "", err
		}
		s, err := ctx.OpenSession(bobName, "pay-spendable")
		if err != nil {
			return "", err
		}
		reply := receiveCall(s)
		say := message{kind: proposal, id: tx.ID(), transactions: []signedTransaction{{tx, own}}}
		if err := flow.All(ctx, sendCall(s, say), reply); err != nil {
			return "", err
		}
		_, err = take(s, reply.Value(), tx.ID(), failure)
		return fmt.Sprint(err), nil
	})
}

// Whoever takes what it can spend looks at each output that it would keep, not at the first alone.
func TestSpendableLooksAtEachOutput(t *testing.T) {
	const coin, bond = "test.Coin", "test.Bond" // nobody has bonds
	for name, c := range map[string]struct {
		contracts []string
		want      string
	}{
		"not the first": {[]string{bond, coin}, "it could keep output 0 and not consume it, which has contract test.Bond"},
		"not the last":  {[]string{coin, bond}, "it could keep output 1 and not consume it, which has contract test.Bond"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var got string
			w.alice.Start("propose", c.contracts).Wait().Result(t, &got)
			if !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// What others keep matters to nobody else: of states of a later version, who gets one refuses it, and who only signs does not.
func TestSpendableLooksAtOwnOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		pay     payment
		refuses bool
	}{
		"Bob gets the coin":    {payment{Outputs: []output{{bobName, 10}}}, true},
		"Bob gets one of two":  {payment{Outputs: []output{{aliceName, 4}, {bobName, 6}}}, true},
		"Bob signs, gets none": {payment{Outputs: []output{{aliceName, 10}}, Cosigners: []string{bobName}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			install(flowtest.Package{Name: "coins", Version: "1.0", Signer: "bank", File: []byte("1.0")}, w.bob)
			install(release("2.0", "bank", 1), w.alice)
			c.pay.Command, c.pay.Protocol = "issue", "pay-spendable"
			id, err := w.pay(w.alice, c.pay)
			if !c.refuses {
				if err != nil {
					t.Fatal(err)
				}
				w.want(id, "verified", w.alice, w.bob)
				return
			}
			if err == nil || err.Type != ErrRefused.Type || !strings.Contains(err.Message, "and not consume it, which was made by package coins 2.0, which is later than version 1.0") {
				t.Errorf("got %v", err)
			}
		})
	}
}
