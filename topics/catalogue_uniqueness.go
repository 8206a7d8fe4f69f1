package topics

// uniquenessTopics are what notaries are asked, the way back, and what they remember.
func uniquenessTopics() []Topic {
	g := group{name: UniquenessGroup, data: Tenant}
	memory := g.store(UniquenessMemoryStore, "", "What each notary remembers: a row for each transaction, and one for each consumed state.")
	memory.Key = "t, notary, transaction id; or s, notary, transaction id, index"
	memory.TypeByKey = map[string]string{"t": "fairlead.uniqueness.v1.Transaction", "s": "fairlead.uniqueness.v1.Spent"}
	out := []Topic{
		{
			// One notary is one key: its requests are in one order, and that order is its truth.
			Name: UniquenessRequests, Doc: "What notaries' flows ask of their notary's memory.", Key: "notary",
			Type: "fairlead.uniqueness.v1.Request", Set: UniquenessGroup, Class: Stream, Data: Tenant, Config: deleted(days90),
			Owner: UniquenessGroup, Writers: []string{FlowGroup}, Readers: []Reader{{UniquenessGroup, KindInput}},
			OutOfRange: Expires, Replay: ReplayRead, Replies: []string{FlowRepliesUniqueness},
		},
		{
			Name: FlowRepliesUniqueness, Doc: "Answers of the uniqueness worker to flows.", Key: "flow id", Type: "fairlead.rpc.v1.Reply",
			Set: FlowGroup, Class: Stream, Data: Tenant, Config: deleted(days7), Owner: FlowGroup, Writers: []string{UniquenessGroup},
			Readers: []Reader{{FlowGroup, KindInput}}, OutOfRange: Fatal, Replay: ReplayRead,
		},
		memory,
		g.loop("", Tenant),
	}
	return append(out, g.always()...)
}
