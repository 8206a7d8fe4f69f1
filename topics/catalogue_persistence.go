package topics

// Names of the persistence worker's topics beside its requests.
const (
	// PersistenceDrain tells the feed of a virtual node that its outbox may have rows.
	PersistenceDrain = "persistence.drain"
)

// persistenceTopics are the persistence worker's own: what its two groups tell each other, and what they keep.
func persistenceTopics() []Topic {
	requests := group{name: PersistenceGroup, data: Tenant}
	feed := group{name: PersistenceFeedGroup, data: Operational}
	out := []Topic{
		{
			Name: PersistenceDrain, Doc: "Tells that a virtual node's outbox may have changes for its feed.", Key: "virtual node",
			Type: "fairlead.persistence.v1.Drain", Set: PersistenceFeedGroup, Class: Stream, Data: Operational, Config: deleted(days7),
			Owner: PersistenceFeedGroup, Writers: []string{PersistenceGroup}, Readers: []Reader{{PersistenceFeedGroup, KindInput}},
			OutOfRange: Expires, Replay: ReplayRead,
		},
		requests.loop("", Tenant),
		feed.table("fairlead.persistence.v1.FeedState", "virtual node", "How far the change feed of each virtual node is."),
		feed.loop("fairlead.persistence.v1.FeedTimer", Operational),
	}
	return append(append(out, requests.always()...), feed.always()...)
}
