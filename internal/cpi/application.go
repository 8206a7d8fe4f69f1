package cpi

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// ChunkSize is how many bytes of a module one record of topic cpi.chunks carries.
const ChunkSize = 512 << 10

// CPKContent is a package of code.
type CPKContent struct {
	Name, Version string
	// CompatibleFrom is the lowest version whose states this version may spend; empty: none but its own.
	CompatibleFrom string
	Signers        []Signer
	// FileSHA256 is the hash of the CPK's file.
	FileSHA256 [32]byte
	// Modules are sorted by name.
	Modules []Module
	// Migrations are in the order in which they run, which is that of their names.
	Migrations []Migration
	Tables     []*cpiv1.TableDeclaration
	Queries    []*cpiv1.QueryDeclaration
	Channels   []*cpiv1.ChannelDeclaration
}

// Module is a WebAssembly module of a package.
type Module struct {
	Name string
	Kind cpiv1.ModuleKind
	// SHA256 of the module as its author built it.
	SHA256 [32]byte
	// Size in bytes.
	Size int64
	// Flows are those that the author's build found in the module, Contracts the names of its contracts, in order.
	Flows     []*cpiv1.FlowClass
	Contracts []string

	from *Package
}

// Bytes reads the module and checks its hash.
func (m Module) Bytes() ([]byte, error) {
	return m.from.read(moduleFolder+m.Name+moduleEnding, MaxModule)
}

// Chunks yields the records of topic cpi.chunks that carry the module, in order, or one error.
func (m Module) Chunks() iter.Seq2[*cpiv1.Chunk, error] {
	return func(yield func(*cpiv1.Chunk, error) bool) {
		b, err := m.Bytes()
		if err != nil {
			yield(nil, err)
			return
		}
		parts := uint32((len(b) + ChunkSize - 1) / ChunkSize)
		for part, data := range enumerate(slices.Chunk(b, ChunkSize)) {
			if !yield(&cpiv1.Chunk{Sha256: m.SHA256[:], Part: part, Parts: parts, Data: data}, nil) {
				return
			}
		}
	}
}

func enumerate(chunks iter.Seq[[]byte]) iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		n := uint32(0)
		for c := range chunks {
			if !yield(n, c) {
				return
			}
			n++
		}
	}
}

// Migration is a script that changes the schema of a virtual node.
type Migration struct {
	// Name is that of the file, with its ending.
	Name string
	// SHA256 of the text.
	SHA256 [32]byte
	// Size in bytes.
	Size int64

	from *Package
}

// SQL reads the script and checks its hash.
func (m Migration) SQL() (string, error) {
	b, err := m.from.read(migrationFolder+m.Name, MaxMigration)
	return string(b), err
}

// application is the file application.json of a CPK. Members are in alphabetical order.
type application struct {
	Channels   []channel `json:"channels"`
	Migrations []string  `json:"migrations"`
	Modules    []module  `json:"modules"`
	Queries    []query   `json:"queries"`
	Tables     []table   `json:"tables"`
}

