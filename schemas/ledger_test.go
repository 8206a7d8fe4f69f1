package schemas_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"google.golang.org/protobuf/proto"

	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// The SDK's own encoder writes the bytes that Protobuf's writes, and what is described here is all that there is.
func TestLedgerIsProtobuf(t *testing.T) {
	hash := func(s string) ledger.Hash { return sha256.Sum256([]byte(s)) }
	tx, err := ledger.New(ledger.Content{
		Metadata: ledger.Metadata{
			LedgerVersion: ledger.Version, PlatformVersion: 50200, GroupParameters: hash("g"),
			Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: hash("c"), Signer: hash("s")}},
		},
		Notary:      ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: []byte("key")},
		Window:      ledger.TimeWindow{FromUs: 1, UntilUs: 1 << 60},
		Signatories: []ledger.PublicKey{[]byte("a"), []byte("b")},
		Inputs:      []ledger.StateRef{{Transaction: hash("x")}, {Transaction: hash("x"), Index: 300}},
		References:  []ledger.StateRef{{Transaction: hash("y"), Index: 1}},
		Outputs: []ledger.State{
			{
				Type: "T", TypeVersion: 3, Contract: "C", Encumbrance: "e", Payload: []byte(`{}`), Participants: []ledger.PublicKey{[]byte("a")},
				Token: &ledger.Token{Type: "t", Symbol: "s", Issuer: hash("i"), Amount: "1.5", Owner: hash("o"), Tag: "g", Priority: 1 << 40},
			},
			{Type: "T", TypeVersion: 1, Contract: "C", Encumbrance: "e", Payload: []byte(`1`), Participants: []ledger.PublicKey{[]byte("a"), []byte("b")}},
		},
		Commands: []ledger.Command{{Type: "pay", TypeVersion: 1, Payload: []byte(`{}`)}, {Type: "x", TypeVersion: 2}},
	}, ledger.Salt(hash("salt")))
	if err != nil {
		t.Fatal(err)
	}
	var whole ledgerv1.Transaction
	same(t, "transaction", tx.Encode(), &whole)
	for g, kinds := range [][]proto.Message{
		{&ledgerv1.Metadata{}}, {&ledgerv1.Notary{}, &ledgerv1.TimeWindow{}}, {&ledgerv1.Signatory{}}, {&ledgerv1.OutputInfo{}}, {&ledgerv1.CommandInfo{}},
		{&ledgerv1.StateRef{}}, {&ledgerv1.StateRef{}}, {&ledgerv1.Output{}}, {&ledgerv1.Command{}},
	} {
		for i, b := range whole.GetGroups()[g].GetComponents() {
			m := kinds[min(i, len(kinds)-1)]
			proto.Reset(m)
			same(t, ledger.Group(g).String(), b, m)
		}
	}
	shown, err := tx.Filter(map[ledger.Group]ledger.Show{
		ledger.GroupInputs: {All: true}, ledger.GroupReferences: {Count: true}, ledger.GroupOutputs: {Components: []int{1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "filtered transaction", shown.Encode(), &ledgerv1.FilteredTransaction{})
	_, proofs, err := ledger.BatchRoot([]ledger.Hash{hash("1"), tx.ID(), hash("3")})
	if err != nil {
		t.Fatal(err)
	}
	s := ledger.Signature{
		By: []byte("a"), Bytes: []byte("signature"), Proof: proofs[1],
		Metadata: ledger.SignatureMetadata{TimeUs: 1 << 50, Scheme: "EdDSA", KeyID: hash("a"), PlatformVersion: 50200},
	}
	same(t, "signature", s.Encode(), &ledgerv1.Signature{})
}

// same reads bytes as a message and writes them again.
func same(t *testing.T, what string, b []byte, m proto.Message) {
	t.Helper()
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if n := len(m.ProtoReflect().GetUnknown()); n > 0 {
		t.Errorf("%s: %d bytes are not described", what, n)
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, b) {
		t.Errorf("%s: Protobuf writes %x, the SDK %x", what, again, b)
	}
}
