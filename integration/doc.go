// Package integration holds the tests that need servers: a real Apache Kafka first of all. Each kind of test has
// its own package below this one; the servers come from packages such as kafkatest.
//
// What never changes: without FAIRLEAD_REAL_SERVERS=1 these tests need nothing but Go, use the embedded broker and
// say so; with it, they use real servers and say which. `make test` sets it and prints what was said.
//
// Nothing in the product imports anything from here.
package integration
