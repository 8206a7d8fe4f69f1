// Package development runs a whole development cluster, with real Postgres and Vault beside it, the way `fairlead dev`
// does: two applications one after the other on the same virtual nodes, sessions, rows, keys, an external channel, a virtual
// node that becomes a notary, and restarts in between.
package development
