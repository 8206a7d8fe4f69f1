package cpi

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/fairleadio/fairlead/internal/cpi/archive"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Kind is a kind of package.
type Kind string

// Kinds of packages. Their lower-case names are the endings of the files.
const (
	CPK Kind = "CPK"
	CPB Kind = "CPB"
	CPI Kind = "CPI"
)

// Format is the version of the package format that is written, and the only one that is read.
const Format = 1

// Names of files in packages.
const (
	manifestFile    = "META-INF/manifest.json"
	signatureFolder = "META-INF/signatures/"
	signatureEnding = ".p7s"
	applicationFile = "application.json"
	moduleFolder    = "modules/"
	moduleEnding    = ".wasm"
	migrationFolder = "migrations/"
	migrationEnding = ".sql"
	cpkFolder       = "cpks/"
	cpkEnding       = ".cpk"
	bundleFile      = "bundle.cpb"
	policyFile      = "GroupPolicy.json"
)

// Bounds of what is read into memory, bytes.
const (
	maxManifest    = 4 << 20
	maxApplication = 4 << 20
	maxPolicy      = 1 << 20
	maxSignature   = 64 << 10
	// MaxMigration is the largest migration.
	MaxMigration = 4 << 20
	// MaxModule is the largest module.
	MaxModule = 64 << 20

	maxSignatures = 16
	maxCPKs       = 100
)

