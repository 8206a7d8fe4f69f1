// Package clusterdb is the cluster's own database: its tables and every statement on them.
//
// It holds what only the database worker writes: configuration, users, roles and permissions, packages, virtual nodes
// and the sealed credentials of their databases, certificates, operations; beside each change, in the same transaction,
// its audit row, the row that remembers the request and its answer, and the outbox: what must be told on topics.
//
// Always true: a row that is published carries a version that grows with each change; what comes out of here is the
// message that is published, so that the table and the topic cannot differ in meaning; secrets lie here sealed or
// hashed, and are in no audit row.
//
// The database worker (processors/database) reads and writes; the persistence worker reads the credentials of virtual
// nodes through [Connection].
package clusterdb
