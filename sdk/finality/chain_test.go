package finality

import (
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// An attacker has a transaction notarised that breaks the contracts, and keeps it as verified.
func registerForgers() {
	flow.Register("export", func(ctx *flow.Context, id string) ([]byte, error) {
		h, err := ledger.ParseHash(id)
		if err != nil {
			return nil, err
		}
		found, err := vault.Find(ctx, h)
		return found.Transaction.Encode(), err
	})
	flow.Register("mark", func(ctx *flow.Context, encoded []byte) (string, error) {
		tx, err := ledger.Decode(encoded)
		if err != nil {
			return "", err
		}
		_, _, err = vault.Store(ctx, tx, vault.Invalid, vault.Options{})
		return "", err
	})
	flow.Register("forge", func(ctx *flow.Context, in payment) (string, error) {
		tx, _, err := build(ctx, in)
		if err != nil {
			return "", err
		}
		q, err := ask(tx, notary.Write)
		if err != nil {
			return "", err
		}
		own, err := vault.Sign(ctx, tx.Content().Signatories[0], tx.ID())
		if err != nil {
			return "", err
		}
		s, err := Options{}.notarise(ctx, service{member: notaryName, protocol: notary.Protocol}, q, nil, nil)
		if err != nil {
			return "", err
		}
		_, _, err = vault.Store(ctx, tx, vault.Verified, vault.Options{Signatures: append(own, s), Visible: []int{0}})
		return tx.ID().String(), err
	})
}

// trusting is a notary that needs no backchain; a real one verifies.
func trusting(ctx *flow.Context, s *flow.Session, r notary.Request, key []byte) error {
	_, w, err := r.Filtered.Notary()
	if err != nil {
		return err
	}
	inputs, err := r.Filtered.Inputs()
	if err != nil {
		return err
	}
	n, _ := r.Filtered.Count(ledger.GroupOutputs)
	u := flow.Uniqueness{Transaction: r.Filtered.ID(), Outputs: n, Until: time.UnixMicro(w.UntilUs)}
	for _, i := range inputs {
		u.Inputs = append(u.Inputs, flow.StateRef{Transaction: i.Transaction, Index: i.Index})
	}
	if a, err := ctx.CheckUniqueness(u); err != nil || a.Result != flow.Accepted {
		return flow.Errorf("refused", "%v %v", a.Result, err)
	}
	sigs, err := vault.Sign(ctx, key, u.Transaction)
	if err != nil {
		return err
	}
	return s.SendBytes(notary.Answer{Transaction: u.Transaction, Class: notary.Signed, Signature: sigs[0], Result: flow.Accepted}.Encode())
}

// With a notary that verifies, parties see no more than the states that they get and what these prove.
func TestProofsInsteadOfBackchain(t *testing.T) {
	w := newWorld(t)
	w.notary.Publish(notary.PropertyProtocol, "bad-notary-trusting")
	w.notary.Publish(notary.PropertyBackchain, "false")
	a := w.issue(w.alice, 10)
	first, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.pay(w.bob, payment{Inputs: []string{ref(first, 0)}, Outputs: []output{{carolName, 10}}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(first, "verified", w.alice, w.bob)
	w.want(a, "filtered", w.bob)
	w.want(second, "verified", w.bob, w.carol)
	w.want(first, "filtered", w.carol)
	w.want(a, "", w.carol)
}

// A notary that has changed its key stands for what the old one signed, as long as it publishes it.
func TestNotaryWithTwoKeys(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10)
	w.notary.NewKey("NOTARY", "second")
	first, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}, NotaryKey: 1})
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.pay(w.bob, payment{Inputs: []string{ref(first, 0)}, Outputs: []output{{carolName, 10}}, NotaryKey: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.want(second, "verified", w.bob, w.carol)
	w.want(a, "verified", w.carol)
}

// The notary that cannot verify does not sign for a group that relies on it to.
func TestNotaryThatShouldVerify(t *testing.T) {
	w := newWorld(t)
	w.notary.Publish(notary.PropertyBackchain, "false")
	id, err := w.pay(w.alice, payment{Command: "issue", Outputs: []output{{bobName, 10}}})
	if err == nil || err.Type != ErrUnknown.Type || !strings.Contains(err.Message, "so it would have to verify") {
		t.Errorf("%v", err)
	}
	w.want(id, "unverified", w.alice) // an operator may set that right
}

func TestForgedBackchain(t *testing.T) {
	w := newWorld(t)
	var forged string
	w.alice.Start("forge", payment{Outputs: []output{{aliceName, 1000}}}).Wait().Result(t, &forged)
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(forged, 0)}, Outputs: []output{{bobName, 1000}}})
	if err == nil || !strings.Contains(err.Message, "it makes or destroys money") || err.Type != ErrInvalid.Type {
		t.Errorf("%v", err)
	}
	w.want(forged, "", w.bob)
	w.want(id, "", w.bob)
	// Carol's coin, spent by Alice: the contract wants its owner's signature.
	c := w.issue(w.carol, 5)
	given, err := w.pay(w.carol, payment{Inputs: []string{ref(c, 0)}, Outputs: []output{{carolName, 4}, {aliceName, 1}}})
	if err != nil {
		t.Fatal(err)
	}
	id, err = w.pay(w.alice, payment{Inputs: []string{ref(given, 0)}, Outputs: []output{{bobName, 4}}})
	if err == nil || !strings.Contains(err.Message, "its owner does not sign") {
		t.Errorf("%v", err)
	}
	w.want(id, "invalid", w.alice)
	// A state that was never made.
	if _, err = w.pay(w.alice, payment{Inputs: []string{ref(given, 7)}, Outputs: []output{{bobName, 4}}}); err == nil || err.Type != flow.ErrUnresolved.Type {
		t.Errorf("%v", err)
	}
}

