package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for SHA384with… and SHA512with…
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is returned for a signature that is not one of the data by the key.
var ErrInvalid = errors.New("the signature is not one of this data by this member")

// ErrUnsupported is returned for a kind of key or scheme that cannot be checked here.
var ErrUnsupported = errors.New("keys or signatures of this kind cannot be checked here")

// maxKey is how long a key may be, bytes.
const maxKey = 4 << 10

// Check checks that exactly these bytes were signed with a key, in the encoding of X.509. Errors are [ErrInvalid] and [ErrUnsupported].
func Check(publicKey []byte, scheme string, message, signature []byte) error {
	if len(publicKey) > maxKey {
		return fmt.Errorf("%w: a key of %d bytes; at most %d are checked", ErrUnsupported, len(publicKey), maxKey)
	}
	key, err := x509.ParsePKIXPublicKey(publicKey)
	if err != nil {
		return fmt.Errorf("%w: key %s: %w", ErrUnsupported, ID(publicKey), err)
	}
	ok, err := check(key, scheme, message, signature)
	switch {
	case err != nil:
		return err
	case !ok:
		return ErrInvalid
	}
	return nil
}

// What is checked of a key and a signature. What is larger no platform makes, and would take minutes: a key comes from whoever
// sends it, and need not be one.
const (
	maxRSABits     = 8192
	maxRSAExponent = 1 << 24
	maxSignature   = 4 << 10
)

func check(key any, scheme string, message, signature []byte) (bool, error) {
	if k, is := key.(*rsa.PublicKey); is && (k.N.BitLen() > maxRSABits || k.E > maxRSAExponent) {
		return false, fmt.Errorf("%w: an RSA key of %d bits with exponent %d; at most %d bits and %d are checked", ErrUnsupported, k.N.BitLen(), k.E, maxRSABits, maxRSAExponent)
	}
	if len(signature) > maxSignature {
		return false, fmt.Errorf("%w: a signature of %d bytes; at most %d are checked", ErrUnsupported, len(signature), maxSignature)
	}
	if k, is := key.(ed25519.PublicKey); is {
		if scheme != "EdDSA" {
			return false, mismatch(key, scheme)
		}
		return ed25519.Verify(k, message, signature), nil
	}
	digest, hash, rest := digestOf(scheme, message)
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if rest == "ECDSA" {
			return ecdsa.VerifyASN1(k, digest, signature), nil
		}
	case *rsa.PublicKey:
		switch rest {
		case "RSA":
			return rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil, nil
		case "RSA/PSS", "RSAandMGF1":
			return rsa.VerifyPSS(k, hash, digest, signature, nil) == nil, nil
		}
	}
	return false, mismatch(key, scheme)
}

func mismatch(key any, scheme string) error {
	return fmt.Errorf("%w: scheme %q with a key of type %T", ErrUnsupported, scheme, key)
}

// digestOf reads a name such as SHA256withECDSA.
func digestOf(scheme string, message []byte) (digest []byte, hash crypto.Hash, rest string) {
	name, rest, _ := strings.Cut(scheme, "with")
	switch name {
	case "SHA256":
		hash = crypto.SHA256
	case "SHA384":
		hash = crypto.SHA384
	case "SHA512":
		hash = crypto.SHA512
	default:
		return nil, 0, ""
	}
	h := hash.New()
	h.Write(message)
	return h.Sum(nil), hash, rest
}

// ID is by what the platform names a key: the first twelve hex digits of SHA-256 over it.
func ID(key []byte) string {
	sum := sha256.Sum256(key)
	return strings.ToUpper(hex.EncodeToString(sum[:6]))
}
