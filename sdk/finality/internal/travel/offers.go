package travel

import (
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// ErrRefused: more is asked for or given than is allowed. For finality it is what is wrong with a backchain.
var ErrRefused = &flow.Error{Type: "bad-backchain"}

// Offers are the packages that a party may ask for: their parts from the first on, each once.
type Offers map[ledger.Hash]*offered

type offered struct {
	named       ledger.Package
	next, parts uint32 // parts is 0 until it is known
}

// Add lets packages be asked for: those that are [Named] by transactions that were shown.
func (o Offers) Add(packages ...ledger.Package) {
	for _, p := range packages {
		if o[p.Checksum] == nil {
			o[p.Checksum] = &offered{named: p}
		}
	}
}

// Read are the calls that read what a party asks for.
func (o Offers) Read(who string, want Parts) ([]*flow.Pending[vault.PackagePart], error) {
	p := o[want.Checksum]
	if p == nil || want.First != p.next || p.parts > 0 && p.next == p.parts {
		return nil, flow.Errorf(ErrRefused.Type, "%s asks for part %d of package %s, which no transaction names that it was shown, or which it has had", who, want.First, want.Checksum)
	}
	to := p.next + 1
	if p.parts > 0 {
		to = min(p.next+AtOnce, p.parts)
	}
	var out []*flow.Pending[vault.PackagePart]
	for n := p.next; n < to; n++ {
		out = append(out, vault.ReadPackageCall(p.named, int(n)))
	}
	return out, nil
}

// Give makes the answer of parts that were read.
func (o Offers) Give(want Parts, read []*flow.Pending[vault.PackagePart]) Parts {
	p, given := o[want.Checksum], Parts{Checksum: want.Checksum, First: want.First}
	for _, r := range read {
		given.Count, given.Data = uint32(r.Value().Parts), append(given.Data, r.Value().Data)
	}
	p.next, p.parts = p.next+uint32(len(read)), given.Count
	return given
}
