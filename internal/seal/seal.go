package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeyBytes is the length of a key.
const KeyBytes = chacha20poly1305.KeySize

// version is the first byte of a sealed value, so that another way can follow.
const version = 1

// ErrSealed tells that a value does not open: another key, another place, or it was changed.
var ErrSealed = errors.New("FL-SEAL-001: the sealed value does not open: it was sealed under another key or for another place, or it is damaged")

// Key seals and opens. It is safe for use by several goroutines.
type Key struct{ aead cipher.AEAD }

// New makes a key of 32 bytes.
func New(key []byte) (*Key, error) {
	if len(key) != KeyBytes {
		return nil, fmt.Errorf("FL-SEAL-002: the key has %d bytes: %d are needed", len(key), KeyBytes)
	}
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("make the cipher: %w", err)
	}
	return &Key{a}, nil
}

// ReadFile reads a key from a file: 32 raw bytes, or 64 hex digits or base64 with white space around.
func ReadFile(name string) (*Key, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the sealing key: %w", err)
	}
	k, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// Parse reads a key's content of a file; see [ReadFile].
func Parse(b []byte) (*Key, error) {
	if len(b) == KeyBytes {
		return New(b)
	}
	text := strings.TrimSpace(string(b))
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == KeyBytes {
		return New(raw)
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) == KeyBytes {
		return New(raw)
	}
	return nil, fmt.Errorf("FL-SEAL-002: the file holds no key: write %d random bytes into it, raw, in hex or in base64 (head -c %d /dev/urandom | base64)", KeyBytes, KeyBytes)
}

// WriteKey makes a random key and writes it, in base64, into a new file that its owner alone may read.
func WriteKey(name string) error {
	key := make([]byte, KeyBytes)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the sealing key: %w", err)
	}
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	return errors.Join(err, f.Close())
}

// Seal encrypts a secret for a place, which is named by parts: the same parts are needed to open it.
func (k *Key) Seal(secret []byte, place ...string) ([]byte, error) {
	out := make([]byte, 1+chacha20poly1305.NonceSizeX, 1+chacha20poly1305.NonceSizeX+len(secret)+chacha20poly1305.Overhead)
	out[0] = version
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	return k.aead.Seal(out, out[1:], secret, associated(place)), nil
}

// Open decrypts a secret that was sealed for this place. It returns [ErrSealed] when it does not open.
func (k *Key) Open(sealed []byte, place ...string) ([]byte, error) {
	if len(sealed) < 1+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead || sealed[0] != version {
		return nil, ErrSealed
	}
	nonce, box := sealed[1:1+chacha20poly1305.NonceSizeX], sealed[1+chacha20poly1305.NonceSizeX:]
	secret, err := k.aead.Open(nil, nonce, box, associated(place))
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

// associated joins the parts so that no two lists have the same bytes.
func associated(parts []string) []byte {
	out := []byte("fairlead seal v1")
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}
