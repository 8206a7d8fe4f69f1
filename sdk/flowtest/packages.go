package flowtest

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Package is a version of the application as a test network knows it: the program under test stands for its code, and its
// file is any bytes. Which of them a member has decides what it can verify.
type Package struct {
	Name, Version string
	// Signer is whose signature the file has; empty for nobody's.
	Signer string
	// CompatibleFrom is the lowest version whose states it takes; empty for none but its own.
	CompatibleFrom string
	File           []byte
}

// Named is the package as transactions name it.
func (p Package) Named() ledger.Package {
	n := ledger.Package{Name: p.Name, Version: p.Version, Checksum: sha256.Sum256(p.File)}
	if n.Signer = n.Checksum; p.Signer != "" {
		n.Signer = sha256.Sum256([]byte(p.Signer))
	}
	return n
}

// Install has an operator put a version of the application on the member's virtual node, and no other from then on: its new
// transactions name it. Each member is on a cluster of its own, and from the first Install on that cluster verifies only by
// packages that were installed there, or that the member got from others, as the platform does it: by packages of the name and
// signer of the one that is installed. A member without verifies everything.
func (m *Member) Install(p Package) {
	m.own, m.net.files[p.Named().Checksum] = &p, p
	m.keep(p)
}

func (m *Member) keep(p Package) {
	if m.code == nil {
		m.code = map[ledger.Hash]Package{}
	}
	m.code[p.Named().Checksum] = p
}

// Packages are the packages that the member's cluster verifies by, sorted by their versions.
func (m *Member) Packages() []Package {
	var out []Package
	for _, p := range m.code {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Package) int {
		return slices.Compare([]string{a.Version, a.Name, string(a.File)}, []string{b.Version, b.Name, string(b.File)})
	})
	return out
}

// stands tells whether the installed package stands for another.
func (m *Member) stands(p ledger.Package) bool {
	own := m.own.Named()
	return own.Checksum == p.Checksum || own.Name == p.Name && (own.Signer == p.Signer || m.own.Signer == "" && p.Signer == p.Checksum)
}

// lacks is what is against verifying by the packages that a transaction names, nil for nothing.
func (m *Member) lacks(metadata ledger.Metadata) *flow.Error {
	if m.own == nil {
		return nil
	}
	for _, p := range metadata.Packages {
		if !m.stands(p) {
			return flow.Errorf(flow.ErrPackageUntrusted.Type, "package %s %s is not one of %s's", p.Name, p.Version, m.Name())
		}
	}
	for _, p := range metadata.Packages {
		if _, here := m.code[p.Checksum]; !here {
			return flow.Errorf(flow.ErrPackageMissing.Type, "the cluster of %s does not have package %s %s", m.Name(), p.Name, p.Version)
		}
	}
	return nil
}

// untaken tells of states that were made by packages none of which a transaction's own takes states of.
func (n *Network) untaken(r *ledger.Resolved) (out []wire.VerificationFailure) {
	for _, list := range []struct {
		what   string
		states []ledger.StateAndRef
	}{{"input", r.Inputs()}, {"reference", r.References()}} {
		for i, s := range list.states {
			text := ""
			for _, now := range r.Transaction().Content().Metadata.Packages {
				for _, made := range s.Packages {
					if text = (ledger.Installed{Package: now, CompatibleFrom: n.files[now.Checksum].CompatibleFrom}).Refuses(made); text == "" {
						break
					}
				}
				if text == "" {
					break
				}
			}
			if text != "" {
				out = append(out, wire.VerificationFailure{Contract: s.State.Contract, Component: fmt.Sprintf("%s %d", list.what, i), Message: "state " + s.Ref.String() + " " + text})
			}
		}
	}
	return out
}

// given is a package on its way in.
type given struct {
	flow     string
	checksum ledger.Hash
}

func (f *Flow) answerPackage(o *wire.PackageRequest) wire.Answer {
	switch o := o.Operation.(type) {
	case *wire.FindMissingPackages:
		out := &wire.MissingPackages{}
		for _, sum := range o.Checksums {
			if len(sum) != len(ledger.Hash{}) {
				return fault(flow.ErrInvalidArgument.Type, "checksums: a SHA-256 has 32 bytes")
			}
			if _, here := f.m.code[ledger.Hash(sum)]; !here && f.m.own != nil {
				out.Checksums = append(out.Checksums, sum)
			}
		}
		return wire.Result(out)
	case *wire.ReadPackagePart:
		return f.m.readPackage(o)
	case *wire.PutPackagePart:
		return f.putPackage(o)
	default:
		return fault("unsupported", "the test network does not know this operation on packages")
	}
}

