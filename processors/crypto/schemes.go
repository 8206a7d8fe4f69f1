package crypto

import (
	"slices"

	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/internal/vault"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
)

// Schemes that Vault has no keys of, accepted only where RSA serves them.
const (
	secp256k1 = "CORDA.ECDSA.SECP256K1"
	x25519    = "CORDA.X25519"
)

// schemesOf returns the key schemes that can be asked for in a category, sorted; nil for a category that has no keys
// here.
func schemesOf(category string) []string {
	switch category {
	case Accounts, CI, Ledger, Notary, SessionInit:
		return []string{signing.P256, signing.Ed25519, signing.RSA}
	case TLS:
		return []string{signing.P256, signing.RSA}
	case PreAuth:
		// Vault has no key agreement: an envelope's content key is sealed to an RSA key, whatever was asked for.
		return []string{secp256k1, signing.P256, signing.RSA, x25519}
	default:
		return nil
	}
}

// categories returns those that have keys, sorted.
func categories() []string { return []string{Accounts, CI, Ledger, Notary, PreAuth, SessionInit, TLS} }

// served returns the scheme of the key that is made when a scheme is asked for.
func served(category, asked string) string {
	if category == PreAuth {
		return signing.RSA
	}
	return asked
}

// vaultType is the transit type of a key scheme.
func vaultType(scheme string) vault.KeyType {
	switch scheme {
	case signing.P256:
		return vault.P256
	case signing.Ed25519:
		return vault.Ed25519
	default:
		return vault.RSA3072
	}
}

// algorithm is how Vault makes a signature of a scheme.
func algorithm(scheme string) vault.Algorithm {
	switch scheme {
	case signing.SHA256withECDSA:
		return vault.Algorithm{Hash: vault.SHA256}
	case signing.SHA384withECDSA:
		return vault.Algorithm{Hash: vault.SHA384}
	case signing.SHA512withECDSA:
		return vault.Algorithm{Hash: vault.SHA512}
	case signing.SHA256withRSA:
		return vault.Algorithm{Hash: vault.SHA256, Padding: vault.PKCS1v15}
	case signing.SHA384withRSA:
		return vault.Algorithm{Hash: vault.SHA384, Padding: vault.PKCS1v15}
	case signing.SHA512withRSA:
		return vault.Algorithm{Hash: vault.SHA512, Padding: vault.PKCS1v15}
	case signing.SHA256withRSAandMGF1:
		return vault.Algorithm{Hash: vault.SHA256, Padding: vault.PSS}
	case signing.SHA384withRSAandMGF1:
		return vault.Algorithm{Hash: vault.SHA384, Padding: vault.PSS}
	case signing.SHA512withRSAandMGF1:
		return vault.Algorithm{Hash: vault.SHA512, Padding: vault.PSS}
	default:
		return vault.Algorithm{}
	}
}

// signatureScheme picks the scheme of a signature: the one asked for when it fits key and purpose, the default when none
// is asked for. fitting are those that would do.
func signatureScheme(p cryptov1.Purpose, keyScheme, asked string) (scheme string, fitting []string, ok bool) {
	fitting = signing.Schemes(keyScheme)
	if p == cryptov1.Purpose_PURPOSE_TLS_CERTIFICATE_VERIFY {
		fitting = signing.TLSSchemes(keyScheme)
	}
	if asked == "" && len(fitting) > 0 {
		return fitting[0], fitting, true
	}
	return asked, fitting, slices.Contains(fitting, asked)
}
