package cpi

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

func TestDeclarations(t *testing.T) {
	for _, c := range []struct {
		change func(*Code)
		say    string // in the refusal; empty: it is taken
	}{
		{func(*Code) {}, ""},
		{func(c *Code) { c.Tables[0].Name = "Payment" }, `FL-CPI-017 table "Payment": the name must begin with`},
		{func(c *Code) { c.Tables[0].Name = "fl_x" }, "begins with fl_"},
		{func(c *Code) { c.Tables[0].PrimaryKey = nil }, "no primary key"},
		{func(c *Code) { c.Tables[0].PrimaryKey = []string{"no"} }, `"no", which is no column`},
		{func(c *Code) { c.Tables[0].PrimaryKey = []string{"id", "id"} }, `"id" twice`},
		{func(c *Code) { c.Tables[0].Columns[0].Type = "json" }, "type json, which has no order"},
		{func(c *Code) { c.Tables[0].Columns = nil }, "it has 0 columns"},
		{func(c *Code) { c.Tables[0].Columns[1].Name = "id" }, `column "id" is declared twice`},
		{func(c *Code) { c.Tables[0].Columns[1].Type = "varchar" }, `type "varchar"; use one of text,`},
		{func(c *Code) { c.Tables = append(c.Tables, c.Tables[0]) }, "declared twice"},
		{func(c *Code) { c.Migrations = nil }, "no migration makes them"},
		{func(c *Code) { c.Migrations["a b.sql"] = "" }, `migration "a b.sql"`},
		{func(c *Code) { c.Queries[0].Sql = "SELECT 1" }, `parameter "owner" is declared and not used`},
		{func(c *Code) { c.Queries[0].Parameters = nil }, "uses :owner, which is not among"},
		{func(c *Code) { c.Queries[0].Sql = "DELETE FROM payment WHERE owner = :owner" }, "the statement changes rows"},
		{func(c *Code) { c.Queries[0].Sql = "DROP TABLE payment" }, `begins with "DROP"`},
		{func(c *Code) { c.Queries[0].Sql += "; DROP TABLE payment" }, "the statement is more than one"},
		{func(c *Code) { c.Queries[0].Writes = true }, "take order_by away"},
		{func(c *Code) { c.Queries[0].OrderBy = []string{""} }, "order_by"},
		{func(c *Code) { c.Queries[0].Name = "" }, "the name must be 1 to 200"},
		{func(c *Code) { c.Channels[0].FlowClass = "nope" }, `flow "nope" is in none of the modules`},
		{func(c *Code) { c.Channels[0].FlowClass = "" }, "names the flow"},
		{func(c *Code) { c.Channels[0].FlowClass = "pay.responder" }, "only sessions start it"},
		{func(c *Code) { c.Channels[1].FlowClass = "pay" }, "only a channel that receives has a flow"},
		{func(c *Code) { c.Tables[0].Feed = false }, "no table says feed: true"},
		{func(c *Code) { c.Channels[1].Kind = 0 }, "its kind is not"},
		{func(c *Code) { c.Channels[0].Format = cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON }, "only a channel that is the change feed has a format"},
		{func(c *Code) { c.Channels[1].Format = 99 }, "protobuf or json"},
		{func(c *Code) { c.Channels[1].Format = cpiv1.ChannelFormat_CHANNEL_FORMAT_PROTOBUF }, ""},
		{func(c *Code) { c.Channels[0].Name = "a/b" }, "1 to 63 letters"},
		{func(c *Code) { c.Modules = nil }, "0 modules"},
		{func(c *Code) { c.Modules[0].Name = "../x" }, `module "../x"`},
		{func(c *Code) { c.Modules[0].Flows[0].Name = "a b" }, `flow "a b"`},
		{func(c *Code) { c.Modules[0].Flows[1].ProtocolVersions = nil }, "a protocol has versions"},
		{func(c *Code) { c.Modules[1].Flows = c.Modules[0].Flows }, "a module of contracts has flows"},
		{func(c *Code) { c.Modules[1].Contracts = []string{"a b"} }, `contract "a b"`},
		{func(c *Code) { c.Modules[1].Contracts = []string{"b", "a"} }, "contracts are sorted by name"},
		{func(c *Code) { c.Modules[0].Contracts, c.Modules[1].Contracts = []string{"a"}, []string{"a"} }, "two modules have it"},
		{func(c *Code) { c.Modules[1].Contracts = make([]string, 1001) }, "it has 1001 contracts"},
	} {
		code := payCode()
		c.change(&code)
		err := WriteCPK(&bytes.Buffer{}, code)
		if c.say == "" && err != nil || c.say != "" && (IDOf(err) != ErrDeclaration || !strings.Contains(err.Error(), c.say)) {
			t.Errorf("%v, want %q", err, c.say)
		}
	}
	for _, c := range []struct {
		change func(*Code)
		id     string
	}{
		{func(c *Code) { c.Name = "" }, ErrManifest},
		{func(c *Code) { c.Version = "a b" }, ErrManifest},
		{func(c *Code) { c.CompatibleFrom = "2" }, ErrManifest},
		{func(c *Code) { c.Modules[0].WASM = []byte("\x7fELF") }, ErrModule},
	} {
		code := payCode()
		c.change(&code)
		if err := WriteCPK(&bytes.Buffer{}, code); IDOf(err) != c.id {
			t.Errorf("%v, want %s", err, c.id)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	rising := []string{"0.9", "1.0-alpha", "1.0-beta.2", "1.0-beta.10", "1.0", "1.0.1-SNAPSHOT", "1.0.1", "1.0.10", "1.2", "1.x", "2", "10.0.0"}
	for i, a := range rising {
		for j, b := range rising {
			if got, want := CompareVersions(a, b), min(1, max(-1, i-j)); got != want {
				t.Errorf("%s and %s: %d, want %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{{"1", "1.0.0"}, {"1.0+a", "1.0+b"}, {"01.0", "1.0"}} {
		if CompareVersions(same[0], same[1]) != 0 {
			t.Errorf("%s and %s differ", same[0], same[1])
		}
	}
	version := rapid.StringMatching(`[0-9]{1,2}(\.[0-9a-c]{1,2}){0,3}(-[a-c0-9.]{1,4})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
		if CompareVersions(a, b) != -CompareVersions(b, a) || CompareVersions(a, b) <= 0 && CompareVersions(b, c) <= 0 && CompareVersions(a, c) > 0 {
			t.Errorf("%s, %s, %s have no order", a, b, c)
		}
	})
}

// BenchmarkOpen opens a CPI of some 20 MiB from a file, with all checks.
func BenchmarkOpen(b *testing.B) {
	noise := rand.NewChaCha8([32]byte{1})
	key := issue(b, ec(b), name("K"), nil)
	var cpks [][]byte
	for _, n := range []string{"one", "two", "three", "four"} {
		random := make([]byte, 5<<20)
		_, _ = noise.Read(random)
		cpks = append(cpks, cpkOf(b, Code{Name: n, Version: "1", Modules: []CodeModule{{Name: n, Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, WASM: wasm(string(random))}}}, key))
	}
	path := filepath.Join(b.TempDir(), "large.cpi")
	if err := os.WriteFile(path, cpiOf(b, key, cpbOf(b, key, cpks...)), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(f, info.Size(), Options{Trust: trusting(key)}); err != nil {
			b.Fatal(err)
		}
	}
}

// The form of a change feed is in the package, and in what is published of it.
func TestFeedFormatIsKept(t *testing.T) {
	for _, format := range []cpiv1.ChannelFormat{
		cpiv1.ChannelFormat_CHANNEL_FORMAT_UNSPECIFIED, cpiv1.ChannelFormat_CHANNEL_FORMAT_PROTOBUF, cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON,
	} {
		code := payCode()
		code.Channels[1].Format = format
		author := issue(t, ec(t), name("Author"), nil)
		p, err := OpenBytes(cpkOf(t, code, author), Options{Kind: CPK, Trust: trusting(author)})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.ToProto().GetCpks()[0].GetChannels()[1].GetFormat(); got != format {
			t.Errorf("%s became %s", format, got)
		}
	}
}
