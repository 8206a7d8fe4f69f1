package finality

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Of transactions that are about as large as a vault stores, each is stored as verified by everybody, or refused before anybody
// hears of it: the notary's signature comes when there is no way back.
func TestAboutTheLargestTransaction(t *testing.T) {
	verified, refused := 0, 0
	for filler := 225_600; filler < 226_600; filler += 100 {
		w := newWorld(t)
		id, err := w.pay(w.alice, payment{Command: "issue", Filler: filler, Outputs: []output{{bobName, 1}, {bobName, 2}}})
		switch {
		case err == nil:
			w.want(id, "verified", w.alice, w.bob)
			verified++
		case err.Type == flow.ErrLimit.Type:
			w.want(id, "", w.alice, w.bob)
			refused++
		default:
			t.Errorf("filler %d: %v", filler, err)
		}
	}
	if verified == 0 || refused == 0 {
		t.Errorf("%d were stored and %d refused, want some of each", verified, refused)
	}
}

// padded is a key with bytes behind its last field, which parsers of keys pass over.
func padded(t *testing.T, n byte, size int) (ed25519.PrivateKey, ledger.PublicKey) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(append(make([]byte, 31), n+1))
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	var whole asn1.RawValue
	if _, err := asn1.Unmarshal(der, &whole); err != nil {
		t.Fatal(err)
	}
	pad, err := asn1.Marshal(make([]byte, size-len(der)-8))
	if err != nil {
		t.Fatal(err)
	}
	key, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(whole.Bytes, pad...)})
	if err != nil {
		t.Fatal(err)
	}
	return private, key
}

// A signature that is longer than what is left for it is none, whatever it is by.
func TestPaddedSignatures(t *testing.T) {
	for size, right := range map[int]bool{1_000: true, 4_090: false} {
		private, key := padded(t, 0, size)
		id := ledger.Hash{1}
		m := ledger.SignatureMetadata{TimeUs: 1, Scheme: "EdDSA", KeyID: ledger.KeyID(key), PlatformVersion: 50200}
		s := ledger.Signature{By: key, Bytes: ed25519.Sign(private, ledger.SignedBytes(id, m)), Metadata: m}
		if err := s.Verify(id); (err == nil) != right || err != nil && !errors.Is(err, ledger.ErrSignature) {
			t.Errorf("by a key of %d bytes: %v", size, err)
		}
	}
}

// What cannot be stored once all have signed, or whose states could never be spent, is refused before anybody signs.
func TestStorable(t *testing.T) {
	key := ledger.PublicKey(bytes.Repeat([]byte{7}, 44))
	_, long := padded(t, 1, ledger.MaxKey+20)
	made := func(change func(*ledger.Content)) *ledger.Transaction {
		c := ledger.Content{
			Metadata:    ledger.Metadata{LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: ledger.Hash{1}, Signer: ledger.Hash{2}}}},
			Notary:      ledger.Notary{Name: notaryName, Key: key},
			Window:      ledger.TimeWindow{UntilUs: 1},
			Signatories: []ledger.PublicKey{key}, Commands: []ledger.Command{{Type: "issue", TypeVersion: 1}},
			Outputs: []ledger.State{{Type: "Coin", TypeVersion: 1, Contract: "test.Coin", Payload: []byte("1"), Participants: []ledger.PublicKey{key}}},
		}
		change(&c)
		tx, err := ledger.New(c, ledger.Salt{1})
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	tie := func(n int) func(*ledger.Content) {
		return func(c *ledger.Content) {
			for i := range n {
				c.Outputs = append(c.Outputs, ledger.State{Type: "Coin", TypeVersion: 1, Contract: "test.Coin", Encumbrance: "tie", Payload: []byte(fmt.Sprint(i)), Participants: []ledger.PublicKey{key}})
			}
		}
	}
	for _, c := range []struct {
		what, text string
		change     func(*ledger.Content)
	}{
		{"tied", "", tie(1_000)},
		{"tied, too many", "tie fewer", tie(3_000)},
		{"a signatory's key", "a key has at most 1280", func(c *ledger.Content) { c.Signatories = append(c.Signatories, long) }},
		{"the notary's key", "a key has at most 1280", func(c *ledger.Content) { c.Notary.Key = long }},
		{"many signatories", "leave room for 0", func(c *ledger.Content) {
			for i := range 200 {
				c.Signatories = append(c.Signatories, bytes.Repeat([]byte{byte(i), 1}, 22))
			}
		}},
	} {
		err := storable(made(c.change))
		var e *flow.Error
		if (err == nil) != (c.text == "") || err != nil && (!errors.As(err, &e) || e.Type != flow.ErrLimit.Type || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
