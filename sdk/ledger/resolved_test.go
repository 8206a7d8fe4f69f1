package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// issued is a transaction with outputs of these encumbrances.
func issued(t *testing.T, salt string, tags ...string) *Transaction {
	t.Helper()
	c := Content{
		Metadata: Metadata{
			LedgerVersion: Version, GroupParameters: Hash{1}, Packages: []Package{{Name: "p", Version: "1", Checksum: Hash{2}, Signer: Hash{3}}},
		},
		Notary: Notary{Name: "O=Notary, L=London, C=GB", Key: []byte("key")}, Window: TimeWindow{UntilUs: 1 << 60},
		Signatories: []PublicKey{[]byte("a")}, Commands: []Command{{Type: "issue", TypeVersion: 1}},
	}
	for _, tag := range tags {
		c.Outputs = append(c.Outputs, State{
			Type: "T", TypeVersion: 1, Contract: "C", Encumbrance: tag, Payload: []byte(`{"tag":"` + tag + `"}`), Participants: []PublicKey{[]byte("a")},
		})
	}
	tx, err := New(c, Salt([]byte(strings.Repeat(salt, 32))))
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// spending consumes and looks at states, and makes nothing.
func spending(t *testing.T, inputs, references []StateRef) *Transaction {
	t.Helper()
	c := issued(t, "s", "").Content()
	c.Outputs, c.Inputs, c.References = nil, inputs, references
	tx, err := New(c, Salt{9})
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func shown(t *testing.T, tx *Transaction, outputs ...int) *Filtered {
	t.Helper()
	f, err := tx.Source(outputs...)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeFiltered(f.Encode())
	if err != nil || again.ID() != tx.ID() {
		t.Fatalf("what is shown of %s: %v", tx.ID(), err)
	}
	return again
}

func TestResolve(t *testing.T) {
	a, b := issued(t, "a", "", "x", "x", "y", "y", "x"), issued(t, "b", "")
	tx := spending(t, []StateRef{a.Output(5), b.Output(0), a.Output(0)}, []StateRef{a.Output(3)})
	r, err := Resolve(tx, shown(t, a, 5, 0, 3), shown(t, b, 0), shown(t, issued(t, "c", ""), 0))
	if err != nil {
		t.Fatal(err)
	}
	if r.Transaction().ID() != tx.ID() || len(r.Inputs()) != 3 || len(r.References()) != 1 {
		t.Fatalf("%d inputs, %d references", len(r.Inputs()), len(r.References()))
	}
	for i, want := range []struct {
		ref  StateRef
		tag  string
		tied int
	}{{a.Output(5), "x", 3}, {b.Output(0), "", 0}, {a.Output(0), "", 0}} {
		got := r.Inputs()[i]
		if got.Ref != want.ref || got.State.Encumbrance != want.tag || got.Tied != want.tied || got.Notary.Name != tx.Content().Notary.Name || got.Packages[0] != tx.Content().Metadata.Packages[0] ||
			!bytes.Contains(got.State.Payload, []byte(`"`+want.tag+`"`)) {
			t.Errorf("input %d: %+v", i, got)
		}
	}
	if got := r.References()[0]; got.Tied != 2 || got.Ref != a.Output(3) {
		t.Errorf("reference: %+v", got)
	}
}

// Several proofs of one transaction count together, and a poor one does not spoil a good one.
func TestResolveOfSeveralProofs(t *testing.T) {
	a := issued(t, "a", "", "x", "x", "")
	poor, err := a.Filter(ForOutputs(0, 1, 3))
	if err != nil {
		t.Fatal(err)
	}
	tx := spending(t, []StateRef{a.Output(1), a.Output(0), a.Output(2)}, []StateRef{a.Output(3)})
	for _, proofs := range [][]*Filtered{{poor, shown(t, a, 1, 2)}, {shown(t, a, 2), shown(t, a, 1), poor}, {shown(t, a, 0), shown(t, a, 1), shown(t, a, 2), shown(t, a, 3)}} {
		r, err := Resolve(tx, proofs...)
		if err != nil {
			t.Fatal(err)
		}
		if r.Inputs()[0].Tied != 2 || r.Inputs()[1].Ref != a.Output(0) || r.References()[0].Ref != a.Output(3) {
			t.Errorf("%+v", r)
		}
	}
}

func TestUnresolved(t *testing.T) {
	a, b := issued(t, "a", "", "x", "x"), issued(t, "b", "")
	hidden, err := a.Filter(ForOutputs(1))
	if err != nil {
		t.Fatal(err)
	}
	noNotary, err := a.Filter(map[Group]Show{GroupOutputInfos: {All: true}, GroupOutputs: {All: true}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		input   StateRef
		sources []*Filtered
		want    string
	}{
		"nothing is shown":        {a.Output(0), nil, "input 0: transaction " + a.ID().String() + " is not shown"},
		"another is shown":        {a.Output(0), []*Filtered{shown(t, b, 0)}, "is not shown"},
		"another output is shown": {a.Output(0), []*Filtered{shown(t, a, 1)}, "output 0"},
		"there is no such output": {a.Output(7), []*Filtered{shown(t, a, 0)}, "output 7"},
		"the tie is not shown":    {a.Output(1), []*Filtered{hidden}, "what all outputs are must be shown"},
		"the notary is not shown": {a.Output(0), []*Filtered{noNotary}, "notary"},
		"shown twice, both poor":  {a.Output(1), []*Filtered{shown(t, a, 0), hidden}, "what all outputs are must be shown"},
	} {
		_, err := Resolve(spending(t, []StateRef{c.input}, nil), c.sources...)
		if !errors.Is(err, ErrUnresolved) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.Source(3); err == nil {
		t.Error("an output that is not there is shown")
	}
}

func TestStateComponents(t *testing.T) {
	s := issued(t, "a", "x", "x").Content().Outputs[0]
	info, content := s.Components()
	again, err := DecodeState(info, content)
	if err != nil || again.Encumbrance != "x" || !bytes.Equal(again.Payload, s.Payload) {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := DecodeState(content, info); err == nil {
		t.Error("components that are exchanged are a state")
	}
	if _, err := DecodeState(append(info, 0), content); err == nil {
		t.Error("a component with something behind it is a state")
	}
	if _, err := DecodeState(nil, content); err == nil {
		t.Error("a state without a type is one")
	}
}
