package token

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/sdk/contract/exact"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/contract/ownable"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// What a transaction does with a kind of tokens.
const (
	// Issue makes tokens; the issuer signs.
	Issue = "fairlead.Token.issue"
	// Transfer gives tokens to others, or splits and merges them; the owners sign.
	Transfer = "fairlead.Token.transfer"
	// Redeem ends tokens; the owners and the issuer sign.
	Redeem = "fairlead.Token.redeem"
)

// commands is how the types of this contract's commands begin.
const commands = Contract + "."

// ErrCommand is what every error about a command is.
var ErrCommand = errors.New("command")

// Of is the payload of a command: the kind of tokens that it is about. A transaction has one command for each kind of
// tokens that it consumes or makes; a swap has two.
type Of struct {
	Issuer ledger.PublicKey `json:"issuer"`
	Symbol string           `json:"symbol"`
}

// Kind is what tokens of the command can be added up with.
func (o Of) Kind() fungible.Kind {
	return fungible.Kind{Issuer: ledger.KeyID(o.Issuer), Symbol: o.Symbol}
}

// Command makes a command: [Issue], [Transfer] or [Redeem] of a kind. Errors are [ErrCommand].
func Command(what string, of Of) (ledger.Command, error) {
	payload, err := exact.Encode(of)
	if err != nil {
		return ledger.Command{}, fmt.Errorf("%w: %w", ErrCommand, err)
	}
	c := ledger.Command{Type: what, TypeVersion: Version, Payload: payload}
	if _, err := readCommand(c); err != nil {
		return ledger.Command{}, err
	}
	return c, nil
}

// ours tells whether a command is of this contract; others are for other contracts.
func ours(c ledger.Command) bool { return strings.HasPrefix(c.Type, commands) }

// readCommand reads a command of this contract.
func readCommand(c ledger.Command) (Of, error) {
	switch {
	case c.Type != Issue && c.Type != Transfer && c.Type != Redeem:
		return Of{}, fmt.Errorf("%w: %s is not one of %s, %s and %s", ErrCommand, c.Type, Issue, Transfer, Redeem)
	case c.TypeVersion != Version:
		return Of{}, fmt.Errorf("%w: version %d of %s is not known here, %d is", ErrCommand, c.TypeVersion, c.Type, Version)
	}
	of, err := exact.Payload[Of](c.Payload, MaxPayload)
	if err != nil {
		return Of{}, fmt.Errorf("%w: %w", ErrCommand, err)
	}
	if err := ownable.CheckKey(of.Issuer); err != nil {
		return Of{}, fmt.Errorf("%w: issuer: %w", ErrCommand, err)
	}
	if err := checkWord("symbol", of.Symbol, MaxSymbol); err != nil {
		return Of{}, fmt.Errorf("%w: %w", ErrCommand, err)
	}
	return of, nil
}
