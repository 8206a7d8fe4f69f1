// Package ledger holds what a ledger is made of: states, transactions and their ids, transactions of which only parts are
// shown, and signatures. It is pure: no input or output, no clock, no randomness, nothing but the standard library. Flows,
// contracts, native tests and the platform's workers use this one implementation.
//
// # Transactions
//
// A [Transaction] is nine groups of components, each a canonical encoding (ascending fields, shortest numbers, no default
// values, nothing unknown), and a salt. Its id commits to every component and to how many there are:
//
//	nonce      = SHA-256(02 ‖ salt ‖ group ‖ index)
//	leaf       = SHA-256(00 ‖ nonce ‖ component)
//	node       = SHA-256(01 ‖ left ‖ right)              the split is RFC 6962's
//	group leaf = SHA-256(03 ‖ group ‖ count ‖ root)      the root of no leaves is SHA-256 of nothing
//	id         = the tree over the nine group leaves
//
// Numbers are 32 bits, big-endian. The salt keeps who sees some components from guessing others by trying.
//
// A [Filtered] shows chosen components with proofs of where they stand, of other groups how many components they have, and
// of the rest nothing.
//
// # Signatures
//
// What is signed is "fairlead ledger signature v1", a zero byte, a root and the canonical metadata of the signature. The root
// is a transaction's id, or that of a tree over many ids, so that a notary signs once for a batch:
//
//	batch leaf = SHA-256(04 ‖ id)
//	batch node = SHA-256(05 ‖ left ‖ right)
//
// Nothing of a batch can so pass for a part of a transaction.
//
// # What never changes
//
// The bytes of components, the rules above and what [Transaction.Check] demands belong to [Version]; another rule is another
// version, under which old transactions keep their ids. Golden vectors are in testdata.
package ledger
