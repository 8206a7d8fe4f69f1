package vault

import (
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// PackagePartBytes is how long the parts are in which the files of packages are read and handed over; the last may be
// shorter.
const PackagePartBytes = 256 << 10

// PackagePart is a part of a package's file.
type PackagePart struct {
	// Parts is how many the file has.
	Parts int
	Data  []byte
}

// MissingPackagesCall asks which of some packages the cluster does not have, so that it cannot verify the transactions that
// name them. They are in the order asked. Package finality asks, and gets them from who shows such a transaction.
func MissingPackagesCall(named ...ledger.Package) *flow.Pending[[]ledger.Package] {
	by := map[ledger.Hash]ledger.Package{}
	o := &wire.FindMissingPackages{}
	for _, p := range named {
		if _, twice := by[p.Checksum]; !twice {
			by[p.Checksum] = p
			o.Checksums = append(o.Checksums, append([]byte(nil), p.Checksum[:]...))
		}
	}
	if len(by) == 0 {
		return flow.EndedCall[[]ledger.Package](nil, nil)
	}
	return flow.NewCall(&wire.PackageRequest{Operation: o}, func(result []byte) ([]ledger.Package, error) {
		var r wire.MissingPackages
		if err := receive(result, &r); err != nil {
			return nil, err
		}
		var out []ledger.Package
		for _, b := range r.Checksums {
			sum, err := hash(b)
			p, asked := by[sum]
			if err != nil || !asked {
				return nil, flow.Errorf("protocol", "the platform misses a package that was not asked for")
			}
			out = append(out, p)
		}
		return out, nil
	})
}

// ReadPackageCall reads a part of a package's file, counted from 0. It is flow.ErrNotFound that the cluster does not keep the
// file, and flow.ErrPackageRefused that the virtual node has no package of its name and signers itself.
func ReadPackageCall(p ledger.Package, part int) *flow.Pending[PackagePart] {
	return flow.NewCall(&wire.PackageRequest{Operation: &wire.ReadPackagePart{Package: wirePackage(p), Part: uint32(part)}}, func(result []byte) (PackagePart, error) {
		var r wire.PackagePart
		err := receive(result, &r)
		return PackagePart{int(r.Parts), r.Data}, err
	})
}

// PutPackageCall hands over a part of a package's file that came from another party. Once all are there the cluster checks the
// package, and the call that brought the last ends when transactions are verified by it. Nothing in it can be started. With the
// first part of several it tells whether another flow of the virtual node is handing over the same file, and began earlier: who
// then waits some seconds and asks [MissingPackagesCall] may be spared the rest.
//
// flow.ErrPackageRefused says why it is not taken: it is not the file that is named, not signed, signed by somebody who is not
// trusted for a package of that name, or too large. A package that is there already is no error.
func PutPackageCall(p ledger.Package, part, parts int, data []byte) *flow.Pending[bool] {
	o := &wire.PutPackagePart{Package: wirePackage(p), Part: uint32(part), Parts: uint32(parts), Data: data}
	return flow.NewCall(&wire.PackageRequest{Operation: o}, func(result []byte) (bool, error) {
		var r wire.PutPackageResult
		err := receive(result, &r)
		return r.Coming, err
	})
}

func wirePackage(p ledger.Package) *wire.NamedPackage {
	return &wire.NamedPackage{Name: p.Name, Version: p.Version, Checksum: append([]byte(nil), p.Checksum[:]...), Signer: append([]byte(nil), p.Signer[:]...)}
}
