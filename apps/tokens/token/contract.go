package token

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/contract/issuable"
	"github.com/fairleadio/fairlead/sdk/contract/ownable"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// ErrUnsaid: tokens of a kind are consumed or made, and no command says why.
var ErrUnsaid = errors.New("no command says what happens to the tokens")

// ErrContradiction: two commands are about one kind of tokens.
var ErrContradiction = errors.New("another command is about the same tokens")

// Verify is the contract of tokens. A transaction keeps it when
//
//   - whatever it consumes or makes that claims to be a token ([Claims]) is one ([Read]);
//   - it has one command for each kind of tokens that it consumes or makes, and no other command of this contract;
//   - the owners of all tokens that it consumes sign;
//   - [Issue] consumes no token of its kind and makes one or more, and the issuer signs;
//   - [Transfer] makes exactly the value that it consumes, and one token at least;
//   - [Redeem] makes no token of its kind and consumes one or more, and the issuer signs.
//
// States that are only looked at count for nothing. States and commands of other contracts are theirs, so that tokens can
// be exchanged for anything.
func Verify(tx *contract.Transaction) error {
	in, out, owners, err := holdings(tx)
	said, also := statements(tx)
	if err = errors.Join(err, also); err != nil {
		return err // sums of what cannot be read would only confuse
	}
	errs := []error{ownable.Signed(tx, owners...)}
	sums := fungible.Of(in, out)
	for _, kind := range sums.Kinds() {
		if !slices.ContainsFunc(said, func(s statement) bool { return s.of.Kind() == kind }) {
			errs = append(errs, fmt.Errorf("%w: %s", ErrUnsaid, kind))
		}
	}
	for _, s := range said {
		errs = append(errs, s.at.Wrap(s.judge(tx, sums[s.of.Kind()])))
	}
	return errors.Join(errs...)
}

// statement is a command of this contract.
type statement struct {
	at   contract.Component
	what string
	of   Of
}

// judge tells what is against a command, given the sum of its kind.
func (s statement) judge(tx *contract.Transaction, sum fungible.Sum) error {
	switch s.what {
	case Issue:
		return issuable.Issued(tx, s.of.Issuer, sum)
	case Redeem:
		return issuable.Redeemed(tx, s.of.Issuer, sum)
	}
	return sum.Moved()
}

// holdings are the values that a transaction consumes and makes, and who owns what it consumes.
func holdings(tx *contract.Transaction) (in, out []fungible.Holding, owners []ownable.Owned, err error) {
	var errs []error
	value := func(at contract.Component, s ledger.State) (Token, fungible.Holding, bool) {
		if !Claims(s) {
			return Token{}, fungible.Holding{}, false
		}
		t, a, err := read(s)
		if err != nil {
			errs = append(errs, at.Wrap(err))
			return Token{}, fungible.Holding{}, false
		}
		return t, fungible.Holding{Kind: t.Kind(), Amount: a}, true
	}
	for i, s := range tx.Inputs {
		if t, h, is := value(contract.Input(i), s.State); is {
			in, owners = append(in, h), append(owners, ownable.Owned{At: contract.Input(i), Owner: t.Owner})
		}
	}
	for i, s := range tx.Outputs {
		if _, h, is := value(contract.Output(i), s); is {
			out = append(out, h)
		}
	}
	return in, out, owners, errors.Join(errs...)
}

// statements are the commands of this contract, each about another kind.
func statements(tx *contract.Transaction) ([]statement, error) {
	var out []statement
	var errs []error
	for i, c := range tx.Commands {
		if !ours(c) {
			continue
		}
		of, err := readCommand(c)
		if err != nil {
			errs = append(errs, contract.Command(i).Wrap(err))
			continue
		}
		if at := slices.IndexFunc(out, func(s statement) bool { return s.of.Kind() == of.Kind() }); at >= 0 {
			errs = append(errs, contract.Command(i).Errorf("%w: %s, as %s is %s", ErrContradiction, of.Kind(), out[at].at, out[at].what))
			continue
		}
		out = append(out, statement{contract.Command(i), c.Type, of})
	}
	return out, errors.Join(errs...)
}
