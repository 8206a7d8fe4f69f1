package cli

import "github.com/spf13/cobra"

// commands lists the top-level commands.
func commands(g *Globals) []*cobra.Command {
	return []*cobra.Command{
		newTopicsCommand(g),
		newTailCommand(g),
		newPeekCommand(g),
		newContextCommand(g),
		newVersionCommand(g),
	}
}
