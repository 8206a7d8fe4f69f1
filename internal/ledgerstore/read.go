package ledgerstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/internal/rows"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Whole reads a whole transaction with its signatures.
type Whole struct {
	Known      Known
	Signatures [][]byte

	salt, metadata []byte
	parts          []component
	size           int
}

// Asks reads it.
func (w *Whole) Asks(id ledger.Hash) []Ask {
	return []Ask{
		ask("SELECT t.status, t.is_filtered, t.salt, m.content FROM fl_transaction t JOIN fl_metadata m ON m.hash = t.metadata_hash WHERE t.id = $1", func(r *row) {
			w.Known, w.salt, w.metadata = Known{statusOf(r.text()), r.yes()}, r.bytes(), r.bytes()
		}, blob(id[:])),
		ask("SELECT group_index, leaf_index, content FROM fl_component WHERE transaction_id = $1 ORDER BY group_index, leaf_index", func(r *row) {
			w.parts = append(w.parts, component{ledger.Group(r.number()), int(r.number()), r.bytes()})
		}, blob(id[:])),
		ask("SELECT content FROM fl_signature WHERE transaction_id = $1 ORDER BY position, key_id", func(r *row) {
			b := r.bytes()
			w.size += len(b)
			w.Signatures = append(w.Signatures, b)
		}, blob(id[:])),
	}
}

// Transaction returns its encoding; only a whole one has any.
func (w *Whole) Transaction() ([]byte, error) {
	if w.Known.Whole() == Absent {
		return nil, fmt.Errorf("a transaction that is %s cannot be put together", w.Known)
	}
	return compose(w.salt, w.metadata, w.parts)
}

// microseconds is the expression of a time as a number.
func microseconds(column string) string {
	return "(extract(epoch FROM " + column + ") * 1000000)::bigint"
}

// Statuses reads the statuses of transactions.
type Statuses struct {
	ids   []ledger.Hash
	found map[ledger.Hash]*appv1.KnownTransaction
}

// StatusesOf makes a reader of them.
func StatusesOf(ids []ledger.Hash) *Statuses {
	return &Statuses{ids, map[ledger.Hash]*appv1.KnownTransaction{}}
}

// known are the columns of a [appv1.KnownTransaction], of a row t of fl_transaction.
var known = "t.id, t.status, t.is_filtered, " + microseconds("t.created") + ", t.repair_attempts"

func (r *row) known() *appv1.KnownTransaction {
	id := r.hash()
	k := Known{statusOf(r.text()), r.yes()}
	return &appv1.KnownTransaction{Id: id[:], Status: k.Whole().Proto(), Filtered: k.Filtered, CreatedAtUs: r.number(), RepairAttempts: uint32(r.number())}
}

// Asks reads them.
func (s *Statuses) Asks() []Ask {
	ids := make([][]byte, len(s.ids))
	for i := range s.ids {
		ids[i] = s.ids[i][:]
	}
	return []Ask{ask("SELECT "+known+" FROM fl_transaction t WHERE t.id = ANY($1)", func(r *row) {
		k := r.known()
		if r.err == nil {
			s.found[ledger.Hash(k.GetId())] = k
		}
	}, blobs(ids))}
}

// All returns them in the order asked.
func (s *Statuses) All() []*appv1.KnownTransaction {
	out := make([]*appv1.KnownTransaction, len(s.ids))
	for i := range s.ids {
		if out[i] = s.found[s.ids[i]]; out[i] == nil {
			out[i] = &appv1.KnownTransaction{Id: s.ids[i][:]}
		}
	}
	return out
}

// OfStatus reads the transactions that have a status and were stored in a time.
func OfStatus(s Status, fromUs, untilUs int64, limit uint32, into *[]*appv1.KnownTransaction) Ask {
	if limit == 0 {
		limit = 100
	}
	if untilUs == 0 {
		untilUs = 1<<62 - 1
	}
	return ask("SELECT "+known+" FROM fl_transaction t WHERE t.status = $1 AND NOT t.is_filtered AND "+microseconds("t.created")+" >= $2 AND "+microseconds("t.created")+" < $3 "+
		"ORDER BY t.repair_attempts, t.created, t.id LIMIT $4", func(r *row) { *into = append(*into, r.known()) },
		word(string(rune(s))), number(fromUs), number(untilUs), number(min(limit, MaxRefs)))
}

