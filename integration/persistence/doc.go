// Package persistence_test proves the persistence worker on a real Postgres: what applications may do there and what
// they may not, that nothing has an effect twice, and that changes are told once and in order, whoever dies.
package persistence_test
