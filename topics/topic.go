package topics

// Class says what a topic is for; it decides the policy.
type Class string

// The classes.
const (
	// State is a compacted topic: a table, a store or a published fact.
	State Class = "state"
	// Stream is a topic of events or requests, deleted by age.
	Stream Class = "stream"
	// Loop is a group's own way back; it is kept until its owner trims it.
	Loop Class = "loop"
	// DeadLetters holds records that a group could not process.
	DeadLetters Class = "dlq"
	// Engine is the engine's own state of a group: timers, retries, parked records.
	Engine Class = "engine"
	// External is a topic that applications share with systems outside fairlead.
	External Class = "external"
)

// DataClass says whose data a topic carries; it decides masking and access.
type DataClass string

// The data classes, from harmless to dangerous.
const (
	// Public could be printed in a newspaper.
	Public DataClass = "public"
	// Operational is what operators work with.
	Operational DataClass = "operational"
	// Tenant is the business of the organisations whose virtual nodes live here: masked unless revealed, which is
	// audited.
	Tenant DataClass = "tenant"
	// Secret is never shown.
	Secret DataClass = "secret"
)

// OutOfRange says what a group does when the log begins behind its committed offset.
type OutOfRange string

// The rules for offsets out of range.
const (
	// Expires: the records had deadlines that have passed; go on at the log's start, count, alarm.
	Expires OutOfRange = "expires"
	// Fatal: records are lost; stop.
	Fatal OutOfRange = "fatal"
)

// Replay says what `fairlead replay` does with a topic.
type Replay string

// The replay rules.
const (
	// ReplayRead: records are fed again to the group that has them as input, and captured from the group that
	// writes them.
	ReplayRead Replay = "read"
	// ReplayRestore: the content as of the start of the replayed range is restored; writes are captured.
	ReplayRestore Replay = "restore"
	// ReplayIgnore: takes no part.
	ReplayIgnore Replay = "ignore"
)

// Kind says how a group is joined to a topic. The values are those of the engine's edges.
type Kind string

// The kinds of edges.
const (
	KindInput  Kind = "input"
	KindOutput Kind = "output"
	KindJoin   Kind = "join"
	KindLookup Kind = "lookup"
	KindReads  Kind = "reads"
	KindInbox  Kind = "inbox"
	// KindDynamic is an edge to all topics of a class, which only the running cluster knows.
	KindDynamic     Kind = "dynamic output"
	KindTable       Kind = "table"
	KindLoop        Kind = "loop"
	KindStore       Kind = "store"
	KindRows        Kind = "rows"
	KindDeadLetters Kind = "dead letters"
)

// Reader is a group, worker or tool that reads a topic, and how: as [KindInput], [KindJoin], [KindLookup],
// [KindReads] (a view) or [KindInbox].
type Reader struct {
	By string `json:"by"`
	As Kind   `json:"as"`
}

// Topic is one row of the catalogue.
type Topic struct {
	// Name is without the cluster's prefix.
	Name string `json:"name"`
	// Doc says in one line what the topic is for.
	Doc string `json:"doc"`
	// Key says what the records' keys are.
	Key string `json:"key"`
	// Type is the full name of the message. It is empty where the topic carries the records of other topics or
	// rows whose format is the owner's; TypeByKey then may tell more.
	Type string `json:"type,omitempty"`
	// TypeByKey gives the message by the first byte of the key, where that decides it.
	TypeByKey map[string]string `json:"type_by_key,omitempty"`
	// Set is the partition set: all topics of a set have one partition count.
	Set   string    `json:"set"`
	Class Class     `json:"class"`
	Data  DataClass `json:"data"`
	// Config is the topic's Kafka configuration, but for what depends on the cluster ([Profile]).
	Config map[string]string `json:"config"`
	// Owner is the group or worker that answers for the topic.
	Owner string `json:"owner"`
	// Own is the kind of the edge when the topic is a group's own: table, loop, store, rows or dead letters.
	Own Kind `json:"own,omitempty"`
	// Writers are the groups, workers and tools that write it, sorted. For a group's own topics only the group.
	Writers []string `json:"writers"`
	// Readers are those who read it, sorted; empty for a group's own topics.
	Readers []Reader `json:"readers,omitempty"`
	// OutOfRange is set when a group has the topic as input or loop.
	OutOfRange OutOfRange `json:"out_of_range,omitempty"`
	Replay     Replay     `json:"replay"`
	// Replies are the topics to which the reply to a request on this topic may go.
	Replies []string `json:"replies,omitempty"`
}

// Compacted tells whether the topic keeps the last record of each key for good. The partition count of a set with
// such a topic never changes, for a key would then live in two partitions.
func (t Topic) Compacted() bool { return t.Config[configCleanup] == "compact" }

// TypeOf returns the message name of a record by its key, for records without header fl-type; empty when unknown.
func (t Topic) TypeOf(key []byte) string {
	if len(key) > 0 {
		if n, ok := t.TypeByKey[string(key[:1])]; ok {
			return n
		}
	}
	return t.Type
}

// Names of Kafka's topic settings that are used here.
const (
	configCleanup         = "cleanup.policy"
	configRetention       = "retention.ms"
	configRetentionBytes  = "retention.bytes"
	configDeleteRetention = "delete.retention.ms"
	configMaxMessage      = "max.message.bytes"
	configMinInsync       = "min.insync.replicas"
	configUnclean         = "unclean.leader.election.enable"
	configSegment         = "segment.ms"
	configMaxLag          = "max.compaction.lag.ms"
	configDirtyRatio      = "min.cleanable.dirty.ratio"
)

// Sizes and times of the catalogue's settings.
const (
	maxMessageBytes      = "4194304" // 4 MiB
	maxEngineBytes       = "5242880" // 5 MiB: a maximal record can still be retried and dead-lettered
	hour                 = "3600000"
	day                  = "86400000"
	days7                = "604800000"
	days30               = "2592000000"
	days90               = "7776000000"
	unlimited            = "-1"
	halfOfLogMayBeDirty  = "0.5"
	minDeleteRetentionMs = 7 * 24 * 3600 * 1000
)

// compacted is the policy of state: tombstones stay seven days, so that a reader that was away less sees them.
func compacted() map[string]string {
	return map[string]string{
		configCleanup:         "compact",
		configDeleteRetention: days7,
		configMaxMessage:      maxMessageBytes,
		configSegment:         hour,
		configMaxLag:          days7,
		configDirtyRatio:      halfOfLogMayBeDirty,
	}
}

// deleted is the policy of streams: records go by age alone, never by size.
func deleted(retentionMs string) map[string]string {
	return map[string]string{
		configCleanup:        "delete",
		configRetention:      retentionMs,
		configRetentionBytes: unlimited,
		configMaxMessage:     maxMessageBytes,
	}
}

func large(config map[string]string) map[string]string {
	config[configMaxMessage] = maxEngineBytes
	return config
}
