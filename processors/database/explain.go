package database

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		ErrMalformed: "A request to the database worker lacks something or has a value that is not allowed. The message names the field and what is allowed. Nothing was changed.",
		ErrKey: "A record of db.requests has another key than the entity that it changes. Records of one entity must share its key, so that changes are made one after the other. " +
			"The sender is wrong; the message has the key that is right.",
		ErrNotFound:    "The user, role, permission, package, virtual node or certificate that the request names does not exist. Nothing was changed.",
		ErrExists:      "A user, role or virtual node of that name exists already. Nothing was changed.",
		ErrVersion:     "The configuration section was changed since the caller read it. The details have the present configuration and version: merge, and send it again with that version.",
		ErrAssociation: "The role or permission is already given, or was not given and cannot be taken. Nothing was changed.",
		ErrPattern:     "A permission's pattern is not a regular expression of RE2 (which knows no look-around and no back-references). Write several permissions instead.",
		ErrState: "The virtual node's state is against it: an upgrade needs MAINTENANCE; ACTIVE needs that no operation is under way and that all migrations of the package have run; " +
			"one operation at a time. The message says which. `fairlead vnode list` shows states and operations.",
		ErrCollision: "Two different names have the same 12-digit short hash. This is a matter of luck: choose another name for the new virtual node.",
		ErrIncompat:  "A virtual node is upgraded only to a CPI of the same name, of the same signers, for the same group. The name is that of the CPI (create-cpi --cpi-name), not of the packages in it; fairlead dev calls its own dev. fairlead vnode list shows the present ones.",
		ErrConnections: "The database connections that were given for a virtual node cannot be used: not readable, DDL without DML, the server or the database is not there or does not let them in, or the role lacks a privilege. " +
			"The message says which. A virtual node that was to be made was not; one that was to be changed has the connections that it had.",
		ErrCertificate: "A certificate chain cannot be stored: unknown usage, not PEM, something else than certificates in it, or not in order from the leaf upwards.",
		ErrReplyTopic:  "Header fl-reply of a request names a topic that the catalogue does not list for replies to it. The record is in the dead letters; its sender is wrong or not to be trusted.",
		ErrUpload:      "The parts of an upload do not make the file that was announced: a part is malformed, their number differs, or the SHA-256 does. Upload the file again under a new request id.",
		ErrDuplicate:   "A CPI of this name, version and signers is there. Give the new one another version; in development, force the upload to replace it.",
		ErrForce:       "A forced upload replaces a CPI of the same name, version, signers and group, and there is none.",
		ErrModule:      "A WebAssembly module of the package would not run in the sandbox. The message says why. `fairlead app check` finds the same before the upload.",
		ErrSchema: "The schema of a virtual node in a database that the cluster may not change lacks migrations, tables or triggers of the change feed. Have its administrator run the SQL that " +
			"`GET /virtualnode/create/db/vault/…` or `GET /virtualnode/…/db/vault/…` returns, then try again. In the log of the database worker: a new version brought tables " +
			"that this schema lacks, and the cluster may not make them; it looks again at every interval, and metric `fairlead_database_schemas_behind` counts such virtual nodes.",
		ErrInternal: "The database worker could not do what was asked, through no fault of the caller's. Its log has the cause; if the record went to database.dlq, redrive it when the cause is gone.",
		ErrStatement: "A migration of a package has a statement that migrations must not have (such as COMMIT, SET, COPY), a name that is kept for fairlead's own (what begins with fl_ or fairlead_), or a quote or comment that is not closed. " +
			"The message names statement and line, or what was made under such a name.",
		ErrHarden: "In the database of virtual nodes everybody may still call functions that tenants' SQL must not call, and the worker's role may not revoke that. " +
			"Run the statement in the message as a superuser, once; the worker starts when it is done.",
		ErrChannels:  "A channel of the package would be routed to a topic that cannot be a channel's: the message says why. Rename the channel, or change the patterns of section corda.externalMessaging.",
		ErrMigration: "A migration of the package failed in a virtual node's schema; it was rolled back, those before it stay. The message has the database's reason; one that runs longer than its limit is ended. Repair the package, upload it with a new version (or with --force in the same one's place), and upgrade again. When it ran and is not known, the package is an earlier version or another one: only what has that migration, too, can follow, whether it is forced or not.",
		ErrPackage: "A package that a flow got from another party, to verify where states come from, was not taken, or one was not given to a flow. It is taken when the file is the one that the transaction names, " +
			"is signed by somebody whose certificate an operator has imported as code-signer, and the virtual node has a package with contracts of the same name and the same signers; and only so many bytes. " +
			"The message says which does not hold. Nothing was stored. An operator who trusts the package uploads a CPI with it.",
		ErrStates: "A virtual node would not be able to consume states that it keeps, or that unverified transactions may still give it, with the package that it was to be upgraded to, among them those of a contract that comes with it, when others' packages made them; or they could not be counted in time. " +
			"The message says how many and why; package and migrations are as they were. Take a version whose `compatible_from` takes them, and run `fairlead ledger repair` for what is on its way. " +
			"`fairlead vnode upgrade --force` (REST: `forceupgrade=true`) upgrades all the same: nothing is lost then, and a later version that takes the states frees them.",
		ErrDeclared: "A table or named query that the package declares names a table or column that its migrations do not make, or the database does not take its SQL. The message has each, where it is declared, " +
			"and the database's words. Its migrations ran and stay; the virtual node was not made, or keeps the package that it had. Correct fairlead.yaml or add a migration, upload and try again.",
	}
}
