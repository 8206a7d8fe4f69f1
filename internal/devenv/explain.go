package devenv

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		"FL-DEV-001": "The data directory was made by another version of fairlead, or not by `fairlead dev` at all. Nothing was changed in it. " +
			"Name another with --data, run the version that made it, or discard it with `fairlead dev reset --data DIR`.",
		"FL-DEV-002": "A file of the data directory cannot be read or written: the disk is full, or the directory belongs to somebody else. " +
			"Free some space, or name another directory with --data. What was answered before is kept.",
		"FL-DEV-003": "Another process runs a cluster in this data directory; two would destroy it. `fairlead dev stop --data DIR` ends it; --data names another directory for a second cluster.",
		"FL-DEV-004": "The topics in the data directory, or in the Kafka that --kafka names, are not those that this version needs and cannot be made so. " +
			"The message names the first; `fairlead topics plan` shows all. A dev cluster is best begun anew with `fairlead dev reset --data DIR`.",
		"FL-DEV-005": "The embedded Kafka does not start from what lies in the data directory, as after a crash of the machine. `fairlead dev reset` discards the data.",
		"FL-DEV-006": "The address of the REST interface cannot be listened on: another program has it, or it is none of this machine's. Choose another with --rest-address.",
		"FL-DEV-008": "Postgres or a Vault server cannot be had on this machine; the message has the commands that bring it. `fairlead dev --workers flow,flow-mapper,rest` " +
			"runs without both, in a data directory of its own: flows, timers and sessions work, keys and tables do not.",
		"FL-DEV-009": "These worker types cannot run together in a development cluster: it is set up through REST, by the database worker. Run all of them, or flow, flow-mapper and rest alone.",
		"FL-DEV-010": "A server that --kafka, --postgres or --vault names cannot be used: it does not answer, does not take the password or token, is sealed, or does not allow what the " +
			"cluster needs. The message names the flag, what the server said and what to do. Nothing was dropped or changed there; docs/write-an-app/development.md lists what is made.",
		"FL-DEV-012": "The network that --network names cannot be run: the file has fields that are not known, wrong, or not there yet (several clusters). The message names each. " +
			"docs/write-an-app/development.md has an example.",
		"FL-DEV-011": "The data directory belongs to other servers than those that are named now: its topics, databases and keys are there, and a cluster with half of them elsewhere would lose the rest. " +
			"Give the flags that the message names, or begin another cluster with --data.",
	}
}
