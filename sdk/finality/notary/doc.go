// Package notary is the notary's side of finality: what a notary is asked and answers, and the responder of a notary that
// does not verify contracts. An application registers it:
//
//	func init() { notary.Register() }
//
// in a virtual node with a key of category NOTARY; apps/notary is that application. Flows that finalise transactions do not
// use this package, but package finality.
//
// # What is spoken
//
// Protocol [Protocol], version 1: one [Request], one [Answer]. Both are canonical encodings (ascending fields, shortest
// numbers, no default values, nothing unknown), and what is not the one encoding of a message is refused.
//
// # What this notary sees
//
// The transaction's inputs, references, notary, time window and metadata, and how many outputs it has: a
// ledger.Filtered, which proves that they are those of the transaction with that id. It sees no state, command or signatory.
// So it relies on the parties, who verify where the states come from: a group that uses it needs the backchain.
package notary
