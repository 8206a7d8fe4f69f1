package uniqueness_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// partitions are enough for notaries to have some of their own.
const partitions = 4

// record is a request on its way to the topic.
func record(t testing.TB, requestID string, a asking) *kgo.Record {
	t.Helper()
	return &kgo.Record{
		Topic: topics.UniquenessRequests, Key: []byte(a.notary), Value: mustMarshal(t, message(a.notary, a.Request)),
		Headers: []kgo.RecordHeader{
			{Key: engine.HeaderRequest, Value: []byte(requestID)}, {Key: engine.HeaderReply, Value: []byte(engine.ReplyTo(topics.FlowRepliesUniqueness, -1, requestID))},
		},
	}
}

func headerOf(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// replies waits for the answers to so many requests, and sees that each has one.
func replies(t testing.TB, c *enginetest.Cluster, n int) map[string]*appv1.UniquenessAnswer {
	t.Helper()
	out := map[string]*appv1.UniquenessAnswer{}
	for _, r := range c.Consume(t, topics.FlowRepliesUniqueness, n) {
		id := headerOf(r, engine.HeaderRequest)
		if out[id] != nil {
			t.Errorf("request %s has two answers", id)
		}
		var m rpcv1.Reply
		if err := proto.Unmarshal(r.Value, &m); err != nil || m.GetError() != nil {
			t.Fatalf("%v %v", err, m.GetError())
		}
		if id != string(r.Key) {
			t.Errorf("the answer to %s lies under %q", id, r.Key)
		}
		out[id] = decodeAnswer(t, &m)
	}
	return out
}

// drawing draws requests at random, so that many meet the same states.
type drawing struct {
	rnd   *rand.Rand
	asked []uniqueness.Request
	made  []ledger.StateRef
	n     int
}

func (d *drawing) next() uniqueness.Request {
	d.n++
	if len(d.asked) > 0 && d.rnd.IntN(6) == 0 {
		r := d.asked[d.rnd.IntN(len(d.asked))]
		r.Read = d.rnd.IntN(3) == 0
		return r
	}
	r := tx(fmt.Sprint("tx ", d.n), "", "", uint32(d.rnd.IntN(4)))
	pick := func() (out []ledger.StateRef) {
		for range d.rnd.IntN(3) {
			switch {
			case len(d.made) == 0 || d.rnd.IntN(30) == 0:
				out = append(out, states("nobody:0")...)
			case d.rnd.IntN(20) == 0:
				out = append(out, ledger.StateRef{Transaction: d.asked[d.rnd.IntN(len(d.asked))].Tx, Index: uint32(d.rnd.IntN(4))})
			default:
				out = append(out, d.made[max(0, len(d.made)-1-d.rnd.IntN(20))])
			}
		}
		return out
	}
	r.Inputs, r.References = pick(), pick()
	switch d.rnd.IntN(12) {
	case 0: // long over
		r = within(r, 0, 1000)
	case 1: // in a far future
		r = within(r, 1<<55, 1<<56)
	}
	r.Read = d.rnd.IntN(20) == 0
	d.asked = append(d.asked, r)
	for i := range r.Outputs {
		d.made = append(d.made, ledger.StateRef{Transaction: r.Tx, Index: i})
	}
	return r
}

// Whatever is asked, through the engine, with processes that end and begin with and without a disk in the middle, the
// answers are those of the plainest notary, given the time that each says; and the store has what they say, and no more.
func TestAgainstTheNaiveThroughTheEngine(t *testing.T) {
	const count, rounds = 600, 3
	c := enginetest.NewCluster(t)
	c.CreateTopics(t, partitions, graph(t))
	rnd := rand.New(rand.NewPCG(11, 13))
	naives := map[string]*naive{}
	draws := map[string]*drawing{}
	for _, n := range []string{notaryA, notaryB} {
		naives[n] = newNaive()
		draws[n] = &drawing{rnd: rnd}
	}
	metrics := prometheus.NewRegistry()
	m, err := uniqueness.NewMetrics(metrics)
	if err != nil {
		t.Fatal(err)
	}
	worker := func() *engine.Graph {
		w, err := uniqueness.NewWorker(uniqueness.Deps{Metrics: m})
		if err != nil {
			t.Fatal(err)
		}
		return w.Graph()
	}
	cfg := c.Config(t)
	uniqueness.Tune(&cfg)
	var asked []asking
	var recs []*kgo.Record
	for range count * rounds {
		n := []string{notaryA, notaryB}[rnd.IntN(2)]
		a := asking{notary: n, Request: draws[n].next()}
		recs = append(recs, record(t, fmt.Sprintf("r%d", len(asked)), a))
		asked = append(asked, a)
	}
	for round := range rounds {
		e := enginetest.StartConfig(t, cfg, worker())
		for left := recs[round*count : (round+1)*count]; len(left) > 0; {
			n := min(len(left), 1+rnd.IntN(40))
			c.ProduceRaw(t, left[:n]...)
			left = left[n:]
		}
		if round == rounds-1 {
			c.Drained(t, graph(t))
		}
		if err := e.Stop(); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			cfg.DB = c.Config(t).DB // an empty disk
		}
	}
	got := replies(t, c, len(asked))
	last := map[string]int64{}
	fresh := 0
	for i, a := range asked {
		answer := got[fmt.Sprintf("r%d", i)]
		n := naives[a.notary]
		at := answer.GetDecidedAtNs()
		if at > last[a.notary] {
			last[a.notary] = at
			fresh++
		}
		read, err := uniqueness.AnswerOf(answer)
		if err != nil {
			t.Fatal(err)
		}
		if want := n.at(a.Request, at); plain(read) != want {
			t.Fatalf("request %d, %+v is answered %q, the naive says %q", i, a.Request, plain(read), want)
		}
	}
	// The store: a row for each transaction and one for each consumed state, nothing else; the same on the disk.
	rows := c.Fold(t, topics.StoreTopic(topics.UniquenessGroup, topics.UniquenessMemoryStore))
	want := 0
	for notary, n := range naives {
		want += len(n.answers) + len(n.consumed)
		for tx := range n.answers {
			if rows[string(uniqueness.TxKey(notary, tx))] == nil {
				t.Errorf("transaction %s of %s has no row", tx, notary)
			}
		}
	}
	if len(rows) != want {
		t.Errorf("the store has %d rows, the naive remembers %d", len(rows), want)
	}
	onDisk(t, c, cfg.DB, rows)
	replay(t, c, recs, asked, rows)
	// What an empty disk restores is the live state.
	cfg.DB = c.Config(t).DB
	e := enginetest.StartConfig(t, cfg, worker())
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	onDisk(t, c, cfg.DB, rows)
	requests, batches := counted(t, metrics)
	if requests < float64(len(asked)) || batches == 0 || batches >= uint64(len(asked)) {
		t.Errorf("metrics count %v requests in %d batches", requests, batches)
	}
	t.Logf("%d requests, %d decided afresh, in %d batches; %d rows", len(asked), fresh, batches, len(rows))
}

