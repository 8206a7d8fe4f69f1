package tokens

import (
	"math/big"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/tokenpool"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

const byPriorityStrategy = appv1.TokenStrategy_TOKEN_STRATEGY_PRIORITY

// maxClaimBytes bounds the tokens of a claim, so that a flow can be told them.
const maxClaimBytes = 384 << 10

// choice is what came of looking for tokens.
type choice struct {
	// tokens are the chosen ones, nil when there are not enough.
	tokens []*tokensv1.Token
	// sum is what the tokens are worth, or what could be chosen from.
	sum *big.Rat
	// limited: there would be more, but not within the bounds of one claim.
	limited bool
}

// choose takes tokens until they are worth what is asked: one after the other, by their order, without any that somebody
// holds. Of those by priority only what comes up to last is looked at, when it is set.
func (p Pool) choose(c *appv1.ClaimTokens, held map[refName]bool, most int, last *tokensv1.Token) choice {
	s, err := tokenpool.NewSelector(c.GetOwner(), c.GetTagRegex())
	if err != nil { // it was checked when it came
		return choice{sum: new(big.Rat)}
	}
	candidates, priority := p.Known, c.GetStrategy() == byPriorityStrategy
	if priority {
		candidates = slices.SortedFunc(slices.Values(candidates), byPriority)
	}
	target, sum, size := ledger.AmountOf(c.GetAmount()), new(big.Rat), 0
	var chosen []*tokensv1.Token
	for i, t := range candidates {
		if priority && last != nil && byPriority(t, last) > 0 {
			break
		}
		if t.GetGone() || held[nameOf(t.GetRef())] || !s.Match(t.GetOwner(), t.GetTag()) {
			continue
		}
		if size += proto.Size(t) + 8; len(chosen) == most || size > maxClaimBytes {
			return choice{sum: worth(candidates[i:], s, held, sum), limited: true}
		}
		chosen = append(chosen, t)
		if sum.Add(sum, ledger.AmountOf(t.GetAmount())).Cmp(target) >= 0 {
			return choice{tokens: chosen, sum: sum}
		}
	}
	return choice{sum: sum}
}

// worth adds up what may be chosen.
func worth(list []*tokensv1.Token, s tokenpool.Selector, held map[refName]bool, sum *big.Rat) *big.Rat {
	for _, t := range list {
		if !t.GetGone() && !held[nameOf(t.GetRef())] && s.Match(t.GetOwner(), t.GetTag()) {
			sum.Add(sum, ledger.AmountOf(t.GetAmount()))
		}
	}
	return sum
}
