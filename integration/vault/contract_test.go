package vault_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/internal/vault/vaulttest"
)

// What the crypto worker relies on, on OpenBao and on whatever VAULT_ADDR names.
func TestContract(t *testing.T) {
	v := vaulttest.Start(t)
	cfg := v.Setup(t)
	c := vaulttest.Client(t, cfg)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if excess, err := c.Excess(t.Context()); err != nil || len(excess) > 0 {
		t.Errorf("the token may do %v, %v", excess, err)
	}
	t.Run("setup again", func(t *testing.T) {
		before, err := os.ReadFile(cfg.Auth.SecretIDFile)
		if err != nil {
			t.Fatal(err)
		}
		again, err := vault.Setup(t.Context(), vault.SetupConfig{
			Address: v.URL, Token: v.Token, Name: cfg.Auth.Path, Mount: cfg.Mount, Dir: filepath.Dir(cfg.Auth.SecretIDFile),
		})
		if err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(again.Auth.SecretIDFile)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("a secret id that is good was replaced: %v", err)
		}
	})
	t.Run("keys", func(t *testing.T) { keys(t, c) })
	t.Run("signatures", func(t *testing.T) { signatures(t, c) })
	t.Run("secrets", func(t *testing.T) { secrets(t, c) })
	t.Run("policy", func(t *testing.T) { policy(t, v, c, cfg) })
}

func keys(t *testing.T, c *vault.Client) {
	for _, kind := range []vault.KeyType{vault.P256, vault.Ed25519, vault.RSA3072, vault.AES256} {
		key, err := c.CreateKey(t.Context(), "keys."+string(kind), kind)
		if err != nil {
			t.Fatal(err)
		}
		if key.Type != kind || key.Weakness != "" || (len(key.PublicKey) == 0) != (kind == vault.AES256) {
			t.Errorf("%s: made %+v", kind, key)
		}
		again, err := c.CreateKey(t.Context(), key.Name, vault.P256)
		if err != nil || again.Type != kind || !bytes.Equal(again.PublicKey, key.PublicKey) {
			t.Errorf("%s: made again as %s: %+v, %v", kind, vault.P256, again, err)
		}
	}
	if _, err := c.ReadKey(t.Context(), "no-such-key"); vault.KindOf(err) != vault.NotFound {
		t.Errorf("reading a key that is not there: %v", err)
	}
	if _, err := c.Sign(t.Context(), "no-such-key", vault.Algorithm{}, [][]byte{{1}}); vault.KindOf(err) != vault.Permanent && vault.KindOf(err) != vault.NotFound {
		t.Errorf("signing with a key that is not there: %v", err)
	}
	if _, err := c.CreateKey(t.Context(), "keys.exotic", "aes128-gcm96"); vault.KindOf(err) != vault.Denied {
		t.Errorf("a type that the policy does not know: %v", err)
	}
}

func signatures(t *testing.T, c *vault.Client) {
	public := map[vault.KeyType]any{}
	for _, kind := range []vault.KeyType{vault.P256, vault.Ed25519, vault.RSA3072} {
		key, err := c.CreateKey(t.Context(), "signatures."+string(kind), kind)
		if err != nil {
			t.Fatal(err)
		}
		if public[kind], err = x509.ParsePKIXPublicKey(key.PublicKey); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range []struct {
		kind vault.KeyType
		alg  vault.Algorithm
	}{
		{vault.P256, vault.Algorithm{Hash: vault.SHA256}},
		{vault.P256, vault.Algorithm{Hash: vault.SHA384}},
		{vault.P256, vault.Algorithm{Hash: vault.SHA512}},
		{vault.Ed25519, vault.Algorithm{}},
		{vault.RSA3072, vault.Algorithm{Hash: vault.SHA256, Padding: vault.PKCS1v15}},
		{vault.RSA3072, vault.Algorithm{Hash: vault.SHA512, Padding: vault.PKCS1v15}},
		{vault.RSA3072, vault.Algorithm{Hash: vault.SHA256, Padding: vault.PSS}},
		{vault.RSA3072, vault.Algorithm{Hash: vault.SHA384, Padding: vault.PSS}},
	} {
		counts := []int{1, 2, 7}
		if a.kind != vault.RSA3072 {
			counts = append(counts, vault.MaxBatch, vault.MaxBatch+3)
		}
		for _, n := range counts {
			messages := make([][]byte, n)
			for i := range messages {
				messages[i] = fmt.Appendf(nil, "message %d of %d", i, n)
			}
			signed, err := c.Sign(t.Context(), "signatures."+string(a.kind), a.alg, messages)
			if err != nil {
				t.Fatalf("%s %+v, %d messages: %v", a.kind, a.alg, n, err)
			}
			for i, m := range messages {
				if !verify(public[a.kind], a.alg, m, signed[i]) {
					t.Fatalf("%s %+v: signature %d of %d is wrong", a.kind, a.alg, i, n)
				}
			}
		}
	}
	large := [][]byte{bytes.Repeat([]byte{1}, 4<<20), bytes.Repeat([]byte{2}, 4<<20), bytes.Repeat([]byte{3}, 4<<20)}
	signed, err := c.Sign(t.Context(), "signatures."+string(vault.Ed25519), vault.Algorithm{}, large)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range large {
		if !verify(public[vault.Ed25519], vault.Algorithm{}, m, signed[i]) {
			t.Errorf("the signature of large message %d is wrong", i)
		}
	}
}

func verify(public any, a vault.Algorithm, message, signature []byte) bool {
	var digest []byte
	var hash crypto.Hash
	switch a.Hash {
	case vault.SHA256:
		d := sha256.Sum256(message)
		digest, hash = d[:], crypto.SHA256
	case vault.SHA384:
		d := sha512.Sum384(message)
		digest, hash = d[:], crypto.SHA384
	case vault.SHA512:
		d := sha512.Sum512(message)
		digest, hash = d[:], crypto.SHA512
	}
	switch k := public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, signature)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, signature)
	case *rsa.PublicKey:
		if a.Padding == vault.PSS {
			return rsa.VerifyPSS(k, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
	}
	return false
}

