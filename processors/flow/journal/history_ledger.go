package journal

import (
	"fmt"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// describeLedger says what is asked of the ledger's tables; empty for what this build does not know.
func describeLedger(r *appv1.LedgerRequest) string {
	status := func(s appv1.TransactionStatus) string {
		words := map[appv1.TransactionStatus]string{
			appv1.TransactionStatus_TRANSACTION_STATUS_UNVERIFIED: "unverified", appv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED: "verified",
			appv1.TransactionStatus_TRANSACTION_STATUS_INVALID: "invalid", appv1.TransactionStatus_TRANSACTION_STATUS_DRAFT: "draft",
		}
		if w := words[s]; w != "" {
			return w
		}
		return fmt.Sprintf("status %d", s)
	}
	switch op := r.GetOperation().(type) {
	case *appv1.LedgerRequest_PersistTransaction:
		name := fmt.Sprintf("%d bytes", len(op.PersistTransaction.GetTransaction()))
		if tx, err := ledger.Decode(op.PersistTransaction.GetTransaction()); err == nil {
			name = tx.ID().String()
		}
		return fmt.Sprintf("store transaction %s as %s", name, status(op.PersistTransaction.GetStatus()))
	case *appv1.LedgerRequest_UpdateStatus:
		return fmt.Sprintf("transaction %X becomes %s", op.UpdateStatus.GetId(), status(op.UpdateStatus.GetStatus()))
	case *appv1.LedgerRequest_FindTransaction:
		return fmt.Sprintf("find transaction %X", op.FindTransaction.GetId())
	case *appv1.LedgerRequest_FindStatuses:
		return fmt.Sprintf("statuses of %d transactions", len(op.FindStatuses.GetIds()))
	case *appv1.LedgerRequest_FindOfStatus:
		return "transactions that are " + status(op.FindOfStatus.GetStatus())
	case *appv1.LedgerRequest_IncrementRepairAttempts:
		return fmt.Sprintf("count a repair of transaction %X", op.IncrementRepairAttempts.GetId())
	case *appv1.LedgerRequest_PersistSignatures:
		return fmt.Sprintf("store %d signatures of transaction %X", len(op.PersistSignatures.GetSignatures()), op.PersistSignatures.GetId())
	case *appv1.LedgerRequest_FindUnconsumedStates:
		return "unconsumed states of type " + cut([]byte(op.FindUnconsumedStates.GetType()))
	case *appv1.LedgerRequest_QueryStates:
		return "query " + cut([]byte(op.QueryStates.GetName()))
	case *appv1.LedgerRequest_ResolveStates:
		return fmt.Sprintf("resolve %d states", len(op.ResolveStates.GetRefs()))
	case *appv1.LedgerRequest_PersistFiltered:
		return fmt.Sprintf("store proofs of %d transactions", len(op.PersistFiltered.GetTransactions()))
	case *appv1.LedgerRequest_FindFiltered:
		return fmt.Sprintf("find proofs of %d states", len(op.FindFiltered.GetRefs()))
	case *appv1.LedgerRequest_PersistGroupParameters:
		return "store group parameters"
	case *appv1.LedgerRequest_FindGroupParameters:
		return fmt.Sprintf("find group parameters %X", op.FindGroupParameters.GetHash())
	default:
		return ""
	}
}

// describePackage says what is asked of packages of code; empty for what this build does not know.
func describePackage(r *appv1.PackageRequest) string {
	switch op := r.GetOperation().(type) {
	case *appv1.PackageRequest_FindMissing:
		return fmt.Sprintf("which of %d packages are missing", len(op.FindMissing.GetChecksums()))
	case *appv1.PackageRequest_Read:
		return fmt.Sprintf("read part %d of package %s", op.Read.GetPart(), cut([]byte(op.Read.GetPackage().GetName())))
	case *appv1.PackageRequest_Put:
		return fmt.Sprintf("hand over part %d of %d of package %s", op.Put.GetPart(), op.Put.GetParts(), cut([]byte(op.Put.GetPackage().GetName())))
	}
	return ""
}