func packageOf(p *wire.NamedPackage) (ledger.Package, bool) {
	if p == nil || len(p.Checksum) != len(ledger.Hash{}) || len(p.Signer) != len(ledger.Hash{}) {
		return ledger.Package{}, false
	}
	return ledger.Package{Name: p.Name, Version: p.Version, Checksum: ledger.Hash(p.Checksum), Signer: ledger.Hash(p.Signer)}, true
}

func (m *Member) readPackage(o *wire.ReadPackagePart) wire.Answer {
	named, ok := packageOf(o.Package)
	p, here := m.code[named.Checksum]
	switch {
	case !ok:
		return fault(flow.ErrInvalidArgument.Type, "package: checksum and signer are needed")
	case !here:
		return fault(flow.ErrNotFound.Type, fmt.Sprintf("the file of package %s %s is not kept here", named.Name, named.Version))
	case !m.stands(p.Named()):
		return fault(flow.ErrPackageRefused.Type, fmt.Sprintf("package %s %s is not one of %s's", p.Name, p.Version, m.Name()))
	}
	parts := slices.Collect(slices.Chunk(p.File, vault.PackagePartBytes))
	if int64(o.Part) >= int64(len(parts)) {
		return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("part %d is asked for, package %s %s has %d", o.Part, p.Name, p.Version, len(parts)))
	}
	return wire.Result(&wire.PackagePart{Parts: uint32(len(parts)), Data: parts[o.Part]})
}

func (f *Flow) putPackage(o *wire.PutPackagePart) wire.Answer {
	m := f.m
	named, ok := packageOf(o.Package)
	refused := func(format string, args ...any) wire.Answer {
		return fault(flow.ErrPackageRefused.Type, fmt.Sprintf("package %s %s: ", named.Name, named.Version)+fmt.Sprintf(format, args...))
	}
	switch _, here := m.code[named.Checksum]; {
	case !ok:
		return fault(flow.ErrInvalidArgument.Type, "package: checksum and signer are needed")
	case here || m.own == nil:
		delete(m.given, given{f.id.String(), named.Checksum})
		return wire.Result(&wire.PutPackageResult{Coming: int64(o.Part)+1 < int64(o.Parts)})
	case named.Signer == named.Checksum:
		return refused("nobody has signed it")
	case !m.stands(named):
		return refused("%s has no package of that name and signer", m.Name())
	case o.Part >= o.Parts || len(o.Data) == 0 || len(o.Data) > vault.PackagePartBytes:
		return refused("part %d of %d has %d bytes", o.Part, o.Parts, len(o.Data))
	}
	at := given{f.id.String(), named.Checksum}
	if m.given == nil {
		m.given = map[given]map[uint32][]byte{}
	}
	if m.given[at] == nil {
		m.given[at] = map[uint32][]byte{}
	}
	parts := m.given[at]
	if len(parts) == 0 {
		m.begun = append(m.begun, at)
	}
	if parts[o.Part] = o.Data; len(parts) < int(o.Parts) {
		// Whoever began earlier, and has not ended.
		i := slices.IndexFunc(m.begun, func(g given) bool { return g.checksum == at.checksum && m.given[g] != nil })
		return wire.Result(&wire.PutPackageResult{Coming: o.Part == 0 && m.begun[i] != at})
	}
	delete(m.given, at)
	var file []byte
	for i := range o.Parts {
		file = append(file, parts[i]...)
	}
	p, known := m.net.files[sha256.Sum256(file)]
	switch {
	case sha256.Sum256(file) != named.Checksum:
		return refused("the file has another SHA-256")
	case !known:
		return refused("it is no package of this network: let a member install it")
	case p.Signer == "":
		return refused("nobody has signed it")
	case p.Named() != named:
		return refused("the file is package %s %s of another signer", p.Name, p.Version)
	}
	m.keep(p)
	return wire.Result(nil)
}
