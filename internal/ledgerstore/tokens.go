package ledgerstore

import (
	"math/big"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/rows"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Bounds of pages of tokens. They are told to no flow, so they may be larger than its answers.
const (
	// MaxTokens is how many tokens a page has at most.
	MaxTokens = 20_000
	// maxTokenBytes is how large a page is at most.
	maxTokenBytes = 3 << 20
	// maxScan is how many tokens are looked at when tags are.
	maxScan = 100_000
)

// Tokens reads a page of the unconsumed tokens of a pool.
type Tokens struct {
	// Page is what was read.
	Page tokensv1.Page

	tag   func(string) bool
	limit int
	scan  int
	seen  int
	size  int
}

// TokensOf makes a reader of tokens of a pool, and of an owner when it has bytes. tag says which tags are wanted, nil for
// any token; it is asked here and not in SQL, so that there is one kind of regular expression. The order is that of the
// transactions' ids, or by priority, those without last.
func TokensOf(pool ledger.Hash, owner []byte, tag func(string) bool, byPriority bool, limit uint32) (*Tokens, Ask) {
	t := &Tokens{tag: tag, limit: int(min(max(limit, 1), MaxTokens))}
	order := "transaction_id, leaf_index"
	if byPriority {
		order = "token_priority NULLS LAST, transaction_id, leaf_index"
	}
	where, args := tokenCondition(pool, owner)
	t.scan = t.limit + 1
	if tag != nil {
		where += " AND token_tag IS NOT NULL"
		t.scan = maxScan
	}
	args = append(args, number(t.scan))
	// One statement, so that the counter says exactly which changes the tokens show.
	sql := "SELECT c.last, s.transaction_id, s.leaf_index, s.number, s.token_amount, s.token_owner, s.token_tag, s.token_priority FROM fl_counter AS c LEFT JOIN LATERAL (" +
		"SELECT transaction_id, leaf_index, number, token_amount, token_owner, token_tag, token_priority FROM fl_state WHERE " + where +
		" ORDER BY " + order + " LIMIT $" + strconv.Itoa(len(args)) + ") AS s ON true ORDER BY " + order
	return t, Ask{rows.Statement{SQL: sql, Args: args}, t.take}
}

func tokenCondition(pool ledger.Hash, owner []byte) (string, []rows.Arg) {
	where, args := "token_pool = $1 AND consumed IS NULL", []rows.Arg{blob(pool[:])}
	if len(owner) > 0 {
		where += " AND token_owner = $2"
		args = append(args, blob(owner))
	}
	return where, args
}

func (t *Tokens) take(_ []rows.Field, values [][]byte) (full bool, err error) {
	r := &row{values: values}
	t.Page.Number = uint64(r.number())
	if len(values) > 1 && values[1] == nil {
		return true, r.err // the pool is empty
	}
	x := &tokensv1.Token{Ref: refOf(r.ref()), Number: uint64(r.number()), Amount: r.text(), Owner: r.bytes(), Tag: r.text()}
	priority := r.text()
	if r.err == nil && ledger.CheckAmount(x.GetAmount()) != nil {
		r.fail("has the amount %q", x.GetAmount())
	}
	if priority != "" {
		if x.Priority, err = strconv.ParseUint(priority, 10, 64); err != nil {
			r.fail("has the priority %q", priority)
		}
	}
	if r.err != nil {
		return false, r.err
	}
	if t.seen++; t.seen == t.scan {
		t.Page.More = true
	}
	if t.tag != nil && !t.tag(x.GetTag()) {
		return false, nil
	}
	if t.size += proto.Size(x) + 8; len(t.Page.GetTokens()) == t.limit || t.size > maxTokenBytes {
		t.Page.More = true
		return true, nil
	}
	t.Page.Tokens = append(t.Page.Tokens, x)
	return false, nil
}

// TokenSums reads what the unconsumed tokens of a pool are worth together, and those of them that are not claimed.
type TokenSums struct {
	Total, Available *big.Rat
	tag              func(string) bool
}

// SumsOf makes a reader of sums; the arguments are as for [TokensOf], and claimed are tokens that are not available.
func SumsOf(pool ledger.Hash, owner []byte, tag func(string) bool, claimed []ledger.StateRef) (*TokenSums, Ask) {
	s := &TokenSums{Total: new(big.Rat), Available: new(big.Rat), tag: tag}
	where, args := tokenCondition(pool, owner)
	ids, indexes := refArrays(claimed)
	args = append(args, ids, indexes)
	// By tag, for which tags are meant is not SQL's to say.
	sql := "SELECT token_tag, sum(token_amount), sum(token_amount) FILTER (WHERE r.index IS NULL) FROM fl_state LEFT JOIN (SELECT DISTINCT id, index FROM unnest($" +
		strconv.Itoa(len(args)-1) + ", $" + strconv.Itoa(len(args)) + ") AS u(id, index)) AS r ON r.id = transaction_id AND r.index = leaf_index WHERE " + where + " GROUP BY token_tag"
	return s, Ask{rows.Statement{SQL: sql, Args: args}, s.take}
}

func (s *TokenSums) take(_ []rows.Field, values [][]byte) (bool, error) {
	r := &row{values: values}
	tag, total, available := r.text(), r.text(), r.text()
	if r.err != nil || s.tag != nil && !s.tag(tag) {
		return false, r.err
	}
	for _, x := range []struct {
		into *big.Rat
		text string
	}{{s.Total, total}, {s.Available, available}} {
		if x.text == "" {
			continue
		}
		n, ok := new(big.Rat).SetString(x.text)
		if !ok {
			r.fail("has the sum %q", x.text)
			return false, r.err
		}
		x.into.Add(x.into, n)
	}
	return false, nil
}
