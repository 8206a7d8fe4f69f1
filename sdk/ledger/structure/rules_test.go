package structure_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/ledger/structure"
)

func hash(s string) ledger.Hash { return sha256.Sum256([]byte(s)) }

func ref(tx string, index uint32) ledger.StateRef {
	return ledger.StateRef{Transaction: hash(tx), Index: index}
}

const notary = "O=Notary, L=London, C=GB"

func state(tx string, index uint32, tag string, tied int) ledger.StateAndRef {
	return ledger.StateAndRef{Ref: ref(tx, index), State: ledger.State{Encumbrance: tag}, Notary: ledger.Notary{Name: notary}, Tied: tied}
}

// sound are facts that every rule is content with: two inputs that are tied, a reference, two outputs that are tied.
func sound() structure.Facts {
	return structure.Facts{
		Content: ledger.Content{
			Metadata:    ledger.Metadata{LedgerVersion: ledger.Version},
			Notary:      ledger.Notary{Name: notary},
			Signatories: []ledger.PublicKey{[]byte("a")},
			Inputs:      []ledger.StateRef{ref("a", 0), ref("a", 1), ref("b", 0)},
			References:  []ledger.StateRef{ref("c", 0)},
			Outputs:     []ledger.State{{Encumbrance: "x"}, {Encumbrance: "x"}, {}},
			Commands:    []ledger.Command{{Type: "move"}},
		},
		Consumed: []ledger.StateAndRef{state("a", 0, "t", 2), state("a", 1, "t", 2), state("b", 0, "", 0)},
		Seen:     []ledger.StateAndRef{state("c", 0, "t", 2)}, // who is looked at is tied to nobody
	}
}

// broken checks that one rule alone is broken, where, and that the message says this.
func broken(t *testing.T, f structure.Facts, rule structure.Rule, component, message string) {
	t.Helper()
	got := structure.Check(f)
	if len(got) != 1 || got[0].Rule != rule || got[0].Component != component || !strings.Contains(got[0].Message, message) {
		t.Errorf("%+v; want rule %s, component %q and %q", got, rule, component, message)
	}
}

func TestSound(t *testing.T) {
	if got := structure.Check(sound()); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestLedgerVersion(t *testing.T) {
	f := sound()
	f.Metadata.LedgerVersion = 2
	broken(t, f, structure.LedgerVersion, "metadata", "version 2")
}

func TestSignatories(t *testing.T) {
	f := sound()
	f.Content.Signatories = nil
	broken(t, f, structure.Signatories, "", "no signatory")
}

func TestStates(t *testing.T) {
	f := sound()
	f.Inputs, f.Consumed, f.Outputs = nil, nil, nil
	broken(t, f, structure.States, "", "no input and no output")
	f.Outputs = sound().Outputs
	if got := structure.Check(f); got != nil {
		t.Errorf("an issue: %+v", got)
	}
	f = sound()
	f.Outputs = nil
	if got := structure.Check(f); got != nil {
		t.Errorf("a redemption: %+v", got)
	}
}

func TestInputsOnce(t *testing.T) {
	f := sound()
	f.Inputs, f.Consumed = append(f.Inputs, ref("a", 1)), append(f.Consumed, state("a", 1, "t", 2))
	broken(t, f, structure.InputsOnce, "input 3", "input 1")
}

func TestReferencesOnce(t *testing.T) {
	f := sound()
	f.References, f.Seen = append(f.References, ref("c", 0)), append(f.Seen, f.Seen[0])
	broken(t, f, structure.ReferencesOnce, "reference 1", "reference 0")
}

func TestApart(t *testing.T) {
	f := sound()
	f.References, f.Seen = append(f.References, ref("b", 0)), append(f.Seen, state("b", 0, "", 0))
	broken(t, f, structure.Apart, "reference 1", "input 2")
}

func TestCommands(t *testing.T) {
	f := sound()
	f.Content.Commands = nil
	broken(t, f, structure.Commands, "", "no command")
}

func TestOneNotary(t *testing.T) {
	f := sound()
	f.Consumed[2].Notary.Name = "O=Other, L=London, C=GB"
	broken(t, f, structure.OneNotary, "input 2", "O=Other")
	f = sound()
	f.Seen[0].Notary.Name = "O=Other, L=London, C=GB"
	broken(t, f, structure.OneNotary, "reference 0", "O=Other")
	f = sound()
	f.Notary.Name = "O=Other, L=London, C=GB"
	if got := structure.Check(f); len(got) != 4 {
		t.Errorf("the transaction's own is another: %+v", got)
	}
	f = sound()
	f.Consumed[0].Notary.Key = []byte("a key of before")
	if got := structure.Check(f); got != nil {
		t.Errorf("a notary that has a new key: %+v", got)
	}
}

func TestEncumbrance(t *testing.T) {
	f := sound()
	f.Inputs, f.Consumed = f.Inputs[1:], f.Consumed[1:]
	broken(t, f, structure.Encumbrance, "input 0", "ties 2 states")
	f = sound()
	f.Consumed[0].Tied, f.Consumed[1].Tied = 3, 3
	broken(t, f, structure.Encumbrance, "input 0", "ties 3 states") // told once for both
	f = sound()
	f.Consumed[0] = state("d", 0, "t", 1)
	if got := structure.Check(f); len(got) != 1 || got[0].Component != "input 1" {
		t.Errorf("the same tag in another transaction is another tie: %+v", got)
	}
	f = sound()
	f.Outputs[1].Encumbrance = "y"
	if got := structure.Check(f); len(got) != 2 || got[0].Component != "output 0" || got[1].Component != "output 1" {
		t.Errorf("outputs that are tied to nobody: %+v", got)
	}
}

// All that is wrong is told, in Corda's order.
func TestOrder(t *testing.T) {
	want := []structure.Rule{
		structure.LedgerVersion, structure.Signatories, structure.States, structure.InputsOnce, structure.ReferencesOnce, structure.Apart,
		structure.Commands, structure.OneNotary, structure.Encumbrance,
	}
	if got := structure.Rules(); !slices.Equal(got, want) {
		t.Errorf("rules: %v", got)
	}
	f := sound()
	f.Content = ledger.Content{
		Notary: ledger.Notary{Name: "O=Other, L=London, C=GB"}, Inputs: []ledger.StateRef{ref("a", 0), ref("a", 0)},
		References: []ledger.StateRef{ref("a", 0), ref("a", 0)},
	}
	f.Consumed, f.Seen = []ledger.StateAndRef{state("a", 0, "t", 2), state("a", 0, "t", 2)}, []ledger.StateAndRef{state("a", 0, "t", 2)}
	var got []structure.Rule
	for _, x := range structure.Check(f) {
		got = append(got, x.Rule)
	}
	want = slices.DeleteFunc(want, func(r structure.Rule) bool { return r == structure.States })
	if fmt.Sprint(slices.Compact(got)) != fmt.Sprint(want) {
		t.Errorf("told: %v, want %v", got, want)
	}
}
