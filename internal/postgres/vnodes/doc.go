// Package vnodes runs statements in the databases of virtual nodes, where the SQL of applications runs.
//
// Each virtual node has a role of its own to log in as, so each has connections of its own: a [Pool] bounds them for
// the process and for each virtual node, closes those of others that nobody used for a while when it needs room, and lets
// those who wait take turns by virtual node, so that none starves the others.
//
// Always true, whatever an application's statement does: statements go one by one by the extended protocol, so that
// none can carry a second; a transaction is READ ONLY unless its caller asked to write; values travel as arguments;
// when the context ends the statement is cancelled, and a session that does not heed it is terminated; a connection is
// used again only after DISCARD ALL succeeded on it, else closed; a message of the server above a limit is not read.
// Transactions of the platform's statements alone leave the session as it is, with those statements prepared: see
// docs/decisions/0027.
//
// A server that one virtual node has for itself ([Login].Elsewhere) has a breaker: while it cannot be reached its requests
// fail at once, with an [ElsewhereError], and hold no place for which others wait.
//
// The persistence worker calls it.
package vnodes
