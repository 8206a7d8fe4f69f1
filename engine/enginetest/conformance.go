package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
)

// Input is a record of a conformance run, as bytes.
type Input struct {
	Topic, Key string
	Value      []byte
	Headers    map[string]string
}

// Suite describes a group to [Suite.Run]: how to make it, and records that it takes.
type Suite struct {
	// Graph makes the group anew for every engine, as its worker would.
	Graph func(t testing.TB) *engine.Graph
	// Prepare is called once for each cluster before engines start: to fill views, for example. May be nil.
	Prepare func(t testing.TB, c *Cluster)
	// Partitions of every topic; default 3.
	Partitions int32
	// Inputs are valid records, some 20 to 200; each must be settled without waiting for another group.
	Inputs []Input
	// Settled returns when all that the inputs began has ended, for a group that goes on with them by timers; the others
	// have it nil. It is called while a process runs.
	Settled func(t testing.TB, c *Cluster)
	// Poison is a record that the group dead-letters; nil when it takes anything.
	Poison *Input
	// Content is what an output record says that is the same whatever happens to processes; nil stands for its key and its
	// value. Groups that write times, or ids that they draw, leave these out.
	Content func(topic string, r *kgo.Record) string
	// Repeatable says that inputs may be sent twice without a further effect on tables and stores.
	Repeatable bool
}

// OnlyKeys is the [Suite.Content] of groups whose outputs hold times, or hang on the order of records in several
// partitions: that each key has as many records is all that can be asked of them.
func OnlyKeys(_ string, r *kgo.Record) string { return string(r.Key) }

// OnlyCounts is that of groups whose outputs have keys that no other run has.
func OnlyCounts(string, *kgo.Record) string { return "" }

// Run proves what every group must keep, whatever happens to its processes.
func (s Suite) Run(t *testing.T) {
	if s.Partitions == 0 {
		s.Partitions = 3
	}
	var want map[string][]string
	t.Run("undisturbed", func(t *testing.T) { want = s.outputs(t, s.run(t, nil)) })
	if t.Failed() {
		return
	}
	disturbances := map[string]func(*world){
		"stop and start in the middle":    (*world).stopAndStart,
		"restart from an empty disk":      (*world).emptyDisk,
		"a second process joins and goes": (*world).rebalance,
		"killed in the middle":            (*world).kill,
	}
	for name, d := range disturbances {
		t.Run(name, func(t *testing.T) {
			s.compare(t, s.outputs(t, s.run(t, d)), want)
		})
	}
	t.Run("poison and oversized records", s.bad)
	if s.Repeatable {
		t.Run("every input twice", s.twice)
	}
}

// world is one cluster with the processes of one run.
type world struct {
	t    testing.TB
	s    Suite
	c    *Cluster
	main *process
	all  []*process
}

type process struct {
	e   *Engine
	db  engine.DB
	net *network
}

// network is one process's way to the brokers; cutting it is what they see of a SIGKILL.
type network struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (n *network) dial(ctx context.Context, nw, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, nw, addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	n.conns = append(n.conns, c)
	return c, nil
}

func (n *network) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = true
	for _, c := range n.conns {
		_ = c.Close() // nobody is there any more to be told
	}
}

func (w *world) boot(instance string, db engine.DB) *process {
	w.t.Helper()
	cfg := w.c.Config(w.t)
	if db != nil {
		cfg.DB = db
	}
	n := &network{}
	cfg.InstanceID, cfg.Outside.Dial = instance, n.dial
	cfg.TransactionTimeout, cfg.EndTimeout = 2*time.Second, 2*time.Second
	p := &process{Launch(w.t, cfg, w.s.Graph(w.t)), cfg.DB, n}
	w.all = append(w.all, p)
	return p
}

func (w *world) ready(p *process) {
	w.t.Helper()
	if err := p.e.WaitReady(Context(w.t)); err != nil {
		w.t.Fatalf("not ready: %v", err)
	}
}

func (w *world) stopAndStart() {
	if err := w.main.e.Stop(); err != nil {
		w.t.Fatalf("stop: %v", err)
	}
	if err := w.main.e.Stop(); err != nil {
		w.t.Fatalf("stop twice: %v", err)
	}
	w.main = w.boot("a", w.main.db)
}

func (w *world) emptyDisk() {
	if err := w.main.e.Stop(); err != nil {
		w.t.Fatalf("stop: %v", err)
	}
	w.main = w.boot("a", nil)
}

func (w *world) rebalance() {
	second := w.boot("b", nil)
	w.ready(second)
	if err := second.e.Stop(); err != nil {
		w.t.Fatalf("stop: %v", err)
	}
}

func (w *world) kill() {
	w.main.net.kill()
	_ = w.main.e.Stop() // a killed process tells nobody
	w.main = w.boot("a", w.main.db)
}

// run feeds the inputs, disturbs in the middle, waits until all is done and checks tables and stores.
func (s Suite) run(t testing.TB, disturb func(*world)) *world {
	t.Helper()
	w := s.world(t)
	for i, in := range s.Inputs {
		w.send(in)
		if disturb != nil && i == len(s.Inputs)/2 {
			disturb(w)
		}
	}
	w.ready(w.main)
	w.settled()
	w.check()
	return w
}

func (s Suite) world(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, s: s, c: NewCluster(t)}
	w.c.Prefix = "conf-"
	w.c.CreateTopics(t, s.Partitions, s.Graph(t))
	if s.Prepare != nil {
		s.Prepare(t, w.c)
	}
	w.main = w.boot("a", nil)
	return w
}

