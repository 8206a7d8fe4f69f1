package tokens_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/tokenpool"
	"github.com/fairleadio/fairlead/processors/tokens"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/topics"
)

// The group's edges are the catalogue's.
func TestEdges(t *testing.T) {
	var out []topics.Edge
	for _, e := range graph(t).Edges() {
		out = append(out, topics.Edge{Kind: topics.Kind(e.Kind), Topic: e.Topic, Type: e.Type})
	}
	if err := topics.Check(topics.TokensGroup, out); err != nil {
		t.Error(err)
	}
}

// vault answers for the persistence worker; what it has is a site's.
type vault struct {
	mu   sync.Mutex
	site *site
	ran  int
}

// graph is the part of the persistence worker's group that pages come from.
func (v *vault) graph() *engine.Graph {
	return engine.Define(topics.PersistenceGroup,
		engine.Input(topics.PersistenceTokens, schemas.Codec[*persistencev1.Request](), engine.Typed(func(ctx engine.Context, r *persistencev1.Request) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.ran++
			q := r.GetTokens()
			var m proto.Message = &appv1.TokenAmounts{Total: "7", Available: "3"}
			if !q.GetBalance() {
				m = v.site.page(q)
			}
			b, err := proto.Marshal(m)
			if err != nil {
				return err
			}
			topic, _, key, err := engine.ParseReplyTo(ctx.Header(engine.HeaderReply))
			if err != nil {
				return err
			}
			ctx.Emit(goka.Stream(topic), key, &rpcv1.Reply{Outcome: &rpcv1.Reply_Result{Result: b}},
				engine.WithHeaders(goka.Headers{engine.HeaderRequest: []byte(ctx.Header(engine.HeaderRequest))}))
			return nil
		})),
		goka.Output(topics.TokensReplies, schemas.Codec[*rpcv1.Reply]()),
	)
}

func (v *vault) asked() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ran
}

// run is a broker with what answers for persistence.
type run struct {
	t     testing.TB
	c     *enginetest.Cluster
	vault *vault
	n     int
}

func newRun(t testing.TB) *run {
	t.Helper()
	r := &run{t: t, c: enginetest.NewCluster(t), vault: &vault{site: newSite(t)}}
	r.c.CreateTopics(t, 3, r.vault.graph(), graph(t))
	r.c.Start(t, r.vault.graph())
	return r
}

func (r *run) send(id string, m *tokensv1.Request) {
	r.t.Helper()
	r.c.Produce(r.t, topics.TokensRequests, tokenpool.Key(vnodeA, pounds()), m, schemas.Codec[*tokensv1.Request](),
		engine.HeaderRequest, id, engine.HeaderReply, engine.ReplyTo(topics.FlowRepliesTokens, -1, flowA))
}

// replies waits for so many more replies and returns all, the last for each request.
func (r *run) replies(more int) map[string]*rpcv1.Reply {
	r.t.Helper()
	r.n += more
	out := map[string]*rpcv1.Reply{}
	for _, rec := range r.c.Consume(r.t, topics.FlowRepliesTokens, r.n) {
		m := &rpcv1.Reply{}
		if err := proto.Unmarshal(rec.Value, m); err != nil {
			r.t.Fatal(err)
		}
		for _, h := range rec.Headers {
			if h.Key == engine.HeaderRequest {
				out[string(h.Value)] = m
			}
		}
		if string(rec.Key) != flowA {
			r.t.Errorf("a reply lies under %q", rec.Key)
		}
	}
	return out
}

