// Package seal keeps secrets in places that others can read: XChaCha20-Poly1305 under a 32-byte key from a file.
//
// The database and the persistence worker (and rest, for connections that a caller gives) hold the key as a mounted
// secret; the credentials of the virtual nodes' database roles lie sealed in the cluster's database. Associated data
// (short hash and role) bind a sealed value to its place: moved elsewhere, it does not open.
//
// Always true: a value is sealed under a fresh random nonce; what does not open says so and nothing else; secrets and
// keys never appear in errors. internal/app reads the key; internal/clusterdb and the workers seal and open.
package seal
