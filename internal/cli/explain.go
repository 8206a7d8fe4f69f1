package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/devenv"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/spelling"
)

// explanation is what is known about a stable id; it is the JSON of explain.
type explanation struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// explanations returns what is known about all stable ids, sorted: those of the workers, of the development cluster, of
// building applications, of packages and of their tables.
func explanations() []explanation {
	all := app.Explanations()
	maps.Copy(all, devenv.Explanations())
	maps.Copy(all, appbuild.Explanations())
	maps.Copy(all, cpi.Explanations())
	maps.Copy(all, rows.Explanations())
	var out []explanation
	for _, id := range slices.Sorted(maps.Keys(all)) {
		out = append(out, explanation{id, all[id]})
	}
	return out
}

func newExplainCommand(g *Globals) *cobra.Command {
	ids := func() []string {
		var out []string
		for _, e := range explanations() {
			out = append(out, e.ID)
		}
		return out
	}
	return &cobra.Command{
		Use: "explain [ID]", Short: "Say what an error means and what to do", Args: cobra.MaximumNArgs(1),
		Long: `ID is a stable id such as FL-FLOW-004: errors, refusals, the audit topic and dead letters have one. Without ID all are
listed.`,
		Example: "  fairlead explain FL-FLOW-004",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return ids(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return g.listExplanations()
			}
			for _, e := range explanations() {
				if strings.EqualFold(e.ID, args[0]) {
					return g.explain(e)
				}
			}
			near := spelling.Near(strings.ToUpper(args[0]), ids(), 2)
			if len(near) == 0 {
				near = spelling.Containing(args[0], ids())
			}
			if len(near) == 0 {
				return notFound("there is no error id %s: `fairlead explain` lists those there are", args[0])
			}
			return notFound("there is no error id %s: do you mean %s?", args[0], strings.Join(near, ", "))
		},
	}
}

func (g *Globals) explain(e explanation) error {
	if g.Output == "json" {
		return g.printJSON(e)
	}
	if _, err := fmt.Fprintf(g.Out, "%s\n\n%s\n", e.ID, wrap(e.Text, explainWidth)); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// explainWidth is how long lines of an explanation are at most, characters.
const explainWidth = 100

func (g *Globals) listExplanations() error {
	all := explanations()
	if g.Output == "json" {
		return g.printJSON(all)
	}
	rows := [][]string{}
	for _, e := range all {
		rows = append(rows, []string{e.ID, shorten(firstSentence(e.Text), explainWidth)})
	}
	return g.printTable([]string{"ID", "WHAT HAPPENED"}, rows)
}

// firstSentence ends a text at the first full stop or colon that a space follows.
func firstSentence(text string) string {
	for i := range len(text) - 1 {
		if (text[i] == '.' || text[i] == ':') && text[i+1] == ' ' {
			return text[:i]
		}
	}
	return strings.TrimSuffix(text, ".")
}

// wrap breaks a text into lines at its spaces.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
		case column+1+n > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// WriteErrorReference writes the reference page of all stable ids.
func WriteErrorReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString("<!-- Generated from the explanations in the code. Do not edit. -->\n# Errors\n\n" +
		"What the stable ids in errors, refusals, the audit topic and dead letters mean, and what to do. `fairlead explain ID` says the same.\n")
	area := ""
	for _, e := range explanations() {
		if of := e.ID[:strings.LastIndexByte(e.ID, '-')]; of != area {
			area = of
			fmt.Fprintf(&b, "\n## %s\n", area)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n", e.ID, outsideCode(e.Text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// outsideCode escapes what Markdown would read as HTML, but for what stands between backticks.
func outsideCode(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = escapeHTML(parts[i])
	}
	return strings.Join(parts, "`")
}
