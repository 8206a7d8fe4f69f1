package finality

import (
	"slices"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// backchain is what a transaction's states come from and this party has not verified yet.
type backchain struct {
	Options
	ctx    *flow.Context
	s      *flow.Session
	tx     *ledger.Transaction // that is proposed
	id     ledger.Hash         // its id
	notary service

	all    map[ledger.Hash]signedTransaction
	order  []ledger.Hash // in which they came: whoever depends on one comes before it, or was asked for before it
	asked  map[ledger.Hash]bool
	proofs map[ledger.Hash][]*ledger.Filtered // of transactions that are verified here
	bytes  int
	coded  bool // the initiator was asked for packages
}

// lookup asks what is known of the transactions on which some depend: their status, and proofs of the states that are
// needed of them.
type lookup struct {
	refs     []ledger.StateRef
	ids      []ledger.Hash
	statuses *flow.Pending[[]vault.Known]
	proofs   []*flow.Pending[vault.Proofs]
}

// mostProofs is of how many transactions states are asked for at once.
const mostProofs = 200

func lookupOf(ids []ledger.Hash, refs []ledger.StateRef) *lookup {
	return &lookup{refs: refs, ids: ids, statuses: vault.StatusesCall(ids...), proofs: proofsCalls(refs)}
}

// proofsCalls asks for proofs of states, however many transactions made them.
func proofsCalls(refs []ledger.StateRef) (out []*flow.Pending[vault.Proofs]) {
	var part []ledger.StateRef
	seen := map[ledger.Hash]bool{}
	cut := func() {
		if len(part) > 0 {
			out = append(out, vault.FindFilteredCall(part...))
		}
		part, seen = nil, map[ledger.Hash]bool{}
	}
	for _, r := range refs {
		if !seen[r.Transaction] && len(seen) == mostProofs {
			cut()
		}
		seen[r.Transaction] = true
		part = append(part, r)
	}
	cut()
	return out
}

// with are some calls and those that ask for proofs.
func with(proofs []*flow.Pending[vault.Proofs], calls ...flow.Call) []flow.Call {
	for _, p := range proofs {
		calls = append(calls, p)
	}
	return calls
}

// foundBy are the proofs that calls which have succeeded found.
func foundBy(proofs []*flow.Pending[vault.Proofs]) (out []vault.SignedFiltered) {
	for _, p := range proofs {
		out = append(out, p.Value().Found...)
	}
	return out
}

func (l *lookup) calls() []flow.Call { return with(l.proofs, l.statuses) }

// take keeps what was found, and returns what is not verified here: in the order of the ids.
func (b *backchain) take(l *lookup) (missing []ledger.Hash, err error) {
	for _, p := range l.proofs {
		found, err := p.Result()
		if err != nil {
			return nil, err
		}
		for _, f := range found.Found {
			b.proofs[f.Filtered.ID()] = append(b.proofs[f.Filtered.ID()], f.Filtered)
		}
	}
	known, err := l.statuses.Result()
	if err != nil {
		return nil, err
	}
	for i, k := range known {
		switch {
		case k.Status == vault.Invalid:
			return nil, failed(ErrBackchain, "transaction %s, on which this one depends, is invalid here", l.ids[i])
		case k.Status != vault.Verified || k.Filtered:
			missing = append(missing, l.ids[i])
		}
	}
	return missing, nil
}

// brought takes what came with the proposal of what is missing, which is fresh, and returns what is still missing then. The others are known
// here, and are passed over.
func (b *backchain) brought(missing []ledger.Hash, sources []signedTransaction, dependencies []ledger.Hash) ([]ledger.Hash, error) {
	has := map[ledger.Hash]signedTransaction{}
	for _, t := range sources {
		if !slices.Contains(dependencies, t.tx.ID()) {
			return nil, failed(ErrBackchain, "%s shows transaction %s, on which transaction %s does not depend", b.s.Counterparty(), t.tx.ID(), b.id)
		}
		has[t.tx.ID()] = t
	}
	var left, ids []ledger.Hash
	var got []signedTransaction
	for _, id := range missing {
		t, there := has[id]
		if !there {
			left = append(left, id)
			continue
		}
		ids, got = append(ids, id), append(got, t)
		b.bytes += len(t.tx.Encode())
	}
	if len(ids) == 0 {
		return left, nil
	}
	if len(ids) > b.maxTransactions() || b.bytes > b.maxBytes() {
		return nil, failed(ErrBackchain, "transaction %s comes from more than %d transactions or %d bytes that are not known here", b.id, b.maxTransactions(), b.maxBytes())
	}
	more, err := b.accept(ids, got)
	return append(left, more...), err
}

// fetch asks the initiator for what is missing, which is fresh, and what that comes from, until everything is here.
func (b *backchain) fetch(queue []ledger.Hash) error {
	for len(queue) > 0 {
		ids := queue[:min(batch, len(queue))]
		queue = queue[len(ids):]
		if len(b.all)+len(ids) > b.maxTransactions() {
			return failed(ErrBackchain, "transaction %s comes from more than %d transactions that are not known here", b.id, b.maxTransactions())
		}
		reply := receiveCall(b.s)
		if err := flow.All(b.ctx, sendCall(b.s, message{kind: wanted, id: b.id, ids: ids}), reply); err != nil {
			return err
		}
		m, err := take(b.s, reply.Value(), b.id, given)
		if err != nil {
			return err
		}
		if b.bytes += len(reply.Value()); b.bytes > b.maxBytes() {
			return failed(ErrBackchain, "transaction %s comes from transactions that are not known here, of more than %d bytes", b.id, b.maxBytes())
		}
		more, err := b.accept(ids, m.transactions)
		if err != nil {
			return err
		}
		queue = append(queue, more...)
	}
	return nil
}

// fresh are those that were not asked for yet, which they are from now on.
func (b *backchain) fresh(ids []ledger.Hash) (out []ledger.Hash) {
	for _, id := range ids {
		if !b.asked[id] {
			b.asked[id] = true
			out = append(out, id)
		}
	}
	return out
}

// accept takes transactions that were asked for, and finds out which of those that they come from are missing here.
func (b *backchain) accept(ids []ledger.Hash, got []signedTransaction) ([]ledger.Hash, error) {
	from := b.s.Counterparty()
	if len(got) != len(ids) {
		return nil, failed(ErrBackchain, "%s gave %d transactions, %d were asked for", from, len(got), len(ids))
	}
	var refs []ledger.StateRef
	var next []ledger.Hash
	seen := map[ledger.Hash]bool{}
	var all []vault.Claim
	for i, t := range got {
		if c := t.tx.Content(); t.tx.ID() != ids[i] || !b.notary.signs(c.Notary) || len(t.signatures) > len(c.Signatories)+1 {
			break // it is refused without looking at any, and with it the rest
		}
		all = append(all, claims(t.tx.ID(), t.signatures...)...)
	}
	checked, err := vault.CheckSignatures(b.ctx, all...)
	if err != nil {
		return nil, err
	}
	for i, t := range got {
		if t.tx.ID() != ids[i] {
			return nil, failed(ErrBackchain, "%s gave transaction %s, %s was asked for", from, t.tx.ID(), ids[i])
		}
		if n := t.tx.Content().Notary; !b.notary.signs(n) {
			return nil, failed(ErrBackchain, "%s gave transaction %s, whose notary is %s with key %s, which is not %s with one of its keys", from, ids[i], n.Name, ledger.KeyID(n.Key), b.notary.name)
		}
		if _, err := checkFinal(from, t, checked); err != nil {
			return nil, err
		}
		b.all[ids[i]] = t
		b.order = append(b.order, ids[i])
		for _, id := range t.tx.Dependencies() {
			if !b.asked[id] && !seen[id] {
				seen[id] = true
				next = append(next, id)
			}
		}
		refs = append(refs, dependencies(t.tx)...)
	}
	if len(refs) == 0 {
		return nil, nil
	}
	var elsewhere []ledger.StateRef // not of transactions that are on their way
	for _, r := range refs {
		if !b.asked[r.Transaction] {
			elsewhere = append(elsewhere, r)
		}
	}
	l := lookupOf(next, elsewhere)
	if len(next) == 0 {
		return nil, nil
	}
	if err := flow.All(b.ctx, l.calls()...); err != nil {
		return nil, err
	}
	missing, err := b.take(l)
	return b.fresh(missing), err
}

// levels orders the transactions: those of a level depend on nothing but earlier levels and what is known.
func (b *backchain) levels() [][]ledger.Hash {
	waits, then := map[ledger.Hash]int{}, map[ledger.Hash][]ledger.Hash{}
	var now []ledger.Hash
	for _, id := range b.order {
		for _, d := range b.all[id].tx.Dependencies() {
			if _, fetched := b.all[d]; fetched {
				waits[id]++
				then[d] = append(then[d], id)
			}
		}
		if waits[id] == 0 {
			now = append(now, id)
		}
	}
	var out [][]ledger.Hash
	for len(now) > 0 { // there are no circles: an id is a hash of what it depends on
		out = append(out, now)
		var next []ledger.Hash
		for _, d := range now {
			for _, id := range then[d] {
				if waits[id]--; waits[id] == 0 {
					next = append(next, id)
				}
			}
		}
		now = next
	}
	return out
}

// sources are proofs of the states that a transaction consumes or looks at, from what was fetched and what is known.
func (b *backchain) sources(tx *ledger.Transaction) ([]*ledger.Filtered, error) {
	proofs := map[ledger.Hash][]*ledger.Filtered{}
	for id, outputs := range needs(tx) {
		t, fetched := b.all[id]
		if !fetched {
			proofs[id] = b.proofs[id]
			continue
		}
		f, err := t.tx.Source(outputs...)
		if err != nil {
			return nil, failed(ErrBackchain, "transaction %s: %s", tx.ID(), err)
		}
		proofs[id] = []*ledger.Filtered{f}
	}
	return shown(tx, proofs)
}

// verify verifies what was fetched, oldest first, and stores it: each level while the next is verified. What is left to
// store is returned.
func (b *backchain) verify() (store []flow.Call, err error) {
	for _, level := range b.levels() {
		verdicts, err := b.judge(level, store)
		if b.lacks(err) { // all before it is done
			if err = b.fetchPackages(); err == nil {
				verdicts, err = b.judge(level, nil)
			}
		}
		if err != nil {
			return nil, err
		}
		store = nil
		for i, v := range verdicts {
			if err := v.Value().Err(); err != nil {
				return nil, failed(ErrBackchain, "transaction %s, which %s shows: %s", level[i], b.s.Counterparty(), err)
			}
			t := b.all[level[i]]
			store = append(store, vault.StoreCall(t.tx, vault.Verified, vault.Options{Signatures: t.signatures}))
		}
	}
	return store, nil
}

// judge has a level verified, behind other calls.
func (b *backchain) judge(level []ledger.Hash, calls []flow.Call) ([]*flow.Pending[flow.Verification], error) {
	verdicts := make([]*flow.Pending[flow.Verification], len(level))
	for i, id := range level {
		sources, err := b.sources(b.all[id].tx)
		if err != nil {
			return nil, err
		}
		verdicts[i] = flow.VerifyCall(b.all[id].tx, encodings(sources)...)
		calls = append(calls, verdicts[i])
	}
	return verdicts, flow.All(b.ctx, calls...)
}
