package flow

import (
	"cmp"
	"fmt"
	"slices"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// verify asks for a transaction to be verified. What is none does not leave this worker, nor what is to be verified by code
// that the flow's own package says nothing of: the transaction itself names the code, and whoever wrote it could name some
// that lets everything pass.
func (d *draft) verify(i int, op *appv1.VerifyTransaction, known Known, nowUs int64) {
	tx, err := ledger.Decode(op.GetTransaction())
	if err != nil {
		d.answerError(i, TypeInvalid, fmt.Sprintf("transaction: %v", err), nowUs)
		return
	}
	for n, b := range op.GetSources() {
		if _, err := ledger.DecodeFiltered(b); err != nil {
			d.answerError(i, TypeInvalid, fmt.Sprintf("sources: %d: %v", n, err), nowUs)
			return
		}
	}
	for _, p := range tx.Content().Metadata.Packages {
		if !vouched(p, known.Packages) {
			d.answerError(i, TypePackageUntrusted, fmt.Sprintf("transaction %s is to be verified by package %s %s (SHA-256 %s), signed by %s: the flow's own package holds no package with contracts of that name and signer",
				tx.ID(), p.Name, p.Version, p.Checksum, p.Signer), nowUs)
			return
		}
	}
	r := &verificationv1.Request{Vnode: d.Head.GetStart().GetVnode(), Transaction: op.GetTransaction(), Sources: op.GetSources()}
	for _, p := range tx.Content().Metadata.Packages {
		r.Packages = append(r.Packages, p.Checksum[:])
	}
	r.Own = ownContracts(known.Packages)
	d.request(i, tx.ID().String(), r, nowUs)
}

// vouched tells whether one of a flow's own packages with contracts stands for a package that a transaction names: it is the
// same file, or another version of the same name and signer. Whether the file has that name and signer is the verification
// worker's to see. What is not signed, which only development clusters have, has its file's checksum for a signer.
func vouched(p ledger.Package, own []ledger.Installed) bool {
	return slices.ContainsFunc(own, func(o ledger.Installed) bool {
		unsigned := o.Signer == o.Checksum && p.Signer == p.Checksum
		return o.Checksum == p.Checksum || o.Name == p.Name && (o.Signer == p.Signer || unsigned)
	})
}

// ownContracts says whose the contracts of a flow's own packages are. A package that is vouched for could bring one of the same
// name in a later version, and the flow would read its states as those of its own contract.
func ownContracts(own []ledger.Installed) (out []*verificationv1.OwnContract) {
	for _, p := range own {
		var signer []byte
		if p.Signer != p.Checksum {
			signer = p.Signer[:]
		}
		for _, name := range p.Contracts {
			out = append(out, &verificationv1.OwnContract{Contract: name, Signer: signer})
		}
	}
	slices.SortStableFunc(out, func(a, b *verificationv1.OwnContract) int { return cmp.Compare(a.GetContract(), b.GetContract()) })
	return out
}
