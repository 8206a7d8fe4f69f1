package crypto_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/processors/crypto"
	"github.com/fairleadio/fairlead/schemas"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// site is a worker with its engine and its view on a broker, over a vault that can go away.
type site struct {
	t       *testing.T
	c       *enginetest.Cluster
	vault   *fakeVault
	worker  *crypto.Worker
	engine  *enginetest.Engine
	metrics *prometheus.Registry
	asked   int
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, c: enginetest.NewCluster(t), vault: newFakeVault(), metrics: prometheus.NewRegistry()}
	edges, err := crypto.NewWorker(crypto.Config{}, crypto.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	s.c.CreateTopics(t, 2, edges.Graph())
	view, err := engine.NewView(engine.ViewConfig{Brokers: s.c.Brokers(), Prefix: s.c.Prefix, Topic: topics.CryptoKeys, Codec: schemas.Codec[*cryptov1.Key]()})
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := crypto.NewMetrics(s.metrics)
	if err != nil {
		t.Fatal(err)
	}
	if s.worker, err = crypto.NewWorker(crypto.Config{}, crypto.Deps{Vault: s.vault, Keys: view, Metrics: metrics, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := view.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	if err := view.WaitReady(enginetest.Context(t)); err != nil {
		t.Fatal(err)
	}
	cfg := s.c.Config(t)
	crypto.Tune(&cfg)
	s.engine = enginetest.StartConfig(t, cfg, s.worker.Graph())
	wg.Go(func() {
		if err := s.worker.Run(ctx, s.engine.Engine); err != nil {
			t.Error(err)
		}
	})
	s.until("Vault serves", func() bool { return s.engine.Engine.Status().Paused == "" })
	return s
}

func (s *site) until(what string, cond func() bool) {
	s.t.Helper()
	ctx := enginetest.Context(s.t)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("waited until %s; paused: %q", what, s.engine.Engine.Status().Paused)
		}
	}
}

// ask writes a request and returns its id.
func (s *site) ask(topic, key, reply string, r *cryptov1.Request, headers ...string) string {
	s.t.Helper()
	s.asked++
	id := fmt.Sprintf("r%d", s.asked)
	headers = append([]string{engine.HeaderRequest, id, engine.HeaderReply, engine.ReplyTo(reply, -1, id)}, headers...)
	s.c.Produce(s.t, topic, key, r, schemas.Codec[*cryptov1.Request](), headers...)
	return id
}

// reply waits for the one answer to a request.
func (s *site) reply(topic, id string) *rpcv1.Reply {
	s.t.Helper()
	var found *rpcv1.Reply
	s.c.ConsumeUntil(s.t, topic, func(recs []*kgo.Record) bool {
		for _, r := range recs {
			if string(r.Key) == id {
				found = &rpcv1.Reply{}
				if err := proto.Unmarshal(r.Value, found); err != nil {
					s.t.Fatal(err)
				}
			}
		}
		return found != nil
	})
	return found
}

func (s *site) generate(alias string) *cryptov1.Key {
	s.t.Helper()
	r := &cryptov1.Request{Tenant: vnode, Operation: &cryptov1.Request_GenerateKey{GenerateKey: &cryptov1.GenerateKey{Alias: alias, Category: "LEDGER", Scheme: signing.Ed25519}}}
	reply := s.reply(topics.RpcReplies, s.ask(topics.CryptoAdmin, vnode, topics.RpcReplies, r))
	var made cryptov1.GeneratedKey
	if err := proto.Unmarshal(reply.GetResult(), &made); err != nil || made.GetKey() == nil {
		s.t.Fatalf("%v %v", reply, err)
	}
	return made.GetKey()
}

func signRequest(key *cryptov1.Key, n int) *cryptov1.Request {
	return &cryptov1.Request{Tenant: vnode, Operation: &cryptov1.Request_Sign{Sign: &cryptov1.Sign{
		Purpose: cryptov1.Purpose_PURPOSE_LEDGER, KeyId: key.GetKeyId(), Data: fmt.Appendf(nil, "%s%d", signing.LedgerPrefix, n),
	}}}
}

// check says what is wrong with the answer to signRequest n.
func check(reply *rpcv1.Reply, key *cryptov1.Key, n int) error {
	var m cryptov1.Signature
	if err := proto.Unmarshal(reply.GetResult(), &m); err != nil || reply.GetError() != nil {
		return fmt.Errorf("answer %d: %v, %w", n, reply, err)
	}
	return signing.Verify(key.GetPublicKey(), m.GetScheme(), fmt.Appendf(nil, "%s%d", signing.LedgerPrefix, n), m.GetSignature())
}

