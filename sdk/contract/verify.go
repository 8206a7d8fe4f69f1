package contract

import (
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/ledger/structure"
)

// Failure is one thing that is against a transaction.
type Failure struct {
	// Contract is the contract's name, empty for a rule of the ledger.
	Contract string
	// Component is the part that is wrong, such as "output 1"; empty for the whole.
	Component string
	Message   string
}

// String is one line.
func (f Failure) String() string {
	s := f.Message
	if f.Component != "" {
		s = f.Component + ": " + s
	}
	if f.Contract != "" {
		s = f.Contract + ": " + s
	}
	return s
}

// Names are the contracts that have a say on a transaction: those of the states that it consumes and makes, in order.
func Names(r *ledger.Resolved) []string {
	var out []string
	for _, s := range r.Inputs() {
		out = append(out, s.State.Contract)
	}
	for _, s := range r.Transaction().Content().Outputs {
		out = append(out, s.Contract)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Verify does with the contracts of this program what the platform's verification does with those of the packages that
// the transaction names: the ledger's rules, and when these are kept every contract. It is for tests.
func Verify(r *ledger.Resolved) []Failure {
	var out []Failure
	for _, f := range structure.Check(structure.Of(r)) {
		out = append(out, Failure{Component: f.Component, Message: f.Message})
	}
	if len(out) > 0 {
		return out
	}
	known := registry.Contracts()
	for _, name := range Names(r) {
		if !slices.Contains(known, name) {
			out = append(out, Failure{Contract: name, Message: fmt.Sprintf("no package has this contract; those that the transaction names have %q", known)})
			continue
		}
		for _, x := range registry.Judge(request(name, r)).Rejected.All() {
			out = append(out, Failure{name, x.Component, x.Message})
		}
	}
	return out
}

func request(name string, r *ledger.Resolved) *wire.VerifyRequest {
	out := &wire.VerifyRequest{Contract: name, Transaction: r.Transaction().Encode()}
	add := func(from []ledger.StateAndRef, to *[]wire.ResolvedState) {
		for _, s := range from {
			info, content := s.State.Components()
			*to = append(*to, wire.ResolvedState{Info: info, Content: content})
		}
	}
	add(r.Inputs(), &out.Inputs)
	add(r.References(), &out.References)
	return out
}
