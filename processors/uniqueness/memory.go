package uniqueness

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// rows are what a store has: an [engine.PartitionStore] is one.
type rows interface {
	Get(key []byte) []byte
}

// notebook is the [Memory] of one notary during one batch: the rows of its store that requests have asked for, and over
// them what the batch has decided. It is forgotten with the batch, so that it is never ahead of the log.
type notebook struct {
	notary string
	store  rows
	txs    map[ledger.Hash]*Record // nil for none
	spent  map[ledger.StateRef]*ledger.Hash
	// err tells of a row that cannot be read: nothing may be decided without it.
	err error
}

func newNotebook(notary string, store rows) *notebook {
	return &notebook{notary: notary, store: store, txs: map[ledger.Hash]*Record{}, spent: map[ledger.StateRef]*ledger.Hash{}}
}

// Keys of rows; see the messages of the schema.
const txRow, spentRow = 't', 's'

func txKey(notary string, id ledger.Hash) []byte {
	k := make([]byte, 0, 1+len(notary)+len(id))
	k = append(k, txRow)
	k = append(k, notary...)
	return append(k, id[:]...)
}

func spentKey(notary string, s ledger.StateRef) []byte {
	k := make([]byte, 0, 1+len(notary)+len(s.Transaction)+4)
	k = append(k, spentRow)
	k = append(k, notary...)
	k = append(k, s.Transaction[:]...)
	return binary.BigEndian.AppendUint32(k, s.Index)
}

// Tx implements [Memory].
func (n *notebook) Tx(id ledger.Hash) (Record, bool) {
	r, seen := n.txs[id]
	if !seen {
		r = n.readTx(id)
		n.txs[id] = r
	}
	if r == nil {
		return Record{}, false
	}
	return *r, true
}

func (n *notebook) readTx(id ledger.Hash) *Record {
	raw := n.store.Get(txKey(n.notary, id))
	if raw == nil {
		return nil
	}
	var m uniquenessv1.Transaction
	err := proto.Unmarshal(raw, &m)
	var r Record
	if err == nil {
		r, err = recordOf(&m)
	}
	if err != nil {
		n.fail("transaction", id, err)
		return nil
	}
	return &r
}

// Spender implements [Memory].
func (n *notebook) Spender(s ledger.StateRef) (ledger.Hash, bool) {
	by, seen := n.spent[s]
	if !seen {
		by = n.readSpent(s)
		n.spent[s] = by
	}
	if by == nil {
		return ledger.Hash{}, false
	}
	return *by, true
}

func (n *notebook) readSpent(s ledger.StateRef) *ledger.Hash {
	raw := n.store.Get(spentKey(n.notary, s))
	if raw == nil {
		return nil
	}
	var m uniquenessv1.Spent
	err := proto.Unmarshal(raw, &m)
	var by ledger.Hash
	if err == nil {
		by, err = hashOf(m.GetBy())
	}
	if err != nil {
		n.fail("state", s, err)
		return nil
	}
	return &by
}

func (n *notebook) fail(what string, id fmt.Stringer, err error) {
	if n.err == nil {
		n.err = fmt.Errorf("%s: the row of %s %s of notary %s: %w", idRow, what, id, n.notary, err)
	}
}

// prefetch reads what a decision on the request may need.
func (n *notebook) prefetch(r Request) {
	if _, known := n.Tx(r.Tx); known {
		return // it gets its first answer
	}
	if r.Read {
		return
	}
	for _, list := range [][]ledger.StateRef{r.Inputs, r.References} {
		for _, s := range list {
			n.Tx(s.Transaction)
			n.Spender(s)
		}
	}
}

// remember notes a decision for the rest of the batch.
func (n *notebook) remember(tx ledger.Hash, e Effects) {
	n.txs[tx] = e.Record
	for _, s := range e.Spent {
		n.spent[s] = &tx
	}
}

// write puts a decision into the store: a row for the transaction, one for each state that it has consumed, nothing else.
func write(store engine.PartitionStore, notary string, tx ledger.Hash, e Effects) error {
	raw, err := schemas.Marshal(recordMessage(*e.Record))
	if err != nil {
		return err
	}
	store.Set(txKey(notary, tx), raw)
	if len(e.Spent) == 0 {
		return nil
	}
	by, err := schemas.Marshal(&uniquenessv1.Spent{By: tx[:]})
	if err != nil {
		return err
	}
	for _, s := range e.Spent {
		store.Set(spentKey(notary, s), by)
	}
	return nil
}
