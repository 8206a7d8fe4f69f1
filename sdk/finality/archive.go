package finality

import (
	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// archive is what a party may ask for: what the transaction comes from, each once, and no more than so many. Nobody reads
// other transactions of this vault by asking for them.
type archive struct {
	allowed map[ledger.Hash]bool // false once it was given
	left    int
	code    travel.Offers
}

func archiveOf(tx *ledger.Transaction, most int) archive {
	a := archive{allowed: map[ledger.Hash]bool{}, left: most, code: travel.Offers{}}
	a.grow(tx)
	return a
}

// grow lets what a transaction depends on be asked for, and the packages that it names.
func (a *archive) grow(tx *ledger.Transaction) {
	a.code.Add(tx.Content().Metadata.Packages...)
	for _, id := range tx.Dependencies() {
		if _, known := a.allowed[id]; !known {
			a.allowed[id] = true
		}
	}
}

// gave is told of transactions that a party got without asking.
func (a *archive) gave(all []signedTransaction) {
	for _, t := range all {
		a.allowed[t.tx.ID()] = false
		a.grow(t.tx)
	}
}

// open checks a request.
func (a *archive) open(who string, ids []ledger.Hash) error {
	if a.left -= len(ids); a.left < 0 {
		return failed(ErrBackchain, "%s asks for more transactions than are given", who)
	}
	for _, id := range ids {
		if !a.allowed[id] {
			return failed(ErrBackchain, "%s asks for transaction %s, which this one does not come from, or which it has had", who, id)
		}
		a.allowed[id] = false
	}
	return nil
}

// give sends parties what they asked for, and waits for what each says next.
func (p *initiator) give(asking []*counterparty, wants []message) error {
	finds := map[ledger.Hash]*flow.Pending[vault.Found]{}
	reads := make([][]*flow.Pending[vault.PackagePart], len(wants))
	var calls []flow.Call
	for i, m := range wants {
		for _, id := range m.ids {
			if finds[id] == nil {
				finds[id] = vault.FindCall(id, vault.Verified)
				calls = append(calls, finds[id])
			}
		}
		if m.kind != packageWanted {
			continue
		}
		var err error
		if reads[i], err = asking[i].archive.code.Read(asking[i].s.Counterparty(), m.code); err != nil {
			return err
		}
		for _, r := range reads[i] {
			calls = append(calls, r)
		}
	}
	if err := flow.All(p.ctx, calls...); err != nil {
		return err
	}
	calls = nil
	for i, c := range asking {
		m := message{kind: given, id: p.tx.ID()}
		for _, id := range wants[i].ids {
			found := finds[id].Value()
			if found.Transaction == nil {
				return failed(flow.ErrNotFound, "transaction %s, which transaction %s comes from, is not in the vault as verified", id, p.tx.ID())
			}
			c.archive.grow(found.Transaction)
			m.transactions = append(m.transactions, signedTransaction{found.Transaction, found.Signatures})
		}
		if wants[i].kind == packageWanted {
			m.kind, m.code = packageGiven, c.archive.code.Give(wants[i].code, reads[i])
		}
		c.reply = receiveCall(c.s)
		calls = append(calls, sendCall(c.s, m), c.reply)
	}
	_ = flow.All(p.ctx, calls...) // each call has its error
	return nil
}
