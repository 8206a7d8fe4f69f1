package topics

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Graph is who writes and reads what, for pictures.
type Graph struct {
	// Groups are the groups, workers and tools, sorted.
	Groups []string `json:"groups"`
	Topics []Topic  `json:"topics"`
	Edges  []Arrow  `json:"edges"`
}

// Arrow is one edge of the picture: group to topic (writes) or topic to group.
type Arrow struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Writes is true for an arrow from a group to a topic.
	Writes bool `json:"writes"`
	Kind   Kind `json:"kind"`
}

// NewGraph draws the catalogue. Without own, the topics that only their group uses (tables, stores, loops, the
// engine's rows) are left out, and of a group's dead letters only the arrow to the tools is drawn; one that others
// read, too, is not its group's alone.
func NewGraph(catalogue []Topic, own bool) Graph {
	var g Graph
	groups := map[string]bool{}
	arrow := func(group string, topic string, writes bool, kind Kind) {
		groups[group] = true
		a := Arrow{From: topic, To: group, Writes: writes, Kind: kind}
		if writes {
			a.From, a.To = group, topic
		}
		g.Edges = append(g.Edges, a)
	}
	for _, t := range catalogue {
		if t.Own != "" && t.Own != KindDeadLetters && !own && len(t.Readers) == 0 {
			continue
		}
		g.Topics = append(g.Topics, t)
		for _, w := range t.Writers {
			kind := KindOutput
			if t.Own != "" {
				kind = t.Own
			}
			arrow(w, t.Name, true, kind)
		}
		for _, r := range t.Readers {
			arrow(r.By, t.Name, false, r.As)
		}
		if t.Own != "" && t.Own != KindDeadLetters {
			arrow(t.Owner, t.Name, false, t.Own)
		}
	}
	for name := range groups {
		g.Groups = append(g.Groups, name)
	}
	sort.Strings(g.Groups)
	slices.SortFunc(g.Topics, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return g
}

// identifier makes a node name that both languages accept.
func identifier(kind, name string) string {
	return kind + "_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

func (a Arrow) ends() (from, to string) {
	if a.Writes {
		return identifier("g", a.From), identifier("t", a.To)
	}
	return identifier("t", a.From), identifier("g", a.To)
}

// dashed tells arrows of those who read beside the stream: views and inboxes.
func (a Arrow) dashed() bool { return !a.Writes && a.Kind != KindInput && a.Kind != KindLoop }

// Mermaid is the picture in Mermaid's language.
func (g Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, name := range g.Groups {
		fmt.Fprintf(&b, "  %s[\"%s\"]\n", identifier("g", name), name)
	}
	for _, t := range g.Topics {
		open, end := "([", "])"
		if t.Compacted() {
			open, end = "[(", ")]"
		}
		fmt.Fprintf(&b, "  %s%s\"%s\"%s\n", identifier("t", t.Name), open, t.Name, end)
	}
	for _, a := range g.Edges {
		from, to := a.ends()
		line := "-->"
		if a.dashed() {
			line = "-.->"
		}
		fmt.Fprintf(&b, "  %s %s %s\n", from, line, to)
	}
	return b.String()
}

// Dot is the picture in Graphviz' language.
func (g Graph) Dot() string {
	var b strings.Builder
	b.WriteString("digraph fairlead {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n")
	for _, name := range g.Groups {
		fmt.Fprintf(&b, "  %s [label=%q shape=box style=bold];\n", identifier("g", name), name)
	}
	for _, t := range g.Topics {
		shape := "oval"
		if t.Compacted() {
			shape = "cylinder"
		}
		fmt.Fprintf(&b, "  %s [label=%q shape=%s];\n", identifier("t", t.Name), t.Name, shape)
	}
	for _, a := range g.Edges {
		from, to := a.ends()
		style := ""
		if a.dashed() {
			style = " [style=dashed]"
		}
		fmt.Fprintf(&b, "  %s -> %s%s;\n", from, to, style)
	}
	b.WriteString("}\n")
	return b.String()
}
