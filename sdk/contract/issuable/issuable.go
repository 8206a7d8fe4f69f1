package issuable

import (
	"errors"
	"fmt"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// The errors of this package.
var (
	// ErrIssuer: the issuer does not sign.
	ErrIssuer = errors.New("the issuer does not sign")
	// ErrIssue: an issue consumes tokens of the kind that it makes, or makes none.
	ErrIssue = errors.New("an issue consumes nothing of its kind and makes something")
	// ErrRedemption: a redemption makes tokens of the kind that it takes back, or consumes none.
	ErrRedemption = errors.New("a redemption consumes something of its kind and makes nothing")
)

// Issued tells whether a sum is an issue that the issuer signs. The errors are [ErrIssue] and [ErrIssuer].
func Issued(tx *contract.Transaction, issuer ledger.PublicKey, s fungible.Sum) error {
	return check(tx, issuer, s.Inputs == 0 && s.Outputs > 0 && !s.Out.IsZero(), ErrIssue, s)
}

// Redeemed tells whether a sum is a redemption that the issuer signs. The errors are [ErrRedemption] and [ErrIssuer].
func Redeemed(tx *contract.Transaction, issuer ledger.PublicKey, s fungible.Sum) error {
	return check(tx, issuer, s.Inputs > 0 && s.Outputs == 0 && !s.In.IsZero(), ErrRedemption, s)
}

func check(tx *contract.Transaction, issuer ledger.PublicKey, fits bool, shape error, s fungible.Sum) error {
	var errs []error
	if !fits {
		errs = append(errs, fmt.Errorf("%w: %d inputs and %d outputs", shape, s.Inputs, s.Outputs))
	}
	if !tx.Signed(issuer) {
		errs = append(errs, ErrIssuer)
	}
	return errors.Join(errs...)
}
