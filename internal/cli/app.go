package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/internal/scaffold"
)

func newAppCommand(g *Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "app", Short: "Make applications, build and package them", Args: cobra.NoArgs,
		Long: `An application is a folder with a Go module (flows in package main), fairlead.yaml and migrations. It is built to a
package of code (CPK); several of these are bundled to a CPB, and a CPB with the policy of a group is a CPI, which is what
a cluster takes. None of these commands needs a cluster or a network.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAppNewCommand(g), newAppBuildCommand(g), newAppCheckCommand(g), newGroupPolicyCommand(g), newAppPackageCommand(g))
	return cmd
}

func newAppNewCommand(g *Globals) *cobra.Command {
	return outputs(&cobra.Command{
		Use: "new NAME", Short: "Make the folder of a new application", Args: cobra.ExactArgs(1),
		Long: `Makes the folder NAME: a Go module with a flow, its responder, a table, tests and a README, and the SDK beside them. It
builds and tests without a network. The last part of NAME is the application's name.`,
		Example: "  fairlead app new pay && cd pay && go test ./...",
		RunE: func(_ *cobra.Command, args []string) error {
			dir := g.Path(args[0])
			if g.DryRun() {
				fmt.Fprintf(g.Out, "would make %s\n", args[0])
				return scaffold.CheckName(filepath.Base(dir))
			}
			err := scaffold.New(dir, filepath.Base(dir))
			var exists *scaffold.ExistsError
			if errors.As(err, &exists) {
				return refused("%w", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(g.Out, "made %s; next:\n  cd %s\n  go test ./...\n  fairlead app build\n", args[0], args[0])
			return nil
		},
	}, "text")
}

// builtPackage is the JSON of app build and app check.
type builtPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// File is where the package was written; empty for app check.
	File     string `json:"file"`
	Checksum string `json:"checksum"`
	// Size of the package, of its module, and the memory that the module starts with; bytes.
	Size       int64    `json:"size_bytes"`
	ModuleSize int      `json:"module_size_bytes"`
	Memory     int      `json:"memory_bytes"`
	Flows      []string `json:"flows"`
	Responders []string `json:"responders"`
	Contracts  []string `json:"contracts"`
	Tables     []string `json:"tables"`
	Queries    []string `json:"queries"`
	Channels   []string `json:"channels"`
	Migrations []string `json:"migrations"`
	Signers    []string `json:"signers"`
	// Against is what changed since another version; only of app check --against.
	Against []appbuild.Finding `json:"against"`
}

func newAppBuildCommand(g *Globals) *cobra.Command {
	var file string
	var signing signingFlags
	cmd := &cobra.Command{
		Use: "build [DIR]", Short: "Build an application and make its package of code (CPK)", Args: cobra.MaximumNArgs(1),
		Long: `Compiles the application in DIR (default: this folder) to WebAssembly with the Go toolchain, checks the module as a
cluster does (imports, memory, limits, flows), checks fairlead.yaml, and writes the package NAME.cpk into DIR. The same
sources make the same package, wherever they lie. It also writes application.json, from which tests read the tables.

Without a key store the package is not signed; create-cpb signs it then.`,
		Example: "  fairlead app build\n  fairlead app build pay --keystore signing.pfx --storepass secret --key author",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.appBuild(cmd.Context(), g.folder(args), file, signing)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "write the package to this `file`")
	signing.add(cmd.Flags())
	return cmd
}

// folder returns the folder of an application on the command line.
func (g *Globals) folder(args []string) string {
	if len(args) == 0 {
		return g.Path(".")
	}
	return g.Path(args[0])
}

