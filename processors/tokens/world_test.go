package tokens_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/tokenpool"
	"github.com/fairleadio/fairlead/processors/tokens"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/topics"
)

const (
	vnodeA = "AAAAAAAAAAA1"
	flowA  = "11111111-2222-4333-8444-555555555555"
	epoch  = int64(1_000_000_000)
	second = int64(1_000_000)
)

func pounds() *appv1.TokenPool { return poolOf("GBP") }

func poolOf(symbol string) *appv1.TokenPool {
	issuer := make([]byte, 32)
	issuer[0] = 7
	return &appv1.TokenPool{Type: "cash", Symbol: symbol, Issuer: issuer, Notary: "O=Notary, L=London, C=GB"}
}

func ref(n int) *ledgerv1.StateRef {
	tx := make([]byte, 32)
	binary.BigEndian.PutUint32(tx, uint32(n)*2654435761) // spreads them, each once
	return &ledgerv1.StateRef{Transaction: tx}
}

func replyTo() string { return engine.ReplyTo(topics.FlowRepliesTokens, -1, flowA) }

// claimOf is a request for a claim.
func claimOf(amount string, change ...func(*appv1.ClaimTokens)) *tokensv1.Request {
	c := &appv1.ClaimTokens{Pool: pounds(), Amount: amount}
	for _, f := range change {
		f(c)
	}
	return &tokensv1.Request{Vnode: vnodeA, FlowId: flowA, CpiChecksum: "C", Operation: &tokensv1.Request_Claim{Claim: c}}
}

func releaseOf(id string, used ...*ledgerv1.StateRef) *tokensv1.Request {
	return &tokensv1.Request{Vnode: vnodeA, FlowId: flowA, CpiChecksum: "C", Operation: &tokensv1.Request_Release{Release: &appv1.ReleaseTokens{Pool: pounds(), ClaimId: id, Used: used}}}
}

func endOf(id string) *tokensv1.Request {
	return &tokensv1.Request{Vnode: vnodeA, FlowId: flowA, Operation: &tokensv1.Request_End{End: &tokensv1.EndClaim{Pool: pounds(), ClaimId: id}}}
}

func balanceOf(tag string) *tokensv1.Request {
	return &tokensv1.Request{Vnode: vnodeA, FlowId: flowA, CpiChecksum: "C", Operation: &tokensv1.Request_Balance{Balance: &appv1.TokenBalance{Pool: pounds(), TagRegex: tag}}}
}

// site is one pool without Kafka, and the vault behind it.
type site struct {
	t     testing.TB
	pool  tokens.Pool
	rules tokens.Rules
	nowUs int64
	// rows are what the store would have.
	rows map[string][]byte
	// vault are the unconsumed tokens, number that of the last change.
	vault  []*tokensv1.Token
	number uint64
	// asked are queries that were not answered; told are changes that have not come.
	asked []tokens.AskPersistence
	told  []*tokensv1.Change
	// replies are by request id, all that came.
	replies map[string][]*rpcv1.Reply
	// gone are tokens whose end has been told.
	gone map[string]bool
	// expiryUs is when the pool's timer was set for.
	expiryUs int64
	notes    map[tokens.Outcome]int
}

func newSite(t testing.TB) *site {
	t.Helper()
	return &site{t: t, rules: tokens.DefaultRules(), nowUs: epoch, rows: map[string][]byte{}, replies: map[string][]*rpcv1.Reply{}, gone: map[string]bool{}, notes: map[tokens.Outcome]int{}}
}

func (s *site) key() string { return tokenpool.Key(vnodeA, pounds()) }

