// Package postgres tests internal/postgres, its private server and the databases of virtual nodes on a real Postgres.
package postgres
