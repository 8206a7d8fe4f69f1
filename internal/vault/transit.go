package vault

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
)

// KeyType is a transit key type.
type KeyType string

// The types that the policy allows.
const (
	P256    KeyType = "ecdsa-p256"
	Ed25519 KeyType = "ed25519"
	RSA3072 KeyType = "rsa-3072"
	AES256  KeyType = "aes256-gcm96"
)

// Key is what Vault tells of a key.
type Key struct {
	Name string
	Type KeyType
	// PublicKey is the SubjectPublicKeyInfo, DER; empty for [AES256].
	PublicKey []byte
	// Weakness says why the key must not be used, empty when nothing is wrong: it could be exported, was rotated,
	// was brought in from outside, or is derived.
	Weakness string
}

// Hash is a hash function's name in Vault.
type Hash string

// The hash functions. Ed25519 signs whole messages and has its own.
const (
	SHA256 Hash = "sha2-256"
	SHA384 Hash = "sha2-384"
	SHA512 Hash = "sha2-512"
)

// Padding is how an RSA signature is padded.
type Padding string

// The paddings.
const (
	PKCS1v15 Padding = "pkcs1v15"
	// PSS takes a salt as long as the hash.
	PSS Padding = "pss"
)

// Algorithm says how to sign. The zero value is for Ed25519; for ECDSA Hash alone is set and signatures are ASN.1.
type Algorithm struct {
	Hash    Hash
	Padding Padding
}

// Limits of one request to Vault; [Client.Sign] makes as many as it needs.
const (
	MaxBatch = 256
	// MaxBatchBytes keeps the request, which has everything in base64, well below Vault's 32 MiB.
	MaxBatchBytes = 8 << 20
)

// version pins the first version of a key: another would be another key.
const version = 1

// CreateKey makes a key that cannot be exported, unless there is one of the name, and returns what is there then. The
// caller compares the type: an existing key keeps its own.
func (c *Client) CreateKey(ctx context.Context, name string, t KeyType) (Key, error) {
	err := c.call(ctx, "create key", func(ctx context.Context, a *api.Client) error {
		_, err := a.Logical().WriteWithContext(ctx, c.cfg.Mount+"/keys/"+name, map[string]any{"type": string(t)})
		return err
	})
	if err != nil {
		return Key{}, err
	}
	return c.ReadKey(ctx, name)
}

// ReadKey returns a key's public half.
func (c *Client) ReadKey(ctx context.Context, name string) (Key, error) {
	key := Key{Name: name}
	err := c.call(ctx, "read key", func(ctx context.Context, a *api.Client) error {
		s, err := read(ctx, a, c.cfg.Mount+"/keys/"+name)
		if err != nil {
			return err
		}
		return key.parse(dataOf(s))
	})
	return key, err
}

// read is the client's Read, which makes nothing of "not found", whether it is a key that lacks or the engine.
func read(ctx context.Context, a *api.Client, path string) (*api.Secret, error) {
	resp, err := a.Logical().ReadRawWithContext(ctx, path)
	if resp != nil {
		defer resp.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	s, err := api.ParseSecret(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return s, nil
}

func (k *Key) parse(data map[string]any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("%w: %w", errAnswer, err)
	}
	var answer struct {
		Type       string                     `json:"type"`
		Exportable bool                       `json:"exportable"`
		Backup     bool                       `json:"allow_plaintext_backup"`
		Derived    bool                       `json:"derived"`
		Imported   bool                       `json:"imported_key"`
		Latest     int                        `json:"latest_version"`
		Keys       map[string]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("%w: %w", errAnswer, err)
	}
	k.Type = KeyType(answer.Type)
	switch {
	case answer.Exportable:
		k.Weakness = "it can be exported"
	case answer.Backup:
		k.Weakness = "it can be backed up in plain text"
	case answer.Derived:
		k.Weakness = "it is derived"
	case answer.Imported:
		k.Weakness = "it was imported, so there is a copy outside Vault"
	case answer.Latest != version:
		k.Weakness = fmt.Sprintf("it was rotated: its latest version is %d", answer.Latest)
	}
	if k.Type == AES256 {
		return nil
	}
	var first struct {
		PublicKey string `json:"public_key"`
	}
	if err := json.Unmarshal(answer.Keys["1"], &first); err != nil || first.PublicKey == "" {
		return fmt.Errorf("%w: the key has no public half in version 1", errAnswer)
	}
	if k.PublicKey, err = parsePublic(k.Type, first.PublicKey); err != nil {
		return err
	}
	return nil
}

// parsePublic makes a SubjectPublicKeyInfo of Vault's form: PEM, but the bare 32 bytes in base64 for Ed25519.
func parsePublic(t KeyType, text string) ([]byte, error) {
	if t == Ed25519 {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: a public key of %d bytes where Ed25519 has %d", errAnswer, len(raw), ed25519.PublicKeySize)
		}
		der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(raw))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errAnswer, err)
		}
		return der, nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%w: the public key is not PEM", errAnswer)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	der, err := x509.MarshalPKIXPublicKey(public) // one form, whatever Vault's is
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return der, nil
}

