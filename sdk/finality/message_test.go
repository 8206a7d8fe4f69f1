package finality

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// sample is a transaction with a signature.
func sample(t testing.TB) signedTransaction {
	t.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := ledger.New(ledger.Content{
		Metadata: ledger.Metadata{LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: ledger.Hash{1}, Signer: ledger.Hash{2}}}},
		Notary:   ledger.Notary{Name: notaryName, Key: key}, Window: ledger.TimeWindow{UntilUs: 1}, Signatories: []ledger.PublicKey{key},
		Commands: []ledger.Command{{Type: "issue", TypeVersion: 1}},
		Outputs:  []ledger.State{{Type: "Coin", TypeVersion: 1, Contract: "test.Coin", Payload: []byte(`{}`), Participants: []ledger.PublicKey{key}}},
	}, ledger.Salt{1})
	if err != nil {
		t.Fatal(err)
	}
	m := ledger.SignatureMetadata{TimeUs: 1, Scheme: "EdDSA", KeyID: ledger.KeyID(key)}
	return signedTransaction{tx, []ledger.Signature{{By: key, Bytes: ed25519.Sign(private, ledger.SignedBytes(tx.ID(), m)), Metadata: m}}}
}

// samples are one message of each kind.
func samples(t testing.TB) []message {
	s := sample(t)
	id := s.tx.ID()
	source, err := s.tx.Source(0)
	if err != nil {
		t.Fatal(err)
	}
	return []message{
		{kind: proposal, id: id, transactions: []signedTransaction{s}, others: true, proofs: []signedProof{{source, s.signatures}}},
		{kind: proposal, id: id, transactions: []signedTransaction{s}, sources: []signedTransaction{s, s}},
		{kind: wanted, id: id, ids: []ledger.Hash{{1}, {2}}},
		{kind: given, id: id, transactions: []signedTransaction{s, s}},
		{kind: signed, id: id},
		{kind: signed, id: id, signatures: s.signatures},
		{kind: final, id: id, signatures: s.signatures},
		{kind: failure, id: id, class: classUnknown, reason: "because"},
		{kind: asked, id: id},
		{kind: packageWanted, id: id, code: travel.Parts{Checksum: ledger.Hash{1}, First: 3}},
		{kind: packageGiven, id: id, code: travel.Parts{Checksum: ledger.Hash{1}, Count: 1, Data: [][]byte{[]byte("file")}}},
	}
}

func TestMessages(t *testing.T) {
	for _, m := range samples(t) {
		b := m.encode()
		again, err := decodeMessage(b)
		if err != nil || !bytes.Equal(again.encode(), b) {
			t.Errorf("%s: %v", m.kind, err)
		}
		for i := range b { // no shorter one is a message of that kind with the same content
			if short, err := decodeMessage(b[:i]); err == nil && bytes.Equal(short.encode(), b) {
				t.Errorf("%s cut at %d is read", m.kind, i)
			}
		}
		if _, err := decodeMessage(append(b, 0x58, 0x01)); err == nil {
			t.Errorf("%s with an unknown field is read", m.kind)
		}
		other := m
		other.kind = m.kind%packageGiven + 1
		if got, err := decodeMessage(other.encode()); err == nil && (len(got.transactions) != len(m.transactions) || len(got.ids) > 0) {
			t.Errorf("%s is read as %s", m.kind, got.kind)
		}
	}
	b := samples(t)[4].encode()
	b[1] = 2 // the version
	if _, err := decodeMessage(b); err == nil || !strings.Contains(err.Error(), "version 2 is not known here, 1 is") {
		t.Errorf("%v", err)
	}
	s := sample(t)
	many := message{kind: given, id: s.tx.ID()}
	for range batch + 1 {
		many.transactions = append(many.transactions, s)
	}
	if _, err := decodeMessage(many.encode()); err == nil || !strings.Contains(err.Error(), "more than 10 transactions") {
		t.Errorf("%v", err)
	}
	many = message{kind: proposal, id: s.tx.ID(), transactions: []signedTransaction{s}, sources: many.transactions}
	if _, err := decodeMessage(many.encode()); err == nil || !strings.Contains(err.Error(), "more than 10 transactions") {
		t.Errorf("%v", err)
	}
	if _, err := decodeMessage(make([]byte, maxMessage+1)); err == nil {
		t.Error("a message that is too long is read")
	}
}

// What is read is the one encoding of what was read, whatever the bytes.
func FuzzMessage(f *testing.F) {
	for _, m := range samples(f) {
		f.Add(m.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.encode(), b) {
			t.Errorf("%x is read as %x", b, m.encode())
		}
	})
}
