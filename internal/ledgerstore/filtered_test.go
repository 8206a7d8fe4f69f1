package ledgerstore

import (
	"testing"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

// A proof of a state that is tied to others, and does not show how many these are, is of no use to who consumes the state. It
// must not keep one that shows it from being stored: whoever proposes a transaction could send it first.
func TestPoorProofOfTiedState(t *testing.T) {
	key := ledger.PublicKey("key")
	tied := ledger.State{Type: "T", TypeVersion: 1, Contract: "c", Encumbrance: "tie", Payload: []byte("1"), Participants: []ledger.PublicKey{key}}
	tx, err := ledger.New(ledger.Content{
		Metadata:    ledger.Metadata{LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: ledger.Hash{1}, Signer: ledger.Hash{2}}}},
		Notary:      ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: key},
		Window:      ledger.TimeWindow{UntilUs: 1},
		Signatories: []ledger.PublicKey{key}, Outputs: []ledger.State{tied, tied}, Commands: []ledger.Command{{Type: "issue", TypeVersion: 1}},
	}, ledger.Salt{1})
	if err != nil {
		t.Fatal(err)
	}
	poor, err := tx.Filter(ledger.ForOutputs(0))
	if err != nil {
		t.Fatal(err)
	}
	good, err := tx.Source(0)
	if err != nil {
		t.Fatal(err)
	}
	facts, known := &Facts{Now: "now"}, &FilteredFacts{shown: map[uint32]bool{}}
	for n, f := range []*ledger.Filtered{poor, good} {
		proof, err := ParseFiltered(f.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecideFiltered(facts, known, proof); err != nil {
			t.Fatal(err)
		}
		if known.shown[0] != (n == 1) {
			t.Errorf("after proof %d output 0 counts as shown: %v", n, known.shown[0])
		}
	}
}
