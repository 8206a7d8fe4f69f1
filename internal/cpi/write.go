package cpi

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/internal/cpi/archive"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Code is what a CPK is made of.
type Code struct {
	Name, Version, CompatibleFrom string
	Modules                       []CodeModule
	// Migrations are the scripts by the names of their files.
	Migrations map[string]string
	Tables     []*cpiv1.TableDeclaration
	Queries    []*cpiv1.QueryDeclaration
	Channels   []*cpiv1.ChannelDeclaration
}

// CodeModule is a module of a CPK to be made. The caller has checked it in the sandbox.
type CodeModule struct {
	Name  string
	Kind  cpiv1.ModuleKind
	WASM  []byte
	Flows []*cpiv1.FlowClass
	// Contracts are the names of its contracts, in order.
	Contracts []string
}

// content is a file on its way into a package.
type content struct {
	name   string
	stored bool
	from   *io.SectionReader
}

func inMemory(name string, b []byte) content {
	return content{name: name, from: io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))}
}

// WriteCPK makes a package of code, signed by the keys; without keys it is unsigned, and the same code makes the same bytes.
func WriteCPK(w io.Writer, c Code, keys ...Key) error {
	out := &CPKContent{Name: c.Name, Version: c.Version, CompatibleFrom: c.CompatibleFrom, Tables: c.Tables, Queries: c.Queries, Channels: c.Channels}
	var files []content
	for _, m := range c.Modules {
		if !bytes.HasPrefix(m.WASM, []byte("\x00asm\x01\x00\x00\x00")) {
			return &Error{ID: ErrModule, Entry: moduleFolder + m.Name + moduleEnding, Detail: "it is no WebAssembly module", Remedy: "build it with fairlead app build"}
		}
		flows := slices.Clone(m.Flows)
		slices.SortFunc(flows, func(a, b *cpiv1.FlowClass) int { return cmp.Compare(a.GetName(), b.GetName()) })
		out.Modules = append(out.Modules, Module{Name: m.Name, Kind: m.Kind, Size: int64(len(m.WASM)), Flows: flows, Contracts: m.Contracts})
		files = append(files, inMemory(moduleFolder+m.Name+moduleEnding, m.WASM))
	}
	slices.SortFunc(out.Modules, func(a, b Module) int { return cmp.Compare(a.Name, b.Name) })
	for name, sql := range c.Migrations {
		out.Migrations = append(out.Migrations, Migration{Name: name, Size: int64(len(sql))})
		files = append(files, inMemory(migrationFolder+name, []byte(sql)))
	}
	slices.SortFunc(out.Migrations, func(a, b Migration) int { return cmp.Compare(a.Name, b.Name) })
	if err := out.Check(); err != nil {
		return err
	}
	raw, err := canonical(out.file())
	if err != nil {
		return fmt.Errorf("make the package: %w", err)
	}
	return write(w, Manifest{Kind: CPK, Name: c.Name, Version: c.Version, CompatibleFrom: c.CompatibleFrom}, append(files, inMemory(applicationFile, raw)), keys)
}

// Part is a package file that goes into another.
type Part struct {
	// Source and Size are the file.
	Source io.ReaderAt
	Size   int64
}

// WriteCPB bundles CPKs under a name and a version. All of them must be signed already, or there must be a key to sign
// those that are not.
func WriteCPB(w io.Writer, name, version string, cpks []Part, keys ...Key) error {
	var files []content
	for _, part := range cpks {
		p, err := Open(part.Source, part.Size, Options{Kind: CPK, Trust: Trust{AnySigner: true, Unsigned: len(keys) > 0}})
		if err != nil {
			return err
		}
		c := content{name: cpkName(p.Name, p.Version), stored: true, from: io.NewSectionReader(part.Source, 0, part.Size)}
		if len(p.Signers) == 0 {
			var signed bytes.Buffer
			if err := Sign(&signed, part.Source, part.Size, false, keys...); err != nil {
				return err
			}
			c.from = io.NewSectionReader(bytes.NewReader(signed.Bytes()), 0, int64(signed.Len()))
		}
		files = append(files, c)
	}
	return write(w, Manifest{Kind: CPB, Name: name, Version: version}, files, keys)
}

