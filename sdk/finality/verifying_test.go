package finality

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// cheating is the argument of flow cheat.
type cheating struct {
	Pay payment
	How string
}

// registerCheats registers flow cheat: it asks a notary that verifies without regard for the rules that package finality
// keeps on this side.
func registerCheats() {
	flow.Register("cheat", func(ctx *flow.Context, in cheating) (string, error) {
		tx, _, err := build(ctx, in.Pay)
		if err != nil {
			return "", err
		}
		own, err := vault.Sign(ctx, tx.Content().Signatories[0], tx.ID())
		if err != nil {
			return "", err
		}
		found, _, err := vault.FindFiltered(ctx, dependencies(tx)...)
		if err != nil {
			return "", err
		}
		n := tx.Content().Notary
		whole := &notary.Whole{Transaction: tx, Signatures: own}
		for _, f := range found {
			of, _, err := f.Filtered.Notary()
			if err != nil {
				return "", err
			}
			whole.Proofs = append(whole.Proofs, notary.Proof{Filtered: f.Filtered, Signature: notarysAlone(signedProof{f.Filtered, f.Signatures}, of)[0]})
		}
		r := notary.Request{Mode: notary.Write, Whole: whole}
		to, protocol := n.Name, notary.VerifyingProtocol
		if change := cheats()[in.How]; change != nil {
			if err := change(ctx, &r); err != nil {
				return "", err
			}
		}
		switch in.How {
		case "in parts":
			f, err := tx.Filter(ledger.ForNotary())
			if err != nil {
				return "", err
			}
			r.Whole, r.Filtered = nil, f
		case "as the other kind":
			protocol = notary.Protocol
		case "of another notary":
			to = notaryName
		}
		s, err := ctx.OpenSession(to, protocol)
		if err != nil {
			return "", err
		}
		b, err := s.SendAndReceiveBytes(r.Encode())
		if err != nil {
			return "", err
		}
		a, err := notary.DecodeAnswer(b)
		if err == nil {
			err = a.Check(r.ID(), n, nil)
		}
		return fmt.Sprintf("%d %s", a.Class, a.Reason), err
	})
}

// cheats are what is done to a request, by name.
func cheats() map[string]func(*flow.Context, *notary.Request) error {
	// source shows of the transaction that the first input is of what a function says.
	source := func(show func(ledger.StateRef) map[ledger.Group]ledger.Show) func(*flow.Context, *notary.Request) error {
		return func(ctx *flow.Context, r *notary.Request) error {
			ref := r.Whole.Transaction.Content().Inputs[0]
			found, err := vault.Find(ctx, ref.Transaction)
			if err != nil {
				return err
			}
			r.Whole.Proofs[0].Filtered, err = found.Transaction.Filter(show(ref))
			return err
		}
	}
	return map[string]func(*flow.Context, *notary.Request) error{
		"no signature": func(_ *flow.Context, r *notary.Request) error { r.Whole.Signatures = nil; return nil },
		"a forged signature": func(_ *flow.Context, r *notary.Request) error {
			r.Whole.Signatures[0].Bytes = append([]byte{1}, r.Whole.Signatures[0].Bytes[1:]...)
			return nil
		},
		"a signature of something else": func(ctx *flow.Context, r *notary.Request) (err error) {
			r.Whole.Signatures, err = vault.Sign(ctx, r.Whole.Transaction.Content().Signatories[0], ledger.Hash{1})
			return err
		},
		"a signature twice": func(_ *flow.Context, r *notary.Request) error {
			r.Whole.Signatures = append(r.Whole.Signatures, r.Whole.Signatures...)
			return nil
		},
		"no proof": func(_ *flow.Context, r *notary.Request) error { r.Whole.Proofs = nil; return nil },
		"a proof twice": func(_ *flow.Context, r *notary.Request) error {
			r.Whole.Proofs = append(r.Whole.Proofs, r.Whole.Proofs...)
			return nil
		},
		"a proof of something else": func(ctx *flow.Context, r *notary.Request) error {
			other, _, err := build(ctx, payment{Command: "issue", Outputs: []output{{aliceName, 1000}}})
			if err != nil {
				return err
			}
			r.Whole.Proofs[0].Filtered, err = other.Source(0)
			return err
		},
		// A transaction that nobody has notarised, with a signature that belongs to another.
		"a forged dependency": func(ctx *flow.Context, r *notary.Request) error {
			forged, _, err := build(ctx, payment{Command: "issue", Outputs: []output{{aliceName, 10}}})
			if err != nil {
				return err
			}
			c := r.Whole.Transaction.Content()
			c.Inputs = []ledger.StateRef{forged.Output(0)}
			if r.Whole.Transaction, err = ledger.New(c, ledger.Salt(ctx.RandomBytes(32))); err != nil {
				return err
			}
			if r.Whole.Signatures, err = vault.Sign(ctx, c.Signatories[0], r.Whole.Transaction.ID()); err != nil {
				return err
			}
			r.Whole.Proofs[0].Filtered, err = forged.Source(0)
			return err
		},
		"a dependency signed by its maker": func(ctx *flow.Context, r *notary.Request) error {
			key := r.Whole.Transaction.Content().Signatories[0]
			sigs, err := vault.Sign(ctx, key, r.Whole.Proofs[0].Filtered.ID())
			if err == nil {
				r.Whole.Proofs[0].Signature = sigs[0]
			}
			return err
		},
		"a hidden output": source(func(ref ledger.StateRef) map[ledger.Group]ledger.Show {
			show := ledger.ForOutputs(int(ref.Index))
			delete(show, ledger.GroupOutputs)
			return show
		}),
		"a hidden notary": source(func(ref ledger.StateRef) map[ledger.Group]ledger.Show {
			show := ledger.ForOutputs(int(ref.Index))
			delete(show, ledger.GroupNotary)
			return show
		}),
		"another output": source(func(ref ledger.StateRef) map[ledger.Group]ledger.Show {
			return ledger.ForOutputs(1 - int(ref.Index))
		}),
	}
}

