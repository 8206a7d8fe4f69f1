package crypto_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"sync"

	"github.com/fairleadio/fairlead/internal/vault"
)

// fakeVault makes Ed25519 keys of their names, whatever type is asked for, and can be away.
type fakeVault struct {
	mu      sync.Mutex
	types   map[string]vault.KeyType
	away    error
	signs   int // requests for signatures
	largest int // signatures of the largest of them
}

func newFakeVault() *fakeVault { return &fakeVault{types: map[string]vault.KeyType{}} }

func (f *fakeVault) private(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func (f *fakeVault) public(name string) []byte {
	der, err := x509.MarshalPKIXPublicKey(f.private(name).Public())
	if err != nil {
		panic(err)
	}
	return der
}

func (f *fakeVault) setAway(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = err
}

func (f *fakeVault) CreateKey(_ context.Context, name string, t vault.KeyType) (vault.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return vault.Key{}, f.away
	}
	if f.types[name] == "" {
		f.types[name] = t
	}
	return vault.Key{Name: name, Type: f.types[name], PublicKey: f.public(name)}, nil
}

func (f *fakeVault) Sign(_ context.Context, name string, _ vault.Algorithm, messages [][]byte) ([][]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return nil, f.away
	}
	if f.types[name] == "" {
		return nil, &vault.Error{Kind: vault.Permanent, Doing: "sign", Err: errors.New("no such key")}
	}
	f.signs++
	f.largest = max(f.largest, len(messages))
	var out [][]byte
	for _, m := range messages {
		out = append(out, ed25519.Sign(f.private(name), m))
	}
	return out, nil
}

func (f *fakeVault) Decrypt(context.Context, string, []byte) ([]byte, error) {
	return make([]byte, 32), nil
}

func (f *fakeVault) Check(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.away
}
