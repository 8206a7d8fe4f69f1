package persistence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/processors/persistence"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// view is a view that a test fills.
type view map[string]any

func (v view) Get(key string) (any, bool) { m, ok := v[key]; return m, ok }
func (v view) OnChange(f func(string, any)) {
	for k, m := range v {
		f(k, m)
	}
}

func itemApp() app {
	return app{
		tables:  []*cpiv1.TableDeclaration{fed(table("item", "id", "id integer", "v text", "at timestamp", "b bytes", "n numeric", "f boolean"))},
		queries: []*cpiv1.QueryDeclaration{writing(query("shift", "UPDATE item SET id = id + 1000, v = 'moved' WHERE id = :id RETURNING id", "id integer"))},
		chans:   []*cpiv1.ChannelDeclaration{{Name: "changes", Kind: cpiv1.ChannelKind_CHANNEL_KIND_FEED}},
	}
}

const itemTable = "CREATE TABLE item (id int PRIMARY KEY, v text CONSTRAINT short CHECK (length(v) < 30), at timestamptz, b bytea, n numeric, f boolean)"

// site is the worker's two groups on a broker and a server.
type site struct {
	t     *testing.T
	c     *enginetest.Cluster
	w     *world
	views persistence.Deps
	stop  func()
}

func newSite(t *testing.T, w *world, hashes []string) *site {
	s := &site{t: t, c: enginetest.NewCluster(t), w: w}
	nodes := view{}
	for _, h := range hashes {
		nodes[h] = &vnodev1.VirtualNode{ShortHash: h, CpiChecksum: "AAAAAAAAAAAA", Channels: []*vnodev1.ChannelRoute{{Channel: "changes", Topic: "feed", Active: true}}}
	}
	s.views = persistence.Deps{VirtualNodes: nodes, Packages: view{"AAAAAAAAAAAA": itemApp().cpi()}}
	worker := s.worker(nil)
	s.c.CreateTopics(t, 3, worker.Graph(), worker.FeedGraph())
	s.c.CreateTopic(t, "feed", 3, nil)
	return s
}

func (s *site) worker(p *vnodes.Pool) *persistence.Worker {
	s.t.Helper()
	deps := s.views
	if p != nil {
		deps.Store = persistence.NewVault(p)
	}
	w, err := persistence.NewWorker(persistence.Config{SweepEvery: time.Second}, deps)
	if err != nil {
		s.t.Fatal(err)
	}
	return w
}

