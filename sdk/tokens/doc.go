// Package tokens selects the states that pay, for flows.
//
// A state with a ledger.Token belongs to a pool: its type, symbol, issuer and notary. [Claim] takes tokens of a pool that
// are worth an amount, so that no other flow of the virtual node gets them; [Release] gives them back, and names those that
// a transaction has consumed. [Keep] claims what the flow's own transaction is about to make, for the next one. A claim ends by
// itself when its flow ends, however it ends, or when it is too old (ten minutes, unless the cluster's configuration says
// otherwise). Who holds a claim may be late all the same: the notary has the last word.
//
// Amounts are decimal numbers as text, as in ledger.Token; nothing is rounded. A claim may be worth more than was asked:
// the rest is the change, which is the transaction's to give back.
//
// Each function suspends the flow for one step. Those that end in Call make a call for flow.All.
package tokens
