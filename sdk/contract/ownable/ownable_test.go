package ownable_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/contract/ownable"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func TestSigned(t *testing.T) {
	tx := &contract.Transaction{Signatories: []ledger.PublicKey{[]byte("alice")}}
	alice, bob := ownable.Owned{At: contract.Input(0), Owner: []byte("alice")}, ownable.Owned{At: contract.Input(1), Owner: []byte("bob")}
	if err := ownable.Signed(tx, alice, alice); err != nil {
		t.Error(err)
	}
	if err := ownable.Signed(tx, alice, bob); !errors.Is(err, ownable.ErrOwner) {
		t.Errorf("%v", err)
	}
	if err := ownable.Signed(tx, ownable.Owned{}); !errors.Is(err, ownable.ErrOwner) {
		t.Errorf("nobody's state: %v", err)
	}
}

func TestKept(t *testing.T) {
	alice, bob := ledger.PublicKey("alice"), ledger.PublicKey("bob")
	if err := ownable.Kept(ledger.State{Participants: []ledger.PublicKey{alice}}, alice); err != nil {
		t.Error(err)
	}
	for _, p := range [][]ledger.PublicKey{nil, {bob}, {alice, bob}, {bob, alice}, {alice, alice}} {
		if err := ownable.Kept(ledger.State{Participants: p}, alice); !errors.Is(err, ownable.ErrParticipants) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestCheckKey(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []any{ed, r.Public()} {
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			t.Fatal(err)
		}
		if err := ownable.CheckKey(der); err != nil {
			t.Errorf("%T: %v", k, err)
		}
		for name, bad := range map[string]ledger.PublicKey{
			"longer":  append(slices.Clone(der), 0),
			"shorter": der[:len(der)-1],
			"head":    append([]byte{0x31}, der[1:]...),
		} {
			if err := ownable.CheckKey(bad); !errors.Is(err, ownable.ErrKey) {
				t.Errorf("%T, %s: %v", k, name, err)
			}
		}
	}
	of := func(n int, head ...byte) ledger.PublicKey { return append(head, make([]byte, n)...) }
	for name, bad := range map[string]ledger.PublicKey{
		"none": nil, "short": {0x30, 0}, "a name": []byte("O=Alice, L=London, C=GB, and more of it"),
		"a long length for a short one": of(100, 0x30, 0x81, 100), "two bytes for one": of(200, 0x30, 0x82, 0, 200),
		"no end": of(100, 0x30, 0x80), "huge": of(2000, 0x30, 0x82, 0x07, 0xd0),
	} {
		if err := ownable.CheckKey(bad); !errors.Is(err, ownable.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