// Signatures of one poll with one key are one request to Vault, or few; a key is known at once to who signs with it.
func TestBatches(t *testing.T) {
	s := newSite(t)
	key := s.generate("a")
	if again := s.generate("a"); !proto.Equal(again, key) {
		t.Errorf("made %v, then %v", key, again)
	}
	s.engine.Engine.Pause("so that one poll has all")
	const n = 400
	ids := make([]string, n)
	for i := range ids {
		ids[i] = s.ask(topics.CryptoRequests, key.GetVaultName(), topics.FlowRepliesCrypto, signRequest(key, i))
	}
	s.engine.Engine.Resume()
	for i, id := range ids[n-3:] {
		if err := check(s.reply(topics.FlowRepliesCrypto, id), key, n-3+i); err != nil {
			t.Error(err)
		}
	}
	if got := len(s.c.Consume(t, topics.FlowRepliesCrypto, n)); got != n {
		t.Errorf("%d answers to %d requests", got, n)
	}
	if s.vault.signs > n/20 || s.vault.largest < 20 || s.vault.largest > vault.MaxBatch {
		t.Errorf("%d requests to Vault for %d signatures, the largest of %d", s.vault.signs, n, s.vault.largest)
	}
	missing := s.ask(topics.CryptoRequests, "x", topics.FlowRepliesCrypto, signRequest(&cryptov1.Key{KeyId: "0123456789AB"}, 0))
	if e := s.reply(topics.FlowRepliesCrypto, missing).GetError(); e.GetId() != "FL-CRYPTO-005" {
		t.Errorf("signing with a key that is nowhere: %v", e)
	}
}

// While Vault is away nothing is lost, and the worker says so; afterwards every request has one answer, but for those
// that expired.
func TestAway(t *testing.T) {
	s := newSite(t)
	key := s.generate("a")
	s.vault.setAway(&vault.Error{Kind: vault.Sealed, Doing: "sign", Err: errors.New("Vault is sealed")})
	var ids []string
	ask := func(headers ...string) {
		ids = append(ids, s.ask(topics.CryptoRequests, key.GetVaultName(), topics.FlowRepliesCrypto, signRequest(key, len(ids)), headers...))
	}
	ask()
	s.until("the worker has noticed", func() bool { return strings.Contains(s.engine.Engine.Status().Paused, "sealed") })
	if s.engine.Engine.Status().Ready() {
		t.Error("ready while Vault is sealed")
	}
	for range 20 {
		ask()
	}
	deadline := time.Now().Add(50 * time.Millisecond)
	expiring := s.ask(topics.CryptoRequests, key.GetVaultName(), topics.FlowRepliesCrypto, signRequest(key, 99), engine.HeaderDeadline, strconv.FormatInt(deadline.UnixMicro(), 10))
	s.until("the deadline has passed", func() bool { return time.Now().After(deadline) })
	s.vault.setAway(nil)
	for i, id := range ids {
		if err := check(s.reply(topics.FlowRepliesCrypto, id), key, i); err != nil {
			t.Error(err)
		}
	}
	s.c.Drained(t, s.worker.Graph())
	seen := map[string]int{}
	for _, r := range s.c.Consume(t, topics.FlowRepliesCrypto, len(ids)) {
		seen[string(r.Key)]++
	}
	for _, id := range ids {
		if seen[id] != 1 {
			t.Errorf("%d answers to %s", seen[id], id)
		}
	}
	if seen[expiring] != 0 {
		t.Error("an expired request was answered")
	}
	for outcome, want := range map[crypto.Outcome]float64{crypto.Done: 21, crypto.Expired: 1, crypto.Refused: 0} {
		if got := s.counted(crypto.OpSign, outcome); got != want {
			t.Errorf("%v signatures are counted as %s, %v were", got, outcome, want)
		}
	}
}

// counted reads the metric of requests.
func (s *site) counted(op crypto.Operation, o crypto.Outcome) float64 {
	s.t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "fairlead_crypto_requests_total" && labels["operation"] == string(op) && labels["outcome"] == string(o) {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

// What cannot be worked off is in the dead letters, and who waits hears of it.
func TestDeadLetters(t *testing.T) {
	s := newSite(t)
	empty := s.ask(topics.CryptoRequests, "k", topics.FlowRepliesCrypto, &cryptov1.Request{Tenant: vnode})
	if e := s.reply(topics.FlowRepliesCrypto, empty).GetError(); e.GetId() != "FL-CRYPTO-013" || !strings.Contains(e.GetMessage(), "FL-CRYPTO-002") {
		t.Errorf("%v", e)
	}
	s.ask(topics.CryptoRequests, "k", topics.RpcReplies, &cryptov1.Request{Tenant: vnode}) // answers to flows go elsewhere
	s.c.Produce(t, topics.CryptoRequests, "k", signRequest(&cryptov1.Key{}, 1), schemas.Codec[*cryptov1.Request]())
	s.c.Consume(t, topics.CryptoGroup+".dlq", 3)
}
