// Package finality makes transactions final: all parties have verified and stored the transaction, everybody who must sign
// has signed, and its notary has. It is a library of ordinary flow code, so what it does is journalled, survives every crash
// and shows in the flow's history.
//
//	// who builds the transaction
//	own, err := vault.Sign(ctx, myKey, tx.ID())
//	final, err := finality.Finalise(ctx, tx, own, sessions...)
//
//	// each other party's responder
//	final, err := finality.Receive(ctx, session, func(tx *ledger.Resolved) error {
//		// what this party demands, beside the contracts: an error refuses the transaction
//	})
//
// The sessions are the application's own. Between its own messages and these there is no mark: both sides must agree when
// finality begins. docs/write-an-app/finality.md has the messages and what each failure does.
//
// # What is always true
//
// A party stores a transaction as verified only when it has checked the ledger's rules, the contracts, every signatory's
// signature and the notary's, of this transaction and of all that its states come from. A transaction is stored before its
// party's signature leaves. A party that was told that the transaction failed asks the notary before it believes it. What
// is not known stays unverified, and [Repair] finishes it.
//
// A transaction that another party proposes, and that is refused, is stored as invalid only when its own rules are broken:
// nobody can make somebody else's transaction invalid here by showing it.
//
// # Packages
//
// A transaction is verified by the packages that it names. A party whose cluster lacks one gets it from the initiator, if its
// cluster takes it: see vault.PutPackageCall. So does a notary that verifies.
//
// # What it asks of the platform
//
// Without a backchain, [Finalise] waits for others four times, [Receive] five times, and the notary's responder four times.
// Look-ups and the checking of signatures are answered at once.
package finality
