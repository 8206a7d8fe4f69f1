package fungible

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// The errors of this package.
var (
	// ErrConservation: more comes out than went in, or less.
	ErrConservation = errors.New("value is not conserved")
	// ErrNothing: nothing is consumed, or nothing made, where something must be.
	ErrNothing = errors.New("nothing is moved")
)

// Kind is what can be added up: amounts of different kinds are never the same value.
type Kind struct {
	// Issuer is the hash of the issuer's key, as ledger.KeyID makes it.
	Issuer ledger.Hash
	Symbol string
}

// idDigits is how much of an issuer's hash a text shows: what the platform shows of keys.
const idDigits = 12

// String names the kind for people.
func (k Kind) String() string { return k.Symbol + " of " + k.Issuer.String()[:idDigits] }

// Compare orders kinds by issuer and symbol.
func (k Kind) Compare(o Kind) int {
	return cmp.Or(slices.Compare(k.Issuer[:], o.Issuer[:]), cmp.Compare(k.Symbol, o.Symbol))
}

// Holding is a state's value.
type Holding struct {
	Kind   Kind
	Amount amount.Amount
}

// Sum is what a transaction consumes and makes of one kind.
type Sum struct {
	In, Out amount.Amount
	// Inputs and Outputs are how many states that is.
	Inputs, Outputs int
}

// Moved tells whether what is consumed is made again, for others or in other portions. The errors are [ErrNothing] and
// [ErrConservation].
func (s Sum) Moved() error {
	switch {
	case s.Inputs == 0 || s.Outputs == 0:
		return fmt.Errorf("%w: %d inputs and %d outputs", ErrNothing, s.Inputs, s.Outputs)
	case s.In.Cmp(s.Out) != 0:
		return fmt.Errorf("%w: %s comes of %s", ErrConservation, s.Out, s.In)
	}
	return nil
}

// Sums are those of a transaction by kind.
type Sums map[Kind]Sum

// Of adds up what a transaction consumes and makes.
func Of(consumed, made []Holding) Sums {
	out := Sums{}
	for _, h := range consumed {
		s := out[h.Kind]
		s.In, s.Inputs = s.In.Add(h.Amount), s.Inputs+1
		out[h.Kind] = s
	}
	for _, h := range made {
		s := out[h.Kind]
		s.Out, s.Outputs = s.Out.Add(h.Amount), s.Outputs+1
		out[h.Kind] = s
	}
	return out
}

// Kinds are the kinds that there are, in an order that every verifier has.
func (s Sums) Kinds() []Kind { return slices.SortedFunc(maps.Keys(s), Kind.Compare) }
