package crypto_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/internal/vault/vaulttest"
	"github.com/fairleadio/fairlead/processors/crypto"
	"github.com/fairleadio/fairlead/schemas"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

const vnode = "0123456789AB"

// wire is a way to Vault that can be made slow.
type wire struct {
	url   string
	delay atomic.Int64 // before each piece of an answer, nanoseconds
}

// newWire forwards connections to Vault until the test ends.
func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{url: "http://" + l.Addr().String()}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.forward(ctx, in, strings.TrimPrefix(to, "http://")) })
		}
	})
	t.Cleanup(func() { cancel(); _ = l.Close(); wg.Wait() })
	return w
}

func (w *wire) forward(ctx context.Context, in net.Conn, to string) {
	defer in.Close()
	out, err := new(net.Dialer).DialContext(ctx, "tcp4", to)
	if err != nil {
		return
	}
	defer out.Close()
	stop := context.AfterFunc(ctx, func() { _ = in.Close(); _ = out.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	})
	defer wg.Wait()
	defer in.Close()
	piece := make([]byte, 64<<10)
	for {
		n, err := out.Read(piece)
		if d := w.delay.Load(); n > 0 && d > 0 {
			select {
			case <-time.After(time.Duration(d)):
			case <-ctx.Done():
				return
			}
		}
		if n > 0 {
			if _, err := in.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// site is a crypto worker over a broker and a real Vault.
type site struct {
	t      *testing.T
	vault  *vaulttest.Vault
	cfg    vault.Config
	wire   *wire
	c      *enginetest.Cluster
	engine *enginetest.Engine
	graph  *engine.Graph
	asked  int
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, vault: vaulttest.Own(t), c: enginetest.NewCluster(t)}
	s.cfg = s.vault.Setup(t)
	s.wire = newWire(t, s.vault.URL)
	s.cfg.Address, s.cfg.Timeout = s.wire.url, 2*time.Second
	client := vaulttest.Client(t, s.cfg)
	edges, err := crypto.NewWorker(crypto.Config{}, crypto.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	s.c.CreateTopics(t, 3, edges.Graph())
	view, err := engine.NewView(engine.ViewConfig{Brokers: s.c.Brokers(), Prefix: s.c.Prefix, Topic: topics.CryptoKeys, Codec: schemas.Codec[*cryptov1.Key]()})
	if err != nil {
		t.Fatal(err)
	}
	worker, err := crypto.NewWorker(crypto.Config{}, crypto.Deps{Vault: client, Keys: view, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() {
		if err := view.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := view.WaitReady(enginetest.Context(t)); err != nil {
		t.Fatal(err)
	}
	s.graph = worker.Graph()
	cfg := s.c.Config(t)
	crypto.Tune(&cfg)
	s.engine = enginetest.StartConfig(t, cfg, s.graph)
	wg.Go(func() {
		if err := worker.Run(ctx, s.engine.Engine); err != nil {
			t.Error(err)
		}
	})
	s.paused("")
	return s
}

// paused waits until the group is paused for a reason with this word, or not at all.
func (s *site) paused(word string) {
	s.t.Helper()
	vaulttest.Until(s.t, fmt.Sprintf("it is paused for %q", word), func() error {
		if p := s.engine.Engine.Status().Paused; (word == "") != (p == "") || !strings.Contains(p, word) {
			return fmt.Errorf("paused for %q", p)
		}
		return nil
	})
}

// ask writes a request and returns its id.
func (s *site) ask(topic, key string, r *cryptov1.Request) string {
	s.t.Helper()
	s.asked++
	id, reply := fmt.Sprintf("r%d", s.asked), topics.RpcReplies
	if topic == topics.CryptoRequests {
		reply = topics.FlowRepliesCrypto
	}
	s.c.Produce(s.t, topic, key, r, schemas.Codec[*cryptov1.Request](), engine.HeaderRequest, id, engine.HeaderReply, engine.ReplyTo(reply, -1, id))
	return id
}

// replies waits until every id has an answer on a topic, and returns all answers by id.
func (s *site) replies(topic string, ids ...string) map[string][]*rpcv1.Reply {
	s.t.Helper()
	var out map[string][]*rpcv1.Reply
	s.c.ConsumeUntil(s.t, topic, func(recs []*kgo.Record) bool {
		out = map[string][]*rpcv1.Reply{}
		for _, r := range recs {
			reply := &rpcv1.Reply{}
			if err := proto.Unmarshal(r.Value, reply); err != nil {
				s.t.Fatal(err)
			}
			out[string(r.Key)] = append(out[string(r.Key)], reply)
		}
		for _, id := range ids {
			if len(out[id]) == 0 {
				return false
			}
		}
		return true
	})
	return out
}

// result waits for the answer to a request and decodes its result.
func (s *site) result(topic, id string, result proto.Message) {
	s.t.Helper()
	reply := s.replies(topic, id)[id][0]
	if reply.GetError() != nil {
		s.t.Fatalf("%s: %v", id, reply.GetError())
	}
	if err := proto.Unmarshal(reply.GetResult(), result); err != nil {
		s.t.Fatal(err)
	}
}

func generate(tenant, alias, category, scheme string) *cryptov1.Request {
	return &cryptov1.Request{Tenant: tenant, Operation: &cryptov1.Request_GenerateKey{GenerateKey: &cryptov1.GenerateKey{Alias: alias, Category: category, Scheme: scheme}}}
}

func (s *site) key(tenant, alias, category, scheme string) *cryptov1.Key {
	s.t.Helper()
	var made cryptov1.GeneratedKey
	s.result(topics.RpcReplies, s.ask(topics.CryptoAdmin, tenant, generate(tenant, alias, category, scheme)), &made)
	return made.GetKey()
}

func message(n int) []byte { return fmt.Appendf(nil, "%s%d", signing.LedgerPrefix, n) }

func sign(key *cryptov1.Key, n int) *cryptov1.Request {
	return &cryptov1.Request{Tenant: key.GetTenant(), Operation: &cryptov1.Request_Sign{Sign: &cryptov1.Sign{
		Purpose: cryptov1.Purpose_PURPOSE_LEDGER, KeyId: key.GetKeyId(), Data: message(n),
	}}}
}