// start runs both groups in a process of their own.
func (s *site) start(name string) {
	s.t.Helper()
	pool := s.w.pool(vnodes.Config{})
	w := s.worker(pool)
	var engines []*enginetest.Engine
	for _, g := range []*engine.Graph{w.Graph(), w.FeedGraph()} {
		cfg := s.c.Config(s.t)
		cfg.InstanceID, cfg.RetryBackoff, cfg.RetryBackoffMax, cfg.Retries = name, 5*time.Millisecond, 100*time.Millisecond, 1<<30
		e := enginetest.StartConfig(s.t, cfg, g)
		engines = append(engines, e)
		w.PauseWith(e.Engine)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.stop = func() {
		for _, e := range engines {
			if err := e.Stop(); err != nil {
				s.t.Error(err)
			}
		}
		cancel()
		running.Wait()
		pool.Close()
	}
	s.t.Cleanup(func() { cancel(); running.Wait() })
}

// model is what a virtual node's table must hold.
type model map[int]string

// apply does a request to the model and returns the word of the error that is expected.
func (m model) apply(r *persistencev1.Request) string {
	type item struct {
		ID int
		V  string
	}
	decode := func(b []byte) (i item) {
		if json.Unmarshal(b, &i) != nil {
			panic(string(b))
		}
		return i
	}
	switch op := r.GetOperation().(type) {
	case *persistencev1.Request_Persist:
		for _, b := range op.Persist.GetRows() {
			if _, there := m[decode(b).ID]; there {
				return "exists"
			}
		}
		for _, b := range op.Persist.GetRows() {
			m[decode(b).ID] = decode(b).V
		}
	case *persistencev1.Request_Merge:
		for _, b := range op.Merge.GetRows() {
			if len(decode(b).V) >= 30 {
				return "constraint"
			}
		}
		for _, b := range op.Merge.GetRows() {
			m[decode(b).ID] = decode(b).V
		}
	case *persistencev1.Request_Remove:
		for _, b := range op.Remove.GetKeys() {
			delete(m, decode(b).ID)
		}
	case *persistencev1.Request_Query:
		id := decode(op.Query.GetParameters()).ID
		if _, there := m[id]; !there {
			return ""
		}
		if _, taken := m[id+1000]; taken {
			return "constraint"
		}
		delete(m, id)
		m[id+1000] = "moved"
	}
	return ""
}

func randomRequest(r *rand.Rand, vnode string) *persistencev1.Request {
	row := func(v string) []byte { return fmt.Appendf(nil, `{"id":%d,"v":%q}`, r.IntN(20), v) }
	text := "v" + strconv.Itoa(r.IntN(1000))
	switch r.IntN(5) {
	case 0:
		first := r.IntN(18)
		return request(vnode, &appv1.PersistRows{Table: "item", Rows: [][]byte{fmt.Appendf(nil, `{"id":%d,"v":"a"}`, first), fmt.Appendf(nil, `{"id":%d,"v":"b"}`, first+1)}})
	case 1:
		return request(vnode, &appv1.RemoveRows{Table: "item", Keys: [][]byte{row(text)}})
	case 2:
		return request(vnode, &appv1.NamedQuery{Name: "shift", Parameters: fmt.Appendf(nil, `{"id":%d}`, r.IntN(20))})
	case 3:
		if r.IntN(4) == 0 {
			text = strings.Repeat("x", 40)
		}
		fallthrough
	default:
		return request(vnode, &appv1.MergeRows{Table: "item", Rows: [][]byte{row(text)}})
	}
}

// run sends random requests of each virtual node, some of them twice, disturbs in between, and compares answers, tables
// and feed with the model.
func (s *site) run(seed uint64, hashes []string, each int, disturb func(n int)) {
	t := s.t
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	codec := schemas.Codec[*persistencev1.Request]()
	want, models, total := map[string]string{}, map[string]model{}, 0
	for _, h := range hashes {
		models[h] = model{}
	}
	for n := range each {
		for i, h := range hashes {
			r := randomRequest(random, h)
			r.FlowId = fmt.Sprintf("%08x-2222-4333-8444-555555555555", i)
			id := fmt.Sprintf("%s-%d", h, n)
			want[id] = models[h].apply(r)
			for range 1 + random.IntN(2) {
				s.c.Produce(t, topics.PersistenceRequests, r.GetFlowId(), r, codec, engine.HeaderRequest, id)
				total++
			}
		}
		if disturb != nil {
			disturb(n)
		}
		s.c.Consume(t, topics.FlowRepliesPersistence, total) // a flow asks for more when it has its answers
	}
	answers := map[string]string{}
	for _, r := range s.c.Consume(t, topics.FlowRepliesPersistence, total) {
		m, id := &rpcv1.Reply{}, ""
		for _, h := range r.Headers {
			if h.Key == engine.HeaderRequest {
				id = string(h.Value)
			}
		}
		if err := proto.Unmarshal(r.Value, m); err != nil {
			t.Fatal(err)
		}
		got := m.GetError().GetType() + m.String()
		if before, ok := answers[id]; ok && before != got {
			t.Errorf("%s was answered with %s, then with %s", id, before, got)
		}
		if answers[id] = got; m.GetError().GetType() != want[id] {
			t.Errorf("%s: %v, want %q", id, m, want[id])
		}
	}
	told := map[string][]*feedv1.Change{}
	changes := func() map[string]uint64 {
		out := map[string]uint64{}
		for _, h := range hashes {
			var n int64
			if err := s.w.admin.One(t.Context(), []any{&n}, "SELECT last FROM "+s.w.logins[h].Schema+".fl_counter"); err != nil {
				t.Fatal(err)
			}
			out[h] = uint64(n)
		}
		return out
	}()
	sum := 0
	for _, n := range changes {
		sum += int(n)
	}
	for _, r := range s.c.ConsumeUntil(t, "feed", func(r []*kgo.Record) bool { return len(r) >= sum }) {
		m := &feedv1.Change{}
		if err := proto.Unmarshal(r.Value, m); err != nil {
			t.Fatal(err)
		}
		told[m.GetVnode()] = append(told[m.GetVnode()], m)
	}
	for _, h := range hashes {
		s.compare(h, models[h], told[h], changes[h])
	}
}

// compare builds a virtual node's table from its feed and from the database; both must be the model.
func (s *site) compare(h string, want model, told []*feedv1.Change, last uint64) {
	t := s.t
	t.Helper()
	if uint64(len(told)) != last {
		t.Errorf("%s: %d changes were told, %d made", h, len(told), last)
	}
	byNumber := map[uint64]*feedv1.Change{}
	for _, c := range told {
		if byNumber[c.GetNumber()] != nil {
			t.Errorf("%s: change %d was told twice", h, c.GetNumber())
		}
		byNumber[c.GetNumber()] = c
	}
	built := model{}
	for n := uint64(1); n <= last; n++ {
		row := byNumber[n].GetRow()
		id, err := strconv.Atoi(member(t, row.GetKey(), "id"))
		if err != nil {
			t.Fatalf("%s: change %d: %v", h, n, err)
		}
		_, there := built[id]
		created := row.GetOperation() == feedv1.RowOperation_ROW_OPERATION_CREATED
		if there == created {
			t.Errorf("%s: change %d is %s, and the row was there: %v", h, n, row.GetOperation(), there)
		}
		if delete(built, id); row.GetOperation() != feedv1.RowOperation_ROW_OPERATION_REMOVED {
			if err := json.Unmarshal([]byte(member(t, row.GetRow(), "v")), new(string)); err != nil {
				t.Fatal(err)
			}
			built[id] = strings.Trim(member(t, row.GetRow(), "v"), `"`)
		}
	}
	if fmt.Sprint(built) != fmt.Sprint(want) {
		t.Errorf("%s: the feed tells %v, the model has %v", h, built, want)
	}
	c := s.w.client(s.w.pool(vnodes.Config{}), h, itemApp().cpi())
	page := &appv1.Page{}
	c.ok(&appv1.FindAllRows{Table: "item"}, page)
	stored := model{}
	for _, r := range page.GetRows() {
		id, err := strconv.Atoi(member(t, r, "id"))
		if err != nil {
			t.Fatal(err)
		}
		stored[id] = strings.Trim(member(t, r, "v"), `"`)
	}
	if fmt.Sprint(stored) != fmt.Sprint(want) {
		t.Errorf("%s: the table has %v, the model %v", h, stored, want)
	}
}

// Processes come and go, Postgres is stopped, killed and started again, all in the middle: nothing is lost, nothing
// happens twice, and the feed tells everything once and in order.
func TestDisturbed(t *testing.T) {
	server := pgtest.Server(t, pgserver.Options{})
	w := newWorld(t, server.URL("postgres"))
	var hashes []string
	for n := range 3 {
		hashes = append(hashes, w.vnode(n+1, itemApp().cpi(), itemTable))
	}
	s := newSite(t, w, hashes)
	s.start("a")
	restart := func(stop func() error) {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.run(7, hashes, 60, func(n int) {
		switch n {
		case 10:
			s.stop()
			s.start("a")
		case 20:
			restart(func() error { return server.Stop(t.Context()) })
		case 30:
			restart(server.Kill)
		case 40:
			old := s.stop
			s.start("b")
			old()
		}
	})
}

// A hundred virtual nodes share forty connections.
func TestHundredVirtualNodes(t *testing.T) {
	w := newWorld(t, "")
	var hashes []string
	for n := range 100 {
		hashes = append(hashes, w.vnode(n+1, itemApp().cpi(), itemTable))
	}
	s := newSite(t, w, hashes)
	s.start("a")
	s.run(8, hashes, 4, nil)
}

// everything returns all records of a topic, also those of transactions that were aborted.
func (s *site) everything(topic string) []*kgo.Record {
	s.t.Helper()
	ctx := enginetest.Context(s.t)
	ends, err := s.c.Admin().ListEndOffsets(ctx, topic)
	if err != nil {
		s.t.Fatal(err)
	}
	open := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			open[o.Partition] = o.Offset
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.c.Brokers()...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	var out []*kgo.Record
	for len(open) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			s.t.Fatalf("topic %s: the end is not reached", topic)
		}
		for _, r := range fetches.Records() {
			out = append(out, r)
			if r.Offset+1 >= open[r.Partition] {
				delete(open, r.Partition)
			}
		}
	}
	return out
}

