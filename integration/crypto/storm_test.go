package crypto_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/internal/vault"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	"github.com/fairleadio/fairlead/topics"
)

// fault takes Vault away and brings it back. word is in the reason for which the worker pauses meanwhile; empty for a
// fault that it gets over without.
type fault struct {
	name, word string
	begin, end func(t *testing.T, s *site)
}

func faults() []fault {
	policy := func(s *site) string { return "sys/policies/acl/" + s.cfg.Auth.Path }
	revoke := func(t *testing.T, s *site) {
		s.vault.Must(t, http.MethodPost, "sys/leases/revoke-force/auth/"+s.cfg.Auth.Path, nil)
	}
	nothing := func(*testing.T, *site) {}
	var secret []byte
	return []fault{
		{"sealed", "sealed", func(t *testing.T, s *site) { must(t, s.vault.Server.Seal(t.Context())) }, func(t *testing.T, s *site) { must(t, s.vault.Server.Unseal(t.Context())) }},
		{"killed", "unreachable", func(t *testing.T, s *site) { must(t, s.vault.Server.Kill()) }, func(t *testing.T, s *site) { must(t, s.vault.Server.Restart(t.Context())) }},
		{"slow", "", func(_ *testing.T, s *site) { s.wire.delay.Store(int64(300 * time.Millisecond)) }, func(_ *testing.T, s *site) { s.wire.delay.Store(0) }},
		{"stuck", "no answer in time", func(_ *testing.T, s *site) { s.wire.delay.Store(int64(time.Minute)) }, func(_ *testing.T, s *site) { s.wire.delay.Store(0) }},
		{"token revoked", "", revoke, nothing},
		{"token revoked and no other to be had", "log in", func(t *testing.T, s *site) {
			var err error
			secret, err = os.ReadFile(s.cfg.Auth.SecretIDFile)
			must(t, err)
			must(t, os.WriteFile(s.cfg.Auth.SecretIDFile, []byte("nonsense"), 0o600))
			revoke(t, s)
		}, func(t *testing.T, s *site) { must(t, os.WriteFile(s.cfg.Auth.SecretIDFile, secret, 0o600)) }},
		{"wrong policy", "does not allow", func(t *testing.T, s *site) {
			s.vault.Must(t, http.MethodPost, policy(s), map[string]any{"policy": `path "auth/token/lookup-self" { capabilities = ["read"] }
path "sys/capabilities-self" { capabilities = ["update"] }`})
		}, func(t *testing.T, s *site) {
			s.vault.Must(t, http.MethodPost, policy(s), map[string]any{"policy": vault.Policy(s.cfg.Mount)})
		}},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Requests come in before, while and after Vault is away, each time in another way. Every one has one answer, every
// signature is right, and every key that was asked for exists once.
func TestStorm(t *testing.T) {
	s := newSite(t)
	keys := []*cryptov1.Key{s.key(vnode, "p256", "LEDGER", signing.P256), s.key(vnode, "ed25519", "LEDGER", signing.Ed25519)}
	signer := map[string]*cryptov1.Key{}
	number := map[string]int{}
	var signatures, made []string
	ask := func(n int) {
		for range n {
			key := keys[len(signatures)%len(keys)]
			id := s.ask(topics.CryptoRequests, key.GetVaultName(), sign(key, len(signatures)))
			signer[id], number[id] = key, len(signatures)
			signatures = append(signatures, id)
		}
		made = append(made, s.ask(topics.CryptoAdmin, vnode, generate(vnode, fmt.Sprintf("storm %d", len(made)/2), "LEDGER", signing.Ed25519)))
	}
	for _, f := range faults() {
		began := time.Now()
		f.begin(t, s)
		ask(10)
		if f.word != "" {
			s.paused(f.word)
			if s.engine.Engine.Status().Ready() {
				t.Errorf("%s: ready while Vault is away", f.name)
			}
		}
		ask(10)
		if f.word == "" {
			s.replies(topics.FlowRepliesCrypto, signatures...)
		}
		noticed := time.Since(began)
		healed := time.Now()
		f.end(t, s)
		ask(10)
		s.replies(topics.FlowRepliesCrypto, signatures...)
		s.replies(topics.RpcReplies, made...)
		t.Logf("%s: noticed or got over after %s, all answered %s after its end", f.name, noticed.Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
	}
	s.c.Drained(t, s.graph)
	for id, replies := range s.replies(topics.FlowRepliesCrypto, signatures...) {
		var m cryptov1.Signature
		if err := proto.Unmarshal(replies[0].GetResult(), &m); err != nil || len(replies) != 1 || replies[0].GetError() != nil {
			t.Errorf("%s: %d answers, the first %v, %v", id, len(replies), replies[0], err)
			continue
		}
		if err := signing.Verify(signer[id].GetPublicKey(), m.GetScheme(), message(number[id]), m.GetSignature()); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	ids := map[string]bool{}
	answers := s.replies(topics.RpcReplies, made...)
	for n, id := range made {
		var g cryptov1.GeneratedKey
		if err := proto.Unmarshal(answers[id][0].GetResult(), &g); err != nil || len(answers[id]) != 1 || g.GetKey() == nil {
			t.Errorf("key %d: %v, %v", n, answers[id], err)
		}
		ids[g.GetKey().GetKeyId()] = true
	}
	want := (len(made)+1)/2 + len(keys)
	if len(ids) != want-len(keys) {
		t.Errorf("%d aliases have %d keys", want-len(keys), len(ids))
	}
	if inVault := len(s.vault.Must(t, "LIST", s.cfg.Mount+"/keys", nil)["keys"].([]any)); inVault != want {
		t.Errorf("Vault has %d keys, %d were asked for", inVault, want)
	}
	if published := len(s.c.Fold(t, topics.CryptoKeys)); published != want {
		t.Errorf("%d keys are published, %d were asked for", published, want)
	}
}

// An envelope's content key goes from who sealed it to the process that asks, and lies open nowhere between.
func TestEnvelope(t *testing.T) {
	s := newSite(t)
	key := s.key(vnode, "pre", "PRE_AUTH", signing.P256)
	public, err := x509.ParsePKIXPublicKey(key.GetPublicKey())
	must(t, err)
	content := make([]byte, 32)
	_, err = rand.Read(content)
	must(t, err)
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), content, nil)
	must(t, err)
	to, err := signing.NewReplyKey()
	must(t, err)
	open := func(sealed []byte) string {
		return s.ask(topics.CryptoMembers, key.GetVaultName(), &cryptov1.Request{Tenant: vnode, Operation: &cryptov1.Request_OpenEnvelope{
			OpenEnvelope: &cryptov1.OpenEnvelope{KeyId: key.GetKeyId(), SealedContentKey: sealed, ReplyTo: to.Public()},
		}})
	}
	id := open(sealed)
	var reply cryptov1.SealedReply
	s.result(topics.RpcReplies, id, &reply)
	if got, err := to.Open(id, &reply); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the content key came as %x, %v", got, err)
	}
	// One that was sealed to another key is refused, and holds nobody up.
	spoilt := bytes.Clone(sealed)
	spoilt[9] ^= 1
	id = open(spoilt)
	if e := s.replies(topics.RpcReplies, id)[id][0].GetError(); e.GetId() != "FL-CRYPTO-010" {
		t.Errorf("a spoilt envelope: %v", e)
	}
	s.paused("")
}
