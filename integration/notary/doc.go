// Package notary proves the uniqueness worker: many clients ask several notaries for transactions that want the same states,
// over and over, while the worker's processes are killed, frozen and robbed of their disks; afterwards the history of all
// requests and answers is judged.
//
// [Judge] is pure and names every difference: the history of each notary is linearizable (by porcupine, against the plainest
// notary); a transaction has one answer, a state one spender, a decision a time of its own; the order of times is the order
// that clients saw; every request has one answer; and what the topic of the store folds to is what the answers say, and
// nothing else. Its own test shows that it notices each kind of fault.
//
// The worker runs in the test's process with connections that are cut ([TestLinearizable]), and as the built binary
// ([TestNotary]): on three brokers of real Kafka where there is one, else on the embedded broker. TestSQL compares the
// decision with the same rules written in SQL (package rules), in Postgres.
//
// What never changes: a run prints its seed; nothing is judged by time except that after the last fault every request must
// be answered within a generous bound.
//
// Called by `make test`.
package notary
