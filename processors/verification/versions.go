package verification

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

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
			against(ledger.Installed{Package: one, CompatibleFrom: named[one.Checksum].compatibleFrom}.Refuses(made))
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

// strange says what contract of the virtual node that asks would be judged by a package of others: not what the transaction is, but
// that the virtual node would read its states as something else.
func strange(need RunContracts, have map[ledger.Hash]code) string {
	var names []string
	for _, s := range need.Resolved.Transaction().Content().Outputs {
		names = append(names, s.Contract)
	}
	for _, s := range slices.Concat(need.Resolved.Inputs(), need.Resolved.References()) {
		names = append(names, s.State.Contract)
	}
	for _, o := range need.Own {
		if !slices.Contains(names, o.GetContract()) {
			continue
		}
		var in []ledger.Package
		for _, n := range need.Resolved.Transaction().Content().Metadata.Packages {
			if _, has := have[n.Checksum].modules[o.GetContract()]; has {
				in = append(in, n)
			}
		}
		if len(in) != 1 { // the contract's verdict says so, whoever asks
			continue
		}
		n, signer := in[0], []byte(nil)
		if s := have[n.Checksum].signer; s != (ledger.Hash{}) {
			signer = s[:]
		}
		if !bytes.Equal(signer, o.GetSigner()) {
			return fmt.Sprintf("contract %s would be judged by package %s %s, signed by %s, and is here that of a package of other signers", o.GetContract(), n.Name, n.Version, n.Signer)
		}
	}
	return ""
}
