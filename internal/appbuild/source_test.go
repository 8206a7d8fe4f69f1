package appbuild

import (
	"errors"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/cpi"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

const wholeSource = `name: pay
version: 1.0
compatible_from: 0.9
tables:
  - name: payments
    columns: [{name: id, type: uuid, not_null: true}, {name: amount, type: numeric}]
    primary_key: [id]
    feed: true
queries:
  - name: all
    sql: |
      SELECT id FROM payments WHERE amount > :amount
    parameters: [{name: amount, type: numeric}]
    order_by: [id]
channels:
  - {name: orders, kind: receive, flow: pay}
  - {name: changes, kind: feed, format: json}
`

func TestParseSource(t *testing.T) {
	s, err := ParseSource([]byte(wholeSource))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "pay" || s.Version != "1.0" || s.CompatibleFrom != "0.9" || !s.Tables[0].GetFeed() || !s.Tables[0].GetColumns()[0].GetNotNull() || s.Tables[0].GetPrimaryKey()[0] != "id" ||
		s.Queries[0].GetSql() != "SELECT id FROM payments WHERE amount > :amount" || s.Queries[0].GetOrderBy()[0] != "id" || s.Channels[0].GetKind() != cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE || s.Channels[1].GetFormat() != cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON {
		t.Errorf("%+v", s)
	}
	if s, err := ParseSource([]byte("name: pay\nversion: 1\nchannels:\ntables: [{name: a, columns: ~, feed: yes}]")); err != nil || !s.Tables[0].GetFeed() {
		t.Errorf("%+v, %v", s, err)
	}
	for text, say := range map[string]string{
		"":                                    "it is empty",
		"name: pay":                           `version ""`,
		"version: 1":                          `name ""`,
		"name: a/b\nversion: 1":               `name "a/b"`,
		"name: pay\nversion: 1\nnope: 1":      "line 3: there is no key nope here",
		"name: pay\nversion: 1\n---\nname: x": "second document",
		"name: pay\nversion: [1]":             "line 2: version is a list; wanted is text",
		"- name: pay":                         "line 1: fairlead.yaml is a list; wanted is a mapping of keys to values",
		"name: pay\nversion: 1\ntables:\n  - name: a\n    primary_key: id": `line 5: tables[0].primary_key is the single value "id"; wanted is a list of names, as [id]`,
		"name: pay\nversion: 1\nqueries:\n  name: a":                       "line 4: queries is a mapping; wanted is a list of queries, each with name and sql",
		"name: pay\nversion: 1\nqueries:\n  - name: a\n    parameters: owner text, least numeric\n    order_by: bank, id\n    writes: 1": "line 5: queries[0].parameters is the single value \"owner text, least numeric\"; " +
			"wanted is a list of names with types, as [{name: id, type: uuid}]; line 6: queries[0].order_by is the single value \"bank, id\"; wanted is a list of names, as [id]; " +
			"line 7: queries[0].writes is the single value \"1\"; wanted is true or false",
		"name: pay\nversion: 1\ntabels: []":                                                       "line 3: there is no key tabels here (did you mean tables?)",
		"name: pay\nversion: 1\ntables: {a: b":                                                    "line 2",
		"name: pay\nversion: 1\nchannels: [{name: a, kind: both}]":                                `channel "a" has kind "both": use send, receive or feed`,
		"name: pay\nversion: 1\nchannels: [{name: a, kind: feed, format: avro}]":                  `channel "a" has format "avro": use protobuf or json`,
		"name: pay\nversion: 1\ntables:\n  - name: a\n    columns:\n      - {name: b, typ: text}": "line 6: there is no key typ here",
	} {
		_, err := ParseSource([]byte(text))
		if cpi.IDOf(err) != cpi.ErrDeclaration || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "appbuild") {
			t.Errorf("%q: %v, want %q", text, err, say)
		}
	}
}

func FuzzParseSource(f *testing.F) {
	f.Add([]byte(wholeSource))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := ParseSource(raw); err != nil && cpi.IDOf(err) == "" {
			t.Error(err)
		}
	})
}

func TestLoadSource(t *testing.T) {
	dir := write(t, map[string]string{SourceFile: wholeSource})
	if s, err := LoadSource(dir); err != nil || s.Migrations != nil {
		t.Errorf("%+v, %v", s, err)
	}
	var e *cpi.Error
	if _, err := LoadSource(t.TempDir()); !errors.As(err, &e) || !strings.Contains(e.Remedy, "fairlead app new") {
		t.Error(err)
	}
	if _, err := readMigrations(write(t, map[string]string{"001.SQL": ""})); !errors.As(err, &e) || !strings.Contains(e.Error(), "migrations/001.SQL") {
		t.Error(err)
	}
	if m, err := readMigrations(write(t, map[string]string{"README.md": "", "001.sql": "SELECT 1"})); err != nil || len(m) != 1 || m["001.sql"] != "SELECT 1" {
		t.Error(m, err)
	}
}

