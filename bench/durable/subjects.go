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
)

// groups are all groups in their order, each with its heading and what it promises.
var groups = []struct {
	group          group
	title, promise string
}{
	{outlivesProcess, "Outlives the end of all processes", "The operating system has a result before the next step begins; nobody waits for the disk, so a power cut may cost the last moments."},
	{outlivesPower, "Outlives a power cut", "The disk is told to keep a result (fsync) before the next step begins."},
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
	return []subject{
		{
			"fairlead-dev", "fairlead, embedded broker", outlivesProcess,
			"`fairlead dev`: each checkpoint is a transaction in the embedded broker, which writes it to its files and does not wait for the disk",
			"", fairlead(nil),
		},
		{
			"fairlead-kafka", "fairlead, Apache Kafka", outlivesProcess,
			"each checkpoint is a transaction in one node of Kafka, acknowledged with acks=all; Kafka writes it to its files and, as always by default, does not wait for the disk",
			"", fairlead(map[string]string{}),
		},
		{
			"restate-nosync", "Restate, without fsync", outlivesProcess,
			"each `Run` is in the log of one node, RocksDB's write-ahead log, with `log-server.rocksdb-disable-wal-fsync`",
			serverRestate, restateSystem(false),
		},
		{
			"temporal-nosync", "Temporal, activities, without fsync", outlivesProcess,
			"each activity's result is a transaction in SQLite, `journal_mode=wal`, `synchronous=normal`: the write-ahead log is not synced at a commit",
			serverTemporal, temporalSystem(activities, false),
		},
		{
			"temporal-local-nosync", "Temporal, local activities, without fsync", outlivesProcess,
			"as before, but **the three results are written together**, with the end of the workflow task: not each before the next step",
			serverTemporal, temporalSystem(localActivities, false),
		},
		{
			"fairlead-kafka-sync", "fairlead, Apache Kafka with fsync", outlivesPower,
			"as above, with the broker's `log.flush.interval.messages=1`: each partition's file is synced at each append",
			"", fairlead(map[string]string{"log.flush.interval.messages": "1"}),
		},
		{
			"restate", "Restate", outlivesPower,
			"Restate's default: each `Run` is in the log of one node, whose write-ahead log is synced, for several at once where they come together",
			serverRestate, restateSystem(true),
		},
		{
			"temporal", "Temporal, activities", outlivesPower,
			"each activity's result is a transaction in SQLite, `journal_mode=wal`, `synchronous=full`: synced at each commit",
			serverTemporal, temporalSystem(activities, true),
		},
		{
			"temporal-local", "Temporal, local activities", outlivesPower,
			"as before, but **the three results are written together**, with the end of the workflow task: not each before the next step",
			serverTemporal, temporalSystem(localActivities, true),
		},
	}
}

// version is a program or library that takes part.
type version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func versions() []version {
	return []version{
		{"Apache Kafka", kafkatest.Version},
		{"Restate's server", restateVersion},
		{"Restate's SDK for Go", moduleVersion("github.com/restatedev/sdk-go")},
		{"Temporal's command line", temporalVersion},
		{"the server within it", temporalServer},
		{"Temporal's SDK for Go", moduleVersion("go.temporal.io/sdk")},
	}
}
