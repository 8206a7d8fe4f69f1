package topics

// Names of topics, without the cluster's prefix.
const (
	FlowMapperStart   = "flow.mapper.start"
	FlowMapperSession = "flow.mapper.session"
	FlowEvents        = "flow.events"
	FlowCommands      = "flow.commands"
	FlowStatus        = "flow.status"

	FlowRepliesCrypto      = "flow.replies.crypto"
	FlowRepliesPersistence = "flow.replies.persistence"
	FlowRepliesUniqueness  = "flow.replies.uniqueness"
	FlowRepliesPackages    = "flow.replies.packages"

	CryptoRequests      = "crypto.requests"
	CryptoAdmin         = "crypto.admin"
	CryptoTLS           = "crypto.tls"
	CryptoLink          = "crypto.link"
	CryptoMembers       = "crypto.members"
	PersistenceRequests = "persistence.requests"
	UniquenessRequests  = "uniqueness.requests"
	DbRequests          = "db.requests"
	CpiUpload           = "cpi.upload"
	PackageRequests     = "package.requests"
	RpcReplies          = "rpc.replies"

	Config          = "config"
	OperationStatus = "operation.status"
	CryptoKeys      = "crypto.keys"
	VirtualNodeInfo = "virtual.node.info"
	CpiInfo         = "cpi.info"
	CpiChunks       = "cpi.chunks"
	CpkInfo         = "cpk.info"

	RBACUser       = "rbac.user"
	RBACRole       = "rbac.role"
	RBACPermission = "rbac.permission"
	RBACCredential = "rbac.credential"

	Schemas = "fairlead.schemas"
	Audit   = "fairlead.audit"
)

// Names of processor groups.
const (
	FlowMapperGroup  = "flow-mapper"
	FlowGroup        = "flow"
	CryptoGroup      = "crypto"
	PersistenceGroup = "persistence"
	UniquenessGroup  = "uniqueness"
)

// Names of workers that are edges (they have no group of their own), of tools, and of the systems outside that share
// topics with applications.
const (
	RestWorker        = "rest"
	DatabaseWorker    = "database"
	GatewayWorker     = "gateway"
	LinkManagerWorker = "link-manager"
	MembershipWorker  = "membership"
	Tools             = "tools"
	Outside           = "outside"
	// FlowMapperChannels is the edge of the flow mapper that reads external channels.
	FlowMapperChannels = "flow-mapper.channels"
	// PersistenceFeedGroup writes the change feeds of virtual nodes.
	PersistenceFeedGroup = "persistence.feed"
)

// FactsSet is the partition set of the compacted facts that the database worker publishes.
const FactsSet = "facts"

// Names of engine stores; the topic is <group>-store-<name>.
const (
	CryptoKeysStore          = "keys"
	FlowJournalStore         = "journal"
	FlowInboxStore           = "inbox"
	FlowMapperAdmissionStore = "admission"
	UniquenessMemoryStore    = "memory"
)

// LoopTopic, TableTopic, StoreTopic, RowsTopic and DeadLetterTopic name a group's own topics.
func LoopTopic(group string) string        { return group + "-loop" }
func TableTopic(group string) string       { return group + "-table" }
func StoreTopic(group, name string) string { return group + "-store-" + name }
func RowsTopic(group string) string        { return group + "-engine" }
func DeadLetterTopic(group string) string  { return group + ".dlq" }