// version builds the content of a package by hand.
func version(change func(c *cpi.CPKContent)) *cpi.CPKContent {
	c := &cpi.CPKContent{
		Name: "pay", Version: "1.0",
		Modules:    []cpi.Module{{Name: "pay", SHA256: [32]byte{1}, Flows: []*cpiv1.FlowClass{{Name: "pay", Startable: true}, {Name: "r", Protocol: "p", ProtocolVersions: []uint32{1, 2}}}}},
		Migrations: []cpi.Migration{{Name: "001.sql", SHA256: [32]byte{1}}, {Name: "003.sql", SHA256: [32]byte{3}}},
		Tables:     []*cpiv1.TableDeclaration{{Name: "t", PrimaryKey: []string{"id"}, Feed: true, Columns: []*cpiv1.ColumnDeclaration{{Name: "id", Type: "uuid"}, {Name: "a", Type: "text"}}}},
		Queries:    []*cpiv1.QueryDeclaration{{Name: "q", Sql: "SELECT 1", Parameters: []*cpiv1.ColumnDeclaration{{Name: "x", Type: "text"}}}},
		Channels:   []*cpiv1.ChannelDeclaration{{Name: "out", Kind: cpiv1.ChannelKind_CHANNEL_KIND_SEND}, {Name: "in", Kind: cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE, FlowClass: "pay"}},
	}
	change(c)
	return c
}

func TestCompare(t *testing.T) {
	next := func(change func(c *cpi.CPKContent)) *cpi.CPKContent {
		return version(func(c *cpi.CPKContent) { c.Version = "1.1"; change(c) })
	}
	for _, c := range []struct {
		what   string
		change func(c *cpi.CPKContent)
		level  Level
		say    string
	}{
		{"nothing", func(*cpi.CPKContent) {}, Notes, "they go on: the modules are the same"},
		{"module", func(c *cpi.CPKContent) { c.Modules[0].SHA256[0] = 9 }, Notes, "they keep the module of version 1.0"},
		{"states", func(c *cpi.CPKContent) { c.CompatibleFrom = "1.0" }, Notes, "those of version 1.0 can be spent"},
		{"contract gone", func(c *cpi.CPKContent) { c.CompatibleFrom, c.Modules[0].Contracts = "1.0", []string{"Coin"} }, Breaks, "cannot consume states with it"},
		{"no state taken", func(c *cpi.CPKContent) { c.Modules[0].Contracts = []string{"Bond", "Coin"} }, Breaks, "say compatible_from: 1.0"},
		{"later states taken", func(c *cpi.CPKContent) {
			c.CompatibleFrom, c.Modules[0].Contracts = "1.0.1", []string{"Bond", "Coin"}
		}, Breaks, "say compatible_from: 1.0"},
		{"name", func(c *cpi.CPKContent) { c.Name = "x" }, Breaks, "an upgrade keeps the name"},
		{"version", func(c *cpi.CPKContent) { c.Version = "1.0.0" }, Breaks, "does not come after 1.0"},
		{"migration gone", func(c *cpi.CPKContent) { c.Migrations = c.Migrations[:1] }, Breaks, "put it back"},
		{"migration changed", func(c *cpi.CPKContent) { c.Migrations[0].SHA256[0] = 9 }, Breaks, "was changed"},
		{"migration between", func(c *cpi.CPKContent) { c.Migrations = append(c.Migrations, cpi.Migration{Name: "002.sql"}) }, Breaks, "comes before 003.sql"},
		{"migration after", func(c *cpi.CPKContent) { c.Migrations = append(c.Migrations, cpi.Migration{Name: "004.sql"}) }, Notes, "it will run"},
		{"flow gone", func(c *cpi.CPKContent) { c.Modules[0].Flows = c.Modules[0].Flows[1:] }, Warns, "is not there any more"},
		{"flow internal", func(c *cpi.CPKContent) { c.Modules[0].Flows[0] = &cpiv1.FlowClass{Name: "pay"} }, Warns, "it is internal now"},
		{"protocol version", func(c *cpi.CPKContent) { c.Modules[0].Flows[1].ProtocolVersions = []uint32{2, 3} }, Warns, "nothing answers to it"},
		{"table gone", func(c *cpi.CPKContent) { c.Tables = nil }, Breaks, "not declared any more"},
		{"primary key", func(c *cpi.CPKContent) { c.Tables[0].PrimaryKey = []string{"a"} }, Breaks, "its primary key was [id] and is [a]"},
		{"feed", func(c *cpi.CPKContent) { c.Tables[0].Feed = false }, Warns, "change feed"},
		{"column gone", func(c *cpi.CPKContent) { c.Tables[0].Columns = c.Tables[0].Columns[:1] }, Breaks, "column a is not declared"},
		{"column type", func(c *cpi.CPKContent) { c.Tables[0].Columns[1].Type = "json" }, Breaks, "column a was text and is json"},
		{"column not null", func(c *cpi.CPKContent) { c.Tables[0].Columns[1].NotNull = true }, Breaks, "column a must not be null any more"},
		{"column new, not null", func(c *cpi.CPKContent) {
			c.Tables[0].Columns = append(c.Tables[0].Columns, &cpiv1.ColumnDeclaration{Name: "n", Type: "text", NotNull: true})
		}, Breaks, "column n is new"},
		{"query gone", func(c *cpi.CPKContent) { c.Queries = nil }, Breaks, "may ask it"},
		{"query SQL", func(c *cpi.CPKContent) { c.Queries[0].Sql = "SELECT 2" }, Warns, "its SQL changed"},
		{"query of states", func(c *cpi.CPKContent) { c.Queries[0].States = true }, Breaks, "is of states"},
		{"parameter gone", func(c *cpi.CPKContent) { c.Queries[0].Parameters = nil }, Breaks, "parameter x"},
		{"channel gone", func(c *cpi.CPKContent) { c.Channels = c.Channels[1:] }, Breaks, "may emit to it"},
		{"channel in gone", func(c *cpi.CPKContent) { c.Channels = c.Channels[:1] }, Warns, "is lost"},
		{"channel kind", func(c *cpi.CPKContent) { c.Channels[0].Kind = cpiv1.ChannelKind_CHANNEL_KIND_FEED }, Breaks, "another way"},
		{"channel format", func(c *cpi.CPKContent) { c.Channels[0].Format = cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON }, Breaks, "another form"},
		{"channel flow", func(c *cpi.CPKContent) { c.Channels[1].FlowClass = "r" }, Warns, "started pay and start r now"},
	} {
		all := Compare(version(func(old *cpi.CPKContent) {
			if strings.Contains(c.what, "contract") || strings.Contains(c.what, "state") && c.what != "states" {
				old.Modules[0].Contracts = []string{"Bond", "Coin"}
			}
		}), next(c.change))
		found := false
		for _, f := range all {
			found = found || f.Level == c.level && strings.Contains(f.Text, c.say)
		}
		if !found || c.level != Breaks && all[0].Level == Breaks || c.level == Notes && all[0].Level != Notes {
			t.Errorf("%s: %+v, want %s %q", c.what, all, c.level, c.say)
		}
	}
}

