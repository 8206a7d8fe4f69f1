package rest

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		idNoCredentials: "The call has no credentials. Send HTTP basic authentication; the command line takes the log-in from the context, " +
			"or from FAIRLEAD_USER with FAIRLEAD_PASSWORD or FAIRLEAD_PASSWORD_FILE.",
		idWrongCredentials: "The log-in name or the password is wrong, or the user is disabled; which of them is not told. " +
			"Look at FAIRLEAD_USER and at the password that the context names (`fairlead context list`).",
		idForbidden: "No permission of the user's roles allows the call, or one denies it. A permission's pattern is METHOD:PATH; " +
			"ask an administrator for one that matches the call.",
		idThrottled: "Too many log-ins failed from this address or for this user, or too many came at the same time. Nothing was looked at. " +
			"Wait as long as Retry-After says; then check the password before the next try.",
		idNoRoute:  "Nothing is served under that path. /api/v5_2/openapi.json and /api/fairlead/v1/openapi.json list what is.",
		idMethod:   "The path exists, but not for this method; the answer's Allow header has those that do.",
		idGone:     "/api/v1 is the interface of Corda 5.0. Use /api/v5_2, which has the same calls.",
		idBody:     "The request's body could not be read: it is not JSON, a member is missing, of the wrong type or not known. The message names the member.",
		idTooLarge: "The body, or the flow's argument in it, is over the limit (512 KiB for an argument). Send a reference instead of the data.",
		idShortHash: "A virtual node is named in the path by its short hash: 12 hexadecimal digits. " +
			"`GET /api/fairlead/v1/virtualnode` lists them; the command line also takes names.",
		idNoVNode: "This cluster has no virtual node of that short hash, or this worker has not seen it yet. " +
			"`GET /api/fairlead/v1/virtualnode` lists those it knows.",
		idNotOperational: "The virtual node's flow start capability is switched off, as it is during an upgrade or by an administrator. " +
			"Flows that run are stopped at their next event. `fairlead vnode list` shows its state and an operation that is under way; " +
			"when that is done, `fairlead vnode state VNODE active` (PUT /virtualnode/VNODE/state/ACTIVE) lets flows start again.",
		idClientRequestID: "The client request id is malformed: it must have 1 to 242 of the characters A-Z, a-z, 0-9, the minus sign, the full stop and the underscore.",
		idNotStartable: "The package that is installed in the virtual node has no flow of that name that a client may start. " +
			"The details and `fairlead flow classes VNODE` list those it has.",
		idStartForbidden: "The user may make the call, but no permission allows to start this class on this virtual node: its pattern would be StartFlow:CLASS. " +
			"Ask an administrator.",
		idTaken: "A flow was started before with this client request id on this virtual node. Ask for its status; " +
			"choose another id for another flow. An id is free again seven days after its flow has ended.",
		idUndecided: "The start was written, but no flow-mapper worker took it in time: none runs, or it is behind. Nothing is lost: the flow starts when one does. " +
			"Ask for the status later; starting again with the same client request id starts nothing twice.",
		idNoFlow:       "The virtual node has no flow of that client request id, or it ended more than seven days ago. `fairlead flow list` shows those that are known.",
		idStatusFilter: "The filter names no flow status. The statuses are START_REQUESTED, RUNNING, COMPLETED, FAILED and KILLED.",
		idNoCPI: "The virtual node names a package that this worker has not seen. " +
			"If it was uploaded a moment ago, try again; else look with `fairlead tail cpi.info --from start` whether it is there.",
		idTerminal: "A command named a flow that has ended, or that ended before the command came. COMPLETED, FAILED and KILLED are final; the command changed nothing.",
		idPublish: "Kafka did not confirm what was to be written. It may or may not be there: a start can be sent again under the same client request id, " +
			"a command after a look at the status. The log of the rest worker says what Kafka answered.",
		idParameter: "A parameter, a query or a header cannot be used; the message names it and what it may be.",
		idInternal:  "A fault of fairlead's own. The rest worker's log has more at the time of the call; please report it.",
		idNoHistory: "The flow's journal could not be read in time, or has rows that this version does not know. Try again; if it stays, look at the brokers and at the rest worker's log.",
		idNoReply: "The worker that owns what was asked for did not answer in time: none of its type runs, or it is behind. The change may still be made. " +
			"Look whether it was before you repeat it; the message names the worker or the topic.",
		idNoEntity:  "The path names a section, user, role, permission, key or other thing that does not exist, or that this worker has not seen yet. List those there are.",
		idMultipart: "The body of an upload is not as expected: a part is missing, empty, unknown, or not what it should hold. The message names the part; `curl -F` sends such bodies.",
		idNoUpload:  "No upload has that request id: it was never begun here, or its status is no longer kept (seven days).",
		idUploadFailed: "The rest worker could not keep the uploaded file on its disk on the way to Kafka. " +
			"Free some space where its temporary files lie, then upload again; nothing was installed.",
		idNoSealKey: "Connections with passwords were given for a virtual node, and this rest worker has no key to seal them with before they go to Kafka; nothing was sent. " +
			"Give it the database worker's key (postgres.seal_key_file), or leave the connections out: the cluster then makes the schema itself.",
		idNoRotation: "Corda rotates the keys that wrap private keys in its database. Here no private key is wrapped: each is made in Vault and never leaves it, so there is nothing to rotate, " +
			"and nothing was changed. `vault operator rotate` rotates the key under which Vault keeps its storage; docs/operate/keys.md has the rest.",
		idNotBuilt: "The request asks for something that Corda 5.2 does and this version of fairlead does not. The message says what to leave out, or which worker it would take.",
	}
}
