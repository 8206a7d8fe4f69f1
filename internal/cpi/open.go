package cpi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/fairleadio/fairlead/internal/cpi/archive"
)

// Options say what Open takes.
type Options struct {
	// Trust says whose packages are taken; the zero value trusts nobody.
	Trust Trust
	// Limits bound the file; zero fields mean the defaults of package archive. Packages within have the same limits.
	Limits archive.Limits
	// Kind is the only kind that is taken; empty for any.
	Kind Kind
}

// Package is an opened package. Everything in it was checked. It reads modules and migrations from the source that it was
// opened with, which must stay open as long as they are asked for.
type Package struct {
	Manifest
	// FileSHA256 is the hash of the whole file.
	FileSHA256 [32]byte
	// Size of the file, bytes.
	Size int64
	// Signers are sorted by name; none when the package is not signed and that was allowed.
	Signers []Signer
	// CPKs are the packages of code: of a CPK itself, of a CPB those within, of a CPI those of its bundle. In the order
	// of their names and versions.
	CPKs []*CPKContent
	// Bundle is the CPB of a CPI; nil when it has none.
	Bundle *Package
	// GroupPolicy is that of a CPI; nil for other kinds.
	GroupPolicy *GroupPolicy

	source  io.ReaderAt
	archive *archive.Reader
	within  []*Package // the CPKs of a CPB
}

// SignerSummaryHash identifies the signers; see [SummaryHash].
func (p *Package) SignerSummaryHash() string { return SummaryHash(p.Signers) }

// Checksum names the file in REST and in records: the first 12 digits of its hash, upper case.
func (p *Package) Checksum() string { return Checksum(p.FileSHA256) }

// Checksum returns the first 12 digits of a file's hash, upper case.
func Checksum(sum [32]byte) string { return strings.ToUpper(hex.EncodeToString(sum[:6])) }

