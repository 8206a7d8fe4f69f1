package appbuild

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/internal/cpi"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Level is how much a difference between two versions matters.
type Level string

// Levels of findings.
const (
	// Breaks: the new version must not take the place of the old one.
	Breaks Level = "breaks"
	// Warns: it can, and somebody may miss something.
	Warns Level = "warns"
	// Notes: what is known about flows and states.
	Notes Level = "notes"
)

// Finding is one difference between two versions of an application.
type Finding struct {
	Level Level `json:"level"`
	// What is the thing: "flow pay", "table payment".
	What string `json:"what"`
	Text string `json:"text"`
}

// Compare says what a new version of a package of code changes for those who use the old one: clients that start flows,
// members whose flows talk to its responders, the rows that lie in tables, and the flows of the old version that are under
// way. The latter keep their module until they end and meet the new version's declarations; that is why declarations may
// grow and not shrink. Findings are sorted by level.
func Compare(before, after *cpi.CPKContent) []Finding {
	c := &comparison{}
	c.versions(before, after)
	c.migrations(before, after)
	c.flows(before, after)
	c.tables(before, after)
	c.queries(before, after)
	c.channels(before, after)
	order := []Level{Breaks, Warns, Notes}
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(order, a.Level), slices.Index(order, b.Level))
	})
	return c.findings
}

type comparison struct{ findings []Finding }

func (c *comparison) add(l Level, what, format string, args ...any) {
	c.findings = append(c.findings, Finding{l, what, fmt.Sprintf(format, args...)})
}

func (c *comparison) versions(before, after *cpi.CPKContent) {
	if before.Name != after.Name {
		c.add(Breaks, "name", "the old package is %s, the new one is %s: an upgrade keeps the name", before.Name, after.Name)
	}
	if cpi.CompareVersions(after.Version, before.Version) <= 0 {
		c.add(Breaks, "version", "%s does not come after %s: raise version in fairlead.yaml", after.Version, before.Version)
	}
	c.states(before, after)
	same := slices.EqualFunc(before.Modules, after.Modules, func(a, b cpi.Module) bool { return a.SHA256 == b.SHA256 })
	if same {
		c.add(Notes, "flows under way", "they go on: the modules are the same")
	} else {
		c.add(Notes, "flows under way", "they keep the module of version %s until they end, new ones get this version's; `fairlead flow replay ID --app DIR` tells of one flow whether this version could take it over", before.Version)
	}
}

// states says which states of the old version the new one can consume; the verification worker has the same rules.
func (c *comparison) states(before, after *cpi.CPKContent) {
	contracts := func(k *cpi.CPKContent) (out []string) {
		for _, m := range k.Modules {
			out = append(out, m.Contracts...)
		}
		slices.Sort(out)
		return out
	}
	old, now := contracts(before), contracts(after)
	kept := len(old) == 0
	for _, name := range old {
		if slices.Contains(now, name) {
			kept = true
		} else {
			c.add(Breaks, "contract "+name, "it is not there any more: this version cannot consume states with it, nor look at them")
		}
	}
	if len(old) > 0 && len(before.Signers) > 0 {
		var names []string
		for _, s := range before.Signers {
			names = append(names, s.Name())
		}
		c.add(Notes, "signers", "states of version %s are taken only when this one has the same signers: %s", before.Version, strings.Join(names, "; "))
	}
	order := cpi.CompareVersions(before.Version, after.Version)
	switch {
	case before.Name != after.Name && len(old) > 0:
		c.add(Breaks, "states", "those of package %s cannot be spent by one of another name", before.Name)
	case !kept, len(old) == 0 && after.CompatibleFrom == "": // there are no such states, or no contract for them
	case order > 0:
		c.add(Breaks, "states", "those of version %s cannot be spent by this one, which is earlier", before.Version)
	case order == 0:
		c.add(Notes, "states", "those of version %s can be spent: it has the same version", before.Version)
	case after.CompatibleFrom != "" && cpi.CompareVersions(before.Version, after.CompatibleFrom) >= 0:
		c.add(Notes, "states", "those of version %s can be spent: compatible_from is %s", before.Version, after.CompatibleFrom)
		if from := before.CompatibleFrom; from != "" && cpi.CompareVersions(from, after.CompatibleFrom) < 0 {
			c.add(Warns, "states", "those of versions from %s on that are still there could be spent by version %s, and this one takes none before %s: a virtual node that keeps some is not upgraded", from, before.Version, after.CompatibleFrom)
		}
	case len(old) > 0:
		c.add(Breaks, "states", "those of version %s cannot be spent by this one: if its contracts still hold for them, say compatible_from: %s", before.Version, before.Version)
	}
}

func (c *comparison) migrations(before, after *cpi.CPKContent) {
	last := ""
	for _, m := range before.Migrations {
		last = max(last, m.Name)
		i := slices.IndexFunc(after.Migrations, func(n cpi.Migration) bool { return n.Name == m.Name })
		switch {
		case i < 0:
			c.add(Breaks, "migration "+m.Name, "it has run and is not there any more: put it back")
		case after.Migrations[i].SHA256 != m.SHA256:
			c.add(Breaks, "migration "+m.Name, "it has run and was changed: put it back as it was, and write a new migration")
		}
	}
	for _, m := range after.Migrations {
		known := slices.ContainsFunc(before.Migrations, func(n cpi.Migration) bool { return n.Name == m.Name })
		if !known && m.Name < last {
			c.add(Breaks, "migration "+m.Name, "it is new and comes before %s, which has run: give it a later name", last)
		}
		if !known && m.Name > last {
			c.add(Notes, "migration "+m.Name, "it will run")
		}
	}
}

