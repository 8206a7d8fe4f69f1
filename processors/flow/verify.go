package flow

import (
	"fmt"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// verify asks for a transaction to be verified. What is none does not leave this worker.
func (d *draft) verify(i int, op *appv1.VerifyTransaction, nowUs int64) {
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
	r := &verificationv1.Request{Vnode: d.Head.GetStart().GetVnode(), Transaction: op.GetTransaction(), Sources: op.GetSources()}
	for _, p := range tx.Content().Metadata.Packages {
		r.Packages = append(r.Packages, p.Checksum[:])
	}
	d.request(i, tx.ID().String(), r, nowUs)
}