func secrets(t *testing.T, c *vault.Client) {
	key, err := c.CreateKey(t.Context(), "secrets.rsa", vault.RSA3072)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("a content key of thirty-two byte")
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	if open, err := c.Decrypt(t.Context(), "secrets.rsa", sealed); err != nil || !bytes.Equal(open, secret) {
		t.Errorf("opened %q, %v", open, err)
	}
	sealed[7] ^= 1
	if _, err := c.Decrypt(t.Context(), "secrets.rsa", sealed); vault.KindOf(err) != vault.Permanent {
		t.Errorf("a spoilt ciphertext: %v", err)
	}
	if _, err := c.CreateKey(t.Context(), "secrets.aes", vault.AES256); err != nil {
		t.Fatal(err)
	}
	open, wrapped, err := c.DataKey(t.Context(), "secrets.aes")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Decrypt(t.Context(), "secrets.aes", wrapped); err != nil || !bytes.Equal(again, open) {
		t.Errorf("the wrapped data key opens to another: %v", err)
	}
}

// A stolen token of the crypto worker can sign and make keys, and that is all.
func policy(t *testing.T, v *vaulttest.Vault, c *vault.Client, cfg vault.Config) {
	if _, err := c.CreateKey(t.Context(), "policy", vault.P256); err != nil {
		t.Fatal(err)
	}
	v.Must(t, http.MethodPost, "sys/mounts/"+cfg.Mount+"-other", map[string]any{"type": "transit"})
	defer v.Must(t, http.MethodDelete, "sys/mounts/"+cfg.Mount+"-other", nil)
	token := login(t, v, cfg)
	m := cfg.Mount
	for _, a := range []struct {
		method, path string
		body         map[string]any
	}{
		{http.MethodGet, m + "/export/signing-key/policy", nil},
		{http.MethodGet, m + "/export/encryption-key/policy/1", nil},
		{http.MethodGet, m + "/byok-export/policy/policy", nil},
		{http.MethodGet, m + "/backup/policy", nil},
		{http.MethodPost, m + "/restore", map[string]any{"backup": "x"}},
		{http.MethodPost, m + "/restore/other", map[string]any{"backup": "x"}},
		{http.MethodPost, m + "/keys/policy/config", map[string]any{"exportable": true}},
		{http.MethodPost, m + "/keys/policy/config", map[string]any{"deletion_allowed": true}},
		{http.MethodPost, m + "/keys/policy/rotate", nil},
		{http.MethodPost, m + "/keys/policy/trim", map[string]any{"min_available_version": 1}},
		{http.MethodPost, m + "/keys/brought/import", map[string]any{"type": "ed25519", "ciphertext": "x"}},
		{http.MethodDelete, m + "/keys/policy", nil},
		{http.MethodPost, m + "/keys/weak", map[string]any{"type": "ecdsa-p256", "exportable": true}},
		{http.MethodPost, m + "/keys/weak", map[string]any{"type": "ecdsa-p256", "allow_plaintext_backup": true}},
		{http.MethodPost, m + "/keys/weak", map[string]any{"type": "ed25519", "derived": true}},
		{http.MethodPost, m + "/keys/weak", map[string]any{"type": "rsa-2048"}},
		{http.MethodPost, m + "/encrypt/policy", map[string]any{"plaintext": "eA=="}},
		{http.MethodPost, m + "/config/keys", map[string]any{"disable_upsert": false}},
		{"LIST", m + "/keys", nil},
		{http.MethodPost, m + "-other/keys/k", map[string]any{"type": "ed25519"}},
		{http.MethodPost, m + "-other/sign/k", map[string]any{"input": "eA=="}},
		{http.MethodGet, "sys/mounts", nil},
		{http.MethodGet, "sys/policies/acl/" + cfg.Auth.Path, nil},
		{http.MethodPost, "sys/policies/acl/" + cfg.Auth.Path, map[string]any{"policy": ""}},
		{http.MethodPost, "auth/token/create", map[string]any{}},
		{http.MethodPost, "auth/" + cfg.Auth.Path + "/role/" + cfg.Auth.Path + "/secret-id", map[string]any{}},
	} {
		if status, answer := v.Call(t, a.method, a.path, token, a.body); status != http.StatusForbidden {
			t.Errorf("%s %s %v: status %d, %v; 403 is wanted", a.method, a.path, a.body, status, answer)
		}
	}
	if status, answer := v.Call(t, http.MethodPost, m+"/sign/policy", token, map[string]any{"input": "eA=="}); status != http.StatusOK {
		t.Errorf("the token may not even sign: %d %v", status, answer)
	}
}
