// Package structure holds the rules that every transaction keeps, whatever its contracts say. They are Corda's, in its
// order. Like all of package ledger it is pure: flows, contracts' tests and the verification worker use this one.
//
// Who builds or decodes a [ledger.Transaction] has been told of the rules that need nothing else; they stand here too, so
// that this list is whole. What needs the states that are consumed and looked at is told here alone.
package structure
