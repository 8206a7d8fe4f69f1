package persistence

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/ledgerstore"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/tokenpool"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// MaxClaimed is how many tokens a balance may leave out: as many as fit into a request's record.
const MaxClaimed = 60_000

// tokensJob makes the job of a query of token selection. Its error is a *[rows.Problem].
func tokensJob(q *tokensv1.Query) (*job, error) {
	if err := tokenpool.Check(q.GetPool()); err != nil {
		return nil, ledgerstore.Malformed("%v", err)
	}
	selector, err := tokenpool.NewSelector(q.GetSelector().GetOwner(), q.GetSelector().GetTagRegex())
	if err != nil {
		return nil, ledgerstore.Malformed("%v", err)
	}
	var tag func(string) bool
	if selector.Tagged() {
		tag = selector.Tag
	}
	pool := tokenpool.Hash(q.GetPool())
	if !q.GetBalance() {
		tokens, ask := ledgerstore.TokensOf(pool, q.GetSelector().GetOwner(), tag, q.GetSelector().GetByPriority(), q.GetLimit())
		return &job{statements: []rows.Statement{ask.Statement}, take: ask.Take, finish: result(&tokens.Page)}, nil
	}
	if len(q.GetClaimed()) > MaxClaimed {
		return nil, &rows.Problem{ID: rows.IDTooLarge, Type: rows.TypeTooLarge, Message: "field claimed names too many tokens"}
	}
	var claimed []ledger.StateRef
	for part := range slices.Chunk(q.GetClaimed(), ledgerstore.MaxRefs) {
		refs, err := ledgerstore.ParseRefs("claimed", part)
		if err != nil {
			return nil, err
		}
		claimed = append(claimed, refs...)
	}
	sums, ask := ledgerstore.SumsOf(pool, q.GetSelector().GetOwner(), tag, claimed)
	return &job{statements: []rows.Statement{ask.Statement}, take: ask.Take, finish: func() (proto.Message, error) {
		return &appv1.TokenAmounts{Total: tokenpool.Decimal(sums.Total), Available: tokenpool.Decimal(sums.Available)}, nil
	}}, nil
}

// EmitToken tells token selection of a token that was made or consumed.
type EmitToken struct {
	Key    string
	Change *tokensv1.Change
}

func (EmitToken) feedEffect() {}

// tokenOf is what a change means for token selection, nil when it is none of a token.
func (e Looked) tokenOf(c CapturedChange) *EmitToken {
	if c.Ledger == nil {
		return nil
	}
	change, _ := ledgerChange(c.Ledger)
	state := change.GetState()
	t := state.GetToken()
	if t == nil {
		return nil
	}
	pool := &appv1.TokenPool{Type: t.GetType(), Symbol: t.GetSymbol(), Issuer: t.GetIssuer(), Notary: state.GetNotary()}
	return &EmitToken{tokenpool.Key(e.Vnode, pool), &tokensv1.Change{
		Vnode: e.Vnode, Pool: pool, Number: c.Number, Consumed: state.GetOperation() == feedv1.StateOperation_STATE_OPERATION_CONSUMED,
		Token: &tokensv1.Token{Ref: state.GetRef(), Amount: t.GetAmount(), Owner: t.GetOwner(), Tag: t.GetTag(), Priority: t.GetPriority(), Number: c.Number},
	}}
}

// hold lets changes wait for the channels of the feed, and tells token selection of them all the same: a pool whose changes
// wait would give away tokens that are consumed.
func (e Looked) hold(next *persistencev1.FeedState) (effects []FeedEffect) {
	for _, r := range e.Routes {
		if r.Missing != nil {
			effects = append(effects, Report{IDFeedTopic, fmt.Sprintf("virtual node %s: topic %s of its change feed: %v", e.Vnode, r.Topic, r.Missing)})
			break
		}
	}
	for _, c := range e.Changes.Rows {
		if c.Number <= next.GetTokens() {
			continue
		}
		next.Tokens = c.Number
		if t := e.tokenOf(c); t != nil {
			effects = append(effects, *t)
		}
	}
	effects = append(effects, FeedNote{FeedHeld, int(e.Changes.Last - next.GetEmitted())})
	if len(e.Changes.Rows) > 0 && next.GetTokens() < e.Changes.Last {
		effects = append(effects, ConfirmLater{next.GetEmitted(), true}) // they are more than a page
	}
	return effects
}