// step takes a step, and checks that the rows are the state.
func (s *site) step(e tokens.Event) {
	s.t.Helper()
	s.nowUs++
	if c, ok := e.(tokens.Changed); ok && c.Change.GetConsumed() {
		s.gone[string(c.Change.GetToken().GetRef().GetTransaction())] = true
	}
	before := s.pool
	after, effects, err := tokens.Step(before, s.rules, e)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range tokens.Rows(s.key(), before, after) {
		if r.Value == nil {
			if _, ok := s.rows[string(r.Key)]; !ok {
				s.t.Fatalf("row %q is deleted and was not there", r.Key)
			}
			delete(s.rows, string(r.Key))
			continue
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		s.rows[string(r.Key)] = b
	}
	s.pool = after
	for _, effect := range effects {
		switch e := effect.(type) {
		case tokens.Respond:
			s.replies[e.RequestID] = append(s.replies[e.RequestID], e.Reply)
		case tokens.AskPersistence:
			s.asked = append(s.asked, e)
		case tokens.SetExpiry:
			s.expiryUs = e.AtUs
		case tokens.Note:
			s.notes[e.What]++
		}
	}
}

func (s *site) ask(id string, r *tokensv1.Request) {
	s.t.Helper()
	s.step(tokens.Asked{Request: r, Key: s.key(), RequestID: id, ReplyTo: replyTo(), NowUs: s.nowUs})
}

// mint puts tokens into the vault; that is told later.
func (s *site) mint(list ...*tokensv1.Token) {
	for _, t := range list {
		s.number++
		t.Number = s.number
		s.vault = append(s.vault, t)
		s.told = append(s.told, &tokensv1.Change{Vnode: vnodeA, Pool: pounds(), Number: s.number, Token: t})
	}
}

// spend takes a token out of the vault.
func (s *site) spend(r *ledgerv1.StateRef) {
	at := slices.IndexFunc(s.vault, func(t *tokensv1.Token) bool { return proto.Equal(t.GetRef(), r) })
	if at < 0 {
		return
	}
	s.number++
	s.told = append(s.told, &tokensv1.Change{Vnode: vnodeA, Pool: pounds(), Number: s.number, Consumed: true, Token: s.vault[at]})
	s.vault = slices.Delete(slices.Clone(s.vault), at, at+1)
}

// page is what persistence would say to a query now.
func (s *site) page(q *tokensv1.Query) *tokensv1.Page {
	sel, err := tokenpool.NewSelector(q.GetSelector().GetOwner(), q.GetSelector().GetTagRegex())
	if err != nil {
		s.t.Fatal(err)
	}
	p := &tokensv1.Page{Number: s.number}
	all := slices.Clone(s.vault)
	slices.SortFunc(all, func(a, b *tokensv1.Token) int {
		if x, y := a.GetPriority()-1, b.GetPriority()-1; q.GetSelector().GetByPriority() && x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return slices.Compare(a.GetRef().GetTransaction(), b.GetRef().GetTransaction())
	})
	for _, t := range all {
		if !sel.Match(t.GetOwner(), t.GetTag()) {
			continue
		}
		if len(p.Tokens) == int(q.GetLimit()) {
			p.More = true
			break
		}
		p.Tokens = append(p.Tokens, t)
	}
	return p
}

// serve answers all queries.
func (s *site) serve() {
	s.t.Helper()
	for len(s.asked) > 0 {
		a := s.asked[0]
		s.asked = s.asked[1:]
		s.step(tokens.Paged{Query: a.Number, Page: s.page(a.Query), NowUs: s.nowUs})
	}
}

// tell tells all changes.
func (s *site) tell() {
	s.t.Helper()
	for len(s.told) > 0 {
		c := s.told[0]
		s.told = s.told[1:]
		s.step(tokens.Changed{Change: c, NowUs: s.nowUs})
	}
}

func token(n int, amount string) *tokensv1.Token { return &tokensv1.Token{Ref: ref(n), Amount: amount} }

// answer is the last one to a claim.
func (s *site) answer(id string) *appv1.TokenClaim {
	s.t.Helper()
	all := s.replies[id]
	c := &appv1.TokenClaim{}
	if len(all) == 0 || all[len(all)-1].GetError() != nil || proto.Unmarshal(all[len(all)-1].GetResult(), c) != nil {
		s.t.Fatalf("claim %s: replies %v", id, all)
	}
	return c
}

// words writes an answer.
func words(c *appv1.TokenClaim) string {
	if c.GetClaimId() == "" {
		return "none, available " + c.GetAvailable()
	}
	return fmt.Sprintf("%d worth %s", len(c.GetTokens()), c.GetAmount())
}

func (s *site) want(id, want string) {
	s.t.Helper()
	if got := words(s.answer(id)); got != want {
		s.t.Errorf("%s: %s, want %s", id, got, want)
	}
}
