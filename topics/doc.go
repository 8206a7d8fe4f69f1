// Package topics is the catalogue: every topic of fairlead declared once, with its key, message, partition set,
// policy, owner, writers, readers and what replay does with it.
//
// Always true: names are without the cluster's prefix, which the engine adds and removes at the Kafka client; the
// catalogue equals the edges of all processor groups ([Check]), so access rules and pictures made from it cannot
// drift from the code; a record's partition is Kafka's murmur2 of its key ([Partition]); and what is decided here
// (plan, lint, export, graph) is decided by pure functions of what they are given, so the same cluster gives the same
// plan.
//
// Called by every group for its names, by the engine's users for [Partition], and by the CLI, which talks to Kafka on
// its behalf. It imports nothing of fairlead.
package topics
