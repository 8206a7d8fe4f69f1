package finality

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

func TestPayment(t *testing.T) {
	w := newWorld(t)
	coins := w.issue(w.alice, 10, 5)
	first, err := w.pay(w.alice, payment{Inputs: []string{ref(coins, 0)}, Outputs: []output{{bobName, 7}, {aliceName, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(first, "verified", w.alice, w.bob)
	w.want(coins, "verified", w.alice, w.bob)
	w.want(first, "", w.carol)
	if got := w.coins(w.alice); len(got) != 2 || got[0] != "5 "+ref(coins, 1) || got[1] != "3 "+ref(first, 1) {
		t.Errorf("Alice has %v", got)
	}
	if got := w.coins(w.bob); len(got) != 1 || got[0] != "7 "+ref(first, 0) {
		t.Errorf("Bob has %v", got)
	}
	// Carol, who has none of it, gets the backchain of three.
	second, err := w.pay(w.bob, payment{Inputs: []string{ref(first, 0)}, Outputs: []output{{carolName, 7}}, Cosigners: []string{carolName}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(second, "verified", w.bob, w.carol)
	w.want(first, "verified", w.carol)
	w.want(coins, "verified", w.carol)
	if got := w.coins(w.carol); len(got) != 1 {
		t.Errorf("Carol has %v", got)
	}
}

// Three parties sign: each has the signatures of all.
func TestThreeParties(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10)
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 4}, {carolName, 6}}, Cosigners: []string{bobName, carolName}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob, w.carol)
	// Bob can show it to others, so he has Carol's signature.
	w.net.Member("O=Dave, L=Oslo, C=NO")
	id, err = w.pay(w.bob, payment{Inputs: []string{ref(id, 0)}, Outputs: []output{{"O=Dave, L=Oslo, C=NO", 4}}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.net.Member("O=Dave, L=Oslo, C=NO"))
}

// What a payment of two parties suspends for, whose receiver knows where the money comes from.
func TestSuspensions(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10)
	first, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 4}, {aliceName, 6}}})
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.bob.Flows())
	o := w.alice.Start("pay", payment{Inputs: []string{ref(first, 1)}, Outputs: []output{{bobName, 6}}, Cosigners: []string{bobName}}).Wait()
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	w.net.Settle()
	tell := func(who string, all []flowtest.Step, want int) {
		for i, s := range all {
			t.Logf("%s %d: %s", who, i+1, strings.Join(s.Requests, "; "))
		}
		if n := waits(all); n != want {
			t.Errorf("%s waited %d times, want %d", who, n, want)
		}
	}
	begins := 0
	for i, s := range o.Steps {
		if strings.HasPrefix(s.Requests[0], "open session") && begins == 0 {
			begins = i + 1
		}
	}
	tell("initiator", o.Steps[begins:], 5) // the last for the other side's close
	tell("responder", w.bob.Flows()[before].Wait().Steps, 5)
	all := w.notary.Flows()
	tell("notary", all[len(all)-1].Wait().Steps, 4)
}

// waits is how often somebody else must answer before the flow goes on.
func waits(all []flowtest.Step) (n int) {
	for _, s := range all {
		if slices.ContainsFunc(s.Requests, func(r string) bool {
			return !strings.HasPrefix(r, "check ") && !strings.HasPrefix(r, "look up ") && !strings.HasPrefix(r, "find keys")
		}) {
			n++
		}
	}
	return n
}

func TestDoubleSpend(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10)
	first, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{carolName, 10}}, Cosigners: []string{carolName}})
	if err == nil || err.Type != ErrInvalid.Type || !strings.Contains(err.Message, first) {
		t.Errorf("the refusal does not name what has consumed the state: %v", err)
	}
	w.want(second, "invalid", w.alice, w.carol)
	w.want(first, "verified", w.alice, w.bob)
	if got := w.coins(w.carol); len(got) != 0 {
		t.Errorf("Carol has %v", got)
	}
}

func TestTimeWindow(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10)
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}, After: 10})
	if err == nil || err.Type != ErrInvalid.Type || !strings.Contains(err.Message, "its time window was not open") {
		t.Errorf("%v", err)
	}
	w.want(id, "invalid", w.alice, w.bob)
}

// What could be notarised long from now is refused before it is stored: repair would ask for it until then.
func TestFarWindow(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10)
	in := payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}, For: 48*60 + 1}
	id, err := w.pay(w.alice, in)
	if err == nil || err.Type != ErrRefused.Type || !strings.Contains(err.Message, "more than 48h0m0s from now") {
		t.Errorf("%v", err)
	}
	w.want(id, "", w.bob)
	w.want(a, "", w.bob)
	in.For = 200 * 365 * 24 * 60
	if id, err = w.pay(w.alice, in); err == nil || err.Type != ErrRefused.Type {
		t.Errorf("%v", err)
	}
	w.want(id, "", w.bob)
	in.Protocol, in.For = "pay-late", 60*24*60
	if id, err = w.pay(w.alice, in); err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob)
	// One's own windows are one's own business, and so is 48 hours.
	b := w.issue(w.alice, 5)
	if _, err = w.pay(w.alice, payment{Inputs: []string{ref(b, 0)}, Outputs: []output{{bobName, 5}}, For: 48 * 60}); err != nil {
		t.Error(err)
	}
}

