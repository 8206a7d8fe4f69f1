// Package ownable is the part of a contract for states that belong to somebody: who owns a state signs what consumes it,
// and nobody else keeps it.
//
//	errs = append(errs, ownable.Signed(tx, consumed...))
//
// An owner is a public key, in the encoding of X.509. A contract cannot find out who holds it.
package ownable
