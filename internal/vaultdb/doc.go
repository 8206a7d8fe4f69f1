// Package vaultdb makes and changes the databases of virtual nodes: a schema for each, with a role that runs the
// application's migrations (ddl) and one that reads and writes data (dml).
//
// Always true: a step can be repeated, whoever died in it; tenants' roles are members of nothing and own nothing but
// what the application's migrations made; the platform's tables belong to the administrator's role and no package can
// drop them; in the database of virtual nodes PUBLIC may not take advisory locks, sleep, set settings by function, read
// files, make large objects or connect; migrations of packages run statement by statement, of kinds that are listed,
// under time-outs, as the ddl role. Passwords reach the server as SCRAM verifiers, so that no log of it has them.
//
// The database worker calls it from the steps of operations; the persistence worker uses what it made.
package vaultdb
