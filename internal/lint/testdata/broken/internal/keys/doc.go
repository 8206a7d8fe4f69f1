// Package keys holds private keys, which only Vault may.
package keys
