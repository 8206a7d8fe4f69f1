package ledgerstore

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairleadio/fairlead/internal/rows"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Ask is a statement that reads, and what takes its rows.
type Ask struct {
	Statement rows.Statement
	Take      func(fields []rows.Field, values [][]byte) (full bool, err error)
}

func ask(sql string, take func(r *row), args ...rows.Arg) Ask {
	return Ask{rows.Statement{SQL: sql, Args: args}, func(_ []rows.Field, values [][]byte) (bool, error) {
		r := &row{values: values}
		take(r)
		return false, r.err
	}}
}

// row reads the values of a row one after the other, and remembers the first that cannot be read.
type row struct {
	values [][]byte
	at     int
	err    error
}

func (r *row) next() []byte {
	if r.at >= len(r.values) {
		r.fail("has %d values, more are read", len(r.values))
		return nil
	}
	r.at++
	return r.values[r.at-1]
}

func (r *row) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("a row of the ledger's tables "+format, args...)
	}
}

func (r *row) text() string { return string(r.next()) }

func (r *row) yes() bool { return r.text() == "t" }

// number is 0 for NULL.
func (r *row) number() int64 {
	s := r.next()
	if s == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		r.fail("has the number %q", s)
	}
	return n
}

// bytes is nil for NULL.
func (r *row) bytes() []byte {
	s := r.next()
	if s == nil {
		return nil
	}
	b, err := hex.DecodeString(strings.TrimPrefix(string(s), `\x`))
	if err != nil {
		r.fail("has bytes that are not in hex")
	}
	if b == nil {
		b = []byte{}
	}
	return b
}

func (r *row) hash() (h ledger.Hash) {
	if b := r.bytes(); len(b) == len(h) {
		return ledger.Hash(b)
	}
	r.fail("has no hash where one should be")
	return h
}

func (r *row) ref() ledger.StateRef {
	return ledger.StateRef{Transaction: r.hash(), Index: uint32(r.number())}
}

// Facts are what a change is decided on: they are read after the counter was locked, in the same transaction.
type Facts struct {
	// Last is the number of the last change, Now the time in the database's own text.
	Last uint64
	Now  string
	// Known is what is there of the transaction, Remembered the outputs that were named as visible.
	Known      Known
	Remembered []uint32

	// spent are inputs that other verified transactions consume, held those that are states here and not consumed. open are
	// transactions that are here and not invalid.
	spent map[ledger.StateRef]ledger.Hash
	held  map[ledger.StateRef]held
	open  map[ledger.Hash]bool
	// there are outputs that are states already, spenders the verified transactions that consume outputs.
	there    map[uint32]bool
	spenders map[uint32]ledger.Hash
}

// held is what a change tells of a state that is consumed.
type held struct {
	kind, contract, notary string
	version                uint32
	token                  *ledgerv1.Token
}

// Lock asks first of all: until the commit nobody else changes the ledger of this virtual node.
func (f *Facts) Lock() []Ask {
	return []Ask{
		ask("SELECT last FROM fl_counter FOR UPDATE", func(r *row) { f.Last = uint64(r.number()) }),
		ask("SELECT clock_timestamp()", func(r *row) { f.Now = r.text() }),
	}
}

// Of asks what is there of a transaction.
func (f *Facts) Of(id ledger.Hash) Ask {
	f.Known, f.Remembered = Known{}, nil
	return ask("SELECT status, is_filtered, to_json(visible) FROM fl_transaction WHERE id = $1", func(r *row) {
		f.Known = Known{statusOf(r.text()), r.yes()}
		if err := json.Unmarshal(r.next(), &f.Remembered); err != nil {
			r.fail("names visible outputs that cannot be read: %v", err)
		}
	}, blob(id[:]))
}

func statusOf(letter string) Status {
	if letter == "" {
		return Absent
	}
	return Status(letter[0])
}

// spender is the condition of a row s of fl_source, with its transaction t, that a verified transaction consumes a state.
const spender = "s.group_index = 5 AND t.status = 'V' AND NOT t.is_filtered"

