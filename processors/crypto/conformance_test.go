package crypto_test

import (
	"fmt"
	"testing"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/processors/crypto"
	"github.com/fairleadio/fairlead/schemas"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	"github.com/fairleadio/fairlead/topics"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fixedKeys are keys that every process knows.
type fixedKeys map[string]*cryptov1.Key

func (f fixedKeys) Get(key string) (any, bool) {
	k, ok := f[key]
	return k, ok
}

// What every group must keep, kept by this one: keys made and made again, signatures one by one and in batches, and
// requests that are refused.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a broker for each disturbance")
	}
	v := newFakeVault()
	keys := fixedKeys{}
	add := func(name, category string) *cryptov1.Key {
		made, err := v.CreateKey(t.Context(), name, "ed25519")
		if err != nil {
			t.Fatal(err)
		}
		id, full := signing.KeyID(made.PublicKey)
		k := &cryptov1.Key{Tenant: vnode, KeyId: id, FullId: full, Alias: name, Category: category, Scheme: signing.Ed25519, PublicKey: made.PublicKey, VaultName: name, Version: 1}
		keys[vnode+"/"+id] = k
		return k
	}
	ledger, session := add("ledger", "LEDGER"), add("session", "SESSION_INIT")
	var inputs []enginetest.Input
	send := func(topic, key, reply string, r *cryptov1.Request) {
		r.Tenant = vnode
		raw, err := schemas.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("r%d", len(inputs))
		inputs = append(inputs, enginetest.Input{Topic: topic, Key: key, Value: raw, Headers: map[string]string{
			engine.HeaderRequest: id, engine.HeaderReply: engine.ReplyTo(reply, -1, id),
		}})
	}
	for n := range 12 {
		generate := &cryptov1.Request{Operation: &cryptov1.Request_GenerateKey{GenerateKey: &cryptov1.GenerateKey{
			Alias: fmt.Sprintf("alias %d", n/2), Category: "LEDGER", Scheme: signing.P256,
		}}}
		send(topics.CryptoAdmin, vnode, topics.RpcReplies, generate)
		sign := &cryptov1.Sign{Purpose: cryptov1.Purpose_PURPOSE_LEDGER, KeyId: ledger.GetKeyId(), Data: fmt.Appendf(nil, "%s%d", signing.LedgerPrefix, n)}
		send(topics.CryptoRequests, "ledger", topics.FlowRepliesCrypto, &cryptov1.Request{Operation: &cryptov1.Request_Sign{Sign: sign}})
		batch := &cryptov1.SignBatch{Purpose: sign.GetPurpose(), KeyId: ledger.GetKeyId(), Data: [][]byte{sign.GetData(), sign.GetData()}}
		send(topics.CryptoRequests, "ledger", topics.FlowRepliesCrypto, &cryptov1.Request{Operation: &cryptov1.Request_SignBatch{SignBatch: batch}})
		link := &cryptov1.Sign{Purpose: cryptov1.Purpose_PURPOSE_LINK_HANDSHAKE, KeyId: session.GetKeyId(), Data: []byte(signing.LinkPrefix + "x")}
		send(topics.CryptoLink, "session", topics.RpcReplies, &cryptov1.Request{Operation: &cryptov1.Request_Sign{Sign: link}})
		send(topics.CryptoTLS, "session", topics.RpcReplies, &cryptov1.Request{Operation: &cryptov1.Request_Sign{Sign: link}}) // refused
	}
	nowhere := inputs[0]
	nowhere.Headers = map[string]string{engine.HeaderRequest: "x", engine.HeaderReply: engine.ReplyTo(topics.FlowRepliesCrypto, -1, "x")}
	enginetest.Suite{
		Graph: func(t testing.TB) *engine.Graph {
			w, err := crypto.NewWorker(crypto.Config{}, crypto.Deps{Vault: v, Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			return w.Graph()
		},
		Inputs: inputs,
		Poison: &nowhere,
		Content: func(topic string, r *kgo.Record) string {
			if topic == topics.RpcReplies || topic == topics.FlowRepliesCrypto {
				return string(r.Key)
			}
			return "" // each run makes keys of its own
		},
		Repeatable: true,
	}.Run(t)
}