// Claims, balances and releases through the broker, with pages; a process that begins with nothing
// but its changelog goes on with the same claims.
func TestThroughKafka(t *testing.T) {
	r := newRun(t)
	r.vault.site.mint(token(1, "5"), token(2, "3"), token(3, "0.5"))
	e := r.c.Start(t, graph(t))
	r.send("a", claimOf("4"))
	first := r.replies(1)["a"]
	c := &appv1.TokenClaim{}
	if err := proto.Unmarshal(first.GetResult(), c); err != nil || c.GetClaimId() != "a" {
		t.Fatalf("%v %v", first, err)
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	before := r.c.Fold(t, topics.StoreTopic(topics.TokensGroup, topics.TokensKnownStore))
	e = r.c.Start(t, graph(t)) // with an empty disk
	r.send("a", claimOf("4"))
	r.send("b", claimOf("4"))
	r.send("sum", balanceOf(""))
	got := r.replies(3)
	if !proto.Equal(got["a"], first) {
		t.Errorf("after a restart the claim is answered %v, it was %v", got["a"], first)
	}
	b, sum := &appv1.TokenClaim{}, &appv1.TokenAmounts{}
	if err := proto.Unmarshal(got["b"].GetResult(), b); err != nil {
		t.Fatal(err)
	}
	for _, x := range b.GetTokens() {
		for _, y := range c.GetTokens() {
			if proto.Equal(x.GetRef(), y.GetRef()) {
				t.Errorf("after a restart token %v is claimed twice", x)
			}
		}
	}
	if err := proto.Unmarshal(got["sum"].GetResult(), sum); err != nil || sum.GetTotal() != "7" {
		t.Errorf("balance %v %v", sum, err)
	}
	for id := range map[string]bool{"a": true, "b": true} {
		r.send("end/"+id, endOf(id))
	}
	r.send("all", claimOf("8.5"))
	all := &appv1.TokenClaim{}
	if err := proto.Unmarshal(r.replies(1)["all"].GetResult(), all); err != nil || len(all.GetTokens()) != 3 {
		t.Errorf("after the flows' end: %v %v", all, err)
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	// The changelog is the state: three tokens and a claim.
	kinds := map[byte]int{}
	for key, value := range r.c.Fold(t, topics.StoreTopic(topics.TokensGroup, topics.TokensKnownStore)) {
		if i := strings.Index(key, vnodeA); len(value) > 0 {
			kinds[key[i-1]]++
		}
	}
	if kinds['t'] != 3 || kinds['c'] != 1 || kinds['w'] != 0 || len(before) == 0 {
		t.Errorf("the changelog has %v", kinds)
	}
}

// A hot pool: many flows claim and release of one pool at once.
func TestHotPool(t *testing.T) {
	count := 2000
	if testing.Short() {
		count = 200
	}
	r := newRun(t)
	for n := range 4000 {
		r.vault.site.mint(token(n+1, "1"))
	}
	var records []*kgo.Record
	key := tokenpool.Key(vnodeA, pounds())
	add := func(id string, m *tokensv1.Request) {
		records = append(records, &kgo.Record{Topic: topics.TokensRequests, Key: []byte(key), Value: mustMarshal(t, m), Headers: []kgo.RecordHeader{
			{Key: engine.HeaderRequest, Value: []byte(id)}, {Key: engine.HeaderReply, Value: []byte(engine.ReplyTo(topics.FlowRepliesTokens, -1, flowA))},
		}})
	}
	for n := range count {
		add(fmt.Sprint("c", n), claimOf("3"))
		if n >= 100 {
			add(fmt.Sprint("r", n-100), releaseOf(fmt.Sprint("c", n-100)))
		}
	}
	r.c.Start(t, graph(t))
	r.send("warm", claimOf("1")) // brings the first page
	r.replies(1)
	began := time.Now()
	r.c.ProduceRaw(t, records...)
	live := map[string]string{}
	claimed := 0
	for _, rec := range r.c.Consume(t, topics.FlowRepliesTokens, len(records)+1) {
		id, m, c := "", &rpcv1.Reply{}, &appv1.TokenClaim{}
		for _, h := range rec.Headers {
			if h.Key == engine.HeaderRequest {
				id = string(h.Value)
			}
		}
		if err := proto.Unmarshal(rec.Value, m); err != nil || m.GetError() != nil {
			t.Fatal(m, err)
		}
		if id[0] == 'r' {
			for token, holder := range live {
				if holder == "c"+id[1:] {
					delete(live, token)
				}
			}
			continue
		}
		if err := proto.Unmarshal(m.GetResult(), c); err != nil {
			t.Fatal(err)
		}
		if c.GetClaimId() != "" {
			claimed++
		}
		for _, x := range c.GetTokens() {
			name := string(x.GetRef().GetTransaction())
			if live[name] != "" {
				t.Fatalf("token %x is in %s and %s", name, live[name], id)
			}
			live[name] = id
		}
	}
	t.Logf("%d claims (%d granted) and %d releases of one pool in %s, %d queries", count, claimed, count-100, time.Since(began), r.vault.asked())
	if claimed < count/2 {
		t.Errorf("%d claims of %d were granted", claimed, count)
	}
}

func TestSettings(t *testing.T) {
	w, err := tokens.NewWorker(tokens.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := tokens.RulesOf(nil); err != nil || r != tokens.DefaultRules() {
		t.Errorf("%v %v", r, err)
	}
	r, err := tokens.RulesOf(&configv1.Configuration{Value: `{"tokens":{"cachedTokenPageSize":7,"claimTimeoutSeconds":2,"dbBackoffMinPeriodMilliseconds":3000,"dbBackoffMaxPeriodMilliseconds":1}}`})
	if err != nil || r.PageSize != 7 || r.ClaimTimeoutUs != 2_000_000 || r.BackoffMinUs != 3_000_000 || r.BackoffMaxUs != 3_000_000 || r.CacheExpiryUs != tokens.DefaultRules().CacheExpiryUs {
		t.Errorf("%+v %v", r, err)
	}
	for _, bad := range []string{"x", `{"tokens":{"cachedTokenPageSize":0}}`, `{"tokens":{"claimTimeoutSeconds":0}}`, `{"tokens":{"claimTimeoutSeconds":-1}}`, `{"tokens":{"claimTimeoutSeconds":99999999999999}}`} {
		if err := w.Configure(&configv1.Configuration{Value: bad}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
