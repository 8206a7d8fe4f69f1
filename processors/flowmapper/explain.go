package flowmapper

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		"FL-MAPPER-001": "A record on flow.mapper.start asks for a flow in a way that can never be right: the message names the field and what it must be. " +
			"It is in flow-mapper.dlq and started nothing. rest checks all of this before it writes; look for another writer of the topic.",
		"FL-MAPPER-002": "A record on flow.mapper.start tells the end of a flow but does not name the flow, or names a state that is no end. " +
			"It is in flow-mapper.dlq. The flow's place is given back when a right record comes.",
		"FL-MAPPER-003": "A row of flow-mapper-table cannot be used. `fairlead state verify flow-mapper-table` compares local storage with the topic.",
		"FL-MAPPER-005": "A record on flow.mapper.session can never be right: the message names the field and what it must be. " +
			"It is in flow-mapper.dlq, and the session that it belonged to will time out. Flow workers check all of this before they write; look for another writer of the topic, or an older worker.",
		"FL-MAPPER-006": "A record of an external channel cannot start a flow: it is too large, or the channel's declaration is wrong. The message says which. " +
			"It is in flow-mapper.channels.dlq; the records after it go on.",
		"FL-MAPPER-004": "A record carries none of the events that this version of the flow mapper knows: its writer is newer, or wrong. " +
			"It is in flow-mapper.dlq; upgrade the worker and redrive it.",
	}
}
