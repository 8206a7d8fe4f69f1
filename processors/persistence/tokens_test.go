package persistence_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/processors/persistence"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Who may write the topic of token selection may ask for tokens, and for nothing else; flows may not ask for them there or here.
func TestTokensHaveATopicOfTheirOwn(t *testing.T) {
	schema, err := rows.CompilePackage(cpi())
	if err != nil {
		t.Fatal(err)
	}
	pool := &appv1.TokenPool{Type: "cash", Symbol: "EUR", Issuer: append(make([]byte, 31), 1), Notary: "O=Notary, L=London, C=GB"}
	ofTokens := persist(vnodeA)
	ofTokens.Operation = &persistencev1.Request_Tokens{Tokens: &tokensv1.Query{Pool: pool, Limit: 5}}
	wrong := proto.Clone(ofTokens).(*persistencev1.Request)
	wrong.GetTokens().Selector = &tokensv1.Selector{TagRegex: "("}
	for _, c := range []struct {
		topic, reply string
		r            *persistencev1.Request
		want         string
	}{
		{topics.PersistenceTokens, topics.TokensReplies, ofTokens, "persistence.Run"},
		{topics.PersistenceTokens, topics.TokensReplies, wrong, "persistence.SendReply"},
		{topics.PersistenceTokens, topics.FlowRepliesPersistence, ofTokens, "persistence.Refuse"},
		{topics.PersistenceTokens, topics.TokensReplies, persist(vnodeA, "1"), "persistence.Refuse"},
		{topics.PersistenceRequests, topics.FlowRepliesPersistence, ofTokens, "persistence.Refuse"},
		{topics.PersistenceRequests, topics.TokensReplies, persist(vnodeA, "1"), "persistence.Refuse"},
		{topics.PersistenceRequests, topics.FlowRepliesPersistence, persist(vnodeA, "1"), "persistence.Run"},
	} {
		catalogue, ok := topics.Find(c.topic)
		if !ok {
			t.Fatal(c.topic)
		}
		effects := persistence.Step(persistence.State{Vnode: vnodeOf(vnodeA), Schema: schema, Replies: catalogue.Replies},
			persistence.Asked{Meta: persistence.Meta{Topic: c.topic, Key: flowA, RequestID: "r", ReplyTo: engine.ReplyTo(c.reply, -1, "k")}, Request: c.r})
		if got := fmt.Sprintf("%T", effects[0]); got != c.want {
			t.Errorf("%T on %s to %s: %s, want %s", c.r.GetOperation(), c.topic, c.reply, got, c.want)
		}
	}
}

// Token selection is told of changes once each and in their order, whether the feed's channels wait or not, also when more
// wait than a page has.
func TestTokensAreToldWhileChannelsWait(t *testing.T) {
	var all []persistence.CapturedChange
	for n := range 25 {
		change := &feedv1.Change{Change: &feedv1.Change_State{State: &feedv1.StateChange{
			Operation: feedv1.StateOperation(1 + n%2), Ref: &ledgerv1.StateRef{Transaction: make([]byte, 32), Index: uint32(n)}, Notary: "O=Notary, L=London, C=GB",
			Token: &ledgerv1.Token{Type: "cash", Symbol: "EUR", Issuer: make([]byte, 32), Amount: "1"},
		}}}
		if n%5 == 0 {
			change.GetState().Token = nil
		}
		b, err := proto.Marshal(change)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, persistence.CapturedChange{Number: uint64(n + 1), FlowID: flowA, Ledger: b})
	}
	const page = 4
	var state *persistencev1.FeedState
	var told, emitted []uint64
	look := func(known int, hold bool) (more bool) {
		after := state.GetEmitted()
		if hold {
			after = max(after, state.GetTokens())
		}
		e := persistence.Looked{Vnode: vnodeA, NowUs: 1, Hold: hold, Rules: persistence.FeedRules{SweepEveryUs: 1000, Page: page}, Routes: []persistence.Route{{Topic: "feed"}},
			Changes: persistence.Changes{Last: uint64(known)}}
		for _, c := range all[:known] {
			if c.Number > after && len(e.Changes.Rows) < page {
				e.Changes.Rows = append(e.Changes.Rows, c)
			}
		}
		next, effects := persistence.FeedStep(state, e)
		state = next
		for _, effect := range effects {
			switch x := effect.(type) {
			case persistence.EmitToken:
				told = append(told, x.Change.GetNumber())
				if x.Change.GetConsumed() != (x.Change.GetNumber()%2 == 0) {
					t.Errorf("%v", x.Change)
				}
			case persistence.EmitChange:
				emitted = append(emitted, x.Change.GetNumber())
			case persistence.ConfirmLater:
				more = x.More
				if x.UpTo > state.GetEmitted() {
					t.Errorf("what was not emitted is to be deleted: %d of %d", x.UpTo, state.GetEmitted())
				}
			}
		}
		return more
	}
	for _, s := range []struct {
		known int
		hold  bool
	}{{3, false}, {14, true}, {14, true}, {20, true}, {22, false}, {25, true}, {25, false}} {
		for n := 0; look(s.known, s.hold); n++ {
			if n > 100 {
				t.Fatal("it looks for ever")
			}
		}
		if state.GetTokens() != uint64(s.known) {
			t.Errorf("of %d changes %d were told to token selection", s.known, state.GetTokens())
		}
	}
	if len(told) != 20 || len(emitted) != 25 {
		t.Errorf("told %d of 20, emitted %d of 25", len(told), len(emitted))
	}
	for i := range told {
		if i > 0 && told[i] <= told[i-1] {
			t.Errorf("told %v", told)
		}
	}
}
