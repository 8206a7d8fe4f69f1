package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
)

func newLedgerCommand(g *Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ledger", Short: "Look at members' transactions, and finish what was left open", Args: cobra.NoArgs,
		Long: `MEMBER is a virtual node: its short hash, its X.500 name, or the name's O alone when only one has it.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLedgerListCommand(g), newLedgerTxCommand(g), newLedgerRepairCommand(g))
	return cmd
}

// hasFlow tells whether a virtual node's application has a flow that can be started.
func (c *restClient) hasFlow(ctx context.Context, vnode virtualNode, class string) (bool, error) {
	var list struct {
		Names []string `json:"flowClassNames"`
	}
	_, err := c.get(ctx, cordaAPI+"/flowclass/"+vnode.ShortHash, &list)
	return slices.Contains(list.Names, class), err
}

// repairFlow asks notaries about all transactions of a member that are not finished.
const repairFlow = "tokens-repair"

// repaired is its result.
type repaired struct {
	Verified []string          `json:"verified"`
	Invalid  []string          `json:"invalid"`
	Why      map[string]string `json:"why"`
	Open     map[string]string `json:"open"`
	// Younger is nil of a flow that does not tell.
	Younger map[string]string `json:"younger"`
}

func newLedgerRepairCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "repair MEMBER", Short: "Finish a member's transactions whose outcome it does not know", Args: cobra.ExactArgs(1),
		Long: `Starts flow ` + repairFlow + ` on the member's virtual node and waits for it. It asks the notary of each unverified transaction
what was decided, without having it decide, and stores the transaction as verified or invalid; what nothing is known of yet
stays open and can be asked again. Those of the last minutes, which may be under way, the flow leaves alone, and says so. Written to the
audit topic, before and after.`,
		Example: "  fairlead ledger repair Alice --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				vnode, err := findVNode(ctx, c, args[0])
				if err != nil {
					return err
				}
				has, err := c.hasFlow(ctx, vnode, repairFlow)
				if err != nil {
					return err
				}
				if !has { // nobody is asked about what cannot be done
					return notFound("the application of %s has no flow %s, which finishes transactions: it comes with apps/tokens, or call finality.Repair in a flow of that name", vnode.X500Name, repairFlow)
				}
				return g.mutate("have "+vnode.X500Name+" ask the notaries about all of its unfinished transactions, and finish them", func() error {
					return g.repair(ctx, cmd, c, vnode)
				})
			})
		},
	}
}

func (g *Globals) repair(ctx context.Context, cmd *cobra.Command, c *restClient, vnode virtualNode) error {
	admin, _, err := g.Kafka(ctx)
	if err != nil {
		return refused("it is done only when that can be audited: %w", err)
	}
	defer admin.Close()
	if err := g.auditRepair(ctx, admin, vnode, auditv1.Outcome_OUTCOME_STARTED, ""); err != nil {
		return refused("it is done only when that can be audited: %w", err)
	}
	raw, err := g.runFlow(ctx, cmd, c, vnode, repairFlow, json.RawMessage(`{}`))
	if err != nil {
		return errors.Join(err, g.auditRepair(ctx, admin, vnode, auditv1.Outcome_OUTCOME_FAILED, err.Error()))
	}
	var done repaired
	if err := json.Unmarshal(raw, &done); err != nil {
		return fmt.Errorf("flow %s does not answer as finality.Repair does: %w", repairFlow, err)
	}
	detail := fmt.Sprintf("%d verified, %d invalid, %d open", len(done.Verified), len(done.Invalid), len(done.Open))
	if err := g.auditRepair(ctx, admin, vnode, auditv1.Outcome_OUTCOME_DONE, detail); err != nil {
		return err
	}
	return g.show(raw, func() error {
		var rows [][]string
		for _, id := range done.Verified {
			rows = append(rows, []string{id, "verified", ""})
		}
		for _, id := range done.Invalid {
			rows = append(rows, []string{id, "invalid", done.Why[id]})
		}
		for _, id := range slices.Sorted(maps.Keys(done.Open)) {
			rows = append(rows, []string{id, "open", done.Open[id]})
		}
		for _, id := range slices.Sorted(maps.Keys(done.Younger)) {
			rows = append(rows, []string{id, "left alone", done.Younger[id]})
		}
		switch {
		case len(rows) == 0 && done.Younger != nil:
			_, err := fmt.Fprintf(g.Out, "%s has no unfinished transactions\n", vnode.X500Name)
			return err
		case len(rows) == 0:
			_, err := fmt.Fprintf(g.Out, "%s has no unfinished transactions but those of the last minutes, which repair leaves alone\n", vnode.X500Name)
			return err
		}
		return g.printTable([]string{"TRANSACTION", "IS", "WHY"}, rows)
	})
}

func (g *Globals) auditRepair(ctx context.Context, a *kafkaadmin.Admin, vnode virtualNode, outcome auditv1.Outcome, detail string) error {
	return g.audit(ctx, a, &auditv1.Entry{Action: "ledger.repair", Entity: "vnode/" + vnode.ShortHash, Vnode: vnode.ShortHash, Outcome: outcome, Detail: detail})
}
