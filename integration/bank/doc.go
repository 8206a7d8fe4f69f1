// Package bank proves the engine on a running Kafka: money moves between accounts while worker processes are killed,
// frozen and robbed of their disks, brokers die, records poison and the number of processes changes; afterwards a
// read-committed reader looks at every record that was ever written.
//
// The group ([Graph]) uses all that an engine offers: a transfer debits an account in the table, writes a row to a
// store, emits an entry and sends the credit through the loop; some transfers go through a timer, some are retried,
// some are poison. [Check] is the judge and is pure: it gets what was asked for and what was found, and names every
// difference. Its own test shows that it notices each kind of fault.
//
// What never changes: a run prints its seed; nothing is judged by time except that after the last fault the bank must
// finish its work within a generous bound.
//
// Called by `make test` (about a minute) and `make soak` (hours); the worker's main package is built by the test.
package bank
