// Package notary is the notary's side of finality: what a notary is asked and answers, and the responders of the two kinds
// of notaries. An application registers one of them:
//
//	func init() { notary.Register() }          // apps/notary: it does not verify contracts
//	func init() { notary.RegisterVerifying() } // apps/notary-verifying: it does
//
// in a virtual node with a key of category NOTARY. Flows that finalise transactions do not use this package, but package
// finality.
//
// # What is spoken
//
// Protocol [Protocol] or [VerifyingProtocol], version 1: one [Request], one [Answer]; between them, a notary that verifies may
// ask for packages of code ([Wants]), and gets parts of them ([Given]). All are canonical encodings
// (ascending fields, shortest numbers, no default values, nothing unknown), and what is not the one encoding of a message is
// refused.
//
// # What a notary sees that does not verify
//
// The transaction's inputs, references, notary, time window and metadata, and how many outputs it has: a
// ledger.Filtered, which proves that they are those of the transaction with that id. It sees no state, command or signatory.
// So it relies on the parties, who verify where the states come from: a group that uses it needs the backchain.
//
// # What a notary sees that verifies
//
// The whole transaction, all signatures, and of each transaction whose states it consumes or looks at what proves these
// states, with the notary's own signature. It has verified those when it signed them, so nobody needs to see what they come
// from. Before it decides it checks that all signatories have signed, that the proofs are of transactions that it has signed
// with the same key, the rules of the ledger and all contracts. What its cluster lacks of the packages that the transaction
// names it asks for, and the cluster takes them by the rules of vault.PutPackageCall. Asked
// only what it has decided ([Read]), it sees what the other kind does.
//
// A key belongs to one kind for ever: what a notary signed while it did not verify would count as verified afterwards.
package notary
