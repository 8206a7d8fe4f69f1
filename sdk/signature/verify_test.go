package signature_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/signature"
)

const (
	name  = "O=Alice, L=London, C=GB"
	group = "8d1c6a4e-2f5b-4b0e-9a58-3b6f5a0c9d11"
)

// what is signed, as signing.proto says.
func message(data string) []byte {
	return []byte("fairlead application signature v1\x00" + signature.ShortHash(name, group) + "\x00" + data)
}

func TestVerify(t *testing.T) {
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(message("data"))
	long := sha512.Sum512(message("data"))
	sign := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		key    any
		scheme string
		bytes  []byte
	}{
		{edPublic, "EdDSA", ed25519.Sign(edPrivate, message("data"))},
		{ec.Public(), "SHA256withECDSA", sign(ecdsa.SignASN1(rand.Reader, ec, digest[:]))},
		{ec.Public(), "SHA512withECDSA", sign(ecdsa.SignASN1(rand.Reader, ec, long[:]))},
		{r.Public(), "SHA256withRSA", sign(rsa.SignPKCS1v15(nil, r, crypto.SHA256, digest[:]))},
		{r.Public(), "SHA256withRSAandMGF1", sign(rsa.SignPSS(rand.Reader, r, crypto.SHA256, digest[:], nil))},
	} {
		public, err := x509.MarshalPKIXPublicKey(c.key)
		if err != nil {
			t.Fatal(err)
		}
		s := flow.Signature{Bytes: c.bytes, Scheme: c.scheme, PublicKey: public}
		alice := flow.Member{X500Name: name, GroupID: group, LedgerKeys: []flow.PublicKey{public}}
		if err := signature.Verify([]byte("data"), s, alice); err != nil {
			t.Errorf("%s: %v", c.scheme, err)
		}
		if err := signature.Verify([]byte("date"), s, alice); !errors.Is(err, signature.ErrInvalid) {
			t.Errorf("%s, other data: %v", c.scheme, err)
		}
		bob := alice
		bob.X500Name = "O=Bob, L=London, C=GB"
		if err := signature.Verify([]byte("data"), s, bob); !errors.Is(err, signature.ErrInvalid) {
			t.Errorf("%s, another member: %v", c.scheme, err)
		}
		alice.LedgerKeys = nil
		if err := signature.Verify([]byte("data"), s, alice); !errors.Is(err, signature.ErrInvalid) {
			t.Errorf("%s, a key that is not the member's: %v", c.scheme, err)
		}
		s.Scheme = "MD5withECDSA"
		if err := signature.VerifyKey([]byte("data"), s, flow.Identity{X500Name: name, GroupID: group}); !errors.Is(err, signature.ErrUnsupported) {
			t.Errorf("another scheme: %v", err)
		}
		s.PublicKey = s.PublicKey[1:]
		if err := signature.VerifyKey([]byte("data"), s, flow.Identity{}); !errors.Is(err, signature.ErrUnsupported) {
			t.Errorf("a broken key: %v", err)
		}
	}
}

// The short hash of a vector that the platform's own package has too.
func TestShortHash(t *testing.T) {
	if got := signature.ShortHash("O=Alice, L=London, C=GB", "6a2e1a1e-3d1f-4d7e-9f0c-2f3f8f5a7b10"); len(got) != 12 {
		t.Errorf("%s", got)
	}
}
