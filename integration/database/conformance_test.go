package database_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/processors/database"
	"github.com/fairleadio/fairlead/schemas"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	"github.com/fairleadio/fairlead/topics"
)

// opened is closed when a worker can work.
type opened struct {
	once sync.Once
	open chan struct{}
}

func (*opened) Pause(string) {}
func (o *opened) Resume()    { o.once.Do(func() { close(o.open) }) }

// cluster makes the databases of one run of the suite, and its processes' workers.
type cluster struct {
	t             testing.TB
	main, vnodes  string
	key           *seal.Key
	describing    *database.Worker
	sent, replies int
	operations    []string
}

// worker makes the worker of a process.
func (c *cluster) worker(t testing.TB) *database.Worker {
	t.Helper()
	deps := database.Deps{
		Cluster: pgtest.Open(t, postgres.Config{URL: c.main, SearchPath: clusterdb.Schema, MaxConns: 6}), Vaults: pgtest.Open(t, postgres.Config{URL: c.vnodes, MaxConns: 4}),
		Key: c.key, Packages: reader{}, Published: map[string]database.View{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Ask: func(context.Context, string, *dbv1.Request) error { return nil }, // nothing stands still for as long as these tests take
	}
	w, err := database.NewWorker(database.Config{AnySigner: true}, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	gate := &opened{open: make(chan struct{})}
	w.Bind(gate)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the worker: %v", err)
		}
	})
	select {
	case <-gate.open:
	case <-enginetest.Context(t).Done():
		t.Fatal("the worker did not reach its databases")
	}
	return w
}

// graph makes the group anew: with a worker of its own where the databases of the run are made.
func (c *cluster) graph(t testing.TB) *engine.Graph {
	t.Helper()
	if c.t != t {
		return c.describing.Graph()
	}
	return c.worker(t).Graph()
}

// prepare makes the databases of a run, with a package in them.
func (c *cluster) prepare(t testing.TB, p pack) {
	t.Helper()
	c.main, c.vnodes = pgtest.Database(t), pgtest.Database(t)
	c.worker(t)
	c.t = t
	opened, err := reader{}.Open(t.Context(), p.file(t), database.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	opened.Cpi.VersionNumber = 1
	pool := pgtest.Open(t, postgres.Config{URL: c.main, SearchPath: clusterdb.Schema, MaxConns: 1})
	if err := clusterdb.PutCpi(t.Context(), pool, opened.Cpi, "tester"); err != nil {
		t.Fatal(err)
	}
}

// settled waits for every answer and the end of every operation.
func (c *cluster) settled(t testing.TB, k *enginetest.Cluster) {
	t.Helper()
	k.Consume(t, topics.RpcReplies, c.replies)
	err := kafkatest.Until(enginetest.Context(t), 20*time.Millisecond, func() (bool, error) {
		ended := map[string]bool{}
		for _, raw := range k.Fold(t, topics.OperationStatus) {
			s := &operationv1.OperationStatus{}
			if err := proto.Unmarshal(raw, s); err != nil {
				return false, err
			}
			ended[s.GetRequestId()] = s.GetState() >= operationv1.OperationState_OPERATION_STATE_SUCCEEDED
			if s.GetState() > operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
				return false, fmt.Errorf("operation %s: %s at %q: %s", s.GetRequestId(), s.GetState(), s.GetStage(), s.GetError())
			}
		}
		for _, id := range c.operations {
			if !ended[id] {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		t.Fatalf("operations %v: %v", c.operations, err)
	}
}

func (c *cluster) record(t testing.TB, topic, key string, m proto.Message, headers map[string]string) enginetest.Input {
	t.Helper()
	raw, err := schemas.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Input{Topic: topic, Key: key, Value: raw, Headers: headers}
}

func (c *cluster) request(t testing.TB, key string, m *dbv1.Request) enginetest.Input {
	t.Helper()
	c.sent++
	c.replies++
	id := fmt.Sprintf("r%d", c.sent)
	m.Actor = "tester"
	return c.record(t, topics.DbRequests, key, m, map[string]string{engine.HeaderRequest: id, engine.HeaderReply: engine.ReplyTo(topics.RpcReplies, -1, id)})
}

// What every group must keep, kept by this one on a real Postgres: changes, refusals and questions, uploads, and virtual
// nodes that are made step by step.
func TestConformance(t *testing.T) {
	pgtest.URL(t)
	key, err := seal.New([]byte(strings.Repeat("k", seal.KeyBytes)))
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{key: key}
	if c.describing, err = database.NewWorker(database.Config{}, database.Deps{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.describing.Close)
	// Without migrations: one that ran before its process died is not told again.
	installed := pack{Name: "bank", Version: "1", Signer: "SHA-256:00", Group: group, Module: []byte("wasm")}
	var inputs []enginetest.Input
	ask := func(key string, m *dbv1.Request) { inputs = append(inputs, c.request(t, key, m)) }
	for n := range 8 {
		login := fmt.Sprintf("user%d", n)
		user := &dbv1.Request{Operation: &dbv1.Request_CreateUser{CreateUser: &dbv1.CreateUser{LoginName: login, FullName: "U", Enabled: true}}}
		ask("user/"+login, user)
		ask("user/"+login, user) // refused: it exists
		ask("user/"+login, &dbv1.Request{Operation: &dbv1.Request_ChangePassword{ChangePassword: &dbv1.ChangePassword{LoginName: login, PasswordHash: "$argon2id$x"}}})
		ask("certificate/p2p-tls/", &dbv1.Request{Operation: &dbv1.Request_ListCertificates{ListCertificates: &dbv1.ListCertificates{Usage: "p2p-tls"}}})
		file := pack{Name: login, Version: "1", Signer: "SHA-256:00", Group: group, Module: []byte("wasm " + login)}.file(t)
		upload := fmt.Sprintf("upload-%d", n)
		for part, data := range [][]byte{file[:len(file)/2], file[len(file)/2:]} {
			p := &dbv1.CpiPart{RequestId: upload, Actor: "tester", FileName: "x.cpi", Part: uint32(part), Parts: 2, Data: data}
			if part == 1 {
				sum := sha256.Sum256(file)
				p.FileSha256 = sum[:]
			}
			inputs = append(inputs, c.record(t, topics.CpiUpload, upload, p, nil))
		}
		c.operations = append(c.operations, upload)
		name := fmt.Sprintf("O=Member %d, L=London, C=GB", n)
		h, err := identity.NewHolding(name, group)
		if err != nil {
			t.Fatal(err)
		}
		ask("vnode/"+h.ShortHash(), createNode(name, installed.checksum(t)))
		c.operations = append(c.operations, h.ShortHash())
	}
	nowhere := inputs[0]
	nowhere.Headers = map[string]string{engine.HeaderRequest: "x", engine.HeaderReply: engine.ReplyTo(topics.FlowRepliesCrypto, -1, "x")}
	enginetest.Suite{
		Graph:      c.graph,
		Prepare:    func(t testing.TB, _ *enginetest.Cluster) { c.prepare(t, installed) },
		Inputs:     inputs,
		Settled:    c.settled,
		Poison:     &nowhere,
		Content:    enginetest.OnlyKeys,
		Repeatable: true,
	}.Run(t)
}