// Open checks a package of size bytes and returns what it is. A refusal is an [*Error]; other errors are of reading src.
func Open(src io.ReaderAt, size int64, o Options) (*Package, error) {
	p, err := (&opener{Options: o, budget: o.Limits.WithDefaults().Total}).open(src, size, o.Kind, nil)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// opener opens a package and those within.
type opener struct {
	Options
	// budget is how many bytes the packages may still inflate to, all together.
	budget int64
}

// open opens a package that must be of a kind, if one is given; known is the hash of the file when it was checked already.
func (o *opener) open(src io.ReaderAt, size int64, kind Kind, known *[32]byte) (*Package, error) {
	a, err := archive.Open(src, size, o.Limits)
	if err != nil {
		return nil, ofArchive(err)
	}
	for _, e := range a.Entries {
		if _, stored := e.Stored(); !stored {
			o.budget -= e.Size
		}
	}
	if o.budget < 0 {
		return nil, &Error{ID: ErrTooLarge, Detail: "the packages within inflate to more than is allowed together", Remedy: "make them smaller"}
	}
	m, raw, err := readManifest(a)
	if err != nil {
		return nil, err
	}
	// Before anything within is opened: packages are nested three deep and never deeper.
	if kind != "" && m.Kind != kind {
		return nil, &Error{ID: ErrKind, Detail: fmt.Sprintf("%s %s is a %s, a %s is needed", m.Name, m.Version, m.Kind, kind),
			Remedy: "a CPB is made of CPKs with fairlead app package create-cpb, a CPI of a CPB with create-cpi"}
	}
	p := &Package{Manifest: m, Size: size, source: src, archive: a}
	if p.Signers, err = verifySignatures(a, raw, o.Trust); err != nil {
		return nil, err
	}
	if err := p.checkFiles(); err != nil {
		return nil, err
	}
	if known != nil {
		p.FileSHA256 = *known
	} else {
		sum := sha256.New()
		if _, err := io.Copy(sum, io.NewSectionReader(src, 0, size)); err != nil {
			return nil, fmt.Errorf("read the package: %w", err)
		}
		sum.Sum(p.FileSHA256[:0])
	}
	switch m.Kind {
	case CPK:
		err = p.openCPK()
	case CPB:
		err = p.openCPB(o)
	default:
		err = p.openCPI(o)
	}
	if err != nil {
		return nil, err
	}
	if err := p.checkUnique(); err != nil {
		return nil, err
	}
	return p, nil
}

// checkFiles holds the entries against the manifest: none more, none less, each with its hash.
func (p *Package) checkFiles() error {
	listed := make(map[string]*File, len(p.Files))
	for i := range p.Files {
		listed[p.Files[i].Name] = &p.Files[i]
	}
	for _, e := range p.archive.Entries {
		f := listed[e.Name]
		switch {
		case e.Name == manifestFile || isSignature(e.Name):
			continue
		case f == nil:
			return &Error{ID: ErrUnlisted, Entry: e.Name, Detail: "the manifest does not list it", Remedy: "it was put in after the package was made; " + remedyAgain}
		case f.Size != e.Size:
			return &Error{ID: ErrContent, Entry: e.Name, Detail: fmt.Sprintf("it has %d bytes, the manifest says %d", e.Size, f.Size), Remedy: remedyAgain}
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, e.Open()); err != nil {
			return ofArchive(err)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
			return &Error{ID: ErrContent, Entry: e.Name, Detail: "it has hash " + got + ", the manifest says " + f.SHA256, Remedy: remedyAgain}
		}
		delete(listed, e.Name)
	}
	for _, f := range p.Files {
		if listed[f.Name] != nil {
			return &Error{ID: ErrMissing, Entry: f.Name, Detail: "the manifest lists it and it is not there", Remedy: remedyAgain}
		}
	}
	return nil
}

// read returns a whole file, checked again: the source may have changed since the package was opened.
func (p *Package) read(name string, limit int64) ([]byte, error) {
	e := p.archive.Find(name)
	if e == nil {
		return nil, &Error{ID: ErrMissing, Entry: name, Detail: "it is not in the package", Remedy: remedyMake}
	}
	b, err := e.ReadAll(limit)
	if err != nil {
		return nil, ofArchive(err)
	}
	sum := sha256.Sum256(b)
	for _, f := range p.Files {
		if f.Name == name && f.SHA256 == hex.EncodeToString(sum[:]) {
			return b, nil
		}
	}
	return nil, &Error{ID: ErrContent, Entry: name, Detail: "its hash is not that of the manifest", Remedy: remedyAgain}
}

// inner opens a package within.
func (p *Package) inner(name string, o *opener, kind Kind) (*Package, error) {
	section, ok := p.archive.Find(name).Stored()
	if !ok {
		return nil, &Error{ID: ErrNested, Entry: name, Detail: "a package within a package is stored, this one is compressed", Remedy: remedyMake}
	}
	sum, _, _ := p.hashOf(name) // checkFiles has compared it
	q, err := o.open(section, section.Size(), kind, &sum)
	if err != nil {
		return nil, within(name, err)
	}
	return q, nil
}

func (p *Package) openCPB(o *opener) error {
	if len(p.Files) > maxCPKs {
		return &Error{ID: ErrTooLarge, Detail: fmt.Sprintf("the bundle has %d CPKs, at most %d are allowed", len(p.Files), maxCPKs), Remedy: "split it"}
	}
	for _, f := range p.Files {
		q, err := p.inner(f.Name, o, CPK)
		if err != nil {
			return err
		}
		if want := cpkName(q.Name, q.Version); f.Name != want {
			return &Error{ID: ErrNested, Entry: f.Name, Detail: "it holds " + q.Name + " " + q.Version + ", whose place is " + want, Remedy: remedyMake}
		}
		p.within = append(p.within, q)
		p.CPKs = append(p.CPKs, q.CPKs...)
	}
	return nil
}

func cpkName(name, version string) string { return cpkFolder + name + "-" + version + cpkEnding }

func (p *Package) openCPI(o *opener) error {
	raw, err := p.read(policyFile, maxPolicy)
	if err != nil {
		return err
	}
	if p.GroupPolicy, err = ParseGroupPolicy(raw); err != nil {
		return err
	}
	if p.archive.Find(bundleFile) == nil {
		if p.GroupPolicy.GroupID == CreateID {
			return nil
		}
		return &Error{ID: ErrMissing, Entry: bundleFile, Detail: "a CPI without code is only for the manager of a group (group id " + CreateID + ")", Remedy: "give --cpb to create-cpi"}
	}
	if p.Bundle, err = p.inner(bundleFile, o, CPB); err != nil {
		return err
	}
	p.CPKs = p.Bundle.CPKs
	return nil
}

// checkUnique refuses what two packages of code cannot both have in one virtual node.
func (p *Package) checkUnique() error {
	type thing struct{ what, name string }
	seen := map[thing]*CPKContent{}
	for _, c := range p.CPKs {
		all := []thing{{"package", c.Name}}
		for _, m := range c.Modules {
			for _, f := range m.Flows {
				all = append(all, thing{"flow", f.GetName()})
			}
			for _, name := range m.Contracts {
				all = append(all, thing{"contract", name})
			}
		}
		for _, d := range c.Tables {
			all = append(all, thing{"table", d.GetName()})
		}
		for _, d := range c.Queries {
			all = append(all, thing{"query", d.GetName()})
		}
		for _, d := range c.Channels {
			all = append(all, thing{"channel", d.GetName()})
		}
		for _, t := range all {
			if other := seen[t]; other != nil {
				return &Error{ID: ErrNested, Entry: cpkName(c.Name, c.Version),
					Detail: fmt.Sprintf("%s %q is also in %s %s", t.what, t.name, other.Name, other.Version), Remedy: "rename one of them, or leave one package out"}
			}
			seen[t] = c
		}
	}
	return nil
}

// OpenBytes is Open for a package in memory.
func OpenBytes(b []byte, o Options) (*Package, error) {
	return Open(bytes.NewReader(b), int64(len(b)), o)
}

// CodeFile is the file of a package of code, as it is: of a CPK itself, or in the bundle of a CPI.
type CodeFile struct {
	*CPKContent
	File *io.SectionReader
}

// CodeFiles are the files of the packages of code. They read the source that the package was opened with.
func (p *Package) CodeFiles() []CodeFile {
	switch {
	case p.Kind == CPK:
		return []CodeFile{{p.CPKs[0], io.NewSectionReader(p.source, 0, p.Size)}}
	case p.Bundle != nil:
		return p.Bundle.CodeFiles()
	}
	var out []CodeFile
	for _, q := range p.within {
		out = append(out, q.CodeFiles()...)
	}
	return out
}
