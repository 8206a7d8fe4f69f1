// Package travel is how packages of code go from a party that has them to one that lacks them, within a session that they have:
// package finality between the parties of a transaction, package notary from who finalises it to a notary that verifies. Both
// put [Parts] into messages of their own.
//
// Who lacks packages asks for them one after the other, each in parts, in order ([Fetch]). Who has them gives what the
// transactions name that it has shown, each part once ([Offers]): nobody reads other packages of a cluster by asking for them.
// Whether a package is taken is for the cluster to say that gets it: vault.PutPackageCall.
package travel
