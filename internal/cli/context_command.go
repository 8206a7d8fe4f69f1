package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newContextCommand(g *Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "Choose the cluster that commands talk to",
		Long:  "A context names a cluster: its brokers, prefix and REST API. fairlead dev writes one called dev.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		c, _, err := g.loadContexts()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return slices.Sorted(maps.Keys(c.Contexts)), cobra.ShellCompDirectiveNoFileComp
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the contexts", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return g.listContexts() },
		},
		outputs(&cobra.Command{
			Use: "use NAME", Short: "Make a context the current one", Args: cobra.ExactArgs(1), ValidArgsFunction: complete,
			RunE: func(_ *cobra.Command, args []string) error { return g.useContext(args[0]) },
		}, "text"),
	)
	return cmd
}

func (g *Globals) loadContexts() (Contexts, string, error) {
	path, err := ContextsPath(g.env)
	if err != nil {
		return Contexts{}, "", err
	}
	c, err := LoadContexts(path)
	return c, path, err
}

func (g *Globals) listContexts() error {
	c, _, err := g.loadContexts()
	if err != nil {
		return err
	}
	if g.Output == "json" {
		return g.printJSON(c)
	}
	rows := [][]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Contexts)) {
		s := c.Contexts[name]
		current := ""
		if name == c.Current {
			current = "*"
		}
		rows = append(rows, []string{current, name, strings.Join(s.Brokers, ","), s.Prefix, s.API})
	}
	return g.printTable([]string{"", "NAME", "BROKERS", "PREFIX", "API"}, rows)
}

func (g *Globals) useContext(name string) error {
	c, path, err := g.loadContexts()
	if err != nil {
		return err
	}
	if _, ok := c.Contexts[name]; !ok {
		return notFound("there is no context %s in %s: it has %s", name, path, listOr(slices.Sorted(maps.Keys(c.Contexts)), "none"))
	}
	c.Current = name
	if err := SaveContexts(path, c); err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.Out, "context %s is now the current one\n", name)
	return err
}
