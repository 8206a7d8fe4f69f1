// Package database is the only writer of the cluster's own data: configuration, users and what they may do, packages,
// virtual nodes with their databases, certificates.
//
// Its group has three inputs: db.requests, keyed by the entity that changes, cpi.upload, keyed by the upload's request id, and
// package.requests: what flows ask of packages of code, which they may also bring, keyed by the file. It has no table: the truth is in Postgres (internal/clusterdb), and the facts that others read are published on
// compacted topics. What takes a while (an upload, a virtual node) is an operation: a row whose steps run one after the
// other, each asked for by a record on the group's loop, each shown on operation.status.
//
// Always true: one Postgres transaction holds a change, its audit row, the row that remembers the request with its
// answer, and the outbox; a request that comes again gets its first answer, changes nothing, and its facts are told
// again as they are now; a fact is written only by a record under its entity's key, so that an older version never
// follows a newer one; every step of an operation can be repeated, whoever died in it; while Postgres is away nothing
// is lost and the group is paused.
//
// [Step] is the whole decision and touches nothing; what it needs is loaded and what it wants is written by [Worker],
// [Worker.Graph] is the goka group. Slow work (opening packages, migrations) runs in jobs beside the group. The
// [Reconciler] compares database and topics. internal/app runs all of them.
package database
