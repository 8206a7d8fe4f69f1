package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/fairleadio/fairlead/sdk/internal/canonical"
)

// Bounds of what a transaction may hold. All but MaxStored belong to [Version].
const (
	// MaxComponent is how long the encoding of one component may be, bytes.
	MaxComponent = 512 << 10
	// MaxTransaction is how long all components may be together, bytes.
	MaxTransaction = 16 << 20
	// MaxStored is how long the encoding of a transaction with its signatures may be for a vault to store it, bytes. It is the
	// platform's limit today and no part of the rules.
	MaxStored = 448 << 10
	// MaxSignature is how long the encoding of a right signature of a transaction is at most, bytes: with the longest key that is
	// checked, RSA with 8,192 bits, and a proof of a full batch it stays below. So much of MaxStored is left to each signature.
	MaxSignature = 3 << 10
	// MaxKey is how long the encoding of a key may be that signs transactions, bytes.
	MaxKey = 1280
	// MaxComponents is how many components a group may have.
	MaxComponents = 65_536
	// MaxName is how long a name may be: of a type, contract, symbol, tag or member, bytes.
	MaxName = 1024
	// MaxAmountDigits is how many digits an amount may have.
	MaxAmountDigits = 100
)

// PublicKey is a key in the encoding of X.509 (SubjectPublicKeyInfo, DER).
type PublicKey []byte

// StateRef names a state: output Index of transaction Transaction.
type StateRef struct {
	Transaction Hash
	Index       uint32
}

// String is the transaction's id, a colon and the index.
func (r StateRef) String() string { return fmt.Sprintf("%s:%d", r.Transaction, r.Index) }

// ParseStateRef reads what [StateRef.String] writes.
func ParseStateRef(s string) (StateRef, error) {
	tx, index, _ := strings.Cut(s, ":")
	h, err := ParseHash(tx)
	if err != nil {
		return StateRef{}, fmt.Errorf("state reference %q: %w", s, err)
	}
	var r StateRef
	if err := json.Unmarshal([]byte(index), &r.Index); err != nil || fmt.Sprint(r.Index) != index {
		return StateRef{}, fmt.Errorf("state reference %q: %q is not the index of an output", s, index)
	}
	r.Transaction = h
	return r, nil
}

// Compare orders references by transaction and index.
func (r StateRef) Compare(o StateRef) int {
	if c := strings.Compare(string(r.Transaction[:]), string(o.Transaction[:])); c != 0 {
		return c
	}
	return int(r.Index) - int(o.Index)
}

// State is owned data: what a transaction makes and a later one spends.
type State struct {
	// Type is the application's name for what the payload is, TypeVersion counts its versions from 1.
	Type        string
	TypeVersion uint32
	// Contract is whose rules hold for it.
	Contract string
	// Encumbrance ties states of one transaction together: those with the same tag are spent together or not at all. Empty
	// for none.
	Encumbrance string
	// Payload is JSON, as the application wrote it: it is hashed as bytes.
	Payload []byte
	// Participants are the keys of those whom the state concerns; their virtual nodes keep it.
	Participants []PublicKey
	// Token makes the state one that token selection finds; nil for none.
	Token *Token
}

// Token says what a state is worth, for whoever selects states to pay with.
type Token struct {
	// Type and Symbol say of what, Issuer whose it is: a hash of the issuer's name or key. Token selection passes over a state
	// whose contract has not the name Type: nobody else looks at what it is worth.
	Type, Symbol string
	Issuer       Hash
	// Amount is a decimal number without sign or exponent, such as 10 or 0.25, and not 0. There is one text for each
	// number: no zeros before or behind it that are not needed.
	Amount string
	// Owner is a hash of the owner's key or name, Tag is free; both narrow a selection. Zero for none.
	Owner Hash
	Tag   string
	// Priority orders selection by priority, lower first; 0 for none, which comes last.
	Priority uint64
}

// errState is wrapped by what is wrong with a state.
var errState = errors.New("state")

func name(what, s string, needed bool) error {
	switch {
	case s == "" && needed:
		return fmt.Errorf("%s is empty", what)
	case len(s) > MaxName:
		return fmt.Errorf("%s has %d bytes, at most %d are allowed", what, len(s), MaxName)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s is not UTF-8", what)
	}
	return nil
}