// Manifest says what a package is and what is in it. It is what is signed. Its encoding is canonical: members in
// alphabetical order, no white space, characters escaped only where JSON asks for it; any other encoding is refused.
type Manifest struct {
	// CompatibleFrom is the lowest version whose states this version may spend; empty: none but its own. Only of a CPK.
	CompatibleFrom string `json:"compatibleFrom,omitempty"`
	// Files are all files but the manifest and the signatures, sorted by name.
	Files   []File `json:"files"`
	Format  int    `json:"format"`
	Kind    Kind   `json:"kind"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// File is a file of a package.
type File struct {
	Name string `json:"name"`
	// SHA256 of the content, in hex.
	SHA256 string `json:"sha256"`
	// Size of the content, bytes.
	Size int64 `json:"size"`
}

// canonical encodes a value; struct members are declared in alphabetical order for it.
func canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeCanonical decodes what canonical encoded and nothing else: unknown or doubled members, another order, white space
// and broken text all show in the comparison.
func decodeCanonical(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return err
	}
	again, err := canonical(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(b, again) {
		at := 0
		for at < min(len(b), len(again)) && b[at] == again[at] {
			at++
		}
		return fmt.Errorf("it is not canonical at byte %d (unknown or doubled members, order, white space)", at)
	}
	return nil
}

// readManifest reads and checks the manifest of an opened file.
func readManifest(a *archive.Reader) (Manifest, []byte, error) {
	wrong := func(id, format string, args ...any) error {
		return &Error{ID: id, Entry: manifestFile, Detail: fmt.Sprintf(format, args...), Remedy: remedyMake}
	}
	e := a.Find(manifestFile)
	if e == nil {
		return Manifest{}, nil, wrong(ErrManifest, "there is no manifest, so this is no fairlead package")
	}
	raw, err := e.ReadAll(maxManifest)
	if err != nil {
		return Manifest{}, nil, ofArchive(err)
	}
	// The number comes first, so that a later format is not taken for a damaged file.
	var head struct{ Format int }
	if err := json.Unmarshal(raw, &head); err == nil && head.Format != Format && head.Format > 0 {
		return Manifest{}, nil, &Error{ID: ErrFormat, Entry: manifestFile, Detail: fmt.Sprintf("the package has format %d, this version of fairlead reads %d", head.Format, Format),
			Remedy: "use the version of fairlead that the package was made with, or make the package anew"}
	}
	var m Manifest
	if err := decodeCanonical(raw, &m); err != nil {
		return Manifest{}, nil, wrong(ErrManifest, "%v", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, nil, wrong(ErrManifest, "%v", err)
	}
	return m, raw, nil
}

// check checks each field and the list of files, but no content.
func (m *Manifest) check() error {
	if m.Format != Format {
		return fmt.Errorf("format is %d, not %d", m.Format, Format)
	}
	if m.Kind != CPK && m.Kind != CPB && m.Kind != CPI {
		return fmt.Errorf("kind is %q, not CPK, CPB or CPI", m.Kind)
	}
	if err := CheckName(m.Name); err != nil {
		return err
	}
	if err := CheckVersion(m.Version); err != nil {
		return err
	}
	if m.CompatibleFrom != "" {
		if m.Kind != CPK {
			return fmt.Errorf("a %s has compatibleFrom: only a CPK may", m.Kind)
		}
		if err := checkCompatible(m.CompatibleFrom, m.Version); err != nil {
			return err
		}
	}
	if len(m.Files) == 0 {
		return fmt.Errorf("it lists no files")
	}
	for i, f := range m.Files {
		if i > 0 && m.Files[i-1].Name >= f.Name {
			return fmt.Errorf("files are not sorted or %s is there twice", f.Name)
		}
		if b, err := hex.DecodeString(f.SHA256); err != nil || len(b) != 32 || strings.ToLower(f.SHA256) != f.SHA256 {
			return fmt.Errorf("sha256 of %s is %q: 64 lower-case hex digits are needed", f.Name, f.SHA256)
		}
		if f.Size < 0 {
			return fmt.Errorf("size of %s is negative", f.Name)
		}
		if !m.Kind.holds(f.Name) {
			return fmt.Errorf("it lists %s: a %s has %s", f.Name, m.Kind, m.Kind.content())
		}
	}
	return nil
}

// holds tells whether a package of the kind may have a file.
func (k Kind) holds(name string) bool {
	in := func(folder, ending string) bool {
		base, ok := strings.CutPrefix(name, folder)
		return ok && !strings.Contains(base, "/") && len(base) > len(ending) && strings.HasSuffix(base, ending)
	}
	switch k {
	case CPK:
		return name == applicationFile || in(moduleFolder, moduleEnding) || in(migrationFolder, migrationEnding)
	case CPB:
		return in(cpkFolder, cpkEnding)
	default:
		return name == bundleFile || name == policyFile
	}
}

func (k Kind) content() string {
	switch k {
	case CPK:
		return "application.json, modules/*.wasm and migrations/*.sql"
	case CPB:
		return "cpks/*.cpk"
	default:
		return "GroupPolicy.json and bundle.cpb"
	}
}

// Ending is the ending of the kind's files, with its dot.
func (k Kind) Ending() string { return "." + strings.ToLower(string(k)) }

// Nouns and versions are compiled on use: they are few and packages are rare.
const (
	namePattern    = `^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,98}[A-Za-z0-9_-])?$`
	versionPattern = `^[0-9A-Za-z][0-9A-Za-z.+_-]{0,62}$`
)

// CheckName refuses what cannot be the name of a package.
func CheckName(name string) error {
	if !regexp.MustCompile(namePattern).MatchString(name) {
		return fmt.Errorf("name %q: 1 to 100 letters, digits, spaces and . _ - are allowed, the first a letter or digit, the last no space or dot", name)
	}
	return nil
}

// CheckVersion refuses what cannot be the version of a package.
func CheckVersion(version string) error {
	if !regexp.MustCompile(versionPattern).MatchString(version) {
		return fmt.Errorf("version %q: 1 to 63 letters, digits and . + _ - are allowed, the first a letter or digit", version)
	}
	return nil
}

func checkCompatible(from, version string) error {
	if err := CheckVersion(from); err != nil {
		return fmt.Errorf("compatible_from: %w", err)
	}
	if CompareVersions(from, version) > 0 {
		return fmt.Errorf("compatible_from: %s is later than its own version %s", from, version)
	}
	return nil
}

// CompareVersions is [ledger.CompareVersions]: flows compare versions in the same way.
func CompareVersions(a, b string) int { return ledger.CompareVersions(a, b) }
