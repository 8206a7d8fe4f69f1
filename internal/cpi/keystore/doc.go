// Package keystore reads the keys that sign packages, and the certificates that signatures are checked against, from
// files as operators have them: PKCS#12 as keytool and openssl write it, and PEM. It also makes and keeps the key that
// signs for development.
//
// A key is chosen by its alias where the file has aliases; its chain is put together from all certificates of the file,
// whatever their order. Private keys stay in memory and are never logged or part of an error.
//
// The caller is the CLI (fairlead app), and internal/devenv for the development key.
package keystore
