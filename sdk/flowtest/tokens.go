package flowtest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// claimTime is how long a claim lives.
const claimTime = 10 * time.Minute

// Bounds of the platform's.
const (
	maxTagRegex   = 256
	maxFlowClaims = 256
	maxUsed       = 10_000
	maxClaimed    = 1_500
	maxStates     = 1_000
)

// tokenClaim is a claim of tokens. It ends with its flow, or when it is too old.
type tokenClaim struct {
	of      *Flow
	id      string
	refs    []ledger.StateRef
	expires time.Time
}

// liveClaims are those that have not ended.
func (m *Member) liveClaims() []tokenClaim {
	m.claims = slices.DeleteFunc(m.claims, func(c tokenClaim) bool { return c.of.ended || !c.expires.After(m.net.now) })
	return m.claims
}

func (m *Member) held() map[ledger.StateRef]bool {
	held := map[ledger.StateRef]bool{}
	for _, c := range m.liveClaims() {
		for _, r := range c.refs {
			held[r] = true
		}
	}
	return held
}

// selection is which tokens a request means.
type selection struct {
	pool  wire.TokenPool
	owner []byte
	tag   *regexp.Regexp
}

func newSelection(pool *wire.TokenPool, owner []byte, tagRegex string) (s selection, err error) {
	if pool != nil {
		s.pool = *pool
	}
	s.owner = owner
	switch {
	case s.pool.Type == "" || s.pool.Symbol == "" || s.pool.Notary == "":
		return s, errors.New("the pool's type, symbol or notary is empty")
	case len(s.pool.Issuer) != len(ledger.Hash{}):
		return s, errors.New("pool.issuer is not a hash of 32 bytes")
	case len(owner) != 0 && len(owner) != len(ledger.Hash{}):
		return s, fmt.Errorf("owner has %d bytes; it must be a hash of 32, or empty", len(owner))
	case len(tagRegex) > maxTagRegex:
		return s, fmt.Errorf("tag_regex has %d bytes, at most %d are allowed", len(tagRegex), maxTagRegex)
	case tagRegex != "":
		s.tag, err = regexp.Compile(tagRegex)
	}
	return s, err
}

// tokens are the member's unconsumed tokens that are meant, in the order of their transactions' ids.
func (m *Member) tokens(s selection) (out []vault.State) {
	for _, k := range m.ledgerTables().kept() {
		t := k.State.Token
		if t == nil || t.Type != k.State.Contract || !k.ConsumedAt.IsZero() || t.Type != s.pool.Type || t.Symbol != s.pool.Symbol || !bytes.Equal(t.Issuer[:], s.pool.Issuer) || k.Notary.Name != s.pool.Notary {
			continue
		}
		if len(s.owner) > 0 && !bytes.Equal(t.Owner[:], s.owner) || s.tag != nil && (t.Tag == "" || !s.tag.MatchString(t.Tag)) {
			continue
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b vault.State) int { return a.Ref.Compare(b.Ref) })
	return out
}

// claimTokens selects by the rules of the platform's tokens worker.
func (f *Flow) claimTokens(o *wire.ClaimTokens) wire.Answer {
	s, err := newSelection(o.Pool, o.Owner, o.TagRegex)
	switch {
	case len(o.States) == 0:
		err = errors.Join(err, ledger.CheckAmount(o.Amount))
	case o.Amount != "" || len(o.Owner) > 0 || o.TagRegex != "" || o.Strategy != 0:
		err = errors.Join(err, errors.New("states are claimed as they are: with them, amount, owner, tag_regex and strategy must be left out"))
	case len(o.States) > maxStates:
		err = errors.Join(err, fmt.Errorf("states names %d, at most %d can be claimed by their references at once", len(o.States), maxStates))
	}
	if err == nil && (o.Strategy < 0 || o.Strategy > 2) {
		err = fmt.Errorf("strategy is %d", o.Strategy)
	}
	if err != nil {
		return fault(flow.ErrInvalidArgument.Type, err.Error())
	}
	mine := 0
	for _, c := range f.m.liveClaims() {
		if c.of == f {
			mine++
		}
	}
	if mine >= maxFlowClaims {
		return fault("limit", "the flow has too many claims of tokens: release those that it needs no more")
	}
	states, held := f.m.tokens(s), f.m.held()
	if len(o.States) > 0 {
		return f.keepTokens(o.States, states, held)
	}
	if o.Strategy == 2 {
		slices.SortStableFunc(states, func(a, b vault.State) int { return cmp.Compare(a.State.Token.Priority-1, b.State.Token.Priority-1) }) // 0 is last
	}
	c := f.newClaim()
	out, sum, target := &wire.TokenClaim{ClaimID: c.id, ExpiresAtUS: c.expires.UnixMicro()}, new(big.Rat), ledger.AmountOf(o.Amount)
	for _, k := range states {
		if held[k.Ref] {
			continue
		}
		if len(out.Tokens) == maxClaimed {
			return wire.Result(&wire.TokenClaim{Available: decimal(sum), Limited: true})
		}
		out.Tokens, c.refs = append(out.Tokens, claimedOf(k)), append(c.refs, k.Ref)
		if sum.Add(sum, ledger.AmountOf(k.State.Token.Amount)).Cmp(target) >= 0 {
			out.Amount = decimal(sum)
			f.m.claimed++
			f.m.claims = append(f.m.claims, c)
			return wire.Result(out)
		}
	}
	return wire.Result(&wire.TokenClaim{Available: decimal(sum)})
}