// withBuilt builds an application and hands it over with its package, in memory.
func withBuilt(ctx context.Context, dir string, keys []cpi.Key, f func(b *appbuild.Built, cpk []byte, p *cpi.Package) error) (err error) {
	r, err := sandbox.New(ctx, sandbox.Config{IdleInstances: -1})
	if err != nil {
		return fmt.Errorf("build the application: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	b, err := appbuild.Builder{Runtime: r}.Package(ctx, dir)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := cpi.WriteCPK(&out, b.Code, keys...); err != nil {
		return err
	}
	p, err := cpi.OpenBytes(out.Bytes(), cpi.Options{Trust: cpi.Trust{AnySigner: true, Unsigned: true}})
	if err != nil {
		return err
	}
	return f(b, out.Bytes(), p)
}

func (g *Globals) appBuild(ctx context.Context, dir, file string, signing signingFlags) error {
	keys, err := signing.keys(g)
	if err != nil {
		return err
	}
	return withBuilt(ctx, dir, keys, func(b *appbuild.Built, cpk []byte, p *cpi.Package) error {
		to := filepath.Join(dir, appbuild.ModuleName(p.Name)+p.Kind.Ending())
		if file != "" {
			to = g.Path(file)
		}
		shown := summary(b, p)
		if g.DryRun() {
			return g.showBuilt(shown)
		}
		if err := b.WriteDeclarations(dir); err != nil {
			return err
		}
		if err := writeWhole(to, cpk); err != nil {
			return err
		}
		shown.File = to
		if rel, err := filepath.Rel(g.Path("."), to); err == nil && !strings.HasPrefix(rel, "..") {
			shown.File = rel
		}
		return g.showBuilt(shown)
	})
}

// writeWhole writes a file aside and puts it into place, so that nobody sees half of it.
func writeWhole(to string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", to, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

func summary(b *appbuild.Built, p *cpi.Package) builtPackage {
	c := p.CPKs[0]
	s := builtPackage{Name: p.Name, Version: p.Version, Checksum: p.Checksum(), Size: p.Size, ModuleSize: len(b.Modules[0].WASM), Memory: b.ImageBytes,
		Flows: []string{}, Responders: []string{}, Contracts: append([]string{}, c.Modules[0].Contracts...), Tables: []string{}, Queries: []string{}, Channels: []string{}, Migrations: []string{}, Signers: []string{}, Against: []appbuild.Finding{}}
	for _, f := range c.Modules[0].Flows {
		switch {
		case f.GetProtocol() != "":
			s.Responders = append(s.Responders, fmt.Sprintf("%s %s", f.GetProtocol(), versionsText(f.GetProtocolVersions())))
		case f.GetStartable():
			s.Flows = append(s.Flows, f.GetName())
		default:
			s.Flows = append(s.Flows, f.GetName()+" (internal)")
		}
	}
	for _, t := range c.Tables {
		s.Tables = append(s.Tables, t.GetName())
	}
	for _, q := range c.Queries {
		s.Queries = append(s.Queries, q.GetName())
	}
	for _, d := range c.Channels {
		s.Channels = append(s.Channels, d.GetName())
	}
	for _, m := range c.Migrations {
		s.Migrations = append(s.Migrations, m.Name)
	}
	for _, x := range p.Signers {
		s.Signers = append(s.Signers, x.Name())
	}
	return s
}

func versionsText(versions []uint32) string {
	if len(versions) == 1 {
		return fmt.Sprintf("version %d", versions[0])
	}
	return "versions " + strings.Trim(strings.ReplaceAll(fmt.Sprint(versions), " ", ", "), "[]")
}

func (g *Globals) showBuilt(s builtPackage) error {
	if g.Output == "json" {
		return g.printJSON(s)
	}
	rows := [][2]string{{"application", s.Name + " " + s.Version}, {"module", fmt.Sprintf("%s, starts with %s of memory", sizeText(int64(s.ModuleSize)), sizeText(int64(s.Memory)))}}
	for _, list := range []struct {
		name  string
		items []string
	}{{"flows", s.Flows}, {"responders", s.Responders}, {"contracts", s.Contracts}, {"tables", s.Tables}, {"queries", s.Queries}, {"channels", s.Channels}, {"migrations", s.Migrations}} {
		if len(list.items) > 0 {
			rows = append(rows, [2]string{list.name, strings.Join(list.items, ", ")})
		}
	}
	if s.File != "" {
		rows = append(rows, [2]string{"package", fmt.Sprintf("%s, %s, checksum %s", s.File, sizeText(s.Size), s.Checksum)})
	}
	if len(s.Signers) > 0 {
		rows = append(rows, [2]string{"signed by", strings.Join(s.Signers, "; ")})
	} else if s.File != "" {
		rows = append(rows, [2]string{"signed by", "nobody; fairlead app package create-cpb signs it"})
	}
	for _, r := range rows {
		fmt.Fprintf(g.Out, "%-12s%s\n", r[0], r[1])
	}
	return nil
}

// sizeText writes a size for people.
func sizeText(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return fmt.Sprintf("%d MiB", n>>20)
	}
}

func newAppCheckCommand(g *Globals) *cobra.Command {
	var against, database string
	cmd := &cobra.Command{
		Use: "check [DIR]", Short: "Check an application, also against an older version", Args: cobra.MaximumNArgs(1),
		Long: `Builds the application in DIR (default: this folder) and checks it as app build does, and writes nothing.

With --against it also says what an upgrade from that package (a CPK, or the one of the same name in a CPB or CPI) would mean:
what it breaks, what somebody may miss, and which states and flows under way the new version can take. Flows of the old
version keep their module until they end and meet the new version's declarations, so these may grow and not shrink.

Whether the migrations run and make every table and column that is declared or that a named query uses, only a Postgres
can say: a cluster asks its own when the package is put on a virtual node. With --postgres it is asked here: a database
where the user may make a schema, which is gone at the end, or own for a server of this machine's that runs meanwhile. The
password is PGPASSWORD's, PGPASSFILE's or the URL's.

Exit code 0: fine; 3: it would break something.`,
		Example: "  fairlead app check --against pay-1.0.cpi\n  fairlead app check --postgres own",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.appCheck(cmd.Context(), g.folder(args), against, database)
		},
	}
	cmd.Flags().StringVar(&against, "against", "", "compare with this older package `file`: a CPK, CPB or CPI")
	cmd.Flags().StringVar(&database, "postgres", "", "try migrations, tables and queries on the Postgres of this `URL`, or own")
	return cmd
}

