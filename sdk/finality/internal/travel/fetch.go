package travel

import (
	"errors"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Named are the packages by which a transaction is verified, and those whose files tell which of several made a state. Proofs
// show the states that it consumes and looks at.
func Named(tx *ledger.Transaction, proofs ...*ledger.Filtered) []ledger.Package {
	out := append([]ledger.Package{}, tx.Content().Metadata.Packages...)
	for _, f := range proofs {
		if m, err := f.Metadata(); err == nil && len(m.Packages) > 1 {
			out = append(out, m.Packages...)
		}
	}
	return out
}

// Fetcher gets packages from another party.
type Fetcher struct {
	Ctx *flow.Context
	// From is the party, for messages.
	From string
	// MaxBytes bounds all packages together.
	MaxBytes int
	// Ask asks the party for parts from one on, and returns what it gave: parts that are what [Parts.Gives] says.
	Ask func(Parts) (Parts, error)

	left int
}

// Fetch gets those of some packages that the cluster lacks, and hands them to it; whether a package is taken the cluster
// decides, by who signed it.
func (f Fetcher) Fetch(named ...ledger.Package) error {
	missing := vault.MissingPackagesCall(named...)
	if err := flow.All(f.Ctx, missing); err != nil {
		return err
	}
	f.left = f.MaxBytes
	for _, p := range missing.Value() {
		if err := f.fetch(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fetcher) fetch(p ledger.Package) error {
	for first, parts := uint32(0), uint32(1); first < parts; {
		got, err := f.Ask(Parts{Checksum: p.Checksum, First: first})
		if err != nil {
			return err
		}
		if got.Checksum != p.Checksum || got.First != first || first > 0 && got.Count != parts {
			return flow.Errorf(flow.ErrBadMessage.Type, "%s gave part %d of %d of package %s, asked was part %d of package %s", f.From, got.First, got.Count, got.Checksum, first, p.Checksum)
		}
		// All but the last part are whole: so much comes at least, and it is not begun when that is too much.
		if parts = got.Count; first == 0 && (int64(parts)-1)*vault.PackagePartBytes > int64(f.left) {
			return flow.Errorf(ErrRefused.Type, "package %s %s, by which a transaction is to be verified, and others have more than %d bytes together: let an operator upload them", p.Name, p.Version, f.MaxBytes)
		}
		if err := f.put(p, got); err != nil {
			return err
		}
		for _, data := range got.Data {
			f.left -= len(data)
		}
		first += uint32(len(got.Data))
	}
	return nil
}

// putAttempts is how often the end of a package's check is waited for: a large program takes long to compile.
const putAttempts = 5

// put hands parts of a package over.
func (f *Fetcher) put(p ledger.Package, got Parts) error {
	var puts []flow.Call
	call := func(i int) flow.Call {
		return vault.PutPackageCall(p, int(got.First)+i, int(got.Count), got.Data[i])
	}
	for i := range got.Data {
		puts = append(puts, call(i))
	}
	err := flow.All(f.Ctx, puts...)
	for n := 1; n < putAttempts && errors.Is(err, flow.ErrTimeout); n++ {
		puts = puts[:0]
		for i := range got.Data { // those that are there are passed over
			puts = append(puts, call(i))
		}
		err = flow.All(f.Ctx, puts...)
	}
	var e *flow.Error
	if errors.As(err, &e) {
		return flow.Errorf(e.Type, "package %s %s, which %s gave: %s", p.Name, p.Version, f.From, e.Message)
	}
	return err
}
