// Package kafkatest gives a test a Kafka cluster, real where it can be had.
//
// In this order: the cluster named by KAFKA_BOOTSTRAP; Apache Kafka 4.1.1 in KRaft mode, one or three nodes, started
// from the jars on Maven Central with the machine's Java (when FAIRLEAD_REAL_SERVERS=1); else the embedded broker
// kfake. [Cluster.Real] tells which it is, and each start is noted for the summary of the run (see [Note]).
//
// What never changes: a cluster belongs to the test that started it and is gone when the test ends, also when the
// test's process is killed (on Linux); nodes can be stopped, killed, paused and restarted only in a cluster that
// this package started; nothing listens on anything but 127.0.0.1.
//
// Called by the tests below integration/ and by bench/. Nothing in the product imports it.
package kafkatest