// CountRepair counts a try to repair a transaction, and tells how many there were; none when it is not there.
func CountRepair(id ledger.Hash, into *int64) Ask {
	return ask("UPDATE fl_transaction SET repair_attempts = repair_attempts + 1 WHERE id = $1 AND NOT is_filtered RETURNING repair_attempts",
		func(r *row) { *into = r.number() }, blob(id[:]))
}

// Proto is the status in messages.
func (s Status) Proto() appv1.TransactionStatus {
	switch s {
	case Unverified:
		return appv1.TransactionStatus_TRANSACTION_STATUS_UNVERIFIED
	case Verified:
		return appv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED
	case Invalid:
		return appv1.TransactionStatus_TRANSACTION_STATUS_INVALID
	case Draft:
		return appv1.TransactionStatus_TRANSACTION_STATUS_DRAFT
	default:
		return appv1.TransactionStatus_TRANSACTION_STATUS_UNSPECIFIED
	}
}

// ParseStatus reads a status of a request. Its error is a *[rows.Problem].
func ParseStatus(s appv1.TransactionStatus) (Status, error) {
	for _, known := range []Status{Unverified, Verified, Invalid, Draft} {
		if known.Proto() == s {
			return known, nil
		}
	}
	return Absent, Malformed("field status is %s; give unverified, verified, invalid or draft", s)
}

// States takes states until they are as many bytes as fit into a result.
type States struct {
	all   []*appv1.LedgerState
	size  int
	limit int // of a page, 0 for none
	what  string
	next  []byte // where the next page begins
	at    map[int64]*appv1.LedgerState
}

// perState is what a state costs beside its components.
const perState = 128

// pageBytes bounds the states of a result; the rest is for the place of the next page and what is around them.
const pageBytes = rows.MaxBytes - 20<<10

func (r *row) state() (s *appv1.LedgerState, size int) {
	s = &appv1.LedgerState{Ref: refOf(r.ref()), Info: r.bytes(), Output: r.bytes(), Notary: r.bytes(), Number: uint64(r.number()), CreatedAtUs: r.number(), ConsumedAtUs: r.number(), ConsumedBy: r.bytes()}
	if r.err == nil && !notaryOf(s.GetNotary()) {
		r.fail("of a state has a notary that cannot be read")
	}
	return s, len(s.GetInfo()) + len(s.GetOutput()) + len(s.GetNotary()) + perState
}

// stateColumns are what [row.state] reads: of a reference r, of components i, o and n, and of a row s of fl_state.
var stateColumns = "r.id, r.index, i.content, o.content, n.content, s.number, " + microseconds("s.created") + ", " + microseconds("s.consumed") + ", s.consumed_by"

// stateComponents joins them to a reference r.
const stateComponents = " JOIN fl_component i ON i.transaction_id = r.id AND i.group_index = 3 AND i.leaf_index = r.index" +
	" JOIN fl_component o ON o.transaction_id = r.id AND o.group_index = 7 AND o.leaf_index = r.index" +
	" JOIN fl_component n ON n.transaction_id = r.id AND n.group_index = 1 AND n.leaf_index = 0"

// Resolve reads states by reference, of verified transactions and of those of which a proof shows them.
func Resolve(refs []ledger.StateRef) (*States, Ask) {
	s := &States{what: "the states", at: map[int64]*appv1.LedgerState{}}
	ids, indexes := refArrays(refs)
	return s, Ask{
		rows.Statement{SQL: "SELECT r.place, " + stateColumns + " FROM unnest($1, $2) WITH ORDINALITY AS r(id, index, place)" + stateComponents +
			" JOIN fl_transaction t ON t.id = r.id AND (t.status = 'V' OR t.status <> 'I' AND EXISTS (SELECT FROM fl_filtered_output p WHERE p.transaction_id = r.id AND p.leaf_index = r.index))" +
			" LEFT JOIN fl_state s ON s.transaction_id = r.id AND s.leaf_index = r.index", Args: []rows.Arg{ids, indexes}},
		func(_ []rows.Field, values [][]byte) (bool, error) {
			r := &row{values: values}
			place := r.number()
			state, size := r.state()
			if r.err != nil {
				return false, r.err
			}
			if s.size += size; s.size > pageBytes {
				return false, tooLarge("the states have more than %d bytes; resolve fewer at once", pageBytes)
			}
			s.at[place] = state
			return false, nil
		},
	}
}