// Verifying asks what a transaction changes when it is verified.
func (f *Facts) Verifying(tx *Transaction) []Ask {
	f.spent, f.held, f.there, f.spenders = map[ledger.StateRef]ledger.Hash{}, map[ledger.StateRef]held{}, map[uint32]bool{}, map[uint32]ledger.Hash{}
	id := tx.ID()
	ids, indexes := refArrays(tx.Content().Inputs)
	return append([]Ask{
		ask("SELECT s.source_id, s.source_index, s.transaction_id FROM unnest($1, $2) AS r(id, index) JOIN fl_source s ON s.source_id = r.id AND s.source_index = r.index "+
			"JOIN fl_transaction t ON t.id = s.transaction_id WHERE "+spender+" AND s.transaction_id <> $3",
			func(r *row) { f.spent[r.ref()] = r.hash() }, ids, indexes, blob(id[:])),
		ask("SELECT leaf_index FROM fl_state WHERE transaction_id = $1", func(r *row) { f.there[uint32(r.number())] = true }, blob(id[:])),
		ask("SELECT s.source_index, s.transaction_id FROM fl_source s JOIN fl_transaction t ON t.id = s.transaction_id WHERE s.source_id = $1 AND "+spender,
			func(r *row) { f.spenders[uint32(r.number())] = r.hash() }, blob(id[:])),
	}, f.holds(tx.Content().Inputs))
}

// holds asks which of some states are states here, and not consumed.
func (f *Facts) holds(refs []ledger.StateRef) Ask {
	f.held = map[ledger.StateRef]held{}
	ids, indexes := refArrays(refs)
	return ask("SELECT s.transaction_id, s.leaf_index, s.type, s.type_version, s.contract, s.notary, s.token_type, s.token_symbol, s.token_issuer, s.token_amount, s.token_owner, s.token_tag, s.token_priority "+
		"FROM unnest($1, $2) AS r(id, index) JOIN fl_state s ON s.transaction_id = r.id AND s.leaf_index = r.index WHERE s.consumed IS NULL",
		func(r *row) {
			ref := r.ref()
			h := held{kind: r.text(), version: uint32(r.number()), contract: r.text(), notary: r.text()}
			if kind := r.text(); kind != "" {
				h.token = &ledgerv1.Token{Type: kind, Symbol: r.text(), Issuer: r.bytes(), Amount: r.text(), Owner: r.bytes(), Tag: r.text()}
				if p := r.text(); p != "" {
					n, err := strconv.ParseUint(p, 10, 64)
					if err != nil {
						r.fail("has the priority %q", p)
					}
					h.token.Priority = n
				}
			}
			f.held[ref] = h
		}, ids, indexes)
}

// ConsumedState is a state and the transaction that has consumed it, as a notary says.
type ConsumedState struct {
	Ref ledger.StateRef
	By  ledger.Hash
}

// ParseConsumed reads what others have consumed of what an invalid transaction consumes or looks at. Its error is a *[rows.Problem].
func (tx *Transaction) ParseConsumed(to Status, list []*appv1.ConsumedState) ([]ConsumedState, error) {
	if len(list) > 0 && to != Invalid {
		return nil, Malformed("field consumed is for a transaction that is stored as invalid, and this is to be %s", to)
	}
	var out []ConsumedState
	for i, c := range list {
		refs, err := ParseRefs(fmt.Sprintf("consumed[%d]", i), []*ledgerv1.StateRef{c.GetRef()})
		if err != nil {
			return nil, err
		}
		by, err := ParseHash(fmt.Sprintf("consumed[%d].by", i), c.GetBy())
		if err != nil {
			return nil, err
		}
		if !slices.Contains(tx.Content().Inputs, refs[0]) && !slices.Contains(tx.Content().References, refs[0]) || by == tx.ID() {
			return nil, Malformed("field consumed[%d]: state %s must be one that the transaction consumes or looks at, and another transaction its consumer", i, refs[0])
		}
		out = append(out, ConsumedState{refs[0], by})
	}
	return out, nil
}

// Elsewhere asks what becomes of states that others have consumed.
func (f *Facts) Elsewhere(list []ConsumedState) []Ask {
	var refs []ledger.StateRef
	var by [][]byte
	for _, c := range list {
		refs, by = append(refs, c.Ref), append(by, c.By[:])
	}
	f.open = map[ledger.Hash]bool{}
	return []Ask{
		f.holds(refs),
		ask("SELECT id FROM fl_transaction WHERE id = ANY ($1) AND status <> 'I' AND NOT is_filtered", func(r *row) { f.open[r.hash()] = true }, blobs(by)),
	}
}

func refArrays(refs []ledger.StateRef) (ids, indexes rows.Arg) {
	hashes, numbersOf := make([][]byte, len(refs)), make([]uint32, len(refs))
	for i, r := range refs {
		hashes[i], numbersOf[i] = r.Transaction[:], r.Index
	}
	return blobs(hashes), numbers(numbersOf)
}