func (f *Flow) newClaim() tokenClaim {
	return tokenClaim{of: f, id: fmt.Sprintf("claim-%d of %s", f.m.claimed, f.id), expires: f.m.net.now.Add(claimTime)}
}

func claimedOf(k vault.State) wire.ClaimedToken {
	t := k.State.Token
	token := wire.ClaimedToken{Ref: &wire.StateRef{Transaction: k.Ref.Transaction[:], Index: k.Ref.Index}, Amount: t.Amount, Tag: t.Tag, Priority: t.Priority}
	if t.Owner != (ledger.Hash{}) {
		token.Owner = t.Owner[:]
	}
	return token
}

// keepTokens claims states by their references, whether they exist or not.
func (f *Flow) keepTokens(refs []wire.StateRef, known []vault.State, held map[ledger.StateRef]bool) wire.Answer {
	c, sum := f.newClaim(), new(big.Rat)
	out := &wire.TokenClaim{ClaimID: c.id, ExpiresAtUS: c.expires.UnixMicro()}
	for i := range refs {
		ref := ledger.StateRef{Index: refs[i].Index}
		if copy(ref.Transaction[:], refs[i].Transaction) != len(ref.Transaction) || len(refs[i].Transaction) != len(ref.Transaction) {
			return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("states: the transaction of state %d is not an id of 32 bytes", i))
		}
		if held[ref] {
			return wire.Result(&wire.TokenClaim{Available: "0"})
		}
		token := wire.ClaimedToken{Ref: &refs[i]}
		if at := slices.IndexFunc(known, func(k vault.State) bool { return k.Ref == ref }); at >= 0 {
			token = claimedOf(known[at])
			sum.Add(sum, ledger.AmountOf(token.Amount))
		}
		out.Tokens, c.refs = append(out.Tokens, token), append(c.refs, ref)
	}
	out.Amount = decimal(sum)
	f.m.claimed++
	f.m.claims = append(f.m.claims, c)
	return wire.Result(out)
}

func (f *Flow) releaseTokens(o *wire.ReleaseTokens) wire.Answer {
	if _, err := newSelection(o.Pool, nil, ""); err != nil {
		return fault(flow.ErrInvalidArgument.Type, err.Error())
	}
	if len(o.Used) > maxUsed || o.ClaimID == "" {
		return fault(flow.ErrInvalidArgument.Type, "claim_id is empty, or used names too many states")
	}
	n := len(f.m.liveClaims())
	f.m.claims = slices.DeleteFunc(f.m.claims, func(c tokenClaim) bool { return c.of == f && c.id == o.ClaimID })
	return wire.Result(&wire.TokenRelease{Found: len(f.m.claims) < n})
}

func (f *Flow) tokenBalance(o *wire.TokenBalance) wire.Answer {
	s, err := newSelection(o.Pool, o.Owner, o.TagRegex)
	if err != nil {
		return fault(flow.ErrInvalidArgument.Type, err.Error())
	}
	total, available, held := new(big.Rat), new(big.Rat), f.m.held()
	for _, k := range f.m.tokens(s) {
		n := ledger.AmountOf(k.State.Token.Amount)
		total.Add(total, n)
		if !held[k.Ref] {
			available.Add(available, n)
		}
	}
	return wire.Result(&wire.TokenAmounts{Total: decimal(total), Available: decimal(available)})
}

// decimal writes a sum of amounts.
func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return strings.TrimSuffix(strings.TrimRight(r.FloatString(ledger.MaxAmountDigits), "0"), ".")
}
