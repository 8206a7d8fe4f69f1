package tokenpool

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/fairleadio/fairlead/internal/ledgerstore"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Bounds of what may be asked.
const (
	// MaxRegex is how long a tag's regular expression may be, bytes.
	MaxRegex = 256
	// MaxUsed is how many tokens a release may name as consumed.
	MaxUsed = 10_000
	// MaxStates is how many states one claim may name.
	MaxStates = 1_000
)

// Hash is what the ledger's tables call a pool within a virtual node.
func Hash(p *appv1.TokenPool) ledger.Hash {
	var issuer ledger.Hash
	copy(issuer[:], p.GetIssuer())
	return ledgerstore.TokenPool(p.GetType(), issuer, p.GetNotary(), p.GetSymbol())
}

// Key is the key of a pool's records: the virtual node's short hash, "/", and the pool's hash. The names themselves are
// too long for a key.
func Key(vnode string, p *appv1.TokenPool) string {
	h := Hash(p)
	return vnode + "/" + hex.EncodeToString(h[:])
}

// Check tells what is wrong with a pool.
func Check(p *appv1.TokenPool) error {
	name := func(field, s string) error {
		switch {
		case s == "":
			return fmt.Errorf("pool.%s is empty", field)
		case len(s) > ledger.MaxName || !utf8.ValidString(s):
			return fmt.Errorf("pool.%s is not a text of at most %d bytes", field, ledger.MaxName)
		}
		return nil
	}
	err := errors.Join(name("type", p.GetType()), name("symbol", p.GetSymbol()), name("notary", p.GetNotary()))
	if len(p.GetIssuer()) != len(ledger.Hash{}) || bytes.Equal(p.GetIssuer(), make([]byte, len(ledger.Hash{}))) {
		err = errors.Join(err, errors.New("pool.issuer is not a hash of 32 bytes"))
	}
	return err
}

// checkRefs tells what is wrong with references to states.
func checkRefs(field string, refs []*ledgerv1.StateRef) error {
	for i, r := range refs {
		if len(r.GetTransaction()) != len(ledger.Hash{}) {
			return fmt.Errorf("%s: the transaction of state %d is not an id of 32 bytes", field, i)
		}
	}
	return nil
}

// Selector tells which tokens of a pool are meant.
type Selector struct {
	owner []byte
	tag   *regexp.Regexp
}

// NewSelector makes a selector of an owner's hash and a regular expression of tags; either may be empty. The expression is
// RE2's, whose time is linear in the text's length.
func NewSelector(owner []byte, tagRegex string) (Selector, error) {
	s := Selector{owner: owner}
	if n := len(owner); n != 0 && n != len(ledger.Hash{}) {
		return s, fmt.Errorf("owner has %d bytes; it must be a hash of 32, or empty", n)
	}
	if tagRegex == "" {
		return s, nil
	}
	if len(tagRegex) > MaxRegex {
		return s, fmt.Errorf("tag_regex has %d bytes, at most %d are allowed", len(tagRegex), MaxRegex)
	}
	var err error
	if s.tag, err = regexp.Compile(tagRegex); err != nil {
		return s, fmt.Errorf("tag_regex is not a regular expression (RE2): %w", err)
	}
	return s, nil
}

// Tagged tells whether tags are looked at.
func (s Selector) Tagged() bool { return s.tag != nil }

// Tag tells whether a token with this tag is meant; one without a tag never is when tags are looked at. The expression
// may match anywhere.
func (s Selector) Tag(tag string) bool { return s.tag == nil || tag != "" && s.tag.MatchString(tag) }

// Match tells whether a token is meant.
func (s Selector) Match(owner []byte, tag string) bool {
	return (len(s.owner) == 0 || bytes.Equal(s.owner, owner)) && s.Tag(tag)
}

// Decimal writes a number that is a sum of amounts, in the one text that there is for it.
func Decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	// Sums of decimals have the greatest number of places of their terms, which are bounded.
	s := strings.TrimRight(r.FloatString(ledger.MaxAmountDigits), "0")
	return strings.TrimSuffix(s, ".")
}