type channel struct {
	Flow   string `json:"flow,omitempty"`
	Format string `json:"format,omitempty"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
}

type module struct {
	Contracts []string    `json:"contracts,omitempty"`
	Flows     []flowClass `json:"flows"`
	Kind      string      `json:"kind"`
	Name      string      `json:"name"`
}

type flowClass struct {
	Name      string   `json:"name"`
	Protocol  string   `json:"protocol,omitempty"`
	Startable bool     `json:"startable"`
	Versions  []uint32 `json:"versions,omitempty"`
}

type column struct {
	Name    string `json:"name"`
	NotNull bool   `json:"notNull"`
	Type    string `json:"type"`
}

type query struct {
	Name       string   `json:"name"`
	OrderBy    []string `json:"orderBy"`
	Parameters []column `json:"parameters"`
	SQL        string   `json:"sql"`
	States     bool     `json:"states,omitempty"`
	Writes     bool     `json:"writes"`
}

type table struct {
	Columns    []column `json:"columns"`
	Feed       bool     `json:"feed"`
	Name       string   `json:"name"`
	PrimaryKey []string `json:"primaryKey"`
}

// Words for kinds in files.
const (
	wordFlow     = "flow"
	wordContract = "contract"
	wordSend     = "send"
	wordReceive  = "receive"
	wordFeed     = "feed"
	wordProtobuf = "protobuf"
	wordJSON     = "json"
)

// moduleWords, channelWords and formatWords name the kinds in files.
func moduleWords() map[cpiv1.ModuleKind]string {
	return map[cpiv1.ModuleKind]string{cpiv1.ModuleKind_MODULE_KIND_FLOW: wordFlow, cpiv1.ModuleKind_MODULE_KIND_CONTRACT: wordContract}
}

func channelWords() map[cpiv1.ChannelKind]string {
	return map[cpiv1.ChannelKind]string{cpiv1.ChannelKind_CHANNEL_KIND_SEND: wordSend, cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE: wordReceive, cpiv1.ChannelKind_CHANNEL_KIND_FEED: wordFeed}
}

func formatWords() map[cpiv1.ChannelFormat]string {
	return map[cpiv1.ChannelFormat]string{
		cpiv1.ChannelFormat_CHANNEL_FORMAT_UNSPECIFIED: "", cpiv1.ChannelFormat_CHANNEL_FORMAT_PROTOBUF: wordProtobuf, cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON: wordJSON,
	}
}

func kindOf[K comparable](words map[K]string, word string) (k K, ok bool) {
	for k, w := range words {
		if w == word {
			return k, true
		}
	}
	return k, false
}

// ParseChannelKind reads send, receive or feed.
func ParseChannelKind(word string) (cpiv1.ChannelKind, bool) { return kindOf(channelWords(), word) }

// ParseChannelFormat reads protobuf or json; nothing leaves it to the kind of channel.
func ParseChannelFormat(word string) (cpiv1.ChannelFormat, bool) { return kindOf(formatWords(), word) }

func (c *CPKContent) file() application {
	a := application{Channels: []channel{}, Migrations: []string{}, Modules: []module{}, Queries: []query{}, Tables: []table{}}
	for _, d := range c.Channels {
		a.Channels = append(a.Channels, channel{Name: d.GetName(), Kind: channelWords()[d.GetKind()], Flow: d.GetFlowClass(), Format: formatWords()[d.GetFormat()]})
	}
	for _, m := range c.Migrations {
		a.Migrations = append(a.Migrations, m.Name)
	}
	for _, m := range c.Modules {
		out := module{Name: m.Name, Kind: moduleWords()[m.Kind], Flows: []flowClass{}, Contracts: m.Contracts}
		for _, f := range m.Flows {
			out.Flows = append(out.Flows, flowClass{Name: f.GetName(), Startable: f.GetStartable(), Protocol: f.GetProtocol(), Versions: f.GetProtocolVersions()})
		}
		a.Modules = append(a.Modules, out)
	}
	for _, q := range c.Queries {
		a.Queries = append(a.Queries, query{Name: q.GetName(), SQL: q.GetSql(), States: q.GetStates(), Writes: q.GetWrites(), Parameters: columnsToFile(q.GetParameters()), OrderBy: append([]string{}, q.GetOrderBy()...)})
	}
	for _, t := range c.Tables {
		a.Tables = append(a.Tables, table{Name: t.GetName(), Columns: columnsToFile(t.GetColumns()), PrimaryKey: append([]string{}, t.GetPrimaryKey()...), Feed: t.GetFeed()})
	}
	return a
}

func columnsToFile(from []*cpiv1.ColumnDeclaration) []column {
	out := []column{}
	for _, c := range from {
		out = append(out, column{Name: c.GetName(), Type: c.GetType(), NotNull: c.GetNotNull()})
	}
	return out
}

func columnsFromFile(from []column) []*cpiv1.ColumnDeclaration {
	var out []*cpiv1.ColumnDeclaration
	for _, c := range from {
		out = append(out, &cpiv1.ColumnDeclaration{Name: c.Name, Type: c.Type, NotNull: c.NotNull})
	}
	return out
}

// openCPK reads and checks what a package of code declares.
func (p *Package) openCPK() error {
	wrong := func(format string, args ...any) error {
		return &Error{ID: ErrManifest, Entry: applicationFile, Detail: fmt.Sprintf(format, args...), Remedy: remedyMake}
	}
	raw, err := p.read(applicationFile, maxApplication)
	if err != nil {
		return err
	}
	var a application
	if err := decodeCanonical(raw, &a); err != nil {
		return wrong("%v", err)
	}
	c := &CPKContent{Name: p.Name, Version: p.Version, CompatibleFrom: p.CompatibleFrom, Signers: p.Signers, FileSHA256: p.FileSHA256}
	for _, m := range a.Modules {
		kind, ok := kindOf(moduleWords(), m.Kind)
		if !ok {
			return wrong("module %s has kind %q, not flow or contract", m.Name, m.Kind)
		}
		out := Module{Name: m.Name, Kind: kind, Contracts: m.Contracts, from: p}
		if out.SHA256, out.Size, ok = p.hashOf(moduleFolder + m.Name + moduleEnding); !ok {
			return wrong("module %s is not in the package", m.Name)
		}
		for _, f := range m.Flows {
			out.Flows = append(out.Flows, &cpiv1.FlowClass{Name: f.Name, Startable: f.Startable, Protocol: f.Protocol, ProtocolVersions: f.Versions})
		}
		c.Modules = append(c.Modules, out)
	}
	for _, name := range a.Migrations {
		out := Migration{Name: name, from: p}
		var ok bool
		if out.SHA256, out.Size, ok = p.hashOf(migrationFolder + name); !ok {
			return wrong("migration %s is not in the package", name)
		}
		c.Migrations = append(c.Migrations, out)
	}
	for _, d := range a.Channels {
		kind, ok := ParseChannelKind(d.Kind)
		if !ok {
			return wrong("channel %s has kind %q, not send, receive or feed", d.Name, d.Kind)
		}
		format, ok := ParseChannelFormat(d.Format)
		if !ok {
			return wrong("channel %s has format %q, not protobuf or json", d.Name, d.Format)
		}
		c.Channels = append(c.Channels, &cpiv1.ChannelDeclaration{Name: d.Name, Kind: kind, FlowClass: d.Flow, Format: format})
	}
	for _, q := range a.Queries {
		c.Queries = append(c.Queries, &cpiv1.QueryDeclaration{Name: q.Name, Sql: q.SQL, States: q.States, Writes: q.Writes, Parameters: columnsFromFile(q.Parameters), OrderBy: q.OrderBy})
	}
	for _, t := range a.Tables {
		c.Tables = append(c.Tables, &cpiv1.TableDeclaration{Name: t.Name, Columns: columnsFromFile(t.Columns), PrimaryKey: t.PrimaryKey, Feed: t.Feed})
	}
	if n := 1 + len(a.Modules) + len(a.Migrations); n != len(p.Files) {
		return wrong("it names %d files, the package has %d", n, len(p.Files))
	}
	if err := c.Check(); err != nil {
		return err
	}
	p.CPKs = []*CPKContent{c}
	return nil
}

// hashOf returns what the manifest says of a file.
func (p *Package) hashOf(name string) (sum [32]byte, size int64, ok bool) {
	i, ok := slices.BinarySearchFunc(p.Files, name, func(f File, n string) int { return strings.Compare(f.Name, n) })
	if !ok {
		return sum, 0, false
	}
	b, err := hex.DecodeString(p.Files[i].SHA256)
	return [32]byte(append(b, make([]byte, sha256.Size)...)), p.Files[i].Size, err == nil
}
