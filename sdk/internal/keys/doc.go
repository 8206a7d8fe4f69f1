// Package keys checks signatures by public keys. Packages signature and ledger are the callers: the one for what flows
// sign, the other for what is signed on the ledger, which knows nothing of flows.
package keys
