package tokens_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
)

func keepOf(states ...*ledgerv1.StateRef) *tokensv1.Request {
	return &tokensv1.Request{Vnode: vnodeA, FlowId: flowA, CpiChecksum: "C", Operation: &tokensv1.Request_Claim{Claim: &appv1.ClaimTokens{Pool: pounds(), States: states}}}
}

// A state that a flow keeps before it is made is nobody else's when it is, whether the pool hears of it or reads it from the
// database; after the claim it is as free as any other.
func TestKeepBeforeMade(t *testing.T) {
	for how, learn := range map[string]func(s *site){
		"told": func(s *site) { s.tell() },
		"read": func(s *site) { s.told = nil },
	} {
		t.Run(how, func(t *testing.T) {
			s := newSite(t)
			s.mint(token(1, "5"))
			s.ask("k", keepOf(ref(2)))
			first := s.answer("k")
			if first.GetClaimId() != "k" || len(first.GetTokens()) != 1 || first.GetAmount() != "0" {
				t.Fatalf("keeping what is not made yet: %v", first)
			}
			s.mint(token(2, "4"))
			learn(s)
			s.ask("a", claimOf("6"))
			s.serve()
			s.want("a", "none, available 5")
			s.ask("k", keepOf(ref(2)))
			if !proto.Equal(first, s.answer("k")) {
				t.Errorf("the same request gets another answer: %v", s.answer("k"))
			}
			s.ask("other", keepOf(ref(3), ref(2)))
			s.want("other", "none, available 0")
			s.ask("r", releaseOf("k"))
			s.ask("b", claimOf("6"))
			s.serve()
			s.want("b", "2 worth 9")
		})
	}
}

// What is known of a state is told with its claim, what was consumed of it is forgotten, and the rules of other claims hold.
func TestKeepKnown(t *testing.T) {
	s := newSite(t)
	s.mint(token(1, "5"), token(2, "3"))
	s.ask("a", claimOf("8"))
	s.serve()
	s.ask("ra", releaseOf("a"))
	s.ask("k", keepOf(ref(2)))
	s.want("k", "1 worth 3")
	s.spend(ref(2))
	s.tell()
	s.ask("end", endOf("k"))
	if len(s.pool.Claims) != 0 {
		t.Errorf("the claim outlives its flow: %v", s.pool.Claims)
	}
	s.ask("b", claimOf("6"))
	s.serve()
	s.want("b", "none, available 5")
	for what, r := range map[string]*tokensv1.Request{
		"with an amount": claimOf("1", func(c *appv1.ClaimTokens) { c.States = []*ledgerv1.StateRef{ref(1)} }),
		"a short id":     keepOf(&ledgerv1.StateRef{Transaction: []byte{1}}),
		"too many":       keepOf(make([]*ledgerv1.StateRef, 1001)...),
	} {
		s.ask(what, r)
		if got := s.replies[what][0].GetError().GetType(); got != "invalid-argument" {
			t.Errorf("%s is answered %q", what, got)
		}
	}
	s.ask("late", keepOf(ref(9)))
	s.nowUs += s.rules.ClaimTimeoutUs
	s.ask("c", keepOf(ref(9)))
	s.want("c", "1 worth 0")
}
