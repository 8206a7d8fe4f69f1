package ledgerstore

import (
	"fmt"

	"github.com/fairleadio/fairlead/internal/rows"
)

// Ids of problems of the ledger's tables. They go on where those of package persistence end.
const (
	IDTransaction = "FL-PERSISTENCE-016"
	IDStatus      = "FL-PERSISTENCE-017"
	IDMissing     = "FL-PERSISTENCE-018"
	IDDoubleSpend = "FL-PERSISTENCE-019"
)

// Words of problems.
const (
	TypeTransaction = "invalid-transaction"
	TypeStatus      = "illegal-status"
	TypeMissing     = "not-found"
	TypeDoubleSpend = "double-spend"
)

func problem(id, kind, format string, args ...any) *rows.Problem {
	return &rows.Problem{ID: id, Type: kind, Message: fmt.Sprintf(format, args...)}
}

// Malformed is the problem of a field that cannot be right.
func Malformed(format string, args ...any) *rows.Problem {
	return problem(IDTransaction, TypeTransaction, format, args...)
}

// Missing is the problem of what is not there.
func Missing(format string, args ...any) *rows.Problem {
	return problem(IDMissing, TypeMissing, format, args...)
}

func tooLarge(format string, args ...any) *rows.Problem {
	return problem(rows.IDTooLarge, rows.TypeTooLarge, format, args...)
}

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		IDTransaction: "What a flow gave to the ledger's tables cannot be right: a transaction, proof or signature that is not in the ledger's one encoding or not a right one, " +
			"an index that the transaction has not, a hash of another length. The message names the field. Nothing was changed.",
		IDStatus: "A transaction was to get a status that it cannot get from the one it has: verified and invalid are final, a draft becomes unverified or verified, an unverified one verified or invalid. " +
			"The message has both. A transaction that one side holds for verified and the other for invalid means that their packages or their notary disagree: compare them before anything else.",
		IDMissing: "A transaction or state that a flow named is not in its virtual node's vault, or is not verified there. States are resolved of verified transactions and of proofs only: " +
			"resolve the backchain, or store the proofs, first.",
		IDDoubleSpend: "Two transactions that consume the same state were both signed by their notary: the one that the vault has as verified stays, the other was not stored as verified. " +
			"A notary that is right never does this: it lost its memory, or it was restored without reconciliation. Stop using it, keep both transactions as evidence, and reconcile it (fairlead ledger reconcile).",
	}
}
