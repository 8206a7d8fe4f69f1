// Package kafkaadmin looks at a Kafka cluster and changes it the way package topics decided.
//
// It describes a cluster for a plan ([Admin.Cluster]), applies the changes of a plan under a lock ([Admin.Apply],
// [Admin.Lock]), publishes message descriptors on fairlead.schemas, writes audit entries, and reads exact ranges of
// topics, read-committed ([Admin.Read]). The connection can be read from a Kafka client properties file
// ([ReadProperties]).
//
// Always true: nothing is changed that a plan does not name; topic names are without the cluster's prefix outside of
// this package; what only reads works with read-only access.
//
// Called by the CLI.
package kafkaadmin
