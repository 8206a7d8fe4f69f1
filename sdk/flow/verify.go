package flow

import (
	"strings"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Encoded is what package ledger makes of transactions: a *ledger.Transaction, or a *ledger.Filtered.
type Encoded interface{ Encode() []byte }

// Verification is what the platform says of a transaction.
type Verification struct {
	// Failures are all that is against it; none for one that is valid.
	Failures []VerificationFailure
}

// VerificationFailure is one thing that is against a transaction.
type VerificationFailure struct {
	// Contract is the contract's name, empty for a rule of the ledger.
	Contract string `json:"contract,omitempty"`
	// Component is the part that is wrong, such as "output 1"; empty for the whole.
	Component string `json:"component,omitempty"`
	Message   string `json:"message"`
}

// String is one line.
func (f VerificationFailure) String() string {
	var parts []string
	for _, s := range []string{f.Contract, f.Component, f.Message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Valid tells whether nothing is against the transaction.
func (v Verification) Valid() bool { return len(v.Failures) == 0 }

// Err is nil for a valid transaction, else an [ErrInvalidTransaction] that tells all that is against it.
func (v Verification) Err() error {
	if v.Valid() {
		return nil
	}
	var all []string
	for _, f := range v.Failures {
		all = append(all, f.String())
	}
	return Errorf(ErrInvalidTransaction.Type, "%s", strings.Join(all, "; "))
}

// Verify has the platform verify a transaction: the rules of the ledger, and the contracts of the packages that the
// transaction names. Signatures are not looked at, nor whether something was spent before.
//
// The sources prove what the transaction consumes and looks at: of each transaction that made such states, what
// ledger.Transaction.Source shows. A missing one is [ErrUnresolved]. A package that the cluster does not have is
// [ErrPackageMissing]: it can be asked again when the package is there. Package finality gets it from who shows the
// transaction. A transaction that is refused is no error, but a Verification with failures.
func (c *Context) Verify(tx Encoded, sources ...Encoded) (Verification, error) {
	return do(c, VerifyCall(tx, sources...))
}

// VerifyCall is [Context.Verify] as a call.
func VerifyCall(tx Encoded, sources ...Encoded) *Pending[Verification] {
	o := &wire.VerifyTransaction{Transaction: tx.Encode()}
	for _, s := range sources {
		o.Sources = append(o.Sources, s.Encode())
	}
	return pending(o, func(_ *Context, result []byte, into *Verification) error {
		var r wire.Verification
		if err := receive(result, &r); err != nil {
			return err
		}
		for _, f := range r.Failures {
			into.Failures = append(into.Failures, VerificationFailure(f))
		}
		if (r.Status == "VERIFIED") != into.Valid() || r.Status != "VERIFIED" && r.Status != "INVALID" {
			*into = Verification{}
			return Errorf("protocol", "the platform says %q of a transaction, with %d failures: was the application built with an older SDK?", r.Status, len(r.Failures))
		}
		return nil
	})
}