// Resolved returns the states in the order asked; one that is not there is a *[rows.Problem].
func (s *States) Resolved(refs []ledger.StateRef) ([]*appv1.LedgerState, error) {
	out := make([]*appv1.LedgerState, len(refs))
	var missing []string
	for i, r := range refs {
		if out[i] = s.at[int64(i)+1]; out[i] == nil && len(missing) < 10 {
			missing = append(missing, r.String())
		}
	}
	if len(missing) > 0 {
		return nil, Missing("states %s are not in the vault, or not of a verified transaction; resolve the backchain first", strings.Join(missing, ", "))
	}
	return out, nil
}

// place is where a page of states begins: behind a number, and up to one.
type place struct {
	Of    string `json:"of"`
	After uint64 `json:"after"`
	Until uint64 `json:"until"`
}

// Page reads a page of the states that fulfil a condition on a row visible_states of fl_state, with its arguments, in the
// order of their numbers. Numbers are given under a lock that is held until the commit, so that none appears behind one
// that was seen: no page skips a state, and none is met twice. What counts as there is decided by the first page. Its
// error is a *[rows.Problem].
func Page(what, condition string, args []rows.Arg, limit uint32, after []byte) (*States, Ask, error) {
	at := place{Of: what}
	until := rows.Arg{OID: oidInt8}
	if len(after) > 0 {
		d := json.NewDecoder(bytes.NewReader(after))
		d.DisallowUnknownFields()
		if len(after) > 16<<10 || d.Decode(&at) != nil || d.More() || at.Of != what || at.After > at.Until || at.Until > 1<<62 {
			return nil, Ask{}, problem(rows.IDPage, rows.TypePage, "after is not what a page of %s returned as next; begin without it", what)
		}
		until = numberArg(at.Until)
	}
	s := &States{what: what, limit: rows.DefaultRows}
	if limit > 0 {
		s.limit = int(min(limit, rows.MaxRows))
	}
	n := len(args)
	sql := fmt.Sprintf("SELECT r.fl_last, "+stateColumns+" FROM (SELECT visible_states.transaction_id AS id, visible_states.leaf_index AS index, fl_c.fl_last FROM fl_state AS visible_states "+
		"CROSS JOIN (SELECT least(last, $%d) AS fl_last FROM fl_counter) AS fl_c WHERE visible_states.number > $%d AND visible_states.number <= fl_c.fl_last AND (\n%s\n) "+
		"ORDER BY visible_states.number LIMIT $%d) AS r"+stateComponents+" JOIN fl_state s ON s.transaction_id = r.id AND s.leaf_index = r.index ORDER BY s.number", n+1, n+2, condition, n+3)
	args = append(append([]rows.Arg{}, args...), until, numberArg(at.After), number(s.limit+1))
	return s, Ask{rows.Statement{SQL: sql, Args: args}, s.add}, nil
}

func (s *States) add(_ []rows.Field, values [][]byte) (full bool, err error) {
	r := &row{values: values}
	last := uint64(r.number())
	state, size := r.state()
	if r.err != nil {
		return false, r.err
	}
	if n := len(s.all); n == s.limit || n > 0 && s.size+size > pageBytes {
		s.next, err = json.Marshal(place{s.what, s.all[n-1].GetNumber(), last})
		return true, err
	}
	s.all = append(s.all, state)
	s.size += size
	return false, nil
}

// Page returns the page's states, and where the next page begins: nothing when this is the last.
func (s *States) Page() *appv1.StatePage { return &appv1.StatePage{States: s.all, Next: s.next} }

// Unconsumed reads a page of the states of a type that are not consumed. Its error is a *[rows.Problem].
func Unconsumed(kind string, limit uint32, after []byte) (*States, Ask, error) {
	if kind == "" || len(kind) > ledger.MaxName || strings.ContainsRune(kind, 0) {
		return nil, Ask{}, Malformed("field type is empty or cannot be a name; give the type of a state")
	}
	return Page("states of type "+kind, "visible_states.type = $1 AND visible_states.consumed IS NULL", []rows.Arg{word(kind)}, limit, after)
}
