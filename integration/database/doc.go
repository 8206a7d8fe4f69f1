// Package database tests the database worker on a real Postgres and an embedded Kafka: every operation, repeated
// requests, crashes between the two commits and at every step, a Postgres that goes away, many virtual nodes, and what
// tenants' SQL must not do.
package database
