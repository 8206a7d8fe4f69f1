package verification

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/internal/cpi"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// versions tells what is against the packages of a transaction as far as states are concerned that other packages made: a
// state is consumed, and looked at, under the package that made it, or under another version of that package which says that
// it may. Otherwise whoever brings a package with a contract of the same name could make rules of their own for the states of
// others.
//
// Named are the packages of the transaction, find looks for others, of transactions that made states. Missing are packages
// without which it cannot be told; then there are no failures.
func versions(r *ledger.Resolved, named map[ledger.Hash]code, find func(ledger.Hash) (code, bool)) (failures []*appv1.VerificationFailure, missing []ledger.Package) {
	now := map[string][]ledger.Package{} // those with a contract, by its name
	for _, p := range r.Transaction().Content().Metadata.Packages {
		for contract := range named[p.Checksum].modules {
			now[contract] = append(now[contract], p)
		}
	}
	for _, list := range []struct {
		what   string
		states []ledger.StateAndRef
	}{{"input", r.Inputs()}, {"reference", r.References()}} {
		for i, s := range list.states {
			contract := s.State.Contract
			against := func(text string) {
				if text != "" {
					failures = append(failures, &appv1.VerificationFailure{Contract: contract, Component: fmt.Sprintf("%s %d", list.what, i), Message: "state " + s.Ref.String() + " " + text})
				}
			}
			if in := now[contract]; len(in) != 1 {
				if list.what == "reference" { // for inputs, the contract's verdict says so
					against(fmt.Sprintf("has a contract that %d of the packages that the transaction names have: name the one that made it, or a later version, and no other that has it", len(in)))
				}
				continue
			}
			one := now[contract][0]
			made, lacking := maker(s, one, find)
			if len(lacking) > 0 {
				missing = append(missing, lacking...)
				continue
			}
			against(named[one.Checksum].takes(one, made))
		}
	}
	if len(missing) > 0 {
		slices.SortFunc(missing, func(a, b ledger.Package) int { return cmp.Compare(string(a.Checksum[:]), string(b.Checksum[:])) })
		return nil, slices.Compact(missing)
	}
	return failures, nil
}

// maker finds the package under whose contract a state was made; the zero value when none can have been it. A transaction
// that made states has their contracts in one of its packages, each in one: that is clear without the file when there is one
// package, or when it is the package that now has the contract. Otherwise the files tell, and missing are those that are not
// here.
func maker(s ledger.StateAndRef, now ledger.Package, find func(ledger.Hash) (code, bool)) (made ledger.Package, missing []ledger.Package) {
	if len(s.Packages) == 1 {
		return s.Packages[0], nil
	}
	for _, p := range s.Packages {
		if p.Checksum == now.Checksum {
			return p, nil
		}
		c, here := find(p.Checksum)
		if !here {
			missing = append(missing, p)
			continue
		}
		if _, has := c.modules[s.State.Contract]; has && made.Name == "" {
			made = p
		}
	}
	if made.Name != "" {
		return made, nil
	}
	return made, missing
}

// takes is what is against consuming states that another package made under this one, which a transaction names as now. Empty
// for nothing.
func (c code) takes(now, made ledger.Package) string {
	by := fmt.Sprintf("was made by package %s %s", made.Name, made.Version)
	switch {
	case made.Name == "":
		return "was made by packages none of which has its contract"
	case made.Checksum == now.Checksum:
		return ""
	case made.Name != now.Name:
		return fmt.Sprintf("%s, and its contract is here that of package %s: name a version of package %s", by, now.Name, made.Name)
	case signerOf(made) != signerOf(now):
		return fmt.Sprintf("%s, signed by %s, and package %s %s is signed by %s: only the same signers make a version that takes its states", by, made.Signer, now.Name, now.Version, now.Signer)
	}
	switch order := cpi.CompareVersions(made.Version, now.Version); {
	case order == 0: // built anew
		return ""
	case order > 0:
		return fmt.Sprintf("%s, which is later than version %s: upgrade the virtual node to %s or later", by, now.Version, made.Version)
	case c.compatibleFrom == "":
		return fmt.Sprintf("%s, and version %s takes only states of its own: it has no compatible_from; only a later version with one, no later than %s, takes them", by, now.Version, made.Version)
	case cpi.CompareVersions(made.Version, c.compatibleFrom) < 0:
		return fmt.Sprintf("%s, and version %s takes states of version %s and later (compatible_from)", by, now.Version, c.compatibleFrom)
	}
	return ""
}

// signerOf is a package's signer, zero for one that nobody has signed: its signer is the file's checksum. Only a development
// cluster has such packages, and so runs their contracts.
func signerOf(p ledger.Package) ledger.Hash {
	if p.Signer == p.Checksum {
		return ledger.Hash{}
	}
	return p.Signer
}
