package persistence_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/tokenpool"
	"github.com/fairleadio/fairlead/processors/persistence"
	"github.com/fairleadio/fairlead/processors/tokens"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// askTokens runs a query of token selection.
func (c *client) askTokens(q *tokensv1.Query, into proto.Message) {
	c.t.Helper()
	c.n++
	r := &persistencev1.Request{Vnode: c.vnode, CpiChecksum: "AAAAAAAAAAAA", FlowId: flow, Operation: &persistencev1.Request_Tokens{Tokens: q}}
	effects := persistence.Step(persistence.State{Vnode: &vnodev1.VirtualNode{}, Schema: c.schema, Replies: []string{topics.TokensReplies}},
		persistence.Asked{Meta: persistence.Meta{Topic: topics.PersistenceTokens, Key: flow, RequestID: fmt.Sprint("t", c.n), ReplyTo: "tokens.replies/-/cA"}, Request: r})
	run, ok := effects[0].(persistence.Run)
	if !ok {
		c.t.Fatalf("%v", effects)
	}
	result := c.store.Do(c.t.Context(), run.Plan)
	if result.Err != nil || result.Reply.GetError() != nil {
		c.t.Fatal(result.Err, result.Reply.GetError())
	}
	if err := proto.Unmarshal(result.Reply.GetResult(), into); err != nil {
		c.t.Fatal(err)
	}
}

