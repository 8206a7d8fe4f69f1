// Package pgtest gives tests a real Postgres: one server for each test binary, a database for each test.
//
// The server is the one named by POSTGRES_DSN; else, when FAIRLEAD_REAL_SERVERS=1, one that pgserver starts
// from the machine's binaries and that is gone when the tests end. Without either, tests that ask for it are skipped.
// Which it was is noted for the summary of the run ("real Postgres: yes (…)").
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
//
// Tests that stop and restart a server start their own with [Server].
package pgtest
