// Package rules is the rules of a notary written in SQL, as a notary with a database would have them: one function that is
// asked for a transaction, over a table of transactions and one of consumed states.
//
// It has the order of checks, the answers and the idempotence of processors/uniqueness. What it does not have is an order of
// requests: of two clients that want one state at once, one fails with a unique violation and has to ask again.
//
// Called by integration/notary, which compares each answer with the decision's, and by bench/notary, which compares the
// speed.
package rules
