package keys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
)

// A key that nobody can use takes no time: it is refused before anything is computed with it.
func TestLargeKeys(t *testing.T) {
	der := func(bits uint, e int) []byte {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		b, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: e})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct{ key, signature []byte }{
		"a long modulus":          {der(8200, 3), make([]byte, 1025)},
		"a modulus without end":   {der(1_600_000, 1<<31-1), make([]byte, 200_000)},
		"a large exponent":        {der(2048, 1<<31-1), make([]byte, 256)},
		"a signature without end": {der(2048, 65537), make([]byte, 100_000)},
		"a key of nonsense":       {bytes.Repeat([]byte{0x30}, 100_000), nil},
	} {
		if err := Check(c.key, "SHA256withRSA", []byte("m"), c.signature); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	private, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	good, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("m"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(good, "SHA256withRSA", []byte("m"), signature); err != nil {
		t.Error(err)
	}
}