func (w *world) send(in Input) {
	w.t.Helper()
	rec := &kgo.Record{Topic: in.Topic, Key: []byte(in.Key), Value: in.Value}
	for k, v := range in.Headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	w.c.ProduceRaw(w.t, rec)
}

// settled waits until nothing is left to do.
func (w *world) settled() {
	w.t.Helper()
	if w.s.Settled != nil {
		w.s.Settled(w.t, w.c)
	}
	w.c.Drained(w.t, w.s.Graph(w.t))
}

// check compares local storage with the topics.
func (w *world) check() {
	w.t.Helper()
	if err := w.main.e.Stop(); err != nil {
		w.t.Errorf("stop: %v", err)
	}
	for _, e := range w.s.Graph(w.t).Edges() {
		if e.Kind != engine.EdgeTable && e.Kind != engine.EdgeStore && e.Kind != engine.EdgeRows {
			continue
		}
		fold := w.c.Fold(w.t, e.Topic)
		local := map[string][]byte{}
		for p := range w.s.Partitions {
			rows, _, _, err := engine.LocalRows(w.main.db, w.c.Prefix+e.Topic, p)
			if err != nil {
				w.t.Fatalf("read local rows: %v", err)
			}
			for k, v := range rows {
				local[k] = v
			}
		}
		if len(fold) != len(local) {
			w.t.Errorf("%s: topic folds to %d rows, local storage holds %d", e.Topic, len(fold), len(local))
		}
		for k, v := range fold {
			if !bytes.Equal(local[k], v) {
				w.t.Errorf("%s: key %q differs between topic and local storage", e.Topic, k)
			}
		}
	}
}

// outputs are the keys and contents of the committed records of the group's outputs, sorted.
func (s Suite) outputs(t testing.TB, w *world) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, e := range s.Graph(t).Edges() {
		if e.Kind != engine.EdgeOutput && e.Kind != engine.EdgeDeadLetters {
			continue
		}
		out[e.Topic] = nil
		n := w.c.count(t, e.Topic)
		if n == 0 {
			continue
		}
		for _, r := range w.c.Consume(t, e.Topic, n) {
			content := fmt.Sprintf("%q: %q", r.Key, r.Value)
			if s.Content != nil {
				content = s.Content(e.Topic, r)
			}
			out[e.Topic] = append(out[e.Topic], content)
		}
		slices.Sort(out[e.Topic])
	}
	return out
}

// compare tells what a disturbed run wrote that the undisturbed one did not, and the other way round.
func (s Suite) compare(t testing.TB, got, want map[string][]string) {
	t.Helper()
	for topic, records := range want {
		balance := map[string]int{}
		for _, r := range got[topic] {
			balance[r]++
		}
		for _, r := range records {
			balance[r]--
		}
		for r, n := range balance {
			if n != 0 {
				t.Errorf("%s: %+d times more than undisturbed: %.300s", topic, n, r)
			}
		}
	}
}

// count returns how many committed records a topic holds.
func (c *Cluster) count(t testing.TB, topic string) int {
	t.Helper()
	ctx := Context(t)
	starts, err := c.admin.ListStartOffsets(ctx, c.Prefix+topic)
	if err != nil {
		t.Fatalf("read the start of %s: %v", topic, err)
	}
	ends, err := c.admin.ListCommittedOffsets(ctx, c.Prefix+topic)
	if err != nil {
		t.Fatalf("read the end of %s: %v", topic, err)
	}
	n := 0
	for p := range starts[c.Prefix+topic] {
		from, _ := starts.Lookup(c.Prefix+topic, p)
		to, _ := ends.Lookup(c.Prefix+topic, p)
		if to.Offset > from.Offset {
			n += c.visible(ctx, c.Prefix+topic, p, from.Offset, to.Offset)
		}
	}
	return n
}

// bad sends what must be refused between what must be taken.
func (s Suite) bad(t *testing.T) {
	w := s.world(t)
	refused := 0
	for i, in := range s.Inputs {
		if i == 1 && s.Poison != nil {
			w.send(*s.Poison)
			refused++
		}
		w.send(in)
	}
	// A foreign record over the limits: whatever the group makes of it, the partition goes on.
	huge := s.Inputs[0]
	huge.Key, huge.Value = "huge", bytes.Repeat([]byte{0xff}, engine.MaxRecordBytes)
	huge.Headers = map[string]string{"foreign": strconv.Itoa(1)}
	w.send(huge)
	refused++
	w.c.Consume(t, engine.DeadLetterTopic(s.Graph(t).Group()), refused)
	w.settled()
	w.check()
}

// twice sends every input again, when all is done that the first round began.
func (s Suite) twice(t *testing.T) {
	w := s.world(t)
	var rows [2]map[string][]byte
	for round := range rows {
		for _, in := range s.Inputs {
			w.send(in)
		}
		w.settled()
		rows[round] = w.rows()
	}
	for k, v := range rows[1] {
		if first, ok := rows[0][k]; !ok || !bytes.Equal(first, v) {
			t.Errorf("sent twice, the inputs changed %s", k)
		}
	}
	for k := range rows[0] {
		if _, ok := rows[1][k]; !ok {
			t.Errorf("sent twice, the inputs removed %s", k)
		}
	}
	w.check()
}

// rows are those of the group's table and stores.
func (w *world) rows() map[string][]byte {
	w.t.Helper()
	out := map[string][]byte{}
	for _, e := range w.s.Graph(w.t).Edges() {
		if e.Kind != engine.EdgeTable && e.Kind != engine.EdgeStore {
			continue
		}
		for k, v := range w.c.Fold(w.t, e.Topic) {
			out[fmt.Sprintf("%s, key %q", e.Topic, k)] = v
		}
	}
	return out
}
