package uniqueness_test

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// Notaries of tests.
const notaryA, notaryB = "AAAAAAAAAAA1", "BBBBBBBBBBB2"

// site is a worker without Kafka: one partition with its store and its time.
type site struct {
	t      testing.TB
	worker *uniqueness.Worker
	store  map[string][]byte
	nowUs  int64
	asked  int
	// replies are by request id, dead the reasons of what went to the dead letters.
	replies map[string]*rpcv1.Reply
	dead    map[string]error
}

// epoch is when the tests' time begins.
const epoch = 1_000_000

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, store: map[string][]byte{}, nowUs: epoch, replies: map[string]*rpcv1.Reply{}, dead: map[string]error{}}
	s.restart()
	return s
}

// restart forgets all that is in memory.
func (s *site) restart() {
	s.t.Helper()
	w, err := uniqueness.NewWorker(uniqueness.Deps{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.worker = w
}

// asking is a request of a test.
type asking struct {
	notary string
	uniqueness.Request
	// change may spoil the message, headers the headers.
	change  func(*uniquenessv1.Request)
	headers map[string]string
	raw     []byte
}

// message is a request as it travels.
func message(notary string, r uniqueness.Request) *uniquenessv1.Request {
	refs := func(all []ledger.StateRef) (out []*ledgerv1.StateRef) {
		for _, s := range all {
			out = append(out, &ledgerv1.StateRef{Transaction: s.Transaction[:], Index: s.Index})
		}
		return out
	}
	mode := appv1.UniquenessMode_UNIQUENESS_MODE_CHECK
	if r.Read {
		mode = appv1.UniquenessMode_UNIQUENESS_MODE_READ
	}
	return &uniquenessv1.Request{Notary: notary, FlowId: "f", Check: &appv1.CheckUniqueness{
		Mode: mode, Transaction: r.Tx[:], Inputs: refs(r.Inputs), References: refs(r.References), Outputs: int32(r.Outputs),
		Window: &ledgerv1.TimeWindow{FromUs: r.Window.FromUs, UntilUs: r.Window.UntilUs}, Originator: r.Originator,
	}}
}

// batch works off requests together, as one transaction, and returns their ids.
func (s *site) batch(asked ...asking) []string {
	s.t.Helper()
	s.nowUs++
	var items []uniqueness.Item
	var contexts []*fakeContext
	var ids []string
	overlay := maps.Clone(s.store)
	for _, a := range asked {
		s.asked++
		id := fmt.Sprintf("r%d", s.asked)
		ids = append(ids, id)
		m := message(a.notary, a.Request)
		if a.change != nil {
			a.change(m)
		}
		raw, err := schemas.Marshal(m)
		if err != nil {
			s.t.Fatal(err)
		}
		if a.raw != nil {
			raw = a.raw
		}
		ctx := &fakeContext{site: s, store: overlay, key: a.notary, headers: map[string]string{
			engine.HeaderRequest: id, engine.HeaderReply: engine.ReplyTo(topics.FlowRepliesUniqueness, -1, "flow of "+id),
		}}
		for k, v := range a.headers {
			ctx.headers[k] = v
		}
		contexts = append(contexts, ctx)
		items = append(items, uniqueness.NewItem(ctx, raw))
	}
	results := s.worker.RunBatch(s.t.Context(), items)
	if len(results) != len(items) {
		s.t.Fatalf("a batch of %d has %d results", len(items), len(results))
	}
	for i, err := range results {
		if err != nil {
			if len(contexts[i].emitted) > 0 || contexts[i].wrote > 0 {
				s.t.Fatalf("request %s fails with %v after it had effects", ids[i], err)
			}
			s.dead[ids[i]] = err
		}
		for _, e := range contexts[i].emitted {
			if e.topic != topics.FlowRepliesUniqueness || e.key != "flow of "+ids[i] {
				s.t.Errorf("request %s is answered on %s under %q", ids[i], e.topic, e.key)
			}
			s.replies[ids[i]] = e.reply
		}
	}
	s.store = overlay
	return ids
}

// answer is what a request got.
func (s *site) answer(id string) *appv1.UniquenessAnswer {
	s.t.Helper()
	r := s.replies[id]
	if r.GetOutcome() == nil || r.GetError() != nil {
		s.t.Fatalf("request %s: reply %v, dead letter %v", id, r, s.dead[id])
	}
	return decodeAnswer(s.t, r)
}

func decodeAnswer(t testing.TB, r *rpcv1.Reply) *appv1.UniquenessAnswer {
	t.Helper()
	a := &appv1.UniquenessAnswer{}
	if err := proto.Unmarshal(r.GetResult(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

// rows counts what is remembered of transactions and of states.
func (s *site) rows() (txs, spent int) {
	for k := range s.store {
		switch k[0] {
		case 't':
			txs++
		case 's':
			spent++
		default:
			s.t.Errorf("there is a row %q", k)
		}
	}
	return txs, spent
}

// engineContext is embedded under this name, for it has a method Context.
type engineContext = engine.Context

// fakeContext is a record's context.
type fakeContext struct {
	engineContext
	site    *site
	store   map[string][]byte
	key     string
	headers map[string]string
	emitted []emitted
	wrote   int
}

type emitted struct {
	topic, key string
	reply      *rpcv1.Reply
}

func (c *fakeContext) Partition() int32          { return 0 }
func (c *fakeContext) Key() string               { return c.key }
func (c *fakeContext) Header(name string) string { return c.headers[name] }
func (c *fakeContext) Now() time.Time            { return time.UnixMicro(c.site.nowUs).UTC() }
func (c *fakeContext) Store(name string) engine.PartitionStore {
	if name != topics.UniquenessMemoryStore {
		c.site.t.Fatalf("store %q", name)
	}
	return fakeStore{c}
}

func (c *fakeContext) Emit(topic goka.Stream, key string, value any, _ ...goka.ContextOption) {
	c.emitted = append(c.emitted, emitted{string(topic), key, value.(*rpcv1.Reply)})
}

type fakeStore struct{ c *fakeContext }

func (f fakeStore) Get(key []byte) []byte { return f.c.store[string(key)] }
func (f fakeStore) Set(key, value []byte) {
	f.c.wrote++
	f.c.store[string(key)] = value
}
func (f fakeStore) Delete(key []byte) { f.c.site.t.Fatalf("row %q is deleted", key) }
func (f fakeStore) Scan([]byte) iter.Seq2[[]byte, []byte] {
	f.c.site.t.Fatal("the store is scanned")
	return nil
}

// Requests and answers of tests are written in words: "pay in=issue:0,issue:1 ref=issue:2 out=2 within=0..50", and
// "input conflict: issue:0 by pay". Numbers of windows are microseconds since the test's epoch.

func parseRequest(t testing.TB, words []string) asking {
	t.Helper()
	a := asking{notary: notaryA, Request: tx(words[0], "", "", 0)}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "read":
			a.Read = true
		case "at":
			a.notary = value
		case "in":
			a.Inputs = states(strings.ReplaceAll(value, ",", " "))
		case "ref":
			a.References = states(strings.ReplaceAll(value, ",", " "))
		case "out":
			scan(t, value, &a.Outputs)
		case "within":
			from, until, _ := strings.Cut(value, "..")
			if from != "" {
				scan(t, from, &a.Window.FromUs)
				a.Window.FromUs += epoch
			}
			scan(t, until, &a.Window.UntilUs)
			a.Window.UntilUs += epoch
		default:
			t.Fatalf("request word %q", w)
		}
	}
	return a
}

func scan(t testing.TB, text string, into any) {
	t.Helper()
	if _, err := fmt.Sscan(text, into); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

// words writes an answer; names are those of the transactions that tests know.
func words(a *appv1.UniquenessAnswer, names map[ledger.Hash]string) string {
	name := func(b []byte) string { return names[ledger.Hash(b)] }
	var states []string
	for _, s := range a.GetUnknown() {
		states = append(states, fmt.Sprintf("%s:%d", name(s.GetTransaction()), s.GetIndex()))
	}
	for _, c := range a.GetConflicts() {
		states = append(states, fmt.Sprintf("%s:%d by %s", name(c.GetState().GetTransaction()), c.GetState().GetIndex(), name(c.GetConsumedBy())))
	}
	if w := a.GetWindow(); w != nil {
		from := ""
		if w.GetFromUs() != 0 {
			from = fmt.Sprint(w.GetFromUs() - epoch)
		}
		states = append(states, fmt.Sprintf("%s..%d", from, w.GetUntilUs()-epoch))
	}
	out := uniqueness.Kind(a.GetResult()).String()
	if len(states) > 0 {
		out += ": " + strings.Join(states, ", ")
	}
	return out
}

// namesIn are the names of transactions that a script uses.
func namesIn(script []string) map[ledger.Hash]string {
	names := map[ledger.Hash]string{}
	for _, line := range script {
		for _, f := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" =,:", r) }) {
			names[id(f)] = f
		}
	}
	return names
}

// run plays a script: "request => answer" lines, "@50" to set the clock (which ends a batch), "restart". In steps each
// request is a batch of its own, else all between two such words are one.
func (s *site) run(script []string, steps bool) {
	s.t.Helper()
	names := namesIn(script)
	first := map[string]*appv1.UniquenessAnswer{}
	var lines []string
	var batch []asking
	flush := func() {
		if len(batch) == 0 {
			return
		}
		for i, id := range s.batch(batch...) {
			_, want, _ := strings.Cut(lines[i], " => ")
			a := s.answer(id)
			key := batch[i].notary + batch[i].Tx.String()
			if want == "again" {
				if !proto.Equal(a, first[key]) {
					s.t.Errorf("%s: it is %v, it was %v", lines[i], a, first[key])
				}
				continue
			}
			if got := words(a, names); got != want {
				s.t.Errorf("%s: got %s", lines[i], got)
			}
			if first[key] == nil {
				first[key] = a
			}
		}
		batch, lines = nil, nil
	}
	for _, line := range script {
		switch {
		case strings.HasPrefix(line, "@"):
			flush()
			var at int64
			scan(s.t, line[1:], &at)
			s.nowUs = epoch + at - 1 // a batch begins with the next microsecond
		case line == "restart":
			flush()
			s.restart()
		default:
			request, _, ok := strings.Cut(line, " => ")
			if !ok {
				s.t.Fatalf("line %q has no answer", line)
			}
			batch, lines = append(batch, parseRequest(s.t, strings.Fields(request))), append(lines, line)
			if steps {
				flush()
			}
		}
	}
	flush()
}

// decided are the times of all answers, sorted; those of repeated ones are there again.
func (s *site) decided() []int64 {
	var out []int64
	for id := range s.replies {
		out = append(out, s.answer(id).GetDecidedAtNs())
	}
	slices.Sort(out)
	return out
}
