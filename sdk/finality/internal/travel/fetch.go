package travel

import (
	"errors"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Named are the packages by which a transaction is verified, and those whose files tell which of several made a state. Proofs
// show the states that it consumes and looks at. Of several, only versions of a package that the transaction names can have made
// what it may consume: the others are of applications whose files nobody here may have or take.
func Named(tx *ledger.Transaction, proofs ...*ledger.Filtered) []ledger.Package {
	out := append([]ledger.Package{}, tx.Content().Metadata.Packages...)
	for _, f := range proofs {
		m, err := f.Metadata()
		if err != nil || len(m.Packages) < 2 {
			continue
		}
		for _, p := range m.Packages {
			if slices.ContainsFunc(tx.Content().Metadata.Packages, func(now ledger.Package) bool { return now.Name == p.Name && now.Signer == p.Signer }) {
				out = append(out, p)
			}
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
	// Waits is how often the end of a package's check is waited for, which takes long for a large program: each time for as long
	// as a request of a flow may take. The other party hears nothing meanwhile.
	Waits int
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
		coming, err := f.put(p, got)
		if err != nil {
			return err
		}
		if coming {
			if come, err := f.comes(p); err != nil {
				return err
			} else if come {
				_, err = f.put(p, got) // it is there, so what was handed over is dropped
				return err
			}
		}
		for _, data := range got.Data {
			f.left -= len(data)
		}
		first += uint32(len(got.Data))
	}
	return nil
}

// firstWait and lastWait are for how long another flow is waited for that brings the same package, from one look to the next:
// half a minute together, for parties give up sessions that are silent for long. It is somebody else's transfer, which may break.
const firstWait, lastWait = time.Second, 16 * time.Second

// comes waits for a package that another flow of the virtual node brings, and tells whether it has come. When many pay by a new
// version at once, the first brings it for all.
func (f *Fetcher) comes(p ledger.Package) (bool, error) {
	for wait := firstWait; wait <= lastWait; wait *= 2 {
		if err := f.Ctx.Sleep(wait); err != nil {
			return false, err
		}
		missing := vault.MissingPackagesCall(p)
		if err := flow.All(f.Ctx, missing); err != nil {
			return false, err
		}
		if len(missing.Value()) == 0 {
			return true, nil
		}
	}
	return false, nil
}

// put hands parts of a package over, and tells whether another flow brings it that began earlier.
func (f *Fetcher) put(p ledger.Package, got Parts) (coming bool, err error) {
	for n := 1; ; n++ {
		puts := make([]*flow.Pending[bool], len(got.Data))
		calls := make([]flow.Call, len(got.Data))
		for i, data := range got.Data { // those that are there are passed over
			puts[i] = vault.PutPackageCall(p, int(got.First)+i, int(got.Count), data)
			calls[i] = puts[i]
		}
		err = flow.All(f.Ctx, calls...)
		if err == nil {
			return puts[0].Value(), nil
		}
		if n >= f.Waits || !errors.Is(err, flow.ErrTimeout) {
			break
		}
	}
	var e *flow.Error
	if errors.As(err, &e) {
		return false, flow.Errorf(e.Type, "package %s %s, which %s gave: %s", p.Name, p.Version, f.From, e.Message)
	}
	return false, err
}