// What becomes of states is said once, and nothing that says otherwise beside it.
func TestCompareStates(t *testing.T) {
	const gone, taken, not = "it is not there any more", "can be spent", "cannot be spent"
	for what, c := range map[string]struct {
		contracts []string
		version   string
		from      string
		want      []string
	}{
		"taken":                   {[]string{"Bond"}, "1.1", "1.0", []string{taken + ": compatible_from is 1.0"}},
		"not taken":               {[]string{"Bond"}, "1.1", "", []string{not + " by this one: if its contracts still hold for them, say compatible_from: 1.0"}},
		"taken later":             {[]string{"Bond"}, "1.1", "1.0.1", []string{not}},
		"fewer versions taken":    {[]string{"Bond"}, "1.1", "1.0", []string{"could be spent by version 1.0, and this one takes none before 1.0", taken}},
		"built anew":              {[]string{"Bond"}, "1.0.0", "", []string{taken + ": it has the same version"}},
		"earlier":                 {[]string{"Bond"}, "0.9", "", []string{not + " by this one, which is earlier"}},
		"the contract is gone":    {[]string{"Coin"}, "1.1", "1.0", []string{gone}},
		"another contract beside": {[]string{"Bond", "Coin"}, "1.1", "1.0", []string{taken}},
	} {
		var said []string
		all := Compare(version(func(old *cpi.CPKContent) {
			old.Modules[0].Contracts = []string{"Bond"}
			if what == "fewer versions taken" {
				old.CompatibleFrom = "0.5"
			}
		}), version(func(now *cpi.CPKContent) {
			now.Version, now.CompatibleFrom, now.Modules[0].Contracts = c.version, c.from, c.contracts
		}))
		for _, f := range all {
			if f.What == "states" || strings.HasPrefix(f.What, "contract ") {
				said = append(said, f.Text)
			}
		}
		if len(said) != len(c.want) {
			t.Errorf("%s: %q, want %q", what, said, c.want)
			continue
		}
		for i := range said {
			if !strings.Contains(said[i], c.want[i]) {
				t.Errorf("%s: %q, want %q", what, said[i], c.want[i])
			}
		}
	}
}

// States of a package do not go over to one of another name.
func TestCompareStatesOfAnotherName(t *testing.T) {
	for _, f := range Compare(version(func(old *cpi.CPKContent) { old.Modules[0].Contracts = []string{"Bond"} }), version(func(now *cpi.CPKContent) {
		now.Name, now.Version, now.CompatibleFrom, now.Modules[0].Contracts = "other", "1.1", "1.0", []string{"Bond"}
	})) {
		if f.What == "states" && strings.Contains(f.Text, "can be spent") {
			t.Errorf("of a package of another name: %s", f.Text)
		}
	}
}
