package topics

// databaseTopics are what the database worker is asked, and its group's own topics. What it publishes is in
// factTopics.
func databaseTopics() []Topic {
	request := func(name, doc, key, message string, data DataClass, replies []string, writers ...string) Topic {
		return Topic{
			Name: name, Doc: doc, Key: key, Type: message, Set: DatabaseWorker, Class: Stream, Data: data, Config: deleted(day),
			Owner: DatabaseWorker, Writers: writers, Readers: []Reader{{DatabaseWorker, KindInput}}, OutOfRange: Expires, Replay: ReplayRead,
			Replies: replies,
		}
	}
	own := group{name: DatabaseWorker, data: Secret}
	all := []Topic{
		request(DbRequests, "Changes of the cluster's own data.", "entity", "fairlead.db.v1.Request", Secret, []string{RpcReplies},
			DatabaseWorker, RestWorker),
		request(PackageRequests, "What flows ask of packages of code: which are missing, parts of their files, and parts that another party gave.", "SHA-256 of the file, or flow id",
			"fairlead.db.v1.PackageRequest", Tenant, []string{FlowRepliesPackages}, FlowGroup),
		request(CpiUpload, "Package files on their way in, in parts.", "request id", "fairlead.db.v1.CpiPart", Tenant, nil, RestWorker),
		own.loop("fairlead.db.v1.Continue", Operational),
	}
	return append(all, own.always()...)
}
