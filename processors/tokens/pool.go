package tokens

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
)

// Pool is what is known of one pool. Neither its lists nor what is in them is ever changed: a step makes new ones.
type Pool struct {
	// Head is the pool's row in the table, nil when nothing was ever asked of it.
	Head *tokensv1.Pool
	// Known are its tokens, ordered by the states that they are; also those that are gone, as long as a page may come that
	// does not know it.
	Known []*tokensv1.Token
	// Claims are ordered by id, Waiting are requests that wait, by their place.
	Claims  []*tokensv1.Claim
	Waiting []*tokensv1.Waiting
}

// compareRefs orders states by their transactions' ids, which are hashes, and their indexes.
func compareRefs(a, b *ledgerv1.StateRef) int {
	return cmp.Or(bytes.Compare(a.GetTransaction(), b.GetTransaction()), cmp.Compare(a.GetIndex(), b.GetIndex()))
}

func compareToken(t *tokensv1.Token, r *ledgerv1.StateRef) int { return compareRefs(t.GetRef(), r) }

func compareClaim(c *tokensv1.Claim, id string) int { return strings.Compare(c.GetClaimId(), id) }

func compareWaiting(w *tokensv1.Waiting, place uint64) int { return cmp.Compare(w.GetPlace(), place) }

// byPriority orders tokens by priority, lower first and those without last, then by their states.
func byPriority(a, b *tokensv1.Token) int {
	// 0, which is none, becomes the greatest.
	return cmp.Or(cmp.Compare(a.GetPriority()-1, b.GetPriority()-1), compareRefs(a.GetRef(), b.GetRef()))
}

// put returns a list with an element in its place, without an equal one that was there.
func put[E, K any](list []E, e E, k K, compare func(E, K) int) []E {
	at, there := slices.BinarySearchFunc(list, k, compare)
	if there {
		list = slices.Clone(list)
		list[at] = e
		return list
	}
	out := make([]E, 0, len(list)+1)
	return append(append(append(out, list[:at]...), e), list[at:]...)
}

// drop returns a list without an element.
func drop[E, K any](list []E, k K, compare func(E, K) int) []E {
	at, there := slices.BinarySearchFunc(list, k, compare)
	if !there {
		return list
	}
	out := make([]E, 0, len(list)-1)
	return append(append(out, list[:at]...), list[at+1:]...)
}

func find[E, K any](list []E, k K, compare func(E, K) int) (e E, ok bool) {
	at, there := slices.BinarySearchFunc(list, k, compare)
	if there {
		return list[at], true
	}
	return e, false
}

// refName is a state as the key of a map.
type refName struct {
	tx    [32]byte
	index uint32
}

func nameOf(r *ledgerv1.StateRef) (n refName) {
	copy(n.tx[:], r.GetTransaction())
	n.index = r.GetIndex()
	return n
}

// held are the tokens of living claims that were not consumed.
func (p Pool) held() map[refName]bool {
	out := map[refName]bool{}
	for _, c := range p.Claims {
		for _, t := range c.GetTokens() {
			if !t.GetGone() {
				out[nameOf(t.GetRef())] = true
			}
		}
	}
	return out
}

// query returns a query that runs.
func (p Pool) query(number uint64) *tokensv1.Pool_Query {
	for _, q := range p.Head.GetQueries() {
		if q.GetNumber() == number {
			return q
		}
	}
	return nil
}

// selectorOf is what a claim wants.
func selectorOf(r *tokensv1.Request) *tokensv1.Selector {
	if b := r.GetBalance(); b != nil {
		return &tokensv1.Selector{Owner: b.GetOwner(), TagRegex: b.GetTagRegex()}
	}
	c := r.GetClaim()
	return &tokensv1.Selector{Owner: c.GetOwner(), TagRegex: c.GetTagRegex(), ByPriority: c.GetStrategy() == byPriorityStrategy}
}

func isWhole(s *tokensv1.Selector) bool { return len(s.GetOwner()) == 0 && s.GetTagRegex() == "" }

// Row is one difference between two states of a pool; Value is nil for what is no more.
type Row struct {
	Key   []byte
	Value proto.Message
}

// Rows are the differences between two states of a pool: what must be written so that the store has the second.
func Rows(key string, before, after Pool) (out []Row) {
	out = changes(out, before.Known, after.Known, func(t *tokensv1.Token) []byte { return tokenRow(key, t.GetRef()) },
		func(a, b *tokensv1.Token) int { return compareRefs(a.GetRef(), b.GetRef()) })
	out = changes(out, before.Claims, after.Claims, func(c *tokensv1.Claim) []byte { return claimRow(key, c.GetClaimId()) },
		func(a, b *tokensv1.Claim) int { return strings.Compare(a.GetClaimId(), b.GetClaimId()) })
	return changes(out, before.Waiting, after.Waiting, func(w *tokensv1.Waiting) []byte { return waitingRow(key, w.GetPlace()) },
		func(a, b *tokensv1.Waiting) int { return cmp.Compare(a.GetPlace(), b.GetPlace()) })
}

// changes walks two ordered lists. What did not change is the same pointer.
func changes[E interface {
	comparable
	proto.Message
}](out []Row, before, after []E, key func(E) []byte, compare func(a, b E) int) []Row {
	for len(before) > 0 || len(after) > 0 {
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(after) == 0:
			order = -1
		case before[0] != after[0]:
			order = compare(before[0], after[0])
			if order == 0 {
				out = append(out, Row{key(after[0]), after[0]})
			}
		}
		if order < 0 {
			out = append(out, Row{key(before[0]), nil})
		} else if order > 0 {
			out = append(out, Row{key(after[0]), after[0]})
		}
		if order <= 0 {
			before = before[1:]
		}
		if order >= 0 {
			after = after[1:]
		}
	}
	return out
}
