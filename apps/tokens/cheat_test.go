package main

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

func init() { flow.Register("test-cheat", cheat) }

// Messages of finality, as docs/write-an-app/finality.md names them.
const (
	proposal = 1
	signed   = 4
	failure  = 6
)

// message writes a message of finality about a transaction.
func message(kind uint64, id ledger.Hash) []byte {
	return blob(number(number(nil, 1, 1), 2, kind), 3, id[:])
}

func number(out []byte, field, n uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(out, field<<3), n)
}

func blob(out []byte, field uint64, b []byte) []byte {
	return append(binary.AppendUvarint(binary.AppendUvarint(out, field<<3|2), uint64(len(b))), b...)
}

// cheating is the argument of flow test-cheat: an offer that is taken, and what is said once the other side has signed.
type cheating struct {
	Swapping
	Say string
}

// cheat takes an offer as Swap does, keeps the other side's signature, and says that it comes to nothing.
func cheat(ctx *flow.Context, in cheating) (string, error) {
	pay, err := valueOf(ctx, "pay", in.Pay)
	if err != nil {
		return "", err
	}
	s, err := ctx.OpenSession(in.With, swapping, flow.CloseNotRequired()) // the other side's flow will fail
	if err != nil {
		return "", err
	}
	q, err := flow.SendAndReceive[quote](s, ask{in.Offer})
	if err != nil {
		return "", err
	}
	laid, err := finality.Receive(ctx, s, nil)
	if err != nil {
		return "", err
	}
	given, err := token.Read(laid.Transaction.Content().Outputs[0])
	if err != nil {
		return "", err
	}
	p, err := choose(ctx, []ledger.PublicKey{q.Take.Issuer}, pay.symbol, "", pay.amount)
	if err != nil {
		return "", err
	}
	d, _, err := p.pay(token.Payment{To: q.Take.Owner, Amount: pay.amount})
	if err != nil {
		return "", err
	}
	got := given
	got.Owner = p.held[0].Token.Owner
	d.inputs, d.outputs = append(d.inputs, token.Held{Ref: laid.Transaction.Output(0), Token: given}), append(d.outputs, got)
	if err := d.say(token.Transfer, given.Issuer, given.Symbol); err != nil {
		return "", err
	}
	tx, err := d.build(ctx)
	if err != nil {
		return "", err
	}
	own, err := sign(ctx, tx)
	if err != nil {
		return "", err
	}
	if err := s.SendBytes(blob(message(proposal, tx.ID()), 4, blob(blob(nil, 1, tx.Encode()), 2, own[0].Encode()))); err != nil {
		return "", err
	}
	b, err := s.ReceiveBytes()
	if err != nil || len(b) < 4 || b[3] != signed {
		return "", fmt.Errorf("the other side did not sign: %q, %w", b, err)
	}
	end := []byte("nonsense")
	if in.Say != "" {
		end = blob(number(message(failure, tx.ID()), 9, 1), 10, []byte(in.Say)) // class 1: it will never be final
	}
	if err := s.SendBytes(end); err != nil {
		return "", err
	}
	return tx.ID().String(), s.Close()
}

// Who has a member's signature under an exchange does not get another by saying that it came to nothing.
func TestSignedOnce(t *testing.T) {
	for _, say := range []string{"refused", ""} {
		w := newWorld(t)
		w.issue(w.alice, "10")
		w.must(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("1")}) // so that Bob knows where Alice's 9 come from
		w.must(w.mint, "tokens-issue", Issuing{To: w.bob.Name(), Symbol: "EUR", Amount: "20"})
		var o Offered
		w.bob.Start("tokens-offer", Offering{w.alice.Name(), w.eur("7"), w.gbp("8")}).Wait().Result(t, &o)
		swap := Swapping{With: w.bob.Name(), Offer: o.Offer, Pay: w.gbp("8"), Get: w.eur("7")}
		if end := w.alice.Start("test-cheat", cheating{swap, say}).Wait(); end.Err != nil {
			t.Fatal(end.Err)
		}
		w.net.Settle()
		w.refused(w.alice, "tokens-swap", swap, flow.ErrSessionFailed.Type, "was taken")
	}
}

// sign signs without finality.
func sign(ctx *flow.Context, tx *ledger.Transaction) (out []ledger.Signature, err error) {
	keys, err := signers(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		signed, err := vault.Sign(ctx, k, tx.ID())
		if err != nil {
			return nil, err
		}
		out = append(out, signed...)
	}
	return out, nil
}
