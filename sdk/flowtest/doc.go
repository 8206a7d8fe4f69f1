// Package flowtest runs flows natively, in memory, for tests: a network of members with everything that flows can ask.
//
//	func TestPay(t *testing.T) {
//		net := flowtest.New(t, flowtest.Application("."))
//		alice, bob := net.Member("O=Alice, L=London, C=GB"), net.Member("O=Bob, L=Paris, C=FR")
//		var receipt Receipt
//		alice.Start("pay", Pay{To: bob.Name(), Amount: "10"}).Wait().Result(t, &receipt)
//		if rows := flowtest.Rows[Payment](bob, "payments"); len(rows) != 1 { … }
//	}
//
// All members have the flows and responders that the test's program registers. Sessions, tables, keys (real ones, made
// in memory), lookups and emitted records behave as on the platform; what is not here is SQL: a named query is answered
// by a function of the test ([Query]), and migrations are not run.
//
// The network's clock is virtual: when every flow waits, it moves to when the next one is due, so a sleep of a week
// takes no time, and a session that times out none either. One flow runs at a time, in an order that is the same each
// time; random numbers, keys and ids come from the test's name and a seed. They are not those of the platform.
//
// Every flow that ended is run again, alone, against the journal of its first run, as the platform does after a crash.
// If it asks for something else or ends in another way, the test fails. (Natively, Go's own map order differs from run
// to run: a flow whose requests depend on it fails here, though it would not on the platform. Sort the keys.)
// [WithoutReplay] switches it off.
//
// What can be made to fail: requests of a member ([Member.Fail], [Member.FailRequest]), a step of a flow ([FailAt]) or of a
// member ([Member.FailStep]), the way to a member ([Member.Unreachable]). A test of what the platform does with the application's module, for example its limits, is
// made with the built module.
//
// A network is used from the test's own goroutine.
package flowtest
