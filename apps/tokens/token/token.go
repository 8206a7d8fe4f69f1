package token

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/contract/exact"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/contract/ownable"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Names and version of the application's states. The type is that of token selection too.
const (
	Contract = "fairlead.Token"
	Type     = "fairlead.Token"
	Version  = 1
)

// Bounds of a token. A sum of as many amounts as a transaction can hold keeps within what the ledger takes.
const (
	// MaxWhole and MaxPlaces are how many digits an amount may have before and behind its point.
	MaxWhole, MaxPlaces = 20, 18
	// MaxSymbol and MaxTag are how long a symbol and a tag may be, bytes.
	MaxSymbol, MaxTag = 32, 64
	// MaxPayload is how long a payload may be, bytes: two keys, and the rest.
	MaxPayload = 4096
)

// ErrToken is what every error about a token by itself is.
var ErrToken = errors.New("token")

// Token is the payload of a state. Each token has one text: the members in this order, without white space.
type Token struct {
	// Amount is a decimal number more than 0, in the one text that it has, such as 10 or 0.25.
	Amount string `json:"amount"`
	// Symbol says of what: 1 to [MaxSymbol] letters and digits of ASCII and . _ -, a letter or digit first.
	Symbol string `json:"symbol"`
	// Issuer stands for it, Owner has it: public keys in the encoding of X.509.
	Issuer ledger.PublicKey `json:"issuer"`
	Owner  ledger.PublicKey `json:"owner"`
	// Tag narrows a selection, as the owner likes: none, or up to [MaxTag] characters as a symbol has them.
	Tag string `json:"tag,omitempty"`
}

// Kind is what the token can be added up with.
func (t Token) Kind() fungible.Kind {
	return fungible.Kind{Issuer: ledger.KeyID(t.Issuer), Symbol: t.Symbol}
}

// Check tells all that is wrong with a token by itself. Errors are [ErrToken].
func (t Token) Check() error {
	_, err := t.value()
	return err
}

// value is the token's amount, and all that is wrong with it.
func (t Token) value() (amount.Amount, error) {
	var errs []error
	add := func(err error, what string) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %s%w", ErrToken, what, err))
		}
	}
	a, err := amount.Parse(t.Amount)
	add(err, "")
	if whole, places := a.Size(); whole > MaxWhole || places > MaxPlaces {
		add(fmt.Errorf("%w %s has %d digits before the point and %d behind it, at most %d and %d are allowed",
			amount.ErrAmount, t.Amount, whole, places, MaxWhole, MaxPlaces), "")
	}
	add(checkWord("symbol", t.Symbol, MaxSymbol), "")
	if t.Tag != "" {
		add(checkWord("tag", t.Tag, MaxTag), "")
	}
	add(ownable.CheckKey(t.Issuer), "issuer: ")
	add(ownable.CheckKey(t.Owner), "owner: ")
	return a, errors.Join(errs...)
}

// CheckSymbol says what is wrong with a symbol; what names it in the error.
func CheckSymbol(what, symbol string) error { return checkWord(what, symbol, MaxSymbol) }

// checkWord takes letters and digits of ASCII and . _ - alone, so that no two words look the same to people and differ,
// and none has to be escaped.
func checkWord(what, s string, most int) error {
	if s == "" || len(s) > most {
		return fmt.Errorf("%s has %d bytes, 1 to %d are right", what, len(s), most)
	}
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return fmt.Errorf("%s %q: letters and digits of ASCII and . _ - are right, a letter or digit first", what, s)
		}
	}
	return nil
}

// State makes the state of a token. What is wrong with the token is an [ErrToken].
func (t Token) State() (ledger.State, error) {
	if err := t.Check(); err != nil {
		return ledger.State{}, err
	}
	payload, err := exact.Encode(t)
	if err != nil {
		return ledger.State{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	d := t.description()
	return ledger.State{
		Type: Type, TypeVersion: Version, Contract: Contract, Payload: payload, Participants: []ledger.PublicKey{t.Owner}, Token: &d,
	}, nil
}

// description is what token selection is told of the token.
func (t Token) description() ledger.Token {
	return ledger.Token{
		Type: Type, Symbol: t.Symbol, Issuer: ledger.KeyID(t.Issuer), Amount: t.Amount, Owner: ledger.KeyID(t.Owner), Tag: t.Tag,
	}
}

// Claims tells whether a state says in any way that it is a token: by its contract, its type, or what token selection is
// told of it. All that claims to be one must be one.
func Claims(s ledger.State) bool {
	return s.Contract == Contract || s.Type == Type || s.Token != nil && s.Token.Type == Type
}

// Read reads the token of a state, and believes nothing: what the state says of itself in several places must agree.
// Errors are [ErrToken]; all that is wrong is told.
func Read(s ledger.State) (Token, error) {
	t, _, err := read(s)
	return t, err
}

// read is Read, and the amount.
func read(s ledger.State) (Token, amount.Amount, error) {
	var errs []error
	add := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrToken}, args...)...))
	}
	if s.Contract != Contract {
		add("its contract is %q, that of tokens is %q", s.Contract, Contract)
	}
	if s.Type != Type {
		add("its type is %q, that of tokens is %q", s.Type, Type)
	}
	if s.TypeVersion != Version {
		add("version %d of its type is not known here, %d is", s.TypeVersion, Version)
	}
	if s.Encumbrance != "" {
		add("it has the encumbrance %q; a token is tied to nothing, or somebody else could keep its owner from spending it", s.Encumbrance)
	}
	if len(errs) > 0 {
		return Token{}, amount.Amount{}, errors.Join(errs...)
	}
	t, err := exact.Payload[Token](s.Payload, MaxPayload)
	if err != nil {
		return Token{}, amount.Amount{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	a, err := t.value()
	if err != nil {
		return Token{}, amount.Amount{}, err
	}
	if err := ownable.Kept(s, t.Owner); err != nil {
		add("%w", err)
	}
	errs = append(errs, t.described(s.Token)...)
	if len(errs) > 0 {
		return Token{}, amount.Amount{}, errors.Join(errs...)
	}
	return t, a, nil
}

// described tells where a description is not the token's.
func (t Token) described(d *ledger.Token) []error {
	if d == nil {
		return []error{fmt.Errorf("%w: it has no token description, so token selection would never find it", ErrToken)}
	}
	var errs []error
	want := t.description()
	for _, f := range []struct {
		what      string
		got, want any
	}{
		{"type", d.Type, want.Type},
		{"symbol", d.Symbol, want.Symbol},
		{"issuer", d.Issuer, want.Issuer},
		{"amount", d.Amount, want.Amount},
		{"owner", d.Owner, want.Owner},
		{"tag", d.Tag, want.Tag},
		{"priority", d.Priority, want.Priority},
	} {
		if f.got != f.want {
			errs = append(errs, fmt.Errorf("%w: its token description has the %s %v, the token %v", ErrToken, f.what, f.got, f.want))
		}
	}
	return errs
}
