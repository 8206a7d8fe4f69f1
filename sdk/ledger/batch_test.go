package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"
)

func TestVerifyAll(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	key, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	ids := []Hash{{1}, {2}, {3}, {4}, {5}}
	root, proofs, err := BatchRoot(ids)
	if err != nil {
		t.Fatal(err)
	}
	m := SignatureMetadata{TimeUs: 1, Scheme: "EdDSA", KeyID: KeyID(key), PlatformVersion: 1}
	batch := func() []Signature {
		var out []Signature
		for _, p := range proofs {
			out = append(out, Signature{By: key, Bytes: ed25519.Sign(private, SignedBytes(root, m)), Metadata: m, Proof: p})
		}
		return out
	}
	if err := VerifyAll(ids, batch()); err != nil {
		t.Error(err)
	}
	if err := VerifyAll(nil, nil); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(all []Signature) []Signature{
		"one is missing":     func(all []Signature) []Signature { return all[1:] },
		"two are exchanged":  func(all []Signature) []Signature { all[0], all[1] = all[1], all[0]; return all },
		"a proof is missing": func(all []Signature) []Signature { all[2].Proof = nil; return all },
		"another time":       func(all []Signature) []Signature { all[4].Metadata.TimeUs++; return all },
		"other bytes": func(all []Signature) []Signature {
			all[3].Bytes = bytes.Clone(all[3].Bytes)
			all[3].Bytes[0]++
			return all
		},
		"no signature at all": func(all []Signature) []Signature { all[3].Bytes = nil; return all },
		"another key":         func(all []Signature) []Signature { all[1].By = key[1:]; return all },
	} {
		if err := VerifyAll(ids, change(batch())); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Parts of transactions travel by themselves in their one encoding.
func TestParts(t *testing.T) {
	c := pay()
	if m, err := DecodeMetadata(c.Metadata.Encode()); err != nil || !bytes.Equal(m.Encode(), c.Metadata.Encode()) || m.Packages[0] != c.Metadata.Packages[0] {
		t.Errorf("%+v, %v", m, err)
	}
	if n, err := DecodeNotary(c.Notary.Encode()); err != nil || n.Name != c.Notary.Name || !bytes.Equal(n.Key, c.Notary.Key) {
		t.Errorf("%+v, %v", n, err)
	}
	s := SignatureMetadata{TimeUs: 1, Scheme: "EdDSA", KeyID: Hash{1}, PlatformVersion: 50200}
	if again, err := DecodeSignatureMetadata(s.Encode()); err != nil || again != s {
		t.Errorf("%+v, %v", again, err)
	}
	for _, b := range [][]byte{{0xff}, append(s.Encode(), 0x7a, 0)} {
		_, err1 := DecodeMetadata(b)
		_, err2 := DecodeNotary(b)
		_, err3 := DecodeSignatureMetadata(b)
		if err1 == nil || err2 == nil || err3 == nil {
			t.Errorf("%x was read: %v, %v, %v", b, err1, err2, err3)
		}
	}
}

// The longest signature that can be checked leaves no more room than is kept for it.
func TestLongestSignature(t *testing.T) {
	ids := make([]Hash, MaxBatch)
	_, proofs, err := BatchRoot(ids)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	const more = (8192 - 1024) / 8 // of the modulus, to the longest that is checked; beside a few bytes of lengths
	s := Signature{By: append(der, make([]byte, more+16)...), Bytes: make([]byte, 8192/8), Proof: proofs[MaxBatch/2],
		Metadata: SignatureMetadata{TimeUs: 1 << 60, Scheme: "SHA512withRSAandMGF1", PlatformVersion: 1 << 31}}
	s.Metadata.KeyID = KeyID(s.By)
	if n := len(s.Encode()); n > MaxSignature || n < MaxSignature/2 {
		t.Errorf("the longest signature has %d bytes, %d are left for it", n, MaxSignature)
	}
}