// Sign signs messages with one key, in as few requests as the limits allow. On an error nothing is returned; signing
// again does no harm.
func (c *Client) Sign(ctx context.Context, name string, alg Algorithm, messages [][]byte) ([][]byte, error) {
	out := make([][]byte, 0, len(messages))
	for len(messages) > 0 {
		n, size := 0, 0
		for n < len(messages) && n < MaxBatch && (n == 0 || size+len(messages[n]) <= MaxBatchBytes) {
			size += len(messages[n])
			n++
		}
		signed, err := c.signBatch(ctx, name, alg, messages[:n])
		if err != nil {
			return nil, err
		}
		out = append(out, signed...)
		messages = messages[n:]
	}
	return out, nil
}

func (c *Client) signBatch(ctx context.Context, name string, alg Algorithm, messages [][]byte) ([][]byte, error) {
	body := map[string]any{"key_version": version}
	if alg.Hash != "" {
		body["hash_algorithm"] = string(alg.Hash)
		body["marshaling_algorithm"] = "asn1"
	}
	if alg.Padding != "" {
		body["signature_algorithm"] = string(alg.Padding)
	}
	if alg.Padding == PSS {
		body["salt_length"] = "hash"
	}
	if len(messages) == 1 {
		body["input"] = base64.StdEncoding.EncodeToString(messages[0])
	} else {
		batch := make([]map[string]string, len(messages))
		for i, m := range messages {
			batch[i] = map[string]string{"input": base64.StdEncoding.EncodeToString(m)}
		}
		body["batch_input"] = batch
	}
	var out [][]byte
	err := c.call(ctx, "sign", func(ctx context.Context, a *api.Client) error {
		s, err := a.Logical().WriteWithContext(ctx, c.cfg.Mount+"/sign/"+name, body)
		if err != nil {
			return err
		}
		out, err = signatures(dataOf(s), len(messages))
		return err
	})
	return out, err
}

// signatures reads the answer to one input or to a batch, which comes in the order asked.
func signatures(data map[string]any, n int) ([][]byte, error) {
	results := []any{data}
	if n > 1 {
		results, _ = data["batch_results"].([]any)
	}
	if len(results) != n {
		return nil, fmt.Errorf("%w: %d signatures for %d messages", errAnswer, len(results), n)
	}
	out := make([][]byte, n)
	for i, r := range results {
		row, _ := r.(map[string]any)
		if said, _ := row["error"].(string); said != "" {
			return nil, fmt.Errorf("%w: message %d: %s", errAnswer, i, said)
		}
		text, _ := row["signature"].(string)
		raw, err := unprefixed(text)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		out[i] = raw
	}
	return out, nil
}

// unprefixed takes "vault:v1:" off.
func unprefixed(text string) ([]byte, error) {
	body, ok := strings.CutPrefix(text, cipherPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %s", errAnswer, cipherPrefix)
	}
	raw, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return raw, nil
}

const cipherPrefix = "vault:v1:"

// Decrypt opens a ciphertext of the key: RSA-OAEP with SHA-256 for an RSA key, what [Client.DataKey] wrapped for an
// AES key. One that the key does not open is a [Permanent] error.
func (c *Client) Decrypt(ctx context.Context, name string, ciphertext []byte) ([]byte, error) {
	body := map[string]any{"ciphertext": cipherPrefix + base64.StdEncoding.EncodeToString(ciphertext)}
	return c.secretField(ctx, "decrypt", "/decrypt/"+name, body, "plaintext")
}

// DataKey makes a random 256-bit key and returns it open and wrapped by the named AES key; [Client.Decrypt] opens it.
func (c *Client) DataKey(ctx context.Context, name string) (open, wrapped []byte, err error) {
	err = c.call(ctx, "make data key", func(ctx context.Context, a *api.Client) error {
		s, err := a.Logical().WriteWithContext(ctx, c.cfg.Mount+"/datakey/plaintext/"+name, map[string]any{"bits": 256})
		if err != nil {
			return err
		}
		text, _ := dataOf(s)["plaintext"].(string)
		if open, err = base64.StdEncoding.DecodeString(text); err != nil || len(open) != 32 {
			return fmt.Errorf("%w: the data key is not 32 bytes", errAnswer)
		}
		sealed, _ := dataOf(s)["ciphertext"].(string)
		wrapped, err = unprefixed(sealed)
		return err
	})
	return open, wrapped, err
}

func (c *Client) secretField(ctx context.Context, doing, path string, body map[string]any, field string) ([]byte, error) {
	var out []byte
	err := c.call(ctx, doing, func(ctx context.Context, a *api.Client) error {
		s, err := a.Logical().WriteWithContext(ctx, c.cfg.Mount+path, body)
		if err != nil {
			return err
		}
		text, ok := dataOf(s)[field].(string)
		if !ok {
			return fmt.Errorf("%w: it has no %s", errAnswer, field)
		}
		if out, err = base64.StdEncoding.DecodeString(text); err != nil {
			return errors.Join(errAnswer, err)
		}
		return nil
	})
	return out, err
}
