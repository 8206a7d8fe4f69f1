package finality

import (
	"errors"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// lacks tells whether a verification failed because the cluster does not have a package that the initiator was not asked for
// yet.
func (b *backchain) lacks(err error) bool {
	return !b.coded && errors.Is(err, flow.ErrPackageMissing)
}

// fetchPackages asks the initiator for the packages that this cluster lacks, and hands them to it. That happens once, for all
// that is to be verified; whether a package is taken the cluster decides, by who signed it.
func (b *backchain) fetchPackages() error {
	b.coded = true
	missing := vault.MissingPackagesCall(b.named()...)
	err := flow.All(b.ctx, missing)
	if err != nil {
		return err
	}
	left := b.maxPackageBytes()
	for _, p := range missing.Value() {
		if left, err = b.fetchPackage(p, left); err != nil {
			return err
		}
	}
	return nil
}

// named are the packages by which the transactions that were fetched and the one that is proposed are verified, and those
// whose files tell which of several made a state.
func (b *backchain) named() (out []ledger.Package) {
	for _, id := range b.order {
		out = append(out, b.namedBy(b.all[id].tx)...)
	}
	return append(out, b.namedBy(b.tx)...)
}

func (b *backchain) namedBy(tx *ledger.Transaction) []ledger.Package {
	out := append([]ledger.Package{}, tx.Content().Metadata.Packages...)
	for _, id := range tx.Dependencies() {
		for _, f := range b.proofs[id] {
			if m, err := f.Metadata(); err == nil && len(m.Packages) > 1 {
				out = append(out, m.Packages...)
			}
		}
	}
	return out
}

// fetchPackage gets one package; left is how many bytes may still come, before and after.
func (b *backchain) fetchPackage(p ledger.Package, left int) (int, error) {
	from := b.s.Counterparty()
	for first, parts := uint32(0), uint32(1); first < parts; {
		reply := receiveCall(b.s)
		ask := message{kind: packageWanted, id: b.id, code: codeParts{checksum: p.Checksum, first: first}}
		if err := flow.All(b.ctx, sendCall(b.s, ask), reply); err != nil {
			return left, err
		}
		m, err := take(b.s, reply.Value(), b.id, packageGiven)
		if err != nil {
			return left, err
		}
		got := m.code
		if got.checksum != p.Checksum || got.first != first || first > 0 && got.parts != parts {
			return left, failed(flow.ErrBadMessage, "%s gave part %d of %d of package %s, asked was part %d of package %s", from, got.first, got.parts, got.checksum, first, p.Checksum)
		}
		// All but the last part are whole: so much comes at least, and it is not begun when that is too much.
		if parts = got.parts; first == 0 && (int64(parts)-1)*vault.PackagePartBytes > int64(left) {
			return left, failed(ErrBackchain, "package %s %s, by which a transaction is to be verified, and others have more than %d bytes together: let an operator upload them", p.Name, p.Version, b.maxPackageBytes())
		}
		if err := b.put(p, got); err != nil {
			return left, err
		}
		for _, data := range got.data {
			left -= len(data)
		}
		first += uint32(len(got.data))
	}
	return left, nil
}

// putAttempts is how often the end of a package's check is waited for: a large program takes long to compile.
const putAttempts = 5

// put hands parts of a package over.
func (b *backchain) put(p ledger.Package, got codeParts) error {
	var puts []flow.Call
	call := func(i int) flow.Call {
		return vault.PutPackageCall(p, int(got.first)+i, int(got.parts), got.data[i])
	}
	for i := range got.data {
		puts = append(puts, call(i))
	}
	err := flow.All(b.ctx, puts...)
	for n := 1; n < putAttempts && errors.Is(err, flow.ErrTimeout); n++ {
		puts = puts[:0]
		for i := range got.data { // those that are there are passed over
			puts = append(puts, call(i))
		}
		err = flow.All(b.ctx, puts...)
	}
	return b.refusal(p, err)
}

// refusal says of an error that it is about a package of another party.
func (b *backchain) refusal(p ledger.Package, err error) error {
	var e *flow.Error
	if errors.As(err, &e) {
		return flow.Errorf(e.Type, "package %s %s, which %s gave: %s", p.Name, p.Version, b.s.Counterparty(), e.Message)
	}
	return err
}
