package topics

// Names of the tokens worker's group and topics.
const (
	TokensGroup = "tokens"
	// TokensKnownStore has what the worker knows of pools: tokens, claims, and requests that wait.
	TokensKnownStore = "known"

	TokensRequests = "tokens.requests"
	// TokensChanges tells which tokens were made and consumed.
	TokensChanges = "tokens.changes"
	// PersistenceTokens asks persistence for pages: a topic of its own, so that who may write it can change nothing.
	PersistenceTokens = "persistence.tokens"
	// TokensReplies has the pages that persistence answers.
	TokensReplies = "tokens.replies"

	FlowRepliesTokens = "flow.replies.tokens"
)

// tokensTopics are what token selection is asked and told, the ways back, and what it keeps.
func tokensTopics() []Topic {
	own := group{name: TokensGroup, data: Tenant}
	input := func(name, doc, message string, range_ OutOfRange, writer string) Topic {
		return Topic{
			Name: name, Doc: doc, Key: "pool", Type: message, Set: TokensGroup, Class: Stream, Data: Tenant, Config: deleted(days7),
			Owner: TokensGroup, Writers: []string{writer}, Readers: []Reader{{TokensGroup, KindInput}}, OutOfRange: range_, Replay: ReplayRead,
		}
	}
	requests := input(TokensRequests, "What flows ask of pools of tokens.", "fairlead.tokens.v1.Request", Expires, FlowGroup)
	requests.Config, requests.Replies = deleted(day), []string{FlowRepliesTokens}
	known := own.store(TokensKnownStore, "", "What is known of each pool: its unconsumed tokens, its claims, and the requests that wait.")
	known.Key = "t, pool, state; c, pool, claim; or w, pool, place"
	known.TypeByKey = map[string]string{"t": "fairlead.tokens.v1.Token", "c": "fairlead.tokens.v1.Claim", "w": "fairlead.tokens.v1.Waiting"}
	pages := Topic{
		Name: PersistenceTokens, Doc: "Pages and sums of tokens that token selection asks of virtual nodes' databases.", Key: "flow id", Type: "fairlead.persistence.v1.Request",
		Set: PersistenceGroup, Class: Stream, Data: Tenant, Config: deleted(day), Owner: PersistenceGroup, Writers: []string{TokensGroup},
		Readers: []Reader{{PersistenceGroup, KindInput}}, OutOfRange: Expires, Replay: ReplayRead, Replies: []string{TokensReplies},
	}
	out := []Topic{
		requests, pages,
		input(TokensChanges, "Tokens that were made and consumed, in the order of their virtual node's changes.", "fairlead.tokens.v1.Change", Fatal, PersistenceFeedGroup),
		input(TokensReplies, "Pages of tokens, and sums, that persistence answers.", "fairlead.rpc.v1.Reply", Fatal, PersistenceGroup),
		{
			Name: FlowRepliesTokens, Doc: "Answers of the tokens worker to flows.", Key: "flow id", Type: "fairlead.rpc.v1.Reply",
			Set: FlowGroup, Class: Stream, Data: Tenant, Config: deleted(days7), Owner: FlowGroup, Writers: []string{TokensGroup},
			Readers: []Reader{{FlowGroup, KindInput}}, OutOfRange: Fatal, Replay: ReplayRead,
		},
		own.table("fairlead.tokens.v1.Pool", "pool", "How far each pool is: queries that run, and back-offs."),
		known,
		own.loop("fairlead.tokens.v1.Timer", Operational),
	}
	return append(out, own.always()...)
}
