// Package contract is how applications for fairlead say what their states allow.
//
// A contract is an ordinary function that is registered under a name while the program initialises. States carry that name:
//
//	func init() { contract.Register("com.example.Token", verify) }
//
//	func verify(tx *contract.Transaction) error { … }
//
// It is called for every transaction that consumes or makes a state of its name, once, with all of the transaction; for
// states that are only looked at it is not. No error means that the contract has nothing against the transaction. All errors
// that are joined with [errors.Join] are told; [Component.Errorf] says which part is wrong.
//
// # What a contract can do
//
// It computes. The same transaction must get the same answer from every verifier, for ever, so there is nothing else: no
// files, no network, no services. Signatures were checked before and are not part of it; [Transaction.Signed] tells who must
// have signed. The clock stands at one moment that says nothing (it moves by a microsecond when it is read, and by what is
// slept), random numbers are the same for every run of a transaction, and each run begins with the memory as it was when the
// program was initialised. What the transaction says of time is its window.
//
// A contract that takes more than 200 million instructions or more than 64 MiB of memory, or that panics, is against the
// transaction.
//
// # Building
//
// Contracts may stand in one module with flows, or in a module of their own: what imports this package and not package flow
// has contracts alone, and native.Main is then of no use to it. Package flowtest runs them natively in tests.
package contract
