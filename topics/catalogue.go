package topics

import (
	"slices"
	"strings"
)

// All returns the catalogue, sorted by name. The caller owns it.
func All() []Topic {
	var all []Topic
	all = append(all, flowTopics()...)
	all = append(all, requestTopics()...)
	all = append(all, cryptoTopics()...)
	all = append(all, channelTopics()...)
	all = append(all, persistenceTopics()...)
	all = append(all, uniquenessTopics()...)
	all = append(all, verificationTopics()...)
	all = append(all, tokensTopics()...)
	all = append(all, factTopics()...)
	all = append(all, databaseTopics()...)
	all = append(all, toolTopics()...)
	slices.SortFunc(all, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Find returns the row of a topic by its name without the prefix.
func Find(name string) (Topic, bool) {
	for _, t := range All() {
		if t.Name == name {
			return t, true
		}
	}
	return Topic{}, false
}

// Owners returns the groups, workers and tools that own topics, sorted.
func Owners() []string {
	var out []string
	for _, t := range All() {
		if !slices.Contains(out, t.Owner) {
			out = append(out, t.Owner)
		}
	}
	slices.Sort(out)
	return out
}

func flowTopics() []Topic {
	own := []Topic{
		{
			Name: FlowMapperStart, Doc: "Asks for flows to be started, tells the mapper which have ended, and commands those that have not begun.",
			Key: "client request id-vnode", Type: "fairlead.flow.v1.MapperStart",
			Set: FlowMapperGroup, Class: Stream, Data: Tenant, Config: deleted(days7),
			Owner: FlowMapperGroup, Writers: []string{FlowGroup, FlowMapperChannels, RestWorker},
			Readers: []Reader{{FlowMapperGroup, KindInput}}, OutOfRange: Fatal, Replay: ReplayRead,
		},
		{
			Name: FlowMapperSession, Doc: "Messages of sessions, on their way from one flow to the other.",
			Key: "session id of the side whose mapping decides", Type: "fairlead.flow.v1.MapperSession",
			Set: FlowMapperGroup, Class: Stream, Data: Tenant, Config: deleted(days7),
			Owner: FlowMapperGroup, Writers: []string{FlowGroup, FlowMapperGroup},
			Readers: []Reader{{FlowMapperGroup, KindInput}}, OutOfRange: Fatal, Replay: ReplayRead,
		},
		{
			Name: FlowEvents, Doc: "What happens to flows: accepted starts, messages of sessions, and commands that came before the flow had begun.",
			Key: "flow id", Type: "fairlead.flow.v1.FlowEvent",
			Set: FlowGroup, Class: Stream, Data: Tenant, Config: deleted(days7),
			Owner: FlowGroup, Writers: []string{FlowMapperGroup},
			Readers: []Reader{{FlowGroup, KindInput}}, OutOfRange: Fatal, Replay: ReplayRead,
		},
		{
			Name: FlowCommands, Doc: "What operators ask of running flows: kill, pause, resume, retry, release-tokens.",
			Key: "flow id", Type: "fairlead.flow.v1.FlowCommand",
			Set: FlowGroup, Class: Stream, Data: Operational, Config: deleted(days7),
			Owner: FlowGroup, Writers: []string{RestWorker},
			Readers: []Reader{{FlowGroup, KindInput}}, OutOfRange: Fatal, Replay: ReplayRead,
		},
		{
			Name: FlowStatus, Doc: "The last status and the result of every flow; its writers write tombstones after seven days.",
			Key: "client request id-vnode", Type: "fairlead.flow.v1.FlowStatus",
			Set: "flow-status", Class: State, Data: Tenant, Config: compacted(),
			Owner: FlowGroup, Writers: []string{FlowGroup, FlowMapperGroup},
			Readers: []Reader{{RestWorker, KindReads}}, Replay: ReplayRestore,
		},
	}
	mapper := group{name: FlowMapperGroup, data: Tenant}
	own = append(own,
		mapper.table("fairlead.flow.v1.MapperState", "client request id-vnode, or session id", "Which flow a start or session belongs to."),
		mapper.loop("fairlead.flow.v1.MapperTimer", Operational),
		mapper.store(FlowMapperAdmissionStore, "", "Running and waiting starts of each virtual node; events of sessions whose peer is not known yet."),
	)
	own = append(own, mapper.always()...)
	flow := group{name: FlowGroup, data: Tenant}
	own = append(own,
		flow.table("fairlead.flow.v1.Checkpoint", "flow id", "The head of each flow's durable state."),
		flow.loop("fairlead.flow.v1.FlowTimer", Operational),
		flow.store(FlowInboxStore, "fairlead.flow.v1.InboxRow", "Messages of sessions that arrived and were not read yet."),
		flow.store(FlowJournalStore, "fairlead.flow.v1.JournalRow", "Inputs and results of each flow's suspensions."),
	)
	// REST tells histories: it reads a flow's rows when it is asked for them, and keeps no view.
	own[len(own)-1].Readers = []Reader{{RestWorker, KindReads}}
	return append(own, flow.always()...)
}

// factTopics are the compacted facts that the database worker publishes.
func factTopics() []Topic {
	fact := func(name, doc, key, message string, data DataClass, readers ...string) Topic {
		t := Topic{
			Name: name, Doc: doc, Key: key, Type: message, Set: FactsSet, Class: State, Data: data,
			Config: compacted(), Owner: DatabaseWorker, Writers: []string{DatabaseWorker}, Replay: ReplayRestore,
		}
		if name != OperationStatus {
			readers = append(readers, DatabaseWorker) // compares it with the database
		}
		slices.Sort(readers)
		for _, r := range readers {
			t.Readers = append(t.Readers, Reader{r, KindReads})
		}
		return t
	}
	return []Topic{
		fact(Config, "Dynamic configuration, secrets masked.", "section",
			"fairlead.config.v1.Configuration", Operational, FlowGroup, RestWorker, TokensGroup),
		fact(OperationStatus, "How far uploads and changes of virtual nodes are; tombstones after seven days.", "request id",
			"fairlead.operation.v1.OperationStatus", Operational, RestWorker),
		fact(VirtualNodeInfo, "The virtual nodes of this cluster.", "short hash",
			"fairlead.vnode.v1.VirtualNode", Operational, FlowGroup, FlowMapperGroup, FlowMapperChannels, PersistenceGroup, PersistenceFeedGroup, RestWorker),
		fact(CpiInfo, "The installed packages.", "checksum",
			"fairlead.cpi.v1.Cpi", Operational, FlowGroup, FlowMapperChannels, PersistenceGroup, PersistenceFeedGroup, RestWorker, VerificationGroup),
		fact(CpkInfo, "The packages of code by whose contracts transactions are verified: those of all CPIs that ever were installed, and those that came from other parties.", "SHA-256 of the file",
			"fairlead.cpi.v1.Code", Operational, VerificationGroup),
		fact(CpiChunks, "The modules of packages, in parts.", "module hash/part",
			"fairlead.cpi.v1.Chunk", Tenant, FlowGroup, VerificationGroup),
		fact(RBACUser, "Users and their roles.", "login name",
			"fairlead.rbac.v1.User", Operational, RestWorker),
		fact(RBACRole, "Roles and their permissions.", "role id",
			"fairlead.rbac.v1.Role", Operational, RestWorker),
		fact(RBACPermission, "What is allowed and denied.", "permission id",
			"fairlead.rbac.v1.Permission", Operational, RestWorker),
		fact(RBACCredential, "Password hashes.", "login name",
			"fairlead.rbac.v1.Credential", Secret, RestWorker),
	}
}

func toolTopics() []Topic {
	return []Topic{
		{
			Name: Schemas, Doc: "Descriptors of every message, so that any tool reads any record.",
			Key: "message name", Type: "google.protobuf.FileDescriptorSet",
			Set: "tools", Class: State, Data: Public, Config: compacted(),
			Owner: Tools, Writers: []string{Tools}, Readers: []Reader{{Tools, KindReads}}, Replay: ReplayIgnore,
		},
		{
			Name: Audit, Doc: "What operators did, and to what: with tools, and to flows.",
			Key: "entity", Type: "fairlead.audit.v1.Entry",
			Set: "tools", Class: Stream, Data: Operational, Config: deleted(days90),
			Owner: Tools, Writers: []string{CryptoGroup, FlowGroup, FlowMapperGroup, Tools}, Readers: []Reader{{Tools, KindReads}}, Replay: ReplayIgnore,
		},
	}
}

// group makes the rows of a processor group's own topics.
type group struct {
	name string
	// data is the strictest class of what the group processes: retried and dead records may be any of it.
	data DataClass
}

func (g group) row(name string, own Kind, class Class, doc string) Topic {
	return Topic{
		Name: name, Doc: doc, Own: own, Class: class, Set: g.name, Data: g.data,
		Owner: g.name, Writers: []string{g.name}, Replay: ReplayRestore, Config: compacted(),
	}
}

func (g group) table(message, key, doc string) Topic {
	t := g.row(TableTopic(g.name), KindTable, State, doc)
	t.Type, t.Key = message, key
	return t
}

func (g group) store(name, message, doc string) Topic {
	t := g.row(StoreTopic(g.name, name), KindStore, State, doc)
	t.Type, t.Key = message, "the store's own"
	return t
}

func (g group) loop(message string, data DataClass) Topic {
	t := g.row(LoopTopic(g.name), KindLoop, Loop, "Due timers and records that the group sends to itself.")
	t.Type, t.Key, t.Data = message, "as the group's table", data
	t.Config = large(deleted(unlimited))
	t.OutOfRange, t.Replay = Fatal, ReplayRead
	return t
}

// always are the topics that every group has.
func (g group) always() []Topic {
	rows := g.row(RowsTopic(g.name), KindRows, Engine, "The engine's timers, retries, suspects and parked records.")
	rows.Key = "row kind, then the record's key"
	rows.TypeByKey = map[string]string{
		"p": "fairlead.engine.v1.ParkedRow", "r": "fairlead.engine.v1.RetryRow",
		"s": "fairlead.engine.v1.SuspectRow", "t": "fairlead.engine.v1.TimerRow",
	}
	rows.Config = large(compacted())
	dead := g.row(DeadLetterTopic(g.name), KindDeadLetters, DeadLetters, "Records that the group could not process, and why.")
	dead.Key = "the record's own, in its own partition"
	dead.Config = large(deleted(days30))
	dead.Replay = ReplayIgnore
	dead.Readers = []Reader{{Tools, KindReads}}
	return []Topic{rows, dead}
}
