package main

import (
	"context"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// group is what outlives what.
type group string

const (
	// outlivesProcess: the operating system has the result before the next step begins. All processes may end at once and
	// nothing is lost; a power cut may cost the last moments.
	outlivesProcess group = "process"
	// outlivesPower: the disk was told to keep the result (fsync) before the next step begins.
	outlivesPower group = "power"
	// outlivesMachine: another machine has the result too before the next step begins.
	outlivesMachine group = "machine"
)

// groups are all groups in their order, each with its heading and what it promises.
var groups = []struct {
	group          group
	title, promise string
}{
	{outlivesProcess, "Outlives the end of all processes", "One node. The operating system has a result before the next step begins; nobody waits for the disk, so a power cut may cost the last moments. " +
		"Nobody is advised to run Restate or Temporal like this: it is what compares with one broker of Kafka."},
	{outlivesPower, "Outlives a power cut", "One node. The disk is told to keep a result (fsync) before the next step begins. That is how Restate and Postgres are meant to run; Kafka is not: it is meant to have replicas instead."},
	{outlivesMachine, "Outlives the loss of a machine", "As each is advised to run in production: a result is on a second node before the next step begins. Here all nodes share one machine, and so the processors and the disk, which favours who needs fewer."},
}

// The servers that are fetched.
const (
	serverRestate  = "restate"
	serverTemporal = "temporal"
)

// subject is a system in one setting.
type subject struct {
	name  string
	title string
	group group
	// durable says what is made durable, and how.
	durable string
	// server is one that must be fetched first; empty for none.
	server string
	start  func(context.Context, bench, *system) error
}

// subjects are all of them in the order of their runs. The first of a group is what its others are compared with.
func subjects() []subject {
	const local = "as before, but **the three results are written together**, with the end of the workflow task: not each before the next step"
	return []subject{
		{
			"fairlead-kafka", "fairlead, one broker", outlivesProcess,
			"each checkpoint is a transaction in one node of Apache Kafka, acknowledged with acks=all; Kafka writes it to its files and, as always by default, does not wait for the disk",
			"", fairlead(kafkaBrokers{nodes: 1}),
		},
		{
			"fairlead-dev", "fairlead, embedded broker", outlivesProcess,
			"`fairlead dev`: each checkpoint is a transaction in the embedded broker, which writes it to its files and does not wait for the disk",
			"", fairlead(kafkaBrokers{}),
		},
		{
			"restate-nosync", "Restate, without fsync", outlivesProcess,
			"each `Run` is in the log of one node, RocksDB's write-ahead log, with `log-server.rocksdb-disable-wal-fsync`",
			serverRestate, restateSystem(1, false),
		},
		{
			"temporal-nosync", "Temporal, without fsync", outlivesProcess,
			"each step is an activity, its result a transaction in Postgres, with `fsync=off`: the system has the write-ahead log when a commit is answered",
			serverTemporal, temporalSystem(activities, keepUnsynced),
		},
		{
			"temporal-local-nosync", "Temporal, local, without fsync", outlivesProcess, local,
			serverTemporal, temporalSystem(localActivities, keepUnsynced),
		},
		{
			"fairlead-kafka-sync", "fairlead, one broker, fsync", outlivesPower,
			"as above, with the broker's `log.flush.interval.messages=1`: each partition's file is synced at each append",
			"", fairlead(kafkaBrokers{nodes: 1, sync: true}),
		},
		{
			"restate", "Restate", outlivesPower,
			"Restate's default: each `Run` is in the log of one node, whose write-ahead log is synced, for several at once where they come together",
			serverRestate, restateSystem(1, true),
		},
		{
			"temporal", "Temporal", outlivesPower,
			"each step is an activity, its result a transaction in Postgres with Postgres' defaults: synced at each commit, for several at once where they come together",
			serverTemporal, temporalSystem(activities, keepSynced),
		},
		{
			"temporal-local", "Temporal, local", outlivesPower, local,
			serverTemporal, temporalSystem(localActivities, keepSynced),
		},
		{
			"fairlead-kafka-3", "fairlead, three brokers", outlivesMachine,
			"each checkpoint is a transaction in three nodes of Apache Kafka, with three replicas, `min.insync.replicas=2` and acks=all; none waits for its disk",
			"", fairlead(kafkaBrokers{nodes: 3}),
		},
		{
			"restate-3", "Restate, three nodes", outlivesMachine,
			"three nodes, `default-replication=2`: each `Run` is in the logs of two of them, each synced",
			serverRestate, restateSystem(3, true),
		},
		{
			"temporal-replica", "Temporal, Postgres twice", outlivesMachine,
			"each step is an activity, its result a transaction in Postgres with a synchronous standby: both have synced it",
			serverTemporal, temporalSystem(activities, keepTwice),
		},
	}
}

// version is a program or library that takes part.
type version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func versions(ctx context.Context) []version {
	return []version{
		{"Apache Kafka", kafkatest.Version},
		{"Restate's server", restateVersion},
		{"Restate's SDK for Go", moduleVersion("github.com/restatedev/sdk-go")},
		{"Temporal's server", temporalVersion},
		{"Temporal's SDK for Go", moduleVersion("go.temporal.io/sdk")},
		{"PostgreSQL, Temporal's store", postgresVersion(ctx)},
	}
}
