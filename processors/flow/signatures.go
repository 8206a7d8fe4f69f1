package flow

import (
	"errors"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

const (
	// maxChecks is how many signatures are checked in one step.
	maxChecks = 256
	// checkUnits is what a signature's check counts for among a flow's instructions: as long as that many take, about, and
	// longer than one by a usual key.
	checkUnits = 500_000
)

// checkSignatures checks signatures for a flow. Its own code would take some twenty times as long for each.
func (t *turn) checkSignatures(op *appv1.CheckSignatures) Known {
	out := &appv1.CheckedSignatures{}
	for _, c := range op.GetChecks() {
		verdict := appv1.SignatureVerdict_SIGNATURE_VERDICT_VALID
		switch err := (ledger.Check{By: c.GetPublicKey(), Scheme: c.GetScheme(), Message: c.GetMessage(), Bytes: c.GetSignature()}).Verify(); {
		case errors.Is(err, ledger.ErrUnsupported):
			verdict = appv1.SignatureVerdict_SIGNATURE_VERDICT_UNSUPPORTED
		case err != nil:
			verdict = appv1.SignatureVerdict_SIGNATURE_VERDICT_INVALID
		}
		out.Verdicts = append(out.Verdicts, verdict)
	}
	k := t.result(out)
	k.Units = checkUnits * int64(len(op.GetChecks()))
	return k
}