const secondName = "O=Second, L=London, C=GB"

func newVerifyingWorld(t testing.TB) *world {
	w := newWorld(t)
	w.notary.Publish(notary.PropertyBackchain, "false")
	return w
}

// Whatever somebody says to a notary that verifies, it signs nothing that it has not verified, and what it refuses for that
// it does not count as spent.
func TestCheatedNotary(t *testing.T) {
	w := newVerifyingWorld(t)
	second := w.net.Member(secondName)
	second.NewKey("NOTARY", "notary")
	second.Publish(notary.PropertyBackchain, "false")
	coins := w.issue(w.alice, 10, 10)
	var elsewhere string
	w.alice.Start("pay", payment{Command: "issue", Notary: secondName, Outputs: []output{{aliceName, 10}}}).Wait().Result(t, &elsewhere)
	honest := payment{Inputs: []string{ref(coins, 0)}, Outputs: []output{{bobName, 10}}}
	with := func(change func(*payment)) payment {
		p := honest
		change(&p)
		return p
	}
	for _, c := range []struct {
		how  string
		pay  payment
		want string
	}{
		{"no signature", honest, "2 it lacks the signatures of 1 keys that must sign"},
		{"of a cosigner no signature", with(func(p *payment) { p.Cosigners = []string{bobName} }), "2 it lacks the signatures of 1 keys"},
		{"a forged signature", honest, "2 signature by "},
		{"a signature of something else", honest, "2 signature by "},
		{"a signature twice", honest, "2 it has 2 signatures, and 1 keys must sign it"},
		{"money out of nothing", with(func(p *payment) { p.Outputs = []output{{bobName, 11}} }), "2 test.Coin: it makes or destroys money"},
		{"no proof", honest, "2 unresolved: input 0: transaction " + coins + " is not shown"},
		{"a proof twice", honest, "2 it comes with 2 proofs, and consumes and looks at 1 states"},
		{"a proof of something else", honest, "on which it does not depend"},
		{"a forged dependency", honest, "with a signature that is not its notary's"},
		{"a dependency signed by its maker", honest, "2 it comes with transaction " + coins + " without its notary's signature"},
		{"a hidden output", honest, "2 unresolved: input 0: transaction " + coins + ": output 0: it is not shown"},
		{"a hidden notary", honest, "2 it comes with transaction " + coins + " without its notary: notary: it is not shown"},
		{"another output", honest, "2 unresolved: input 0: transaction " + coins + ": output 0: it is not shown"},
		{"a dependency of another notary", with(func(p *payment) { p.Inputs = []string{ref(elsewhere, 0)} }), "2 it comes with transaction " + elsewhere + ", whose notary is " + secondName},
		{"in parts", honest, "2 it is shown in parts"},
		{"as the other kind", honest, "4 notary " + notaryName + " says that the parties need no backchain"},
		{"of another notary", with(func(p *payment) { p.Notary = secondName }), "4 its notary is " + secondName + ", and asked was " + notaryName},
		{"too late", with(func(p *payment) { p.After, p.For = -10, 5 }), "2 at "},
	} {
		t.Run(c.how, func(t *testing.T) {
			w.t = t
			if got := w.cheat(w.alice, c.pay, c.how); !strings.Contains(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	w.t = t
	w.notary.Fail("verify", &flow.Error{Type: flow.ErrTimeout.Type, Message: "secret"})
	if got := w.cheat(w.alice, honest, "without an answer"); got != "4 the notary has a problem: it could not verify the transaction (timeout)" {
		t.Error(got)
	}
	if got := w.cheat(w.alice, honest, "not at all"); got != "1 " {
		t.Errorf("what was refused before counts: %s", got)
	}
	if got := w.cheat(w.alice, honest, "not at all, but twice"); !strings.HasPrefix(got, "2 it consumes states that were consumed before: "+ref(coins, 0)) {
		t.Errorf("a double spend: %s", got)
	}
}

func (w *world) cheat(m *flowtest.Member, in payment, how string) (out string) {
	w.t.Helper()
	m.Start("cheat", cheating{in, how}).Wait().Result(w.t, &out)
	return out
}

// A notary that does not say that it verifies is not taken for one that does, and is not shown what it need not see.
func TestNotaryThatNeedNotVerify(t *testing.T) {
	w := newWorld(t)
	issue := payment{Command: "issue", Outputs: []output{{bobName, 10}}}
	if got := w.cheat(w.alice, issue, "not at all"); !strings.Contains(got, "does not say that it verifies contracts") {
		t.Error(got)
	}
	if got := w.cheat(w.alice, issue, "as the other kind"); !strings.Contains(got, "2 it is shown in whole") {
		t.Error(got)
	}
}

// All parties agree with a notary that verifies: two or three sign, references and tied states are proven, and a party whose
// payment stayed open asks the notary.
func TestVerifyingNotary(t *testing.T) {
	w := newVerifyingWorld(t)
	a := w.issue(w.alice, 10)
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 4}, {carolName, 6}}, Cosigners: []string{bobName, carolName}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob, w.carol)
	w.want(a, "filtered", w.bob, w.carol)
	again, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
	if err == nil || err.Type != ErrInvalid.Type || !strings.Contains(err.Message, "were consumed before") {
		t.Errorf("a double spend: %v", err)
	}
	w.want(again, "invalid", w.alice)
	tied, err := w.pay(w.alice, payment{Command: "issue", Tie: true, Outputs: []output{{aliceName, 4}, {aliceName, 6}}})
	if err != nil {
		t.Fatal(err)
	}
	if id, err = w.pay(w.alice, payment{Inputs: []string{ref(tied, 0), ref(tied, 1)}, Outputs: []output{{bobName, 10}}}); err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob)
	// Bob and Alice hear nothing of what the notary has decided, and ask for it.
	w.notary.Fail("send", &flow.Error{Type: flow.ErrSessionFailed.Type})
	open := w.alice.Start("pay", payment{Command: "issue", Outputs: []output{{bobName, 3}}}).Wait()
	w.net.Settle()
	id = idOf(open)
	if open.Err == nil { // the second attempt was answered
		w.want(id, "verified", w.alice, w.bob)
	} else if r := w.repair(w.alice); !slices.Contains(r.Verified, id) {
		t.Errorf("%+v, %v", r, open.Err)
	}
}

// The notary looks at a transaction in one suspension more than one that does not verify.
func TestSuspensionsOfVerifyingNotary(t *testing.T) {
	w := newVerifyingWorld(t)
	w.issue(w.alice, 10)
	all := w.notary.Flows()
	if steps := all[len(all)-1].Wait().Steps; waits(steps) != 5 {
		t.Errorf("it waited %d times, want 5", waits(steps))
	}
}
