package finality

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

// agree repairs all parties until nothing is open, and checks that they agree: a transaction is final for all or for none.
func (w *world) agree(id string, what string, all ...*flowtest.Member) {
	w.t.Helper()
	for range 2 {
		for _, m := range all {
			w.repair(m)
		}
		w.net.Advance(2 * time.Hour) // then its time window has passed
	}
	verified := 0
	for _, m := range all {
		switch s := w.status(m, id); s {
		case "verified":
			verified++
		case "unverified":
			w.t.Errorf("%s: transaction %.12s is still open at %s", what, id, m.Name())
		}
	}
	if verified != 0 && verified != len(all) {
		w.t.Errorf("%s: transaction %.12s is final at %d of %d parties", what, id, verified, len(all))
	}
}

// told checks that Alice's flow did not fail as if nothing had come of a transaction that is final.
func (w *world) told(id, what string, err *flow.Error) {
	w.t.Helper()
	if err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrUnknown) && w.status(w.alice, id) == "verified" {
		w.t.Errorf("%s: transaction %.12s is final, and the flow failed without saying that it may be", what, id)
	}
}

// Each party, and the notary, fails at each thing that it asks the platform for: each time, all parties agree at the end.
func TestEveryRequestFails(t *testing.T) {
	injected := &flow.Error{Type: flow.ErrTimeout.Type, Message: "injected"}
	for _, c := range []struct {
		name string
		pay  func(coins string) payment
		all  func(w *world) []*flowtest.Member
	}{
		{"the receiver need not sign", func(coins string) payment {
			return payment{Inputs: []string{ref(coins, 0)}, Outputs: []output{{bobName, 7}, {aliceName, 3}}}
		}, func(w *world) []*flowtest.Member { return []*flowtest.Member{w.alice, w.bob} }},
		{"the receiver signs", func(coins string) payment {
			return payment{Inputs: []string{ref(coins, 0)}, Outputs: []output{{bobName, 7}, {aliceName, 3}}, Cosigners: []string{bobName}}
		}, func(w *world) []*flowtest.Member { return []*flowtest.Member{w.alice, w.bob} }},
		{"three sign", func(coins string) payment {
			return payment{Inputs: []string{ref(coins, 0)}, Outputs: []output{{bobName, 7}, {aliceName, 3}}, Cosigners: []string{bobName, carolName}}
		}, func(w *world) []*flowtest.Member { return []*flowtest.Member{w.alice, w.bob, w.carol} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			failures := 0
			for _, who := range []string{aliceName, bobName, notaryName} {
				for n := 1; ; n++ {
					w := newWorld(t)
					coins := w.issue(w.alice, 10)
					m := w.net.Member(who)
					before := m.Requests()
					m.FailRequest(n, injected)
					id, err := w.pay(w.alice, c.pay(coins))
					if m.Requests()-before < n {
						break // it does not ask for so much
					}
					if failures++; id == "" {
						continue // it was not built
					}
					what := fmt.Sprintf("%s fails at request %d (%v)", who, n, err)
					w.agree(id, what, c.all(w)...)
					if who != aliceName {
						w.told(id, what, err)
					}
				}
			}
			t.Logf("%d failures", failures)
			if failures < 30 {
				t.Errorf("only %d failures", failures)
			}
		})
	}
}

// The same with whole steps, as when a flow is ended: with two parties.
func TestEveryStepFails(t *testing.T) {
	injected := &flow.Error{Type: "killed", Message: "injected"}
	for _, who := range []string{aliceName, bobName, notaryName} {
		for n := 1; ; n++ {
			w := newWorld(t)
			coins := w.issue(w.alice, 10)
			m := w.net.Member(who)
			m.FailStep(n, injected)
			before := m.Steps()
			id, err := w.pay(w.alice, payment{Inputs: []string{ref(coins, 0)}, Outputs: []output{{bobName, 7}, {aliceName, 3}}, Cosigners: []string{bobName}})
			if m.Steps()-before < n {
				break
			}
			if id != "" {
				what := fmt.Sprintf("%s fails at step %d (%v)", who, n, err)
				w.agree(id, what, w.alice, w.bob)
				if who != aliceName {
					w.told(id, what, err)
				}
			}
		}
	}
}

// A responder signs, fails at something, and is not told that the transaction is final: its repair finishes it all the same.
// Nobody else is asked for its own signature, so that must not be lost.
func TestEveryRequestFailsAndNobodyTells(t *testing.T) {
	injected := &flow.Error{Type: flow.ErrTimeout.Type, Message: "injected"}
	signed := 0
	for n := 1; ; n++ {
		w := newWorld(t)
		coins := w.issue(w.alice, 10)
		before := w.bob.Requests()
		w.bob.FailRequest(n, injected)
		o := w.alice.Start("attack", attacked{payment{Inputs: []string{ref(coins, 0)}, Outputs: []output{{bobName, 10}}, Cosigners: []string{bobName}}, "mute"}).Wait()
		w.net.Settle()
		if w.bob.Requests()-before < n {
			break
		}
		w.agree(idOf(o), fmt.Sprintf("Bob fails at request %d", n), w.bob)
		if w.status(w.bob, idOf(o)) == "verified" {
			signed++
		}
	}
	if signed < 2 {
		t.Errorf("Bob signed %d times", signed)
	}
}

// A party that cannot be reached from some moment on.
func TestLostMessages(t *testing.T) {
	for _, who := range []string{bobName, notaryName} {
		for after := range 12 {
			w := newWorld(t)
			coins := w.issue(w.alice, 10)
			f := w.alice.Start("pay", payment{Inputs: []string{ref(coins, 0)}, Outputs: []output{{bobName, 7}, {aliceName, 3}}, Cosigners: []string{bobName}})
			w.net.Member(who).UnreachableAfter(after)
			o := f.Wait()
			w.net.Settle()
			w.net.Member(who).Unreachable(false)
			if id := idOf(o); id != "" {
				w.agree(id, fmt.Sprintf("%s is lost after %d requests (%v)", who, after, o.Err), w.alice, w.bob)
			}
		}
	}
}
