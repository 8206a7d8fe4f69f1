package cli

import "github.com/spf13/cobra"

// commands lists the top-level commands.
func commands(g *Globals) []*cobra.Command {
	return []*cobra.Command{
		newDevCommand(g),
		newDemoCommand(g),
		newWorkerCommand(g),
		newAppCommand(g),
		newStatusCommand(g),
		newFlowCommand(g),
		newCpiCommand(g),
		newVnodeCommand(g),
		newKeyCommand(g),
		newTokensCommand(g),
		newLedgerCommand(g),
		newCertCommand(g),
		newConfigCommand(g),
		newRbacCommand(g),
		newTraceCommand(g),
		newTopicsCommand(g),
		newTailCommand(g),
		newPeekCommand(g),
		newExplainCommand(g),
		newContextCommand(g),
		newVersionCommand(g),
	}
}
