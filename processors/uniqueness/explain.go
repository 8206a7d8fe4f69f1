package uniqueness

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		idNoWayBack: "A request to the uniqueness worker does not say who waits for its answer, or until when: header fl-request, fl-reply or fl-deadline is missing or " +
			"wrong, or fl-reply names a topic to which answers may not go. It is in uniqueness.dlq and nothing was decided. Flow workers never write such; look for another writer of the topic.",
		idDecode: "A record on uniqueness.requests is no request. It is in uniqueness.dlq and nothing was decided. Look for another writer of the topic, or a newer version of one.",
		idRequest: "A request to the uniqueness worker cannot be put to a notary: the message names the field and what it must be. Nothing was decided, and whoever asked " +
			"was told. Flow workers fill these fields in by themselves: one of another version may be running.",
		idTooLarge: "A transaction names more states than one transaction of Kafka, or one record, can hold. Nothing was decided or remembered, and whoever asked was told: " +
			"consume the states in several transactions.",
		idGivenUp: "The uniqueness worker could not work a request off and put it into uniqueness.dlq, with the reason. Nothing was decided: asking again is safe, for a transaction " +
			"gets one answer for ever. `fairlead tail uniqueness.dlq --from start` shows it.",
		idRow: "A row of a notary's memory (uniqueness-store-memory) cannot be read, so the worker stopped rather than decide without it. It was written by a newer version: run that one. " +
			"If it was not, the topic was written to by something else, or damaged: restore it from a backup before the notary decides anything.",
	}
}
