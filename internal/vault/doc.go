// Package vault is the only door to Vault: it logs in, keeps the token alive, and does what the crypto worker needs of
// a transit engine. OpenBao has the same API and is as good.
//
// A [Client] logs in by Kubernetes' service account, by AppRole, or with a token from a file, renews what it got and
// logs in anew when it ends. Every call is bounded in time, and every error says what kind it is ([KindOf]), so that
// the worker knows whether to wait for Vault, to give the request up, or to call for an operator. [Setup] prepares a
// server for development and tests; the least policy that the worker needs is policy/fairlead-crypto.hcl, which
// production uses too.
//
// What never changes: private keys stay in Vault, for no call here could bring one out, and the policy denies it to
// whoever steals the token; keys are made not exportable and never rotated, for another version is another key; no
// type of the Vault client is in the exported API; nothing here logs or returns a token.
//
// Called by internal/app, which hands a Client to processors/crypto, by the development cluster, and by tests.
package vault
