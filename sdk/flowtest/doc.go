// Package flowtest runs flows natively, in memory, for tests.
//
//	func TestHello(t *testing.T) {
//		r := flowtest.Run(t, "hello", Greet{Name: "Bob"})
//		var out Greeting
//		r.Result(t, &out)
//	}
//
// The flow's clock is virtual: a sleep of a week takes no time. Random numbers come from a fixed seed, so that a
// test sees the same ones each time; they are not those of the platform. A test of what the platform does with the
// application's module, for example its limits, is made with the built module.
package flowtest
