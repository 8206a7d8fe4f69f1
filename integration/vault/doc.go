// Package vault holds the tests of internal/vault and of its server on a real Vault-API server: one contract for
// OpenBao and whatever VAULT_ADDR names.
package vault
