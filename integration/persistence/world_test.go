package persistence_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/processors/persistence"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// world is a server with some virtual nodes.
type world struct {
	t      testing.TB
	url    string
	admin  *postgres.Pool
	vaults *vaultdb.Vaults

	mu     sync.Mutex
	logins map[string]vnodes.Login
}

// newWorld prepares a database of virtual nodes; url empty takes one of the shared server.
func newWorld(t testing.TB, url string) *world {
	t.Helper()
	if url == "" {
		url = pgtest.Database(t)
	}
	w := &world{t: t, url: url, logins: map[string]vnodes.Login{}}
	w.admin = pgtest.Open(t, postgres.Config{URL: url, MaxConns: 4})
	// Roles belong to the whole server, so each world has names of its own.
	w.vaults = vaultdb.New(w.admin, strings.ReplaceAll(w.admin.Database(), "-", "")+"-x")
	if err := w.vaults.Harden(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// hash makes a short hash of a number.
func hash(n int) string { return fmt.Sprintf("%012X", n) }

// vnode makes a virtual node with an application's migrations.
func (w *world) vnode(n int, cpi *cpiv1.Cpi, migrations ...string) string {
	w.t.Helper()
	ctx, h := w.t.Context(), hash(n)
	ddl, dml := rand.Text(), rand.Text()
	if err := w.vaults.Provide(ctx, h, "test", ddl, dml); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.vaults.Drop(ctx, h); err != nil {
			w.t.Log("the roles of a virtual node stay:", err)
		}
	})
	if _, err := w.vaults.Platform(ctx, h); err != nil {
		w.t.Fatal(err)
	}
	names := w.vaults.Names(h)
	p, err := w.vaults.Connect(ctx, vaultdb.Target{Schema: names.Schema, User: names.DDL, Password: ddl})
	if err != nil {
		w.t.Fatal(err)
	}
	defer p.Close()
	if err := vaultdb.Prepare(ctx, p, names.Schema, names.DML); err != nil {
		w.t.Fatal(err)
	}
	var list []postgres.Migration
	for i, sql := range migrations {
		list = append(list, postgres.Migration{Name: fmt.Sprintf("%04d.sql", i), SQL: sql})
	}
	if _, err := vaultdb.Application(names.Schema, "app", list, vaultdb.DefaultLimits()).Run(ctx, p); err != nil {
		w.t.Fatal(err)
	}
	declared, err := rows.CompilePackage(cpi)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := vaultdb.Feed(ctx, p, names.Schema, declared); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logins[h] = vnodes.Login{URL: w.url, User: names.DML, Password: dml, Schema: names.Schema}
	return h
}

func (w *world) login(_ context.Context, vnode string) (vnodes.Login, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, ok := w.logins[vnode]
	if !ok {
		return l, errors.New("no such virtual node")
	}
	return l, nil
}

// pool opens connections as the worker would.
func (w *world) pool(cfg vnodes.Config) *vnodes.Pool {
	w.t.Helper()
	cfg.Login = w.login
	if cfg.TimeLimit == 0 {
		cfg.TimeLimit = 5 * time.Second
	}
	cfg.Log = slog.New(slog.NewTextHandler(w.t.Output(), nil))
	p := vnodes.NewPool(cfg)
	w.t.Cleanup(p.Close)
	return p
}

// app is the declarations of a test's application.
type app struct {
	tables  []*cpiv1.TableDeclaration
	queries []*cpiv1.QueryDeclaration
	chans   []*cpiv1.ChannelDeclaration
}

func (a app) cpi() *cpiv1.Cpi {
	return &cpiv1.Cpi{Checksum: "AAAAAAAAAAAA", Name: "app", Version: "1", Cpks: []*cpiv1.Cpk{{Name: "app", Tables: a.tables, Queries: a.queries, Channels: a.chans}}}
}

// table declares a table; columns are "name type" or "name type!" for not null.
func table(name, key string, columns ...string) *cpiv1.TableDeclaration {
	d := &cpiv1.TableDeclaration{Name: name, PrimaryKey: strings.Split(key, ",")}
	for _, c := range columns {
		n, kind, _ := strings.Cut(c, " ")
		d.Columns = append(d.Columns, &cpiv1.ColumnDeclaration{Name: n, Type: strings.TrimSuffix(kind, "!"), NotNull: strings.HasSuffix(kind, "!")})
	}
	return d
}

func fed(d *cpiv1.TableDeclaration) *cpiv1.TableDeclaration {
	d.Feed = true
	return d
}

// query declares a query; parameters are "name type".
func query(name, sql string, parameters ...string) *cpiv1.QueryDeclaration {
	d := &cpiv1.QueryDeclaration{Name: name, Sql: sql}
	for _, c := range parameters {
		n, kind, _ := strings.Cut(c, " ")
		d.Parameters = append(d.Parameters, &cpiv1.ColumnDeclaration{Name: n, Type: kind})
	}
	return d
}

