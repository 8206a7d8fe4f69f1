package persistence

import (
	"maps"

	"github.com/fairleadio/fairlead/internal/ledgerstore"
	"github.com/fairleadio/fairlead/internal/rows"
)

// Words of errors beside those of declarations and rows.
const (
	TypeUnavailable = "unavailable"
	TypeTimeout     = "timeout"
	TypePlatform    = "platform"
)

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	out := map[string]string{
		IDVnode: "The database of a virtual node must not be used: an operator put it into maintenance. Flows get this error until it is ACTIVE again " +
			"(PUT /virtualnode/{hash}/state/ACTIVE).",
		IDTimeout: "A query in a virtual node's database took longer than one request may (persistence.time_limit), and was cancelled; nothing was changed. " +
			"Ask for smaller pages, add an index with a migration, or make the query simpler.",
		IDRequest: "A record on persistence.requests cannot be right: a header or field is missing or wrong, or it asks for its answer where none may go. " +
			"It is in persistence.dlq and changed nothing. Flow workers never write such; look for another writer of the topic.",
		IDGivenUp: "A request to a virtual node's database failed for 30 s although Postgres could be reached, or was put into persistence.dlq. Its flow got this error. " +
			"It may have been run: the flow should look before it tries again. The message or the dead letter says why; when the reason is gone, new requests work again.",
		IDAway: "Postgres cannot be reached, or refuses connections. Reading of requests is paused and nothing is lost; it goes on by itself. " +
			"Requests whose deadline passes meanwhile are dropped, and their flows see a time-out.",
		IDGap: "The outbox of a virtual node goes on with a number that is not the next: changes were deleted by hand, or the database was restored. " +
			"The feed goes on; its readers see the gap in the numbers and should read the tables anew.",
		IDBehind: "The database of a virtual node counts fewer changes than were told: it was restored from an older state. Its change feed stands still, " +
			"for numbers would be told twice. When the readers know, set fl_counter.last and the numbers in fl_outbox behind the number in the message.",
		IDFeedTopic: "The topic of a change feed does not exist or must not be written. Its changes wait in the outbox of the virtual node. " +
			"`fairlead topics plan` shows the topics of channels that are missing.",
		IDNoLedger: "The schema of a virtual node lacks tables of the ledger: it was made by an older version. Its own tables and queries work as before. The database worker makes what is " +
			"missing within a minute of its start, and at each upgrade of the virtual node; then the same flows work. If they do not, its log says why (FL-DB-018; metric `fairlead_database_schemas_behind`): " +
			"for a schema that the cluster may not change, its owner runs the SQL of `GET /virtualnode/{hash}/db/vault/{cpi}`, with the package that the virtual node has.",
		IDParked: "The outbox of one virtual node cannot be read or worked off, so its change feed stands still; other virtual nodes are not concerned, and no change " +
			"is lost. The log says why. It is looked at again after persistence.sweep_every (after 30 s when only time or the virtual node's own database " +
			"was lacking). A row of fl_outbox that cannot be read was written by the application itself or before this version: correct or delete it.",
		IDStripped: "A change is too large for a record of Kafka (3.9 MiB with its key). The change feed tells it without the row's columns or the state's payload, in " +
			"the extreme without its key, and goes on; readers who need them ask the application. Keep what is large in a table without feed.",
		IDElsewhere: "A virtual node has a database of its own, and that cannot be reached. Its requests are tried for 30 s and then answered with this error; they may have " +
			"been run before the connection was lost. Other virtual nodes are not concerned. It goes on by itself when its administrator has repaired the database.",
	}
	maps.Copy(out, rows.Explanations())
	maps.Copy(out, ledgerstore.Explanations())
	return out
}