// Pages and sums of tokens, by owner, tag and order, beside tokens of other pools and consumed ones; and what token
// selection is told of them.
func TestTokenQueries(t *testing.T) {
	w := newWorld(t, "")
	c := w.client(w.pool(vnodes.Config{}), w.vnode(1, coinApp()), coinApp())
	alice, _ := signer("Alice")
	var outputs []ledger.State
	for i, x := range []ledger.Token{
		{Amount: "1", Tag: "gold.1", Priority: 3}, {Amount: "0.25", Tag: "silver", Priority: 1}, {Amount: "10.5", Owner: ledger.KeyID(alice)}, {Amount: "7", Tag: "gold.2", Priority: 1 << 63},
		{Amount: "100", Tag: "gold", Symbol: "USD"}, {Amount: "12345678901234567890123456789.25", Tag: "big"},
	} {
		s := coin("Coin", 1, "Alice")
		x.Type, x.Issuer = s.Token.Type, s.Token.Issuer
		if x.Symbol == "" {
			x.Symbol = "EUR"
		}
		s.Token, s.Payload = &x, fmt.Appendf(nil, `{"i":%d}`, i)
		outputs = append(outputs, s)
	}
	pool := &appv1.TokenPool{Type: "Coin", Symbol: "EUR", Issuer: outputs[0].Token.Issuer[:], Notary: "O=Notary, L=London, C=GB"}
	page := func(limit uint32, s *tokensv1.Selector) *tokensv1.Page {
		p := &tokensv1.Page{}
		c.askTokens(&tokensv1.Query{Pool: pool, Selector: s, Limit: limit}, p)
		return p
	}
	if p := page(10, nil); len(p.GetTokens()) != 0 || p.GetMore() || p.GetNumber() != 0 {
		t.Errorf("an empty pool has the page %v", p)
	}
	issue := makeTx(t, "issue", nil, nil, outputs...)
	c.persisted(issue, verified, 0, 1, 2, 3, 4, 5)
	amounts := func(p *tokensv1.Page) string {
		var out []string
		for _, x := range p.GetTokens() {
			out = append(out, x.GetAmount())
			if i := x.GetRef().GetIndex(); x.GetNumber() == 0 || outputs[i].Token.Amount != x.GetAmount() || outputs[i].Token.Tag != x.GetTag() || outputs[i].Token.Priority != x.GetPriority() {
				t.Errorf("output %d is told as %v", i, x)
			}
		}
		if p.GetMore() {
			out = append(out, "more")
		}
		return strings.Join(out, " ")
	}
	const big1 = "12345678901234567890123456789.25"
	for _, q := range []struct {
		limit uint32
		s     *tokensv1.Selector
		want  string
	}{
		{10, nil, "1 0.25 10.5 7 " + big1},
		{5, nil, "1 0.25 10.5 7 " + big1},
		{2, nil, "1 0.25 more"},
		{10, &tokensv1.Selector{ByPriority: true}, "0.25 1 7 10.5 " + big1},
		{2, &tokensv1.Selector{ByPriority: true}, "0.25 1 more"},
		{10, &tokensv1.Selector{TagRegex: `gold\.\d`}, "1 7"},
		{1, &tokensv1.Selector{TagRegex: `gold\.\d`}, "1 more"},
		{10, &tokensv1.Selector{TagRegex: "."}, "1 0.25 7 " + big1},
		{10, &tokensv1.Selector{Owner: bytesOf(ledger.KeyID(alice))}, "10.5"},
		{10, &tokensv1.Selector{Owner: bytesOf(ledger.KeyID(alice)), TagRegex: "."}, ""},
	} {
		if got := amounts(page(q.limit, q.s)); got != q.want {
			t.Errorf("%d of %v: %s, want %s", q.limit, q.s, got, q.want)
		}
	}
	sums := func(s *tokensv1.Selector, claimed ...ledger.StateRef) string {
		a := &appv1.TokenAmounts{}
		c.askTokens(&tokensv1.Query{Pool: pool, Selector: s, Balance: true, Claimed: protoRefs(claimed...)}, a)
		return a.GetTotal() + " " + a.GetAvailable()
	}
	whole := new(big.Rat)
	for i, o := range outputs {
		if i != 4 {
			whole.Add(whole, ledger.AmountOf(o.Token.Amount))
		}
	}
	for got, want := range map[string]string{
		sums(nil): tokenpool.Decimal(whole) + " " + tokenpool.Decimal(whole),
		sums(&tokensv1.Selector{TagRegex: "gold"}, issue.Output(0), issue.Output(1), issue.Output(0)): "8 7",
		sums(&tokensv1.Selector{Owner: bytesOf(ledger.KeyID(alice))}, issue.Output(2)):                "10.5 0",
		sums(&tokensv1.Selector{TagRegex: "nothing"}):                                                 "0 0",
	} {
		if got != want {
			t.Errorf("balance %s, want %s", got, want)
		}
	}
	before := page(10, nil).GetNumber()
	c.persisted(makeTx(t, "pay", []ledger.StateRef{issue.Output(3), issue.Output(5)}, nil, coin("Coin", 4, "Bob")), verified, 0)
	p := page(10, nil)
	list := strings.Fields(amounts2(p))
	slices.Sort(list)
	if strings.Join(list, " ") != "0.25 1 10.5 4" || p.GetNumber() <= before {
		t.Errorf("after a payment: %v, change %d after %d", list, p.GetNumber(), before)
	}
	all, err := c.store.Changes(t.Context(), c.vnode, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, hold := range []bool{false, true} { // whether channels wait or not
		state, effects := persistence.FeedStep(nil, persistence.Looked{Vnode: c.vnode, NowUs: 1, Changes: all, Hold: hold})
		told := map[string]int{}
		for _, e := range effects {
			if x, ok := e.(persistence.EmitToken); ok {
				kind := "made"
				if x.Change.GetConsumed() {
					kind = "consumed"
				}
				told[kind+" "+x.Change.GetPool().GetSymbol()]++
				if x.Key != tokenpool.Key(c.vnode, x.Change.GetPool()) {
					t.Errorf("key %q", x.Key)
				}
			}
		}
		if told["made EUR"] != 6 || told["made USD"] != 1 || told["consumed EUR"] != 2 || state.GetTokens() != all.Last || (state.GetEmitted() == 0) != hold {
			t.Errorf("told %v, state %v", told, state)
		}
		_, effects = persistence.FeedStep(state, persistence.Looked{Vnode: c.vnode, NowUs: 1, Changes: all})
		for _, e := range effects {
			if _, ok := e.(persistence.EmitToken); ok && hold {
				t.Error("a token is told again when the channels go on")
			}
		}
	}
}

func amounts2(p *tokensv1.Page) string {
	var out []string
	for _, x := range p.GetTokens() {
		out = append(out, x.GetAmount())
	}
	return strings.Join(out, " ")
}

// A claim on its whole way: transactions stored through Kafka, the page that persistence answers, what the feed tells when
// a claimed token is consumed, and the balance.
func TestTokensThroughKafka(t *testing.T) {
	w := newWorld(t, "")
	h := w.vnode(1, itemApp().cpi(), itemTable)
	s := newSite(t, w, []string{h})
	selection, err := tokens.NewWorker(tokens.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{topics.TokensRequests, topics.FlowRepliesTokens, topics.TableTopic(topics.TokensGroup), topics.StoreTopic(topics.TokensGroup, topics.TokensKnownStore),
		topics.LoopTopic(topics.TokensGroup), topics.RowsTopic(topics.TokensGroup), topics.DeadLetterTopic(topics.TokensGroup), topics.Config} {
		s.c.CreateTopic(t, topic, 3, nil)
	}
	s.start("a")
	s.c.Start(t, selection.Graph())
	stored := 0
	store := func(tx *ledger.Transaction) {
		stored++
		s.c.Produce(t, topics.PersistenceRequests, flow, request(h, &appv1.PersistTransaction{Transaction: tx.Encode(), Status: verified, Visible: []uint32{0}}),
			schemas.Codec[*persistencev1.Request](), engine.HeaderRequest, fmt.Sprint("s", stored))
		s.c.Consume(t, topics.FlowRepliesPersistence, stored)
	}
	first := makeTx(t, "first", nil, nil, coin("Coin", 5, "Ann"))
	store(first)
	token := coin("Coin", 5, "Ann").Token
	pool := &appv1.TokenPool{Type: token.Type, Symbol: token.Symbol, Issuer: token.Issuer[:], Notary: first.Content().Notary.Name}
	asked := 0
	ask := func(r *tokensv1.Request, into proto.Message) {
		asked++
		id := fmt.Sprint("c", asked)
		r.Vnode, r.FlowId, r.CpiChecksum = h, flow, "AAAAAAAAAAAA"
		s.c.Produce(t, topics.TokensRequests, tokenpool.Key(h, pool), r, schemas.Codec[*tokensv1.Request](),
			engine.HeaderRequest, id, engine.HeaderReply, engine.ReplyTo(topics.FlowRepliesTokens, -1, flow))
		reply := &rpcv1.Reply{}
		all := s.c.Consume(t, topics.FlowRepliesTokens, asked)
		if err := proto.Unmarshal(all[asked-1].Value, reply); err != nil || reply.GetError() != nil {
			t.Fatal(err, reply)
		}
		if err := proto.Unmarshal(reply.GetResult(), into); err != nil {
			t.Fatal(err)
		}
	}
	claim := func(amount string) *appv1.TokenClaim {
		c := &appv1.TokenClaim{}
		ask(&tokensv1.Request{Operation: &tokensv1.Request_Claim{Claim: &appv1.ClaimTokens{Pool: pool, Amount: amount}}}, c)
		return c
	}
	c := claim("4")
	if c.GetAmount() != "5" || !proto.Equal(c.GetTokens()[0].GetRef(), protoRef(first.Output(0))) {
		t.Fatalf("claim %v", c)
	}
	store(makeTx(t, "pay", []ledger.StateRef{first.Output(0)}, nil, coin("Coin", 3, "Ann"))) // spends what is claimed
	s.c.Consume(t, topics.TokensChanges, 3)
	if next := claim("3"); next.GetAmount() != "3" {
		t.Errorf("the new token is not found: %v", next)
	}
	if next := claim("1"); next.GetClaimId() != "" || next.GetAvailable() != "0" {
		t.Errorf("a consumed token, or one twice, is claimed: %v", next)
	}
	sums := &appv1.TokenAmounts{}
	ask(&tokensv1.Request{Operation: &tokensv1.Request_Balance{Balance: &appv1.TokenBalance{Pool: pool}}}, sums)
	if sums.GetTotal() != "3" || sums.GetAvailable() != "0" {
		t.Errorf("balance %v", sums)
	}
}
