// Package pgserver runs a private Postgres from the binaries of this machine.
//
// It finds the binaries (FAIRLEAD_PG_BIN, the path, /usr/lib/postgresql and where other systems keep them; the highest
// version wins within one of these places), makes a data directory, starts the server on 127.0.0.1 with a random port
// and a random password, and stops it again. Postgres refuses to run as root: then the server runs as the user
// postgres or nobody, or, where that user cannot enter the directory, in a user namespace of its own (Linux).
//
// Always true: nothing listens beyond 127.0.0.1 and nobody comes in without the password; the server stops when this
// process does (on Linux also when it is killed); a durable directory is used as it was left, with fsync; a
// throw-away one is quick and promises nothing.
//
// `fairlead dev` keeps its data here; pgtest starts one for tests.
package pgserver
