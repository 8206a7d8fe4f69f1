package tokens

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		idNoWayBack: "A record to the tokens worker cannot be right: a request does not say who waits for its answer or until when, an answer of persistence names no query, or a change has no token. " +
			"It is in tokens.dlq and changed nothing. Workers of fairlead never write such; look for another writer of the topic, or a newer version of one.",
		idRequest: "A request to the tokens worker asks for what cannot be: the message names the field and what it must be. Nothing was claimed or released, and whoever asked was told.",
		idBusy: "Too many requests wait for tokens of one pool, or too many of its tokens are claimed. Nothing was claimed; the flow can ask again. One pool is one key and is worked on by one " +
			"worker: spread tokens over several symbols or issuers, and release claims as soon as their tokens are spent.",
		idQuery: "The database of a virtual node did not answer token selection, so a claim or balance could not be decided. Nothing was claimed; the flow can ask again. The message has what " +
			"persistence said; its own log says why.",
		idDead: "The tokens worker could not work a record off and put it into tokens.dlq, with the reason. Nothing was claimed or released by it; a claim ends by itself when it is too old. " +
			"`fairlead tail tokens.dlq --from start` shows it.",
		idRow: "A row of the tokens worker's store cannot be read: it was written by a newer version, or damaged. It was dropped. A token that is lost so is read again from the database; a claim " +
			"that is lost so no longer keeps its tokens from others, and the notary refuses whoever comes second.",
	}
}
