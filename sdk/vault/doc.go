// Package vault is the ledger's part of a virtual node's database, for flows: transactions and what is known of them, the
// states that the virtual node keeps, signatures, proofs, and signing.
//
// Each function suspends the flow for one step. Those that end in Call make a call for flow.All, so that several things are
// asked in one step.
//
// # Statuses
//
// A transaction begins as [Draft] or [Unverified] and becomes [Verified] or [Invalid], which are final. Storing one that is
// further than the request says leaves its status as it is, and tells it. When it becomes verified, the states that it
// consumes are marked, and those of its outputs that were named as visible become states of the virtual node. A state is also
// marked when a notary refuses a transaction because another one, which is not here, has consumed it: see [Options].
//
// # Signatures
//
// [Sign] signs one transaction, or many with a single signature: the platform makes a tree of their ids, signs its root
// once, and gives each transaction a proof that leads to it.
//
// # Errors
//
// All errors are of type *flow.Error and are compared with errors.Is; [ErrIllegalStatus], [ErrDoubleSpend] and [ErrTooLarge]
// are this package's own. After flow.ErrTimeout it is not known whether the request was done; all requests but
// [CountRepair] can simply be made again.
package vault
