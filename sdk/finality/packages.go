package finality

import (
	"errors"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// lacks tells whether a verification failed because the cluster does not have a package that the initiator was not asked for
// yet.
func (b *backchain) lacks(err error) bool {
	return !b.coded && errors.Is(err, flow.ErrPackageMissing)
}

// fetchPackages asks the initiator for the packages that this cluster lacks, and hands them to it. That happens once, for all
// that is to be verified.
func (b *backchain) fetchPackages() error {
	b.coded = true
	fetcher := travel.Fetcher{Ctx: b.ctx, From: b.s.Counterparty(), MaxBytes: b.maxPackageBytes(), Waits: 5, Ask: func(want travel.Parts) (travel.Parts, error) {
		reply := receiveCall(b.s)
		if err := flow.All(b.ctx, sendCall(b.s, message{kind: packageWanted, id: b.id, code: want}), reply); err != nil {
			return travel.Parts{}, err
		}
		m, err := take(b.s, reply.Value(), b.id, packageGiven)
		return m.code, err
	}}
	return fetcher.Fetch(b.named()...)
}

// named are the packages by which the transactions that were fetched and the one that is proposed are verified.
func (b *backchain) named() (out []ledger.Package) {
	for _, id := range b.order {
		out = append(out, b.namedBy(b.all[id].tx)...)
	}
	return append(out, b.namedBy(b.tx)...)
}

func (b *backchain) namedBy(tx *ledger.Transaction) []ledger.Package {
	var proofs []*ledger.Filtered
	for _, id := range tx.Dependencies() {
		proofs = append(proofs, b.proofs[id]...)
	}
	return travel.Named(tx, proofs...)
}
