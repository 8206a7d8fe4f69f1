package ledgerstore

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

// What another contract's state says that it is worth gets into no pool: nobody has looked at it.
func TestCounterfeitTokens(t *testing.T) {
	key := ledger.PublicKey("key")
	state := func(contract string) ledger.State {
		return ledger.State{Type: "bank.Cash", TypeVersion: 1, Contract: contract, Payload: []byte("1"), Participants: []ledger.PublicKey{key},
			Token: &ledger.Token{Type: "bank.Cash", Symbol: "EUR", Issuer: ledger.Hash{7}, Amount: "1000000"}}
	}
	for contract, want := range map[string]bool{"bank.Cash": true, "bank.Note": false} {
		made, err := ledger.New(ledger.Content{
			Metadata:    ledger.Metadata{LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: ledger.Hash{1}, Signer: ledger.Hash{2}}}},
			Notary:      ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: key},
			Window:      ledger.TimeWindow{UntilUs: 1},
			Signatories: []ledger.PublicKey{key}, Outputs: []ledger.State{state(contract)}, Commands: []ledger.Command{{Type: "issue", TypeVersion: 1}},
		}, ledger.Salt{1})
		if err != nil {
			t.Fatal(err)
		}
		tx, err := ParseTransaction(made.Encode())
		if err != nil {
			t.Fatal(err)
		}
		move, err := Known{}.Persist(Verified)
		if err != nil {
			t.Fatal(err)
		}
		statements, err := Decide(&Facts{Now: "now"}, tx, move, []uint32{0}, nil, "flow")
		if err != nil {
			t.Fatal(err)
		}
		pool := TokenPool("bank.Cash", ledger.Hash{7}, "O=Notary, L=London, C=GB", "EUR")
		pools, told, states := 0, 0, 0
		for _, s := range statements {
			for _, a := range s.Args {
				switch {
				case strings.HasPrefix(s.SQL, "INSERT INTO fl_state ") && strings.Contains(string(a.Text), hex.EncodeToString(pool[:])):
					pools++
				case strings.HasPrefix(s.SQL, "INSERT INTO fl_outbox ") && strings.Contains(string(a.Text), hex.EncodeToString([]byte("1000000"))):
					told++
				}
			}
			if strings.HasPrefix(s.SQL, "INSERT INTO fl_state ") {
				states++
			}
		}
		if states != 1 || pools == 1 != want || told == 1 != want {
			t.Errorf("contract %s: %d states, %d in the pool, %d told to token selection", contract, states, pools, told)
		}
	}
}