// A transaction that is invalid here stays so, whoever shows it.
func TestInvalidHere(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10)
	var encoded []byte
	w.alice.Start("export", a).Wait().Result(t, &encoded)
	if o := w.bob.Start("mark", encoded).Wait(); o.Err != nil {
		t.Fatal(o.Err)
	}
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
	if err == nil || err.Type != ErrInvalid.Type || !strings.Contains(err.Message, "is invalid here") {
		t.Errorf("%v", err)
	}
	w.want(a, "invalid", w.bob)
	w.want(id, "", w.bob)
}

func TestBackchainWithoutEnd(t *testing.T) {
	w := newWorld(t)
	id := w.issue(w.alice, 10)
	for range 4 {
		var err *flow.Error
		if id, err = w.pay(w.alice, payment{Inputs: []string{ref(id, 0)}, Outputs: []output{{aliceName, 10}}}); err != nil {
			t.Fatal(err)
		}
	}
	for protocol, text := range map[string]string{"pay-short": "more than 3 transactions", "pay-small": "of more than 3000 bytes"} {
		tx, err := w.pay(w.alice, payment{Inputs: []string{ref(id, 0)}, Outputs: []output{{bobName, 10}}, Protocol: protocol, Filler: 1000})
		if err == nil || err.Type != ErrInvalid.Type || !strings.Contains(err.Message, text) {
			t.Errorf("%v", err)
		}
		w.want(tx, "", w.bob)
		w.want(id, "", w.bob)
	}
}

// A wide and deep backchain comes in batches, and is stored oldest first.
func TestWideBackchain(t *testing.T) {
	w := newWorld(t)
	var inputs []string
	for i := range 25 {
		id := w.issue(w.alice, 1)
		if i%2 == 0 {
			var err *flow.Error
			if id, err = w.pay(w.alice, payment{Inputs: []string{ref(id, 0)}, Outputs: []output{{aliceName, 1}}}); err != nil {
				t.Fatal(err)
			}
		}
		inputs = append(inputs, ref(id, 0))
	}
	id, err := w.pay(w.alice, payment{Inputs: inputs, Outputs: []output{{bobName, 25}}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.bob)
	gives := 0
	for _, s := range w.bob.Flows()[0].Wait().Steps {
		if len(s.Requests) == 2 && strings.HasPrefix(s.Requests[0], "send ") && strings.HasPrefix(s.Requests[1], "receive ") {
			gives++
		}
	}
	if gives != 5 { // 25 in three, 13 in two
		t.Errorf("38 transactions came in %d messages", gives)
	}
}

// A transaction of several parts.
func TestLargeTransaction(t *testing.T) {
	w := newWorld(t)
	id, err := w.pay(w.alice, payment{Command: "issue", Filler: 400_000, Outputs: []output{{bobName, 1}, {bobName, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob)
}

// States that are tied together are spent together, by whoever has the whole transaction or is shown it.
func TestEncumbrance(t *testing.T) {
	w := newWorld(t)
	tied, err := w.pay(w.alice, payment{Command: "issue", Tie: true, Outputs: []output{{aliceName, 4}, {aliceName, 6}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.pay(w.alice, payment{Inputs: []string{ref(tied, 0)}, Outputs: []output{{bobName, 4}}}); err == nil || err.Type != flow.ErrInvalidTransaction.Type {
		t.Errorf("one of two: %v", err)
	}
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(tied, 0), ref(tied, 1)}, Outputs: []output{{bobName, 10}}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob)
}
