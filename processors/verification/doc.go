// Package verification tells whether transactions keep the rules of the ledger and of their contracts.
//
// It consumes verification.requests, keyed by transaction id, and answers on flow.replies.verification: VERIFIED, or
// INVALID with all that is against the transaction. It keeps nothing. A request carries proofs of what the transaction
// consumes and looks at, so the answer follows from the transaction's id alone, and the cache of answers (by id and
// packages) cannot be told anything false.
//
// Always true: the contracts that run are those of exactly the packages that the transaction names, by the checksums of
// their files; each runs alone in a fresh instance, seeded with the transaction's id, with a clock that stands, and is
// stopped by a meter of instructions and by its memory, so every verifier anywhere reaches the same verdict; a state is consumed
// under the package that made it, or a version of that package by the same signers that says it may; a contract that
// breaks, breaks out or does not end makes its transaction INVALID and leaves the worker well; what is no fault of a
// contract's is never held against a transaction, but tried again; a package that the cluster does not have is an error that
// says so, and may be asked again.
//
// [Step] is the whole decision and touches nothing; [Worker] runs contracts between a request's two steps, those of one
// poll side by side; [Worker.Graph] is the goka group. internal/app runs it.
package verification
