// Package channels proves external channels on real Kafka and Postgres, with plain Java clients on the outside: Kafka's own
// console producer writes orders to a topic, and its console consumers, which read committed records alone, read what the
// flows of application orders tell other topics, while worker processes are killed, frozen and robbed of their disks.
//
// The cluster is set up by an operator's commands. Among the orders are records that no flow can understand, records that
// no flow can take, and records of a transaction that was undone. [Check] is the judge and is pure: every order has made one
// flow and what the flow did is seen once outside, in the topic of deals and in the change feed; what could start no flow
// is in the dead letters with its reason; there is nothing else. Its own test shows that it notices each kind of fault.
//
// What never changes: a run prints its seed; nothing is judged by time except that everything ends within a generous
// bound.
//
// Called by `make test` with 2,000 orders; FAIRLEAD_ORDERS=100000 makes it a long run, FAIRLEAD_RECORD=FILE adds what it
// measured to a file for bench/flows, FAIRLEAD_FAULTS=0 does no harm. It runs only where Kafka and Postgres are real.
package channels
