package flowmapper

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		"FL-MAPPER-001": "A record on flow.mapper.start asks for a flow in a way that can never be right: the message names the field and what it must be. " +
			"It is in flow-mapper.dlq and started nothing. rest checks all of this before it writes; look for another writer of the topic.",
		"FL-MAPPER-002": "A record on flow.mapper.start tells the end of a flow but does not name the flow, or names a state that is no end. " +
			"It is in flow-mapper.dlq. The flow's place is given back when a right record comes.",
		"FL-MAPPER-003": "A row of flow-mapper-table cannot be used. `fairlead tail flow-mapper-table --from start --key KEY` shows what the topic has. " +
			"When that is right, the worker's local storage is not: stop it, delete its data directory, and it reads the topic again.",
		"FL-MAPPER-004": "A record carries none of the events that this version of the flow mapper knows: its writer is newer, or wrong. " +
			"It is in flow-mapper.dlq; upgrade the worker, then have its writer send it again.",
		ErrCommand: "A record on flow.mapper.start carries a command but does not name the flow, or has no command. It is in flow-mapper.dlq and changed nothing. " +
			"rest writes both; look for another writer of the topic.",
		RefusedWaiting: "A flow that waits for admission has not begun: it cannot be paused, resumed or retried, only killed. The command changed nothing. " +
			"Settings flow_mapper.max_running_per_vnode and flow_mapper.max_running say how many flows run at once.",
	}
}
