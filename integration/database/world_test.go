package database_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
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
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/processors/database"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// pack is a package file of these tests; the real format is tested in internal/cpi.
type pack struct {
	Name, Version, Signer, Group string
	Migrations                   map[string][]postgres.Migration
	Module                       []byte
	Channels                     []string
	Tables                       []*cpiv1.TableDeclaration
	Queries                      []*cpiv1.QueryDeclaration
	// Contracts are those of the module, and Code the file of the package of code, a pack itself, when it has some.
	Contracts      []string
	Code           []byte
	CompatibleFrom string
	// Refuse is why the file is refused.
	Refuse string
}

func (p pack) file(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (p pack) checksum(t testing.TB) string {
	sum := sha256.Sum256(p.file(t))
	return strings.ToUpper(fmt.Sprintf("%x", sum[:6]))
}

// reader is [database.Packages] for files of type pack.
type reader struct{}

func (reader) Open(_ context.Context, file []byte, _ database.Trust) (*database.Package, error) {
	var p pack
	if err := json.Unmarshal(file, &p); err != nil {
		return nil, fmt.Errorf("no package: %w", err)
	}
	if p.Refuse != "" {
		return nil, errors.New(p.Refuse)
	}
	sum, module := sha256.Sum256(file), sha256.Sum256(p.Module)
	const part = 512 << 10
	parts := uint32((len(p.Module) + part - 1) / part)
	out := &database.Package{Cpi: &cpiv1.Cpi{
		Name: p.Name, Version: p.Version, SignerSummaryHash: p.Signer, GroupId: p.Group, FileSha256: sum[:], Checksum: strings.ToUpper(fmt.Sprintf("%x", sum[:6])),
		Modules: []*cpiv1.Module{{Name: "m", Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, Sha256: module[:], SizeBytes: uint64(len(p.Module)), Chunks: parts}},
	}}
	cpk := &cpiv1.Cpk{Name: "cpk", Version: p.Version, CompatibleFrom: p.CompatibleFrom}
	if len(p.Code) > 0 {
		code := sha256.Sum256(p.Code)
		cpk.SignerSummaryHash, cpk.FileSha256, cpk.ModuleSha256S = p.Signer, code[:], [][]byte{module[:]}
		out.Cpi.Modules[0].Contracts = p.Contracts
		out.Code = []database.CodeFile{codeFile(cpk, out.Cpi.Modules, p.Code)}
	}
	cpk.Tables, cpk.Queries = p.Tables, p.Queries
	for _, c := range p.Channels {
		cpk.Channels = append(cpk.Channels, &cpiv1.ChannelDeclaration{Name: c, Kind: cpiv1.ChannelKind_CHANNEL_KIND_SEND})
	}
	out.Cpi.Cpks = []*cpiv1.Cpk{cpk}
	for name, list := range p.Migrations {
		out.Migrations = append(out.Migrations, clusterdb.Migrations{Cpk: name, List: list})
	}
	out.Chunks = func(yield func(*cpiv1.Chunk, error) bool) {
		for i := range parts {
			if !yield(&cpiv1.Chunk{Sha256: module[:], Part: i, Parts: parts, Data: p.Module[i*part : min(len(p.Module), int(i+1)*part)]}, nil) {
				return
			}
		}
	}
	out.Modules = func(yield func(database.Module, error) bool) {
		yield(database.Module{Name: "m", Wasm: p.Module}, nil)
	}
	return out, nil
}

func codeFile(cpk *cpiv1.Cpk, modules []*cpiv1.Module, file []byte) database.CodeFile {
	return database.CodeFile{
		Info: &cpiv1.Code{Cpk: cpk, Modules: modules, SizeBytes: uint64(len(file))}, File: io.NewSectionReader(bytes.NewReader(file), 0, int64(len(file))),
	}
}

// OpenCode opens a file of type pack as a package of code; Any must not be asked for.
func (r reader) OpenCode(ctx context.Context, file []byte, trust database.Trust) (*database.Package, error) {
	p, err := r.Open(ctx, file, trust)
	if err != nil || trust.Any {
		return nil, errors.Join(err, fmt.Errorf("any signer: %v", trust.Any))
	}
	sum := sha256.Sum256(file)
	cpk := &cpiv1.Cpk{Name: p.Cpi.GetName(), Version: p.Cpi.GetVersion(), SignerSummaryHash: p.Cpi.GetSignerSummaryHash(), FileSha256: sum[:], ModuleSha256S: [][]byte{p.Cpi.GetModules()[0].GetSha256()}}
	p.Cpi.Modules[0].Contracts = []string{"Coin"}
	p.Code = []database.CodeFile{codeFile(cpk, p.Cpi.GetModules(), file)}
	return p, nil
}

func (reader) Validate(context.Context, database.Module) error { return nil }

// world is a cluster with a database worker.
type world struct {
	t                    *testing.T
	kafka                *enginetest.Cluster
	clusterURL, vnodeURL string
	key                  *seal.Key
	views                map[string]*engine.View
	inbox                *engine.Inbox
	producer             *engine.Producer
	log                  *logged
	requests             int

	// limits bound migrations; the zero value is the default.
	limits vaultdb.Limits
	// callers bounds what is done with databases that callers brought; zero is the default.
	callers time.Duration
	// code bounds what flows take; zero is the default.
	code database.CodeLimits

	mu      sync.Mutex
	between func(point string) error

	worker  *database.Worker
	engine  *enginetest.Engine
	stopRun func()
	pools   []*postgres.Pool
}

func newWorld(t *testing.T, clusterURL, vnodeURL string) *world {
	t.Helper()
	w := &world{t: t, kafka: enginetest.NewCluster(t), clusterURL: clusterURL, vnodeURL: vnodeURL, views: map[string]*engine.View{}, log: &logged{}}
	var err error
	if w.key, err = seal.New([]byte(strings.Repeat("k", seal.KeyBytes))); err != nil {
		t.Fatal(err)
	}
	describing, err := database.NewWorker(database.Config{}, database.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	w.kafka.CreateTopics(t, 3, describing.Graph())
	describing.Close()
	codecs := database.Facts()
	codecs[topics.OperationStatus] = schemas.Codec[*operationv1.OperationStatus]()
	for topic, codec := range codecs {
		v, err := engine.NewView(engine.ViewConfig{Brokers: w.kafka.Brokers(), Topic: topic, Codec: codec})
		if err != nil {
			t.Fatal(err)
		}
		w.background(v.Run)
		if err := v.WaitReady(enginetest.Context(t)); err != nil {
			t.Fatal(err)
		}
		w.views[topic] = v
	}
	if w.inbox, err = engine.NewInbox(engine.InboxConfig{Brokers: w.kafka.Brokers(), Topic: topics.RpcReplies, Codec: schemas.Codec[*rpcv1.Reply]()}); err != nil {
		t.Fatal(err)
	}
	w.background(w.inbox.Run)
	if w.producer, err = engine.NewProducer(engine.ProducerConfig{Brokers: w.kafka.Brokers()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.producer.Close)
	t.Cleanup(w.stop)
	return w
}

func (w *world) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			w.t.Errorf("in the background: %v", err)
		}
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// launch starts the worker and does not wait.
func (w *world) launch() {
	w.t.Helper()
	open := func(cfg postgres.Config) *postgres.Pool {
		p, err := postgres.Open(context.Background(), cfg)
		if err != nil {
			w.t.Fatal(err)
		}
		w.pools = append(w.pools, p)
		return p
	}
	deps := database.Deps{
		Cluster: open(postgres.Config{URL: w.clusterURL, SearchPath: clusterdb.Schema, ConnectTimeout: time.Second}),
		Vaults:  open(postgres.Config{URL: w.vnodeURL, ConnectTimeout: time.Second}),
		Key:     w.key, Packages: reader{}, Published: map[string]database.View{}, Admin: database.Admin{Login: "admin", Password: "first password"},
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(w.t.Output(), w.log), nil)),
		Ask: func(ctx context.Context, key string, m *dbv1.Request) error {
			_, err := w.producer.Produce(ctx, engine.Record{Topic: topics.DbRequests, Key: key, Partition: -1, Msg: m, Codec: schemas.Codec[*dbv1.Request]()})
			return err
		},
		Between: func(point string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.between == nil {
				return nil
			}
			return w.between(point)
		},
	}
	for topic := range database.Facts() {
		deps.Published[topic] = w.views[topic]
	}
	var err error
	if w.worker, err = database.NewWorker(database.Config{AnySigner: true, Reconcile: 200 * time.Millisecond, Limits: w.limits, CallerTimeout: w.callers, Code: w.code}, deps); err != nil {
		w.t.Fatal(err)
	}
	cfg := w.kafka.Config(w.t)
	cfg.Retries = math.MaxInt32
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	w.engine = enginetest.Launch(w.t, cfg, w.worker.Graph())
	w.worker.Bind(w.engine.Engine)
	go func() { done <- w.worker.Run(ctx) }()
	w.stopRun = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the worker: %v", err)
		}
	}
}

