package flowtest

import (
	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// verify verifies a transaction with the contracts of this program, whatever packages the transaction names; but the member's
// cluster must have these, see [Member.Install].
func (m *Member) verify(o *wire.VerifyTransaction) wire.Answer {
	tx, err := ledger.Decode(o.Transaction)
	if err != nil {
		return fault(flow.ErrInvalidArgument.Type, "transaction: "+err.Error())
	}
	var sources []*ledger.Filtered
	for _, b := range o.Sources {
		f, err := ledger.DecodeFiltered(b)
		if err != nil {
			return fault(flow.ErrInvalidArgument.Type, "sources: "+err.Error())
		}
		sources = append(sources, f)
	}
	if err := m.lacks(tx.Content().Metadata); err != nil {
		return fault(err.Type, err.Message)
	}
	resolved, err := ledger.Resolve(tx, sources...)
	if err != nil {
		return fault(flow.ErrUnresolved.Type, err.Error())
	}
	result := &wire.Verification{Status: "VERIFIED"}
	if m.own != nil {
		if result.Failures = m.net.untaken(resolved); len(result.Failures) > 0 {
			result.Status = "INVALID"
			return wire.Result(result)
		}
	}
	for _, f := range contract.Verify(resolved) {
		result.Status = "INVALID"
		result.Failures = append(result.Failures, wire.VerificationFailure(f))
	}
	return wire.Result(result)
}