// No secret that was made for a virtual node is anywhere but in its place: not in a topic, not in a dump, not in the
// server's log.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	server := pgtest.Server(t, pgserver.Options{})
	w := newWorld(t, server.URL("postgres"))
	h := w.vnode(1, itemApp().cpi(), itemTable)
	s := newSite(t, w, []string{h})
	s.start("a")
	s.run(9, []string{h}, 10, nil)
	secret := w.logins[h].Password
	if len(secret) < 20 {
		t.Fatalf("the password has %d letters", len(secret))
	}
	all, err := s.c.Admin().ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all.Names() {
		for _, r := range s.everything(name) {
			if strings.Contains(string(r.Key)+string(r.Value), secret) {
				t.Errorf("topic %s holds a secret", name)
			}
		}
	}
	log, err := os.ReadFile(server.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), secret) {
		t.Error("the server's log holds a secret")
	}
	// What a dump would hold: every table's rows, and what the server keeps of roles.
	var dump string
	err = w.admin.One(t.Context(), []any{&dump}, `SELECT coalesce(string_agg(x, ''), '') FROM (
		SELECT query_to_xml(format('SELECT * FROM %I.%I', schemaname, tablename), true, true, '')::text AS x FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
		UNION ALL SELECT string_agg(rolname || coalesce(rolpassword, ''), '') FROM pg_authid) all_rows`)
	if err != nil || len(dump) < 1000 {
		t.Fatalf("%d letters, %v", len(dump), err)
	}
	if strings.Contains(dump, secret) {
		t.Error("a dump would hold a secret")
	}
}