func (c *comparison) flows(before, after *cpi.CPKContent) {
	all := func(k *cpi.CPKContent) map[string]*cpiv1.FlowClass {
		out := map[string]*cpiv1.FlowClass{}
		for _, m := range k.Modules {
			for _, f := range m.Flows {
				out[f.GetName()] = f
			}
		}
		return out
	}
	spoken := map[string][]uint32{}
	now := all(after)
	for _, f := range now {
		spoken[f.GetProtocol()] = append(spoken[f.GetProtocol()], f.GetProtocolVersions()...)
	}
	old := all(before)
	for _, name := range sortedKeys(old) {
		f := old[name]
		switch {
		case f.GetStartable() && now[name] == nil:
			c.add(Warns, "flow "+name, "clients could start it, and it is not there any more")
		case f.GetStartable() && !now[name].GetStartable():
			c.add(Warns, "flow "+name, "clients could start it, and it is internal now")
		}
		for _, v := range f.GetProtocolVersions() {
			if !slices.Contains(spoken[f.GetProtocol()], v) {
				c.add(Warns, fmt.Sprintf("protocol %s version %d", f.GetProtocol(), v), "nothing answers to it any more: flows of other members that speak no other version, and sessions under way, will fail")
			}
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (c *comparison) tables(before, after *cpi.CPKContent) {
	for _, t := range before.Tables {
		what := "table " + t.GetName()
		i := slices.IndexFunc(after.Tables, func(n *cpiv1.TableDeclaration) bool { return n.GetName() == t.GetName() })
		if i < 0 {
			c.add(Breaks, what, "it is not declared any more, and flows under way may use it")
			continue
		}
		n := after.Tables[i]
		if !slices.Equal(t.GetPrimaryKey(), n.GetPrimaryKey()) {
			c.add(Breaks, what, "its primary key was %v and is %v", t.GetPrimaryKey(), n.GetPrimaryKey())
		}
		if t.GetFeed() && !n.GetFeed() {
			c.add(Warns, what, "its changes do not go to the change feed any more")
		}
		c.columns(what, "column", t.GetColumns(), n.GetColumns())
	}
}

// columns compares columns of a table, or parameters of a query.
func (c *comparison) columns(of, what string, before, after []*cpiv1.ColumnDeclaration) {
	find := func(list []*cpiv1.ColumnDeclaration, name string) *cpiv1.ColumnDeclaration {
		if i := slices.IndexFunc(list, func(d *cpiv1.ColumnDeclaration) bool { return d.GetName() == name }); i >= 0 {
			return list[i]
		}
		return nil
	}
	for _, d := range before {
		n := find(after, d.GetName())
		switch {
		case n == nil:
			c.add(Breaks, of, "%s %s is not declared any more, and flows under way may use it", what, d.GetName())
		case n.GetType() != d.GetType():
			c.add(Breaks, of, "%s %s was %s and is %s", what, d.GetName(), d.GetType(), n.GetType())
		case n.GetNotNull() && !d.GetNotNull():
			c.add(Breaks, of, "%s %s must not be null any more, and flows under way may give none", what, d.GetName())
		}
	}
	for _, n := range after {
		if find(before, n.GetName()) == nil && n.GetNotNull() {
			c.add(Breaks, of, "%s %s is new and must not be null, and flows under way do not give it", what, n.GetName())
		}
	}
}

func (c *comparison) queries(before, after *cpi.CPKContent) {
	for _, q := range before.Queries {
		what := "query " + q.GetName()
		i := slices.IndexFunc(after.Queries, func(n *cpiv1.QueryDeclaration) bool { return n.GetName() == q.GetName() })
		if i < 0 {
			c.add(Breaks, what, "it is not declared any more, and flows under way may ask it")
			continue
		}
		n := after.Queries[i]
		c.columns(what, "parameter", q.GetParameters(), n.GetParameters())
		if q.GetStates() != n.GetStates() {
			c.add(Breaks, what, "one was of tables and the other is of states: flows under way ask it in the other way")
		}
		if !bytes.Equal([]byte(q.GetSql()), []byte(n.GetSql())) {
			c.add(Warns, what, "its SQL changed: flows under way get the new one's rows")
		}
	}
}

// isJSON tells which of its two forms a change feed has; none is Protobuf.
func isJSON(d *cpiv1.ChannelDeclaration) bool {
	return d.GetFormat() == cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON
}

func (c *comparison) channels(before, after *cpi.CPKContent) {
	for _, d := range before.Channels {
		what := "channel " + d.GetName()
		i := slices.IndexFunc(after.Channels, func(n *cpiv1.ChannelDeclaration) bool { return n.GetName() == d.GetName() })
		switch {
		case i < 0 && d.GetKind() == cpiv1.ChannelKind_CHANNEL_KIND_SEND:
			c.add(Breaks, what, "it is not declared any more, and flows under way may emit to it")
		case i < 0:
			c.add(Warns, what, "it is not declared any more: what systems outside send or expect there is lost")
		case after.Channels[i].GetKind() != d.GetKind():
			c.add(Breaks, what, "it goes another way: give the new channel another name")
		case after.Channels[i].GetFlowClass() != d.GetFlowClass():
			c.add(Warns, what, "its records started %s and start %s now", d.GetFlowClass(), after.Channels[i].GetFlowClass())
		case isJSON(d) != isJSON(after.Channels[i]):
			c.add(Breaks, what, "its records have another form: give the new channel another name")
		}
	}
}
