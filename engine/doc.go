// Package engine runs goka processors exactly once: what a callback reads, the table and stores it writes, the
// records it emits, the timers it sets and the offset of its input commit as one Kafka transaction.
//
// It gives goka v1.1.17, unmodified, all five of its builders (consumer group, producer, consumer, topic manager,
// storage) on top of franz-go, and adds what goka lacks: stores with many keys for each record, timers, retries,
// dead letters, a clock that is part of the log, hooks, batch work and views that can be waited for. It knows
// nothing of fairlead and can be used by any program written for goka; README.md beside this file shows how.
//
// Always true, for a read-committed reader: each input record has exactly one effect; a table or store equals the
// fold of its topic; what is in local storage equals both, up to the offset stored with it.
//
// A process runs one [Engine] for each group. An engine runs several sessions (goka processors), each a member of
// the consumer group with transactions of its own, so that a slow callback delays only its own partitions.
package engine
