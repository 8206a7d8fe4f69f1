package appbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/sandbox"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Built is an application that was built and checked; cpi.WriteCPK makes its package.
type Built struct {
	cpi.Code
	// ImageBytes is the memory that each flow of the module starts with.
	ImageBytes int
}

// Package builds the application in a folder, checks its module in the sandbox (imports, exports, memory, meter) and reads
// what lies beside the code. Mistakes are a *cpi.Error, a *CompileError or a *ReplaceError.
func (b Builder) Package(ctx context.Context, dir string) (*Built, error) {
	s, err := LoadSource(dir) // first: it takes no time
	if err != nil {
		return nil, err
	}
	return b.PackageOf(ctx, dir, s)
}

// PackageOf is like Package, with what lies beside the code already read: a development cluster also takes folders
// without fairlead.yaml.
func (b Builder) PackageOf(ctx context.Context, dir string, s *Source) (*Built, error) {
	wasm, err := b.Compile(ctx, dir)
	if err != nil {
		return nil, err
	}
	name := ModuleName(s.Name)
	rejected := func(err error) error {
		if sandbox.KindOf(err) == "" {
			return fmt.Errorf("application %s: %w", dir, err)
		}
		return &cpi.Error{ID: cpi.ErrModule, Entry: "modules/" + name + ".wasm", Detail: err.Error(), Remedy: "change the code, or build with the SDK of this version"}
	}
	if len(wasm) > cpi.MaxModule {
		return nil, &cpi.Error{ID: cpi.ErrTooLarge, Entry: "modules/" + name + ".wasm", Detail: fmt.Sprintf("it has %d bytes, at most %d are allowed", len(wasm), cpi.MaxModule), Remedy: "use fewer packages"}
	}
	m, err := b.Runtime.Install(ctx, wasm)
	if err != nil {
		return nil, rejected(err)
	}
	list, err := m.Flows(ctx)
	if err != nil {
		return nil, rejected(err)
	}
	contracts, err := m.Contracts(ctx)
	if err != nil {
		return nil, rejected(err)
	}
	if len(list) == 0 && len(contracts) == 0 {
		return nil, &cpi.Error{ID: cpi.ErrModule, Entry: "modules/" + name + ".wasm", Detail: "the application registers no flow and no contract", Remedy: "call flow.Register or contract.Register in an init function"}
	}
	module := cpi.CodeModule{Name: name, Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, WASM: wasm, Contracts: contracts}
	if !m.HasFlows() {
		module.Kind = cpiv1.ModuleKind_MODULE_KIND_CONTRACT
	}
	for _, f := range list {
		module.Flows = append(module.Flows, &cpiv1.FlowClass{Name: f.Class, Startable: f.Startable, Protocol: f.Protocol, ProtocolVersions: f.Versions})
	}
	out := &Built{ImageBytes: m.ImageBytes(), Code: cpi.Code{
		Name: s.Name, Version: s.Version, CompatibleFrom: s.CompatibleFrom, Modules: []cpi.CodeModule{module},
		Migrations: s.Migrations, Tables: s.Tables, Queries: s.Queries, Channels: s.Channels,
	}}
	return out, nil
}

// ModuleName makes the name of a module of an application's: lower case, with - for what a module's name cannot have.
func ModuleName(application string) string {
	return regexp.MustCompile(`[^a-z0-9_.-]`).ReplaceAllString(strings.ToLower(application), "-")
}

// DeclarationsFile is the name of the file that tests read tables and channels from: the SDK has no reader of YAML.
const DeclarationsFile = "application.json"

// WriteDeclarations writes what fairlead.yaml declares into DeclarationsFile, when it is not what is there.
func (b *Built) WriteDeclarations(dir string) error {
	now, err := b.Declarations()
	if err != nil {
		return err
	}
	place := filepath.Join(dir, DeclarationsFile)
	if was, err := os.ReadFile(place); err == nil && bytes.Equal(was, now) {
		return nil
	}
	if err := os.WriteFile(place, now, 0o644); err != nil {
		return fmt.Errorf("write the declarations: %w", err)
	}
	return nil
}

// DeclarationsFit tells whether DeclarationsFile is what fairlead.yaml declares; a folder without one fits.
func (b *Built) DeclarationsFit(dir string) (bool, error) {
	was, err := os.ReadFile(filepath.Join(dir, DeclarationsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the declarations: %w", err)
	}
	now, err := b.Declarations()
	return bytes.Equal(was, now), err
}