// counted is what the metrics say of requests and batches.
func counted(t *testing.T, metrics prometheus.Gatherer) (requests float64, batches uint64) {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			switch f.GetName() {
			case "fairlead_uniqueness_requests_total":
				requests += x.GetCounter().GetValue()
			case "fairlead_uniqueness_batch_requests":
				batches = x.GetHistogram().GetSampleCount()
			}
		}
	}
	return requests, batches
}

// replay runs the whole log of requests into an empty notary, with the times that the answers carry, and compares what it
// remembers then.
func replay(t *testing.T, c *enginetest.Cluster, recs []*kgo.Record, asked []asking, want map[string][]byte) {
	t.Helper()
	now := map[string]int64{} // by request id
	for _, r := range c.Consume(t, topics.FlowRepliesUniqueness, len(recs)) {
		us, err := strconv.ParseInt(headerOf(r, engine.HeaderNow), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		now[headerOf(r, engine.HeaderRequest)] = us
	}
	got := map[string][]byte{}
	for p := range int32(partitions) {
		s := newSite(t)
		var batch []asking
		last := int64(0)
		flush := func() {
			s.nowUs = last - 1 // a batch begins with the next microsecond
			s.batch(batch...)
			batch = nil
		}
		for i, r := range recs { // produced in this order, so in the order of offsets
			if r.Partition != p {
				continue
			}
			if at := now[headerOf(r, engine.HeaderRequest)]; at != last {
				flush()
				last = at
			}
			batch = append(batch, asked[i])
		}
		flush()
		for k, v := range s.store {
			got[k] = v
		}
	}
	if len(got) != len(want) {
		t.Errorf("replayed, %d rows are remembered, %d were", len(got), len(want))
	}
	for k, v := range want {
		if !bytes.Equal(got[k], v) {
			t.Errorf("replayed, row %q is another", k)
		}
	}
}

func onDisk(t *testing.T, c *enginetest.Cluster, db engine.DB, want map[string][]byte) {
	t.Helper()
	local := map[string][]byte{}
	for p := range int32(partitions) {
		rows, _, _, err := engine.LocalRows(db, c.Prefix+topics.StoreTopic(topics.UniquenessGroup, topics.UniquenessMemoryStore), p)
		if err != nil {
			t.Fatalf("partition %d: %v", p, err)
		}
		for k, v := range rows {
			local[k] = v
		}
	}
	if len(local) != len(want) {
		t.Errorf("the disk has %d rows, the topic %d", len(local), len(want))
	}
	for k, v := range want {
		if !bytes.Equal(local[k], v) {
			t.Errorf("row %q differs", k)
		}
	}
}

// A burst that waits when the process starts is decided in few transactions, however many requests it is.
func TestPollsAreBatches(t *testing.T) {
	c := enginetest.NewCluster(t)
	c.CreateTopics(t, 1, graph(t))
	var recs []*kgo.Record
	const count = 2500
	for n := range count {
		recs = append(recs, record(t, fmt.Sprintf("r%d", n), asking{notary: notaryA, Request: tx(fmt.Sprint("tx ", n), "", "", 1)}))
	}
	c.ProduceRaw(t, recs...)
	cfg := c.Config(t)
	uniqueness.Tune(&cfg)
	metrics := prometheus.NewRegistry()
	m, err := uniqueness.NewMetrics(metrics)
	if err != nil {
		t.Fatal(err)
	}
	w, err := uniqueness.NewWorker(uniqueness.Deps{Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	enginetest.StartConfig(t, cfg, w.Graph())
	times, seen := map[int64]int{}, map[int64]bool{}
	for id, a := range replies(t, c, count) {
		if seen[a.GetDecidedAtNs()] {
			t.Errorf("%s was decided when another was", id)
		}
		seen[a.GetDecidedAtNs()] = true
		times[a.GetDecidedAtNs()/1000]++
	}
	most := 0
	for _, n := range times {
		most = max(most, n)
	}
	if len(times) > count/10 || most > 1000 {
		t.Errorf("%d requests took %d transactions, the largest of %d", count, len(times), most)
	}
	if _, batches := counted(t, metrics); batches > count/10 {
		t.Errorf("%d requests of one notary were decided in %d batches", count, batches)
	}
}

// What cannot be decoded is a dead letter with its reason, whoever waits hears of it, and the partition goes on.
func TestDeadLetters(t *testing.T) {
	c := enginetest.NewCluster(t)
	c.CreateTopics(t, 1, graph(t))
	c.Start(t, graph(t))
	good := record(t, "good", asking{notary: notaryA, Request: tx("good", "", "", 1)})
	bad, silent, empty := record(t, "bad", asking{notary: notaryA}), record(t, "silent", asking{notary: notaryA}), record(t, "empty", asking{notary: notaryA})
	bad.Value, silent.Value, empty.Value = []byte{0xff}, []byte{0xff}, nil
	silent.Headers = nil
	c.ProduceRaw(t, bad, silent, empty, good)
	for _, r := range c.Consume(t, engine.DeadLetterTopic(topics.UniquenessGroup), 3) {
		want := map[string]string{"bad": "FL-UNIQUENESS-002", "": "FL-UNIQUENESS-002", "empty": "message is a <nil>"}[headerOf(r, engine.HeaderRequest)]
		if text := headerOf(r, engine.HeaderDLQError); want == "" || !strings.Contains(text, want) || headerOf(r, engine.HeaderDLQReason) == "" {
			t.Errorf("dead letter of %q: %s %s", headerOf(r, engine.HeaderRequest), headerOf(r, engine.HeaderDLQReason), text)
		}
	}
	told := map[string]*rpcv1.Reply{}
	for _, r := range c.Consume(t, topics.FlowRepliesUniqueness, 3) {
		m := &rpcv1.Reply{}
		if err := proto.Unmarshal(r.Value, m); err != nil {
			t.Fatal(err)
		}
		told[headerOf(r, engine.HeaderRequest)] = m
	}
	for _, id := range []string{"bad", "empty"} {
		if e := told[id].GetError(); e.GetId() != "FL-UNIQUENESS-005" || !strings.Contains(e.GetMessage(), "uniqueness.dlq") {
			t.Errorf("%s is told %v", id, told[id])
		}
	}
	if decodeAnswer(t, told["good"]).GetResult() != appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED {
		t.Errorf("the good one: %v", told["good"])
	}
}
