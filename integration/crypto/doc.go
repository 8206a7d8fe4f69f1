// Package crypto holds the crypto worker's tests on a real Vault-API server that is sealed, killed, slowed down, robbed
// of its tokens and given a wrong policy while requests come in: nothing is lost, and nothing is answered twice.
package crypto
