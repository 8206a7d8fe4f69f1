package finality

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
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

// A proposal brings along what it comes from, as far as that is little, and only what it comes from itself: a party asks for no
// more than the rest.
func TestWhatComesAlong(t *testing.T) {
	w := newWorld(t)
	asks := func(who *flowtest.Member) (n int) {
		for _, s := range who.Flows()[len(who.Flows())-1].Wait().Steps {
			for _, r := range s.Requests {
				if strings.HasPrefix(r, "send ") {
					n++
				}
			}
		}
		return n - 1 // its signatures are sent, too
	}
	few, many := w.issue(w.alice, 10), payment{Outputs: []output{{bobName, mostSources + 1}}}
	for range mostSources + 1 {
		many.Inputs = append(many.Inputs, ref(w.issue(w.alice, 1), 0))
	}
	first, err := w.pay(w.alice, payment{Inputs: []string{ref(few, 0)}, Outputs: []output{{bobName, 10}}})
	if err != nil || asks(w.bob) != 0 {
		t.Errorf("of one transaction: Bob asks %d times; %v", asks(w.bob), err)
	}
	second, err := w.pay(w.bob, payment{Inputs: []string{ref(first, 0)}, Outputs: []output{{carolName, 10}}})
	if err != nil || asks(w.carol) != 1 {
		t.Errorf("of two, one after the other: Carol asks %d times; %v", asks(w.carol), err)
	}
	w.want(few, "verified", w.carol)
	w.want(second, "verified", w.carol)
	if _, err := w.pay(w.alice, many); err != nil || asks(w.bob) != 1 {
		t.Errorf("of %d side by side: Bob asks %d times; %v", mostSources+1, asks(w.bob), err)
	}
}

// With a notary that verifies, parties see no more than the states that they get and what these prove.
func TestProofsInsteadOfBackchain(t *testing.T) {
	w := newWorld(t)
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

// The same with proofs: what the old key signed is proven as long as the notary publishes that key, and no longer.
func TestProofsByTwoKeys(t *testing.T) {
	w := newWorld(t)
	w.notary.Publish(notary.PropertyBackchain, "false")
	a, b := w.issue(w.alice, 10), w.issue(w.alice, 5)
	w.notary.NewKey("NOTARY", "second")
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}, NotaryKey: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob)
	w.want(a, "filtered", w.bob)
	w.notary.Publish(fmt.Sprintf(notary.PropertyKey, 0), "none")
	_, err = w.pay(w.alice, payment{Inputs: []string{ref(b, 0)}, Outputs: []output{{bobName, 5}}, NotaryKey: 1})
	if err == nil || err.Type != ErrRefused.Type || !strings.Contains(err.Message, "which is not "+notaryName+" with one of its keys") {
		t.Errorf("%v", err)
	}
	w.want(b, "", w.bob)
}

// The notary that cannot verify does not sign for a group that relies on it to.
func TestNotaryThatShouldVerify(t *testing.T) {
	w := newWorld(t)
	w.notary.Publish(notary.PropertyBackchain, "false")
	w.notary.Publish(notary.PropertyProtocol, notary.Protocol)
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
	if err == nil || !strings.Contains(err.Message, "it makes or destroys money") || err.Type != ErrRefused.Type {
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
	if err == nil || err.Type != ErrRefused.Type || !strings.Contains(err.Message, "is invalid here") {
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
		if err == nil || err.Type != ErrRefused.Type || !strings.Contains(err.Message, text) {
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

// More transactions than can be asked for at once: whoever proposes, receives and repairs asks several times.
func TestManySources(t *testing.T) {
	w := newWorld(t)
	var inputs []string
	for range mostProofs + 1 {
		inputs = append(inputs, ref(w.issue(w.alice, 1), 0))
	}
	for range 5 { // it has decided, and nobody hears
		w.notary.Fail("sign_transactions", &flow.Error{Type: flow.ErrTimeout.Type, Message: "no answer"})
	}
	id, err := w.pay(w.alice, payment{Inputs: inputs, Outputs: []output{{bobName, mostProofs + 1}}})
	if err == nil || err.Type != ErrUnknown.Type {
		t.Errorf("%v", err)
	}
	w.want(id, "unverified", w.alice, w.bob)
	for _, m := range []*flowtest.Member{w.alice, w.bob} {
		if r := w.repair(m); len(r.Verified) != 1 {
			t.Errorf("%s: %+v", m.Name(), r)
		}
	}
}

// The largest transactions that vaults store, and one that is larger: nobody hears of it.
func TestLargeTransaction(t *testing.T) {
	w := newWorld(t)
	id, err := w.pay(w.alice, payment{Command: "issue", Filler: 220_000, Outputs: []output{{bobName, 1}, {bobName, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob)
	id, err = w.pay(w.alice, payment{Command: "issue", Filler: 230_000, Outputs: []output{{bobName, 1}, {bobName, 2}}})
	if err == nil || err.Type != flow.ErrLimit.Type || !strings.Contains(err.Message, "split it") {
		t.Errorf("%v", err)
	}
	w.want(id, "", w.alice, w.bob)
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
