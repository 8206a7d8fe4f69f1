// Package replica keeps a worker process of an integration suite alive as an orchestrator would: it is started again
// whenever it ends, with the local storage that the last one left, until it is stopped. Tests do it harm meanwhile: they
// kill it, freeze it, or wipe its disk. Suites bank and flows and package party are the callers.
package replica
