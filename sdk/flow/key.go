package flow

import "github.com/fairleadio/fairlead/sdk/internal/wire"

// PublicKey is a public key as SubjectPublicKeyInfo, DER. Package signature checks signatures with it.
type PublicKey []byte

// Key is one of the virtual node's key pairs. Its private half stays with the platform.
type Key struct {
	// ID is the first twelve hex digits of SHA-256 over the public key.
	ID        string
	PublicKey PublicKey
	// Category is LEDGER, NOTARY, …
	Category string
	// Scheme is Corda's name of the key's kind, such as CORDA.ECDSA.SECP256R1.
	Scheme string
	Alias  string
}

// Signature is what Sign returns.
type Signature struct {
	// Bytes are ASN.1 DER for ECDSA, 64 bytes for Ed25519.
	Bytes []byte `json:"bytes"`
	KeyID string `json:"keyId"`
	// Scheme is Corda's name of the signature's kind, such as SHA256withECDSA or EdDSA.
	Scheme    string    `json:"scheme"`
	PublicKey PublicKey `json:"publicKey"`
}

// Keys are the virtual node's keys of a category, such as "LEDGER"; of all for an empty one.
func (c *Context) Keys(category string) ([]Key, error) { return do(c, KeysCall(category)) }

// KeysCall is [Context.Keys] as a call.
func KeysCall(category string) *Pending[[]Key] { return findKeys(&wire.FindKeys{Category: category}) }

// MyKeys are those of some public keys that are the virtual node's, in the order asked.
func (c *Context) MyKeys(keys ...PublicKey) ([]Key, error) {
	if len(keys) == 0 { // it would ask for all
		return nil, nil
	}
	return do(c, MyKeysCall(keys[0], keys[1:]...))
}

// MyKeysCall is [Context.MyKeys] as a call.
func MyKeysCall(first PublicKey, others ...PublicKey) *Pending[[]Key] {
	return findKeys(&wire.FindKeys{PublicKeys: keyBytes(append([]PublicKey{first}, others...))})
}

func findKeys(o *wire.FindKeys) *Pending[[]Key] {
	return pending(o, func(_ *Context, result []byte, into *[]Key) error {
		var r wire.Keys
		if err := receive(result, &r); err != nil {
			return err
		}
		for _, k := range r.Keys {
			*into = append(*into, Key{ID: k.ID, PublicKey: k.PublicKey, Category: k.Category, Scheme: k.Scheme, Alias: k.Alias})
		}
		return nil
	})
}

// SignOption changes how something is signed.
type SignOption func(*wire.Sign)

// WithScheme chooses a signature scheme by Corda's names; without it, the key's default is taken.
func WithScheme(scheme string) SignOption { return func(s *wire.Sign) { s.Scheme = scheme } }

// Sign signs with a LEDGER key of the virtual node. What is signed is not the data alone: the platform puts a
// prefix with the virtual node before it, so that no application can be made to sign a structure of the platform's.
// Package signature checks the result.
func (c *Context) Sign(data []byte, key PublicKey, opts ...SignOption) (Signature, error) {
	return do(c, SignCall(data, key, opts...))
}

// SignCall is [Context.Sign] as a call.
func SignCall(data []byte, key PublicKey, opts ...SignOption) *Pending[Signature] {
	o := &wire.Sign{Data: data, PublicKey: key}
	for _, opt := range opts {
		opt(o)
	}
	return pending(o, func(_ *Context, result []byte, into *Signature) error {
		var r wire.Signature
		if err := receive(result, &r); err != nil {
			return err
		}
		*into = Signature{Bytes: r.Signature, KeyID: r.KeyID, Scheme: r.Scheme, PublicKey: r.PublicKey}
		return nil
	})
}

func keyBytes(keys []PublicKey) [][]byte {
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = k
	}
	return out
}

func publicKeys(all [][]byte) []PublicKey {
	out := make([]PublicKey, len(all))
	for i, k := range all {
		out[i] = k
	}
	return out
}
