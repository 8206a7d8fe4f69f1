package finality

import (
	"errors"
	"testing"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Proofs of one transaction that came at different times show together what none shows alone.
func TestSeveralProofsOfOneTransaction(t *testing.T) {
	key := ledger.PublicKey("key")
	content := ledger.Content{
		Metadata:    ledger.Metadata{LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: ledger.Hash{1}, Signer: ledger.Hash{2}}}},
		Notary:      ledger.Notary{Name: notaryName, Key: key},
		Window:      ledger.TimeWindow{UntilUs: 1},
		Signatories: []ledger.PublicKey{key}, Commands: []ledger.Command{{Type: "issue", TypeVersion: 1}},
	}
	state := ledger.State{Type: "Coin", TypeVersion: 1, Contract: "test.Coin", Payload: []byte("1"), Participants: []ledger.PublicKey{key}}
	tied := state
	tied.Encumbrance = "tie"
	content.Outputs = []ledger.State{state, state, tied, tied}
	from, err := ledger.New(content, ledger.Salt{1})
	if err != nil {
		t.Fatal(err)
	}
	content.Outputs, content.Inputs, content.References = nil, []ledger.StateRef{from.Output(0), from.Output(2), from.Output(3)}, []ledger.StateRef{from.Output(1)}
	tx, err := ledger.New(content, ledger.Salt{2})
	if err != nil {
		t.Fatal(err)
	}
	proof := func(f *ledger.Filtered, err error) *ledger.Filtered {
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	all := proof(from.Source(0, 1, 2, 3))
	poor, first, second, both := proof(from.Filter(ledger.ForOutputs(2, 3))), proof(from.Source(0)), proof(from.Source(1)), proof(from.Source(2, 3))
	for want, list := range map[int][]*ledger.Filtered{
		1: {poor, first, all, second}, 3: {poor, first, first, second, both}, 0: {poor, first, second},
	} {
		got, err := shown(tx, map[ledger.Hash][]*ledger.Filtered{from.ID(): list})
		if want == 0 {
			if !errors.Is(err, flow.ErrUnresolved) {
				t.Errorf("%d proofs, %v", len(got), err)
			}
			continue
		}
		if err != nil || len(got) != want {
			t.Fatalf("%d proofs, want %d: %v", len(got), want, err)
		}
		if _, err := ledger.Resolve(tx, got...); err != nil {
			t.Error(err)
		}
	}
}