// Contracts bind everybody, and each party's own demands itself.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 13, 10)
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 1)}, Outputs: []output{{bobName, 11}}})
	if err == nil || err.Type != flow.ErrInvalidTransaction.Type || !strings.Contains(err.Message, "it makes or destroys money") {
		t.Errorf("money out of nothing: %v", err)
	}
	w.want(id, "invalid", w.alice, w.bob) // who was shown where it comes from, and has found the same
	if id, err = w.pay(w.alice, payment{Outputs: []output{{bobName, 11}}}); err == nil || err.Type != flow.ErrInvalidTransaction.Type {
		t.Errorf("money out of nothing: %v", err)
	}
	w.want(id, "invalid", w.alice, w.bob)
	// Bob need not sign: what he refuses may still be final one day, and stays open until its time is over.
	id, err = w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 13}}})
	if err == nil || err.Type != ErrRefused.Type || !strings.Contains(err.Message, "13 brings bad luck") {
		t.Errorf("a payment that Bob refuses: %v", err)
	}
	w.want(id, "", w.bob)
	w.want(id, "unverified", w.alice)
	// Bob must sign, and does not. Another flow of his may: nothing is stored for that one to fall over.
	second, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 13}}, Cosigners: []string{bobName}})
	if err == nil || err.Type != ErrRefused.Type {
		t.Errorf("%v", err)
	}
	w.want(second, "", w.bob)
	if r := w.repair(w.alice); len(r.Verified)+len(r.Invalid) != 0 || len(r.Open) != 2 {
		t.Errorf("repaired before the time is over: %+v", r)
	}
	w.net.Advance(2 * time.Hour)
	// The one that cannot be looked at keeps nobody from the other.
	w.alice.Fail("check_signatures", &flow.Error{Type: flow.ErrTimeout.Type, Message: "no answer"})
	if r := w.repair(w.alice); len(r.Invalid) != 1 || len(r.Open) != 1 {
		t.Errorf("repaired while a signature could not be checked: %+v", r)
	}
	if r := w.repair(w.alice); len(r.Invalid) != 1 || len(r.Open) != 0 {
		t.Errorf("repaired after it: %+v", r)
	}
	w.want(id, "invalid", w.alice)
	w.want(second, "invalid", w.alice)
}

// What one flow of a virtual node refuses, another may sign: what the first has done does not undo it.
func TestRefusedByOneFlow(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 13)
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 13}}, Cosigners: []string{bobName}, Then: "pay-short"})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob)
}

// A party that is not there, or whose flow fails, leaves the transaction open.
func TestPartiesThatFail(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10)
	w.bob.Unreachable(true)
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
	if err == nil || err.Type != ErrUnknown.Type {
		t.Errorf("%v", err)
	}
	w.want(id, "unverified", w.alice)
	w.bob.Unreachable(false)
	if _, err = w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}}); err != nil {
		t.Fatal(err)
	}
	w.repair(w.alice)
	w.net.Advance(2 * time.Hour)
	w.repair(w.alice)
	w.want(id, "invalid", w.alice)
}

// A notary that does not answer is asked again, a bounded number of times.
func TestNotaryThatFails(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10, 20)
	timeout := &flow.Error{Type: flow.ErrTimeout.Type, Message: "no answer"}
	for range 3 {
		w.notary.Fail("check_uniqueness", timeout)
	}
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(id, "verified", w.alice, w.bob)
	// It has decided, and the answer is lost five times: nobody knows.
	for range 5 {
		w.notary.Fail("sign_transactions", timeout)
	}
	before := w.net.Now()
	id, err = w.pay(w.alice, payment{Inputs: []string{ref(a, 1)}, Outputs: []output{{bobName, 20}}})
	if err == nil || err.Type != ErrUnknown.Type || !strings.Contains(err.Message, "after 5 attempts") {
		t.Errorf("%v", err)
	}
	if took := w.net.Now().Sub(before); took < 15*time.Second || took > time.Minute {
		t.Errorf("it took %v", took)
	}
	w.want(id, "unverified", w.alice, w.bob)
	for range 2 {
		w.repair(w.alice)
		w.repair(w.bob)
	}
	w.want(id, "verified", w.alice, w.bob)
	if got := w.coins(w.bob); len(got) != 2 {
		t.Errorf("Bob has %v", got)
	}
}

func TestUnknownNotary(t *testing.T) {
	w := newWorld(t)
	for _, in := range []payment{{ForgedKey: true}, {ForgedKey: true, Notary: notaryName}} {
		in.Command, in.Outputs = "issue", []output{{bobName, 1}}
		if id, err := w.pay(w.alice, in); err == nil || err.Type != ErrNotary.Type {
			t.Errorf("a notary of Alice's own: %v", err)
		} else {
			w.want(id, "", w.alice, w.bob)
		}
	}
}
