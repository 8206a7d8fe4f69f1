// Package vaulttest gives a test a real Vault-API server.
//
// In this order: the server that VAULT_ADDR names (with VAULT_TOKEN, which must be able to mount engines and write
// policies); a server of package vaultserver, started for the test, when FAIRLEAD_REAL_SERVERS=1 is set; else there is
// none, and the test is skipped with the reason. Each start is noted for the summary of the run, as package
// integration/kafkatest does.
//
// What never changes: what a test makes in a server that it did not start is named at random and gone with the test; a
// server that this package started is gone when the test ends.
//
// Called by tests below integration/ and by bench/. Nothing in the product imports it.
package vaulttest
