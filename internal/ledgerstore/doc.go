// Package ledgerstore decides what a virtual node's vault does with a transaction, and makes the statements that do it
// and that read what is there.
//
// [Known] and its moves are the status machine; [Decide] says what becomes of the states when a transaction comes to be
// verified; both are pure, and so is everything else here: statements are made, not run, and rows are taken from
// whoever ran them. The tables are those of vaultschema's 0006_ledger.sql.
//
// Always true, when the counter of the virtual node was locked before the facts were read: a status that is final never
// changes; among the verified transactions no two consume one state; a state is consumed exactly when a verified
// transaction consumes it, whichever of the two came first, or when its notary says that one does which is not here; a change has the next number, so that numbers are the order
// of commits; what was done is not done again, so that the same request twice has the effect of once; no text of a
// request becomes SQL.
//
// The persistence worker calls it; the flow worker to tell flows of their packages; the database worker to find out which states
// an upgrade of a virtual node would make unconsumable.
package ledgerstore
