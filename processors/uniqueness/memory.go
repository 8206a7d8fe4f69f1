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

// notebook is the [Memory] of one notary during one batch: the rows of its store that requests have asked for, and over
// them what the batch has decided. It is forgotten with the batch, so that it is never ahead of the log.
type notebook struct {
	notary string
	store  engine.PartitionStore
	txs    map[ledger.Hash]*Record // nil for none
	spent  map[ledger.StateRef]*ledger.Hash
	// err tells of a row that cannot be read: nothing may be decided without it.
	err error
}

func newNotebook(notary string, store engine.PartitionStore) *notebook {
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
	return n.takeTx(id, n.store.Get(txKey(n.notary, id)))
}

func (n *notebook) takeTx(id ledger.Hash, raw []byte) *Record {
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
	return n.takeSpent(s, n.store.Get(spentKey(n.notary, s)))
}

func (n *notebook) takeSpent(s ledger.StateRef, raw []byte) *ledger.Hash {
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

// prefetch reads what decisions on some requests may need: the rows of their transactions, and then those of the states of
// transactions that have no answer yet.
func (n *notebook) prefetch(requests []Request) {
	var own page
	for _, r := range requests {
		own.tx(n, r.Tx)
	}
	own.read(n)
	var states page
	for _, r := range requests {
		if r.Read || n.txs[r.Tx] != nil {
			continue
		}
		for _, list := range [][]ledger.StateRef{r.Inputs, r.References} {
			for _, s := range list {
				states.tx(n, s.Transaction)
				states.spent(n, s)
			}
		}
	}
	states.read(n)
}

// page is rows that are read together: of transactions, and then of states.
type page struct {
	txs    []ledger.Hash
	states []ledger.StateRef
}

// tx adds the row of a transaction, unless it is known.
func (p *page) tx(n *notebook, id ledger.Hash) {
	if _, seen := n.txs[id]; seen {
		return
	}
	n.txs[id] = nil // it is read once
	p.txs = append(p.txs, id)
}

// spent adds the row of a state, unless it is known.
func (p *page) spent(n *notebook, s ledger.StateRef) {
	if _, seen := n.spent[s]; seen {
		return
	}
	n.spent[s] = nil
	p.states = append(p.states, s)
}

func (p *page) read(n *notebook) {
	keys := make([][]byte, 0, len(p.txs)+len(p.states))
	for _, id := range p.txs {
		keys = append(keys, txKey(n.notary, id))
	}
	for _, s := range p.states {
		keys = append(keys, spentKey(n.notary, s))
	}
	for i, raw := range engine.GetAll(n.store, keys) {
		switch {
		case raw == nil: // as it was noted
		case i < len(p.txs):
			n.txs[p.txs[i]] = n.takeTx(p.txs[i], raw)
		default:
			s := p.states[i-len(p.txs)]
			n.spent[s] = n.takeSpent(s, raw)
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
