// Package chat proves a cluster of all workers on real servers: set up by the commands that an operator types, its
// members talk to each other (example application chat: a session, a row in the receiver's database, a receipt) while
// worker processes, each with all worker types, are killed, frozen and robbed of their disks, and Postgres is killed and
// comes back. Afterwards every message must be kept exactly once, and every flow have one outcome.
//
// Called by `make test`; FAIRLEAD_MESSAGES=5000 makes it a long run. It runs only where Kafka, Postgres and Vault are
// real.
package chat
