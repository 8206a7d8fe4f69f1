// Package postgres is the only way to Postgres: pools, transactions with time-outs, classified errors, migrations and
// advisory locks, on pgx, whose types stay inside.
//
// Always true: everything that waits takes a context; a transaction has time-outs on the server too, so that it ends
// when this process does not; an error says what was being done, and its [Class] what to do about it; SQL is never
// made of values, only of identifiers that went through [Identifier].
//
// internal/clusterdb and internal/vaultdb keep their SQL here above; the database and persistence workers use those.
// pgserver runs a private server, pgtest gives tests a database.
package postgres
