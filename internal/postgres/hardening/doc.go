// Package hardening takes from everybody what the SQL of applications must not have in the database of the virtual
// nodes: functions that wait, lock beyond a transaction, change settings, read files, run text as SQL or tell of
// others; the system catalogs; temporary tables; the schema public.
//
// It is for one database, where only virtual nodes live, and needs a superuser. Running it again changes nothing.
// Superusers keep everything. The database worker runs it before the first virtual node is made, and after an upgrade of
// the server, which may bring functions of these names.
//
// What it cannot take: names of other virtual nodes' schemas, tables and roles (which are made of short hashes) can be
// guessed one by one by their numbers, for example with '16384'::oid::regclass.
package hardening
