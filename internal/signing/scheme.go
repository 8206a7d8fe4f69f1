package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512 by their crypto.Hash
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Key schemes that are served, by Corda's code names.
const (
	P256    = "CORDA.ECDSA.SECP256R1"
	Ed25519 = "CORDA.EDDSA.ED25519"
	RSA     = "CORDA.RSA"
)

// Signature schemes, by the names that Corda takes from the JCA.
const (
	SHA256withECDSA      = "SHA256withECDSA"
	SHA384withECDSA      = "SHA384withECDSA"
	SHA512withECDSA      = "SHA512withECDSA"
	EdDSA                = "EdDSA"
	SHA256withRSA        = "SHA256withRSA"
	SHA384withRSA        = "SHA384withRSA"
	SHA512withRSA        = "SHA512withRSA"
	SHA256withRSAandMGF1 = "SHA256withRSAandMGF1"
	SHA384withRSAandMGF1 = "SHA384withRSAandMGF1"
	SHA512withRSAandMGF1 = "SHA512withRSAandMGF1"
)

// Schemes returns the signature schemes of a key scheme, its default first; nil for a scheme that is not served.
func Schemes(keyScheme string) []string {
	switch keyScheme {
	case P256:
		return []string{SHA256withECDSA, SHA384withECDSA, SHA512withECDSA}
	case Ed25519:
		return []string{EdDSA}
	case RSA:
		return []string{SHA256withRSA, SHA384withRSA, SHA512withRSA, SHA256withRSAandMGF1, SHA384withRSAandMGF1, SHA512withRSAandMGF1}
	default:
		return nil
	}
}

// TLSSchemes returns those that TLS 1.3 has (RFC 8446, section 4.2.3), the default first.
func TLSSchemes(keyScheme string) []string {
	switch keyScheme {
	case P256:
		return []string{SHA256withECDSA} // the curve fixes the hash
	case Ed25519:
		return []string{EdDSA}
	case RSA:
		return []string{SHA256withRSAandMGF1, SHA384withRSAandMGF1, SHA512withRSAandMGF1}
	default:
		return nil
	}
}

// Verify checks a signature over a message. publicKey is a SubjectPublicKeyInfo; an empty scheme is its default.
func Verify(publicKey []byte, scheme string, message, signature []byte) error {
	public, err := x509.ParsePKIXPublicKey(publicKey)
	if err != nil {
		return fmt.Errorf("read the public key: %w", err)
	}
	keyScheme := schemeOf(public)
	if scheme == "" && keyScheme != "" {
		scheme = Schemes(keyScheme)[0]
	}
	if !slices.Contains(Schemes(keyScheme), scheme) {
		return fmt.Errorf("scheme %q does not fit a key of type %T", scheme, public)
	}
	hash := hashOf(scheme)
	digest := message
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	ok := false
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(k, digest, signature)
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, message, signature)
	case *rsa.PublicKey:
		if strings.HasSuffix(scheme, "andMGF1") {
			ok = rsa.VerifyPSS(k, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
		}
	}
	if !ok {
		return errors.New("the signature is not of this key over this message")
	}
	return nil
}

// schemeOf returns the key scheme of a public key, empty when it is not served.
func schemeOf(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve.Params().Name == "P-256" {
			return P256
		}
	case ed25519.PublicKey:
		return Ed25519
	case *rsa.PublicKey:
		return RSA
	}
	return ""
}

// hashOf returns the hash function of a signature scheme, zero for EdDSA.
func hashOf(scheme string) crypto.Hash {
	switch {
	case strings.HasPrefix(scheme, "SHA256"):
		return crypto.SHA256
	case strings.HasPrefix(scheme, "SHA384"):
		return crypto.SHA384
	case strings.HasPrefix(scheme, "SHA512"):
		return crypto.SHA512
	default:
		return 0
	}
}

// KeyID returns a key's ids: the first 12 upper-case hex digits of SHA-256 over the SubjectPublicKeyInfo, and the whole
// as SHA-256:<HEX>.
func KeyID(publicKey []byte) (short, full string) {
	sum := sha256.Sum256(publicKey)
	text := strings.ToUpper(hex.EncodeToString(sum[:]))
	return text[:12], "SHA-256:" + text
}