// WriteCPI makes an installer of a group policy and a CPB; the latter is nil for the package of a group's manager.
func WriteCPI(w io.Writer, name, version string, policy []byte, bundle *Part, keys ...Key) error {
	p, err := ParseGroupPolicy(policy)
	if err != nil {
		return err
	}
	files := []content{inMemory(policyFile, policy)}
	if bundle != nil {
		if _, err := Open(bundle.Source, bundle.Size, Options{Kind: CPB, Trust: Trust{AnySigner: true}}); err != nil {
			return err
		}
		files = append(files, content{name: bundleFile, stored: true, from: io.NewSectionReader(bundle.Source, 0, bundle.Size)})
	} else if p.GroupID != CreateID {
		return &Error{ID: ErrMissing, Entry: bundleFile, Detail: "a CPI without code is only for the manager of a group (group id " + CreateID + ")", Remedy: "give the CPB"}
	}
	return write(w, Manifest{Kind: CPI, Name: name, Version: version}, files, keys)
}

// write makes a package: the manifest, the signatures, then the files, each group sorted by name.
func write(w io.Writer, m Manifest, files []content, keys []Key) error {
	m.Format, m.Files = Format, nil
	slices.SortFunc(files, func(a, b content) int { return cmp.Compare(a.name, b.name) })
	for _, f := range files {
		sum := sha256.New()
		n, err := io.Copy(sum, io.NewSectionReader(f.from, 0, f.from.Size()))
		if err != nil {
			return fmt.Errorf("make the package: read %s: %w", f.name, err)
		}
		m.Files = append(m.Files, File{Name: f.name, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: n})
	}
	if err := m.check(); err != nil {
		return &Error{ID: ErrManifest, Detail: err.Error(), Remedy: "give another"}
	}
	raw, err := canonical(m)
	if err != nil {
		return fmt.Errorf("make the package: %w", err)
	}
	signatures, err := signatures(raw, keys)
	if err != nil {
		return err
	}
	a := archive.NewWriter(w)
	for _, f := range slices.Concat([]content{inMemory(manifestFile, raw)}, signatures, files) {
		if err := a.Add(f.name, f.from, f.stored); err != nil {
			return ofArchive(err)
		}
	}
	return a.Close()
}

func signatures(manifest []byte, keys []Key) ([]content, error) {
	var out []content
	for _, k := range keys {
		s, err := k.sign(manifest)
		if err != nil {
			return nil, err
		}
		out = append(out, inMemory(signatureName(k.Chain[0]), s))
	}
	slices.SortFunc(out, func(a, b content) int { return cmp.Compare(a.name, b.name) })
	return out, nil
}

// Sign writes a package again, signed by the keys. Signatures that it has are kept or removed; that of the same certificate
// is always replaced. The manifest and the files stay as they are, and so does every package within.
func Sign(w io.Writer, src io.ReaderAt, size int64, keep bool, keys ...Key) error {
	// Any signer will do, and what is in the package is checked, so that nobody signs what no cluster would take.
	p, err := Open(src, size, Options{Trust: Trust{AnySigner: true, Unsigned: true}})
	if err != nil {
		return err
	}
	raw, err := p.archive.Find(manifestFile).ReadAll(maxManifest)
	if err != nil {
		return ofArchive(err)
	}
	added, err := signatures(raw, keys)
	if err != nil {
		return err
	}
	var old, rest []*archive.Entry
	for _, e := range p.archive.Entries {
		switch {
		case e.Name == manifestFile:
		case !isSignature(e.Name):
			rest = append(rest, e)
		case keep && !slices.ContainsFunc(added, func(c content) bool { return c.name == e.Name }):
			old = append(old, e)
		}
	}
	if n := len(old) + len(added); n > maxSignatures {
		return &Error{ID: ErrTooLarge, Detail: fmt.Sprintf("the package would have %d signatures, at most %d are allowed", n, maxSignatures), Remedy: "leave some out"}
	}
	a := archive.NewWriter(w)
	if err := a.Copy(p.archive.Find(manifestFile)); err != nil {
		return ofArchive(err)
	}
	for len(old)+len(added) > 0 {
		if len(added) == 0 || len(old) > 0 && strings.Compare(old[0].Name, added[0].name) < 0 {
			err, old = a.Copy(old[0]), old[1:]
		} else {
			err, added = a.Add(added[0].name, added[0].from, false), added[1:]
		}
		if err != nil {
			return ofArchive(err)
		}
	}
	for _, e := range rest {
		if err := a.Copy(e); err != nil {
			return ofArchive(err)
		}
	}
	return a.Close()
}

// Declarations is what the code declares beside its modules, as JSON to read: the members of the package's
// application.json that do not come from building it.
func (c Code) Declarations() ([]byte, error) {
	a := (&CPKContent{Tables: c.Tables, Queries: c.Queries, Channels: c.Channels}).file()
	b, err := json.MarshalIndent(struct {
		Channels []channel `json:"channels"`
		Queries  []query   `json:"queries"`
		Tables   []table   `json:"tables"`
	}{a.Channels, a.Queries, a.Tables}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the declarations: %w", err)
	}
	return append(b, '\n'), nil
}
