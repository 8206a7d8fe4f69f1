// Package containers runs the tests on real servers once more, against containers: Apache Kafka, Postgres and OpenBao,
// each in an image that is composed from what the machine has (their binaries and the libraries that those link), imported
// into a Docker daemon and started through testcontainers-go. No registry is asked for an image.
//
// The daemon is the one that DOCKER_HOST or the default socket names; else, for root on Linux with dockerd installed, one
// of the test's own, with its data in a temporary directory and without network bridges: containers use the host's
// network. Without a daemon the test says so, in the summary of the run too.
//
// It is a module of its own, so that the product's dependencies do not grow by a Docker client. The suites are run by
// `go test` in the repository's root, with KAFKA_BOOTSTRAP, POSTGRES_DSN and VAULT_ADDR set.
package containers