func writing(d *cpiv1.QueryDeclaration) *cpiv1.QueryDeclaration {
	d.Writes = true
	return d
}

func ordered(d *cpiv1.QueryDeclaration, by ...string) *cpiv1.QueryDeclaration {
	d.OrderBy = by
	return d
}

// client asks the database of one virtual node, past Kafka.
type client struct {
	t      testing.TB
	store  persistence.Store
	vnode  string
	schema *rows.Schema
	n      int
}

func (w *world) client(p *vnodes.Pool, vnode string, cpi *cpiv1.Cpi) *client {
	w.t.Helper()
	s, err := rows.CompilePackage(cpi)
	if err != nil {
		w.t.Fatal(err)
	}
	return &client{w.t, persistence.NewVault(p), vnode, s, 0}
}

const flow = "11111111-2222-4333-8444-555555555555"

// request fills what a request has beside its operation.
func request(vnode string, op proto.Message) *persistencev1.Request {
	r := &persistencev1.Request{Vnode: vnode, CpiChecksum: "AAAAAAAAAAAA", FlowId: flow}
	switch op := op.(type) {
	case *appv1.PersistRows:
		r.Operation = &persistencev1.Request_Persist{Persist: op}
	case *appv1.MergeRows:
		r.Operation = &persistencev1.Request_Merge{Merge: op}
	case *appv1.RemoveRows:
		r.Operation = &persistencev1.Request_Remove{Remove: op}
	case *appv1.FindRows:
		r.Operation = &persistencev1.Request_Find{Find: op}
	case *appv1.FindAllRows:
		r.Operation = &persistencev1.Request_FindAll{FindAll: op}
	case *appv1.NamedQuery:
		r.Operation = &persistencev1.Request_Query{Query: op}
	default:
		r.Operation = &persistencev1.Request_Ledger{Ledger: onLedger(op)}
	}
	return r
}

// do runs a request under an id; empty makes one.
func (c *client) do(id string, op proto.Message) persistence.Result {
	c.t.Helper()
	if id == "" {
		c.n++
		id = fmt.Sprintf("%s-%d", c.vnode, c.n)
	}
	r := request(c.vnode, op)
	effects := persistence.Step(persistence.State{Vnode: &vnodev1.VirtualNode{}, Schema: c.schema, Replies: []string{topics.FlowRepliesPersistence}},
		persistence.Asked{Meta: persistence.Meta{Key: flow, RequestID: id}, Request: r})
	switch e := effects[0].(type) {
	case persistence.Run:
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
		defer cancel()
		return c.store.Do(ctx, e.Plan)
	case persistence.SendReply:
		return persistence.Result{Reply: e.Reply}
	default:
		c.t.Fatalf("the step asks for %T", e)
		return persistence.Result{}
	}
}

// ok runs a request that must succeed, and decodes its result.
func (c *client) ok(op, into proto.Message) {
	c.t.Helper()
	r := c.do("", op)
	if r.Err != nil || r.Reply.GetError() != nil {
		c.t.Fatalf("%T: %v %v", op, r.Err, r.Reply.GetError())
	}
	if into != nil {
		if err := proto.Unmarshal(r.Reply.GetResult(), into); err != nil {
			c.t.Fatal(err)
		}
	}
}

// fails runs a request that must be answered with an error of this type, whose message has these words.
func (c *client) fails(op proto.Message, kind string, words ...string) *rpcv1.Error {
	c.t.Helper()
	r := c.do("", op)
	e := r.Reply.GetError()
	if r.Err != nil || e.GetType() != kind {
		c.t.Errorf("%T: %v, %v; want an error of type %s", op, r.Err, r.Reply, kind)
		return e
	}
	for _, w := range words {
		if !strings.Contains(e.GetMessage(), w) {
			c.t.Errorf("%q lacks %q", e.GetMessage(), w)
		}
	}
	return e
}

// query runs a named query and returns its page.
func (c *client) query(name string, parameters string) *appv1.Page {
	c.t.Helper()
	p := &appv1.Page{}
	c.ok(&appv1.NamedQuery{Name: name, Parameters: []byte(parameters)}, p)
	return p
}

func objects(texts ...string) [][]byte {
	var out [][]byte
	for _, s := range texts {
		out = append(out, []byte(s))
	}
	return out
}

func text(rows [][]byte) string {
	var s []string
	for _, r := range rows {
		s = append(s, string(r))
	}
	return strings.Join(s, "\n")
}

// member returns a member of a JSON object as text.
func member(t testing.TB, row []byte, name string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(row, &m); err != nil {
		t.Fatalf("%s: %v", row, err)
	}
	return string(m[name])
}

func unmarshal(b []byte, m proto.Message) error { return proto.Unmarshal(b, m) }
