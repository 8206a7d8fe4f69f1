package registry

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Verify looks at a transaction for one contract. It does not panic.
type Verify func(*wire.VerifyRequest) []wire.Rejection

var contracts = map[string]Verify{}

// AddContract registers a contract. A name that is not valid or taken already is a mistake of the program and panics.
func AddContract(name string, verify Verify) {
	if err := checkName(name); err != nil {
		panic("contract.Register: " + err.Error())
	}
	if _, ok := contracts[name]; ok {
		panic(fmt.Sprintf("contract.Register: a contract %q is registered already", name))
	}
	contracts[name] = verify
}

// Contracts are all contracts' names in order.
func Contracts() []string { return slices.Sorted(maps.Keys(contracts)) }

// Judge answers the platform: what a contract says of a transaction, or for a request without a contract the contracts'
// names.
func Judge(r *wire.VerifyRequest) wire.Verdict {
	if r.Contract == "" {
		return wire.Verdict{Contracts: &wire.Contracts{Names: Contracts()}}
	}
	verify, ok := contracts[r.Contract]
	if !ok {
		return Rejected(wire.Rejection{Message: fmt.Sprintf("there is no contract %q in this application; it has %q", r.Contract, Contracts())})
	}
	if all := verify(r); len(all) > 0 {
		return Rejected(all...)
	}
	return wire.Verdict{Accepted: &wire.Accepted{}}
}

// Rejected is a verdict against a transaction.
func Rejected(all ...wire.Rejection) wire.Verdict {
	return wire.Verdict{Rejected: &wire.Rejected{Rejections: all}}
}