// Check tells what is wrong with a state by itself.
func (s State) Check() error {
	if err := errors.Join(name("type", s.Type, true), name("contract", s.Contract, true), name("encumbrance", s.Encumbrance, false)); err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	switch {
	case s.TypeVersion == 0:
		return fmt.Errorf("%w %s: its type has no version, they begin with 1", errState, s.Type)
	case !utf8.Valid(s.Payload) || !json.Valid(s.Payload):
		return fmt.Errorf("%w %s: its payload is not JSON in UTF-8", errState, s.Type)
	case len(s.Participants) == 0:
		return fmt.Errorf("%w %s: it has no participants, so nobody would keep it", errState, s.Type)
	}
	seen := map[string]bool{}
	for _, p := range s.Participants {
		if len(p) == 0 || seen[string(p)] {
			return fmt.Errorf("%w %s: a participant is empty or there twice", errState, s.Type)
		}
		seen[string(p)] = true
	}
	if s.Token != nil {
		if err := s.Token.Check(); err != nil {
			return fmt.Errorf("%w %s: token: %w", errState, s.Type, err)
		}
	}
	return nil
}

// Check tells what is wrong with a token by itself.
func (t Token) Check() error {
	err := errors.Join(name("type", t.Type, true), name("symbol", t.Symbol, true), name("tag", t.Tag, false), CheckAmount(t.Amount))
	if t.Issuer == (Hash{}) {
		err = errors.Join(err, errors.New("issuer is empty"))
	}
	return err
}

// CheckAmount tells what is wrong with an amount; see [Token].
func CheckAmount(s string) error {
	whole, fraction, point := strings.Cut(s, ".")
	digits := func(s string) bool {
		return s != "" && strings.Trim(s, "0123456789") == ""
	}
	switch {
	case len(s) > MaxAmountDigits+1:
		return fmt.Errorf("amount has more than %d digits", MaxAmountDigits)
	case !digits(whole), point && !digits(fraction):
		return fmt.Errorf("amount %q is not a decimal number such as 10 or 0.25", s)
	case len(whole) > 1 && whole[0] == '0', point && fraction[len(fraction)-1] == '0':
		return fmt.Errorf("amount %q has zeros that are not needed", s)
	case s == "0":
		return errors.New("amount is 0")
	}
	return nil
}

// AmountOf is the number that an amount says; it must be one that [CheckAmount] takes.
func AmountOf(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return new(big.Rat)
	}
	return r
}

func (r StateRef) put(w *canonical.Writer) {
	w.Blob(1, r.Transaction[:])
	w.Uint(2, uint64(r.Index))
}

func takeStateRef(r *canonical.Reader) StateRef {
	return StateRef{Transaction: takeHash(r, 1), Index: r.Uint32(2)}
}

// takeHash reads a hash; what has another length is read as the zero hash, which is refused when it is needed, and again
// when the bytes are compared with those written anew.
func takeHash(r *canonical.Reader, field int) Hash {
	if b := r.Blob(field); len(b) == len(Hash{}) {
		return Hash(b)
	}
	return Hash{}
}

// An output is two components: what it is, which a notary may see, and what it holds.

func (s State) putInfo(w *canonical.Writer) {
	w.Text(1, s.Type)
	w.Uint(2, uint64(s.TypeVersion))
	w.Text(3, s.Contract)
	w.Text(4, s.Encumbrance)
}

func (s *State) takeInfo(r *canonical.Reader) {
	s.Type, s.TypeVersion, s.Contract, s.Encumbrance = r.Text(1), r.Uint32(2), r.Text(3), r.Text(4)
}

func (s State) putContent(w *canonical.Writer) {
	w.Blob(1, s.Payload)
	for _, p := range s.Participants {
		w.Item(2, p)
	}
	if t := s.Token; t != nil {
		w.Message(3, func(w *canonical.Writer) {
			w.Text(1, t.Type)
			w.Text(2, t.Symbol)
			w.Blob(3, hashOrNone(t.Issuer))
			w.Text(4, t.Amount)
			w.Blob(5, hashOrNone(t.Owner))
			w.Text(6, t.Tag)
			w.Uint(7, t.Priority)
		})
	}
}

func (s *State) takeContent(r *canonical.Reader) {
	s.Payload = r.Blob(1)
	r.Items(2, func(b []byte) { s.Participants = append(s.Participants, b) })
	r.Message(3, func(r *canonical.Reader) {
		s.Token = &Token{
			Type: r.Text(1), Symbol: r.Text(2), Issuer: takeHash(r, 3), Amount: r.Text(4), Owner: takeHash(r, 5), Tag: r.Text(6), Priority: r.Uint(7),
		}
	})
}

func hashOrNone(h Hash) []byte {
	if h == (Hash{}) {
		return nil
	}
	return h[:]
}