func (g *Globals) appCheck(ctx context.Context, dir, against, database string) error {
	var old *cpi.CPKContent
	if against != "" {
		p, done, err := g.openPackage(against, cpi.Options{Trust: cpi.Trust{AnySigner: true, Unsigned: true}})
		if err != nil {
			return err
		}
		defer done()
		if old, err = olderOf(p, dir); err != nil {
			return fmt.Errorf("%s: %w", against, err)
		}
	}
	return withBuilt(ctx, dir, nil, func(b *appbuild.Built, _ []byte, p *cpi.Package) error {
		s := summary(b, p)
		if old != nil {
			s.Against = appbuild.Compare(old, p.CPKs[0])
		}
		if err := g.showBuilt(s); err != nil {
			return err
		}
		if g.Output != "json" {
			for _, f := range s.Against {
				fmt.Fprintf(g.Out, "%-12s%s: %s\n", g.paintLevel(f.Level), f.What, f.Text)
			}
		}
		if fit, err := b.DeclarationsFit(dir); err != nil {
			return err
		} else if !fit {
			fmt.Fprintf(g.Err, "%s is not what %s says, so tests see other tables: run fairlead app build\n", appbuild.DeclarationsFile, appbuild.SourceFile)
		}
		if database != "" {
			if err := g.tryOut(ctx, database, p); err != nil {
				return err
			}
			if g.Output != "json" {
				fmt.Fprintf(g.Out, "%-12s%s\n", "postgres", "takes the migrations, the tables and the queries")
			}
		}
		for _, f := range s.Against {
			if f.Level == appbuild.Breaks {
				return refused("%w", &cpi.Error{ID: cpi.ErrIncompatible, Detail: fmt.Sprintf("%s %s cannot take the place of %s %s", p.Name, p.Version, old.Name, old.Version), Remedy: "see what it breaks above"})
			}
		}
		return nil
	})
}

// olderOf finds in a package what the application in a folder is compared with: the package of code of its name, or the only
// one.
func olderOf(p *cpi.Package, dir string) (*cpi.CPKContent, error) {
	if len(p.CPKs) == 1 {
		return p.CPKs[0], nil
	}
	s, err := appbuild.LoadSource(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range p.CPKs {
		if c.Name == s.Name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	return nil, notFound("it has no package of code called %s; it has %s", s.Name, strings.Join(names, ", "))
}

func (g *Globals) paintLevel(l appbuild.Level) string {
	text := fmt.Sprintf("%-12s", l)
	switch l {
	case appbuild.Breaks:
		return g.paint(red, text)
	case appbuild.Warns:
		return g.paint(yellow, text)
	default:
		return text
	}
}

// openPackage opens a package file, - for standard input. done closes it.
func (g *Globals) openPackage(name string, o cpi.Options) (p *cpi.Package, done func(), err error) {
	if name == "-" {
		raw, err := g.readFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("read the package: %w", err)
		}
		p, err = cpi.OpenBytes(raw, o)
		return p, func() {}, err
	}
	f, err := os.Open(g.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, notFound("there is no file %s", name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the package: %w", err)
	}
	done = func() { _ = f.Close() } // it was only read
	info, err := f.Stat()
	if err == nil {
		p, err = cpi.Open(f, info.Size(), o)
	}
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, done, nil
}