func (w *world) start() {
	w.t.Helper()
	w.launch()
	if err := w.engine.WaitReady(enginetest.Context(w.t)); err != nil {
		w.t.Fatal(err)
	}
}

// stop ends the worker, however it stands.
func (w *world) stop() {
	if w.engine == nil {
		return
	}
	_ = w.engine.Stop() // a crash that a test made is its error
	w.stopRun()
	w.worker.Close()
	for _, p := range w.pools {
		p.Close()
	}
	w.engine, w.pools = nil, nil
}

func (w *world) crashAt(f func(point string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.between = f
}

// pool connects as the administrator of a database.
func (w *world) pool(url string) *postgres.Pool {
	return pgtest.Open(w.t, postgres.Config{URL: url, SearchPath: clusterdb.Schema})
}

// call sends a request under an id and waits for its answer.
func (w *world) call(id, key string, m *dbv1.Request) *rpcv1.Reply {
	w.t.Helper()
	if m.Actor == "" {
		m.Actor = "tester"
	}
	reply, err := w.inbox.Call(enginetest.Context(w.t), id, func(headers map[string]string) error {
		_, err := w.producer.Produce(w.t.Context(), engine.Record{
			Topic: topics.DbRequests, Key: key, Partition: -1, Msg: m, Codec: schemas.Codec[*dbv1.Request](), Headers: headers,
		})
		return err
	})
	if err != nil {
		w.t.Fatalf("request %s (%s): %v", id, key, err)
	}
	return reply.Msg.(*rpcv1.Reply)
}

// ask sends a new request.
func (w *world) ask(key string, m *dbv1.Request) *rpcv1.Reply {
	w.t.Helper()
	w.requests++
	return w.call(fmt.Sprintf("r%d", w.requests), key, m)
}

// must sends a new request that must succeed and reads its result.
func (w *world) must(key string, m *dbv1.Request, into proto.Message) *rpcv1.Reply {
	w.t.Helper()
	reply := w.ask(key, m)
	if e := reply.GetError(); e != nil {
		w.t.Fatalf("%s: %s %s", key, e.GetId(), e.GetMessage())
	}
	if into != nil {
		if err := proto.Unmarshal(reply.GetResult(), into); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, f := range reply.GetFacts() {
		w.until(fmt.Sprintf("fact %s of %s in version %d", f.GetKey(), f.GetTopic(), f.GetVersion()), func() bool {
			m, ok := w.views[f.GetTopic()].Get(f.GetKey())
			return f.GetDeleted() && !ok || ok && clusterdb.VersionOf(m) >= f.GetVersion()
		})
	}
	return reply
}

func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	// Generous: machines of tests are busy, and a hundred virtual nodes wait for each other.
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	if err := kafkatest.Until(ctx, 5*time.Millisecond, func() (bool, error) { return cond(), nil }); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// upload sends a file in parts.
func (w *world) upload(id string, file []byte, force bool) {
	w.t.Helper()
	const size = 100 << 10
	parts := (len(file) + size - 1) / size
	sum := sha256.Sum256(file)
	for i := range parts {
		p := &dbv1.CpiPart{RequestId: id, Actor: "tester", FileName: "x.cpi", Part: uint32(i), Parts: uint32(parts), Data: file[i*size : min(len(file), (i+1)*size)], Force: force}
		if i == parts-1 {
			p.FileSha256 = sum[:]
		}
		w.kafka.Produce(w.t, topics.CpiUpload, id, p, schemas.Codec[*dbv1.CpiPart]())
	}
}

// ended waits for the end of an operation.
func (w *world) ended(id string) *operationv1.OperationStatus {
	w.t.Helper()
	var s *operationv1.OperationStatus
	w.until("the end of operation "+id, func() bool {
		m, ok := w.views[topics.OperationStatus].Get(id)
		if !ok {
			return false
		}
		s = m.(*operationv1.OperationStatus)
		return s.GetState() >= operationv1.OperationState_OPERATION_STATE_SUCCEEDED
	})
	return s
}

func (w *world) succeeds(id string) *operationv1.OperationStatus {
	w.t.Helper()
	s := w.ended(id)
	if s.GetState() != operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
		w.t.Fatalf("operation %s: %s at %q: %s %s", id, s.GetState(), s.GetStage(), s.GetErrorId(), s.GetError())
	}
	return s
}

// installed uploads a package and waits for it.
func (w *world) installed(p pack) string {
	w.t.Helper()
	w.requests++
	id := fmt.Sprintf("upload-%d", w.requests)
	w.upload(id, p.file(w.t), false)
	return w.succeeds(id).GetResourceId()
}

const group = "8f4b2d1c-0000-4000-8000-000000000001"

func (w *world) hash(name string) string {
	h, err := identity.NewHolding(name, group)
	if err != nil {
		w.t.Fatal(err)
	}
	return h.ShortHash()
}

func (w *world) create(name, checksum string) string {
	w.t.Helper()
	hash := w.hash(name)
	w.must("vnode/"+hash, createNode(name, checksum), nil)
	return hash
}

func createNode(name, checksum string) *dbv1.Request {
	return &dbv1.Request{Operation: &dbv1.Request_CreateVirtualNode{CreateVirtualNode: &dbv1.CreateVirtualNode{X500Name: name, CpiChecksum: checksum}}}
}

func (w *world) node(hash string) *vnodev1.VirtualNode {
	w.t.Helper()
	var v *vnodev1.VirtualNode
	w.until("virtual node "+hash, func() bool {
		m, ok := w.views[topics.VirtualNodeInfo].Get(hash)
		if ok {
			v = m.(*vnodev1.VirtualNode)
		}
		return ok
	})
	return v
}

// as connects to a virtual node's schema in one of its roles, with the stored credentials.
func (w *world) as(hash string, role clusterdb.RoleName) *postgres.Pool {
	w.t.Helper()
	c, err := clusterdb.Connection(w.t.Context(), w.pool(w.clusterURL), hash, role)
	if err != nil || c == nil {
		w.t.Fatalf("connection %s of %s: %v, %v", role, hash, c, err)
	}
	password, err := w.key.Open(c.Password, clusterdb.Place(hash, role)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return pgtest.Open(w.t, postgres.Config{URL: w.vnodeURL, User: c.Login, Password: string(password), MaxConns: 2, Discard: true})
}

func bank(version string, more ...postgres.Migration) pack {
	return pack{
		Name: "bank", Version: version, Signer: "SHA-256:00", Group: group, Module: []byte(strings.Repeat("wasm "+version, 200_000)), Channels: []string{"payments"},
		Migrations: map[string][]postgres.Migration{"cpk": append([]postgres.Migration{
			{Name: "0001.sql", SQL: "CREATE TABLE account (name text PRIMARY KEY, balance bigint NOT NULL); -- the first; of two"},
			{Name: "0002.sql", SQL: "CREATE FUNCTION two() RETURNS int LANGUAGE sql AS $$ SELECT 2; $$; INSERT INTO account VALUES ('bank', 100)"},
		}, more...)},
	}
}
