package topics

// requestTopics are the requests to the workers that serve others, and the ways back.
func requestTopics() []Topic {
	request := func(name, doc, key, message, set, owner string, data DataClass, replies []string, writers ...string) Topic {
		return Topic{
			Name: name, Doc: doc, Key: key, Type: message, Set: set, Class: Stream, Data: data, Config: deleted(day),
			Owner: owner, Writers: writers, Readers: []Reader{{owner, KindInput}}, OutOfRange: Expires, Replay: ReplayRead,
			Replies: replies,
		}
	}
	reply := func(name, doc, writer string) Topic {
		return Topic{
			Name: name, Doc: doc, Key: "flow id", Type: "fairlead.rpc.v1.Reply", Set: FlowGroup, Class: Stream, Data: Tenant,
			Config: deleted(days7), Owner: FlowGroup, Writers: []string{writer}, Readers: []Reader{{FlowGroup, KindInput}},
			OutOfRange: Fatal, Replay: ReplayRead,
		}
	}
	return []Topic{
		request(CryptoRequests, "What flows ask of keys.", "Vault name of the key, or tenant", "fairlead.crypto.v1.Request",
			CryptoGroup, CryptoGroup, Tenant, []string{FlowRepliesCrypto}, FlowGroup),
		request(CryptoAdmin, "What administrators ask of keys.", "Vault name of the key, or tenant", "fairlead.crypto.v1.Request",
			CryptoGroup, CryptoGroup, Operational, []string{RpcReplies}, RestWorker),
		request(PersistenceRequests, "What flows ask of their virtual node's database.", "flow id", "fairlead.persistence.v1.Request",
			PersistenceGroup, PersistenceGroup, Tenant, []string{FlowRepliesPersistence}, FlowGroup),
		request(VerificationRequests, "Transactions that flows want verified.", "transaction id", "fairlead.verification.v1.Request",
			VerificationGroup, VerificationGroup, Tenant, []string{FlowRepliesVerification}, FlowGroup),
		reply(FlowRepliesCrypto, "Answers of the crypto worker to flows.", CryptoGroup),
		reply(FlowRepliesPersistence, "Answers of the persistence worker to flows.", PersistenceGroup),
		reply(FlowRepliesPackages, "Answers of the database worker to flows.", DatabaseWorker),
		reply(FlowRepliesVerification, "Answers of the verification worker to flows.", VerificationGroup),
		{
			Name: RpcReplies, Doc: "Answers to processes that keep no state; each listens to one partition.", Key: "correlation id",
			Type: "fairlead.rpc.v1.Reply", Set: "rpc", Class: Stream, Data: Tenant, Config: deleted(hour), Owner: RestWorker,
			Writers: []string{CryptoGroup, DatabaseWorker}, Readers: []Reader{{RestWorker, KindInbox}}, Replay: ReplayIgnore,
		},
		{
			Name: CryptoKeys, Doc: "Public halves of the keys in Vault.", Key: "tenant/key id", Type: "fairlead.crypto.v1.Key",
			Set: CryptoGroup, Class: State, Data: Operational, Config: compacted(), Owner: CryptoGroup, Writers: []string{CryptoGroup},
			Readers: []Reader{{CryptoGroup, KindReads}, {FlowGroup, KindReads}, {RestWorker, KindReads}}, Replay: ReplayRestore,
		},
	}
}
