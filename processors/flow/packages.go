package flow

import (
	"errors"
	"fmt"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// packages asks the database worker for packages of code, or hands it one that another party gave. Whose packages are read
// and taken that worker decides, by what the virtual node itself has.
func (d *draft) packages(i int, op *appv1.PackageRequest, nowUs int64) {
	key := d.id().String()
	switch op := op.GetOperation().(type) {
	case *appv1.PackageRequest_FindMissing:
		for n, sum := range op.FindMissing.GetChecksums() {
			if err := checkHash(fmt.Sprintf("checksums: %d", n), sum); err != nil {
				d.answerError(i, TypeInvalid, err.Error(), nowUs)
				return
			}
		}
	case *appv1.PackageRequest_Read:
		key = d.packageKey(i, op.Read.GetPackage(), nowUs)
	case *appv1.PackageRequest_Put:
		key = d.packageKey(i, op.Put.GetPackage(), nowUs)
	default:
		d.note(OutcomeUnsupported)
		d.answerError(i, TypeUnsupported, "the operation on packages is not known to this cluster: upgrade it, or build the application with an older SDK", nowUs)
		return
	}
	if key == "" {
		return
	}
	d.request(i, key, &dbv1.PackageRequest{Vnode: d.Head.GetStart().GetVnode(), FlowId: d.id().String(), Operation: op}, nowUs)
}

// packageKey is the key of a request about a package, which the database worker compares with its checksum. Empty for a
// package that is none, which is answered.
func (d *draft) packageKey(i int, p *appv1.NamedPackage, nowUs int64) string {
	err := checkHash("package: checksum", p.GetChecksum())
	if err == nil {
		err = checkHash("package: signer", p.GetSigner())
	}
	if err == nil && (p.GetName() == "" || p.GetVersion() == "") {
		err = errors.New("package: its name or version is empty")
	}
	if err != nil {
		d.answerError(i, TypeInvalid, err.Error(), nowUs)
		return ""
	}
	return ledger.Hash(p.GetChecksum()).String()
}
