package appbuild

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairleadio/fairlead/internal/cpi"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Names in the folder of an application.
const (
	SourceFile      = "fairlead.yaml"
	MigrationFolder = "migrations"
)

// maxSource is the largest fairlead.yaml, bytes.
const maxSource = 1 << 20

// Source is what an author wrote beside the code: fairlead.yaml and the migrations.
type Source struct {
	Name, Version, CompatibleFrom string
	Tables                        []*cpiv1.TableDeclaration
	Queries                       []*cpiv1.QueryDeclaration
	Channels                      []*cpiv1.ChannelDeclaration
	// Migrations are the scripts by the names of their files.
	Migrations map[string]string
}

// sourceFile is fairlead.yaml.
type sourceFile struct {
	Name           string          `yaml:"name"`
	Version        string          `yaml:"version"`
	CompatibleFrom string          `yaml:"compatible_from"`
	Tables         []sourceTable   `yaml:"tables"`
	Queries        []sourceQuery   `yaml:"queries"`
	Channels       []sourceChannel `yaml:"channels"`
}

type sourceColumn struct {
	Name    string `yaml:"name"`
	Type    string `yaml:"type"`
	NotNull bool   `yaml:"not_null"`
}

type sourceTable struct {
	Name       string         `yaml:"name"`
	Columns    []sourceColumn `yaml:"columns"`
	PrimaryKey []string       `yaml:"primary_key"`
	Feed       bool           `yaml:"feed"`
}

type sourceQuery struct {
	Name       string         `yaml:"name"`
	SQL        string         `yaml:"sql"`
	Parameters []sourceColumn `yaml:"parameters"`
	Writes     bool           `yaml:"writes"`
	States     bool           `yaml:"states"`
	OrderBy    []string       `yaml:"order_by"`
}

type sourceChannel struct {
	Name   string `yaml:"name"`
	Kind   string `yaml:"kind"`
	Flow   string `yaml:"flow"`
	Format string `yaml:"format"`
}

// LoadSource reads what lies beside the code in an application's folder. Mistakes are *cpi.Error and name the line, or the
// declaration. Whether declarations fit each other and the flows is checked when the package is made.
func LoadSource(dir string) (*Source, error) {
	f, err := os.Open(filepath.Join(dir, SourceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("%s is not there", "an application is a folder with go.mod and "+SourceFile+"; fairlead app new makes one", filepath.Join(dir, SourceFile))
	}
	if err != nil {
		return nil, fmt.Errorf("read the application: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return nil, fmt.Errorf("read the application: %w", err)
	}
	if len(raw) > maxSource {
		return nil, refuse("it has more than %d bytes", "make it smaller", maxSource)
	}
	s, err := ParseSource(raw)
	if err != nil {
		return nil, err
	}
	s.Migrations, err = readMigrations(filepath.Join(dir, MigrationFolder))
	return s, err
}

func refuse(detail, remedy string, args ...any) error {
	return &cpi.Error{ID: cpi.ErrDeclaration, Entry: SourceFile, Detail: fmt.Sprintf(detail, args...), Remedy: remedy}
}

const remedySource = "correct it; docs/write-an-app/packages.md lists the keys"

// ParseSource reads the text of a fairlead.yaml.
func ParseSource(raw []byte) (*Source, error) {
	var in sourceFile
	var document yaml.Node
	if err := yaml.Unmarshal(raw, &document); err == nil { // an error comes again below
		if wrong := misshapen(&document); len(wrong) > 0 {
			return nil, refuse("%s", remedySource, strings.Join(wrong, "; "))
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&in); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, refuse("it is empty", "give at least name and version")
		}
		return nil, refuse("%s", remedySource, sayYAML(err))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, refuse("it has a second document", "leave one out")
	}
	if err := errors.Join(cpi.CheckName(in.Name), cpi.CheckVersion(in.Version)); err != nil {
		return nil, refuse("%s", "give name and version", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	s := &Source{Name: in.Name, Version: in.Version, CompatibleFrom: in.CompatibleFrom}
	for _, t := range in.Tables {
		s.Tables = append(s.Tables, &cpiv1.TableDeclaration{Name: t.Name, Columns: columns(t.Columns), PrimaryKey: t.PrimaryKey, Feed: t.Feed})
	}
	for _, q := range in.Queries {
		s.Queries = append(s.Queries, &cpiv1.QueryDeclaration{Name: q.Name, Sql: strings.TrimSpace(q.SQL), Parameters: columns(q.Parameters), Writes: q.Writes, OrderBy: q.OrderBy, States: q.States})
	}
	for _, c := range in.Channels {
		kind, ok := cpi.ParseChannelKind(c.Kind)
		if !ok {
			return nil, refuse("channel %q has kind %q", "use send, receive or feed", c.Name, c.Kind)
		}
		format, ok := cpi.ParseChannelFormat(c.Format)
		if !ok {
			return nil, refuse("channel %q has format %q", "use protobuf or json, or leave it out", c.Name, c.Format)
		}
		s.Channels = append(s.Channels, &cpiv1.ChannelDeclaration{Name: c.Name, Kind: kind, FlowClass: c.Flow, Format: format})
	}
	return s, nil
}

func columns(from []sourceColumn) []*cpiv1.ColumnDeclaration {
	var out []*cpiv1.ColumnDeclaration
	for _, c := range from {
		out = append(out, &cpiv1.ColumnDeclaration{Name: c.Name, Type: c.Type, NotNull: c.NotNull})
	}
	return out
}

// sayYAML puts the library's errors, of what [misshapen] lets pass, into one line without Go's types.
func sayYAML(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	text = regexp.MustCompile(`field (\S+) not found in type \S+`).ReplaceAllString(text, "there is no key $1 here")
	text = regexp.MustCompile(`cannot unmarshal !!(\S+) (.*) into \S+`).ReplaceAllString(text, "$2 does not fit here")
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "; ")
}

// readMigrations reads the scripts of a folder; a folder that is not there has none. Other files may lie beside them.
func readMigrations(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	out := map[string]string{}
	for _, e := range entries {
		ending := filepath.Ext(e.Name())
		at := func(detail, remedy string, args ...any) error {
			return &cpi.Error{ID: cpi.ErrDeclaration, Entry: MigrationFolder + "/" + e.Name(), Detail: fmt.Sprintf(detail, args...), Remedy: remedy}
		}
		switch {
		case !strings.EqualFold(ending, ".sql"):
			continue
		case ending != ".sql":
			return nil, at("the ending is %s", "write it .sql", ending)
		case !e.Type().IsRegular():
			return nil, at("it is not a regular file", "put the script itself there")
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("read the migrations: %w", err)
		}
		if info.Size() > cpi.MaxMigration {
			return nil, at("it has %d bytes, at most %d are allowed", "split it", info.Size(), cpi.MaxMigration)
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the migrations: %w", err)
		}
		out[e.Name()] = string(text)
	}
	return out, nil
}
