package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// listFlow tells which transactions of a member have a status.
const listFlow = "tokens-transactions"

// listedTx is a transaction of its result.
type listedTx struct {
	// Member is whose vault it is in.
	Member      string    `json:"member"`
	Transaction string    `json:"transaction"`
	Status      string    `json:"status"`
	Stored      time.Time `json:"stored"`
	Repairs     int       `json:"repairs"`
}

func newLedgerListCommand(g *Globals) *cobra.Command {
	var member string
	in := struct {
		Status string `json:"status"`
		Limit  int    `json:"limit"`
	}{}
	cmd := &cobra.Command{
		Use: "list", Short: "List members' transactions whose outcome they do not know", Args: cobra.NoArgs,
		Long: `Starts flow ` + listFlow + ` of the application apps/tokens on every virtual node that has it, or on that of --member, and waits:
each flow reads its member's own vault, through REST. Without --status it lists what is unverified: under way, or left open by a
flow that ended before its notary had answered, which fairlead ledger repair finishes. REPAIRS is how often that was
tried. fairlead ledger tx shows one of them. Members in maintenance are not asked, and named.`,
		Example: "  fairlead ledger list\n  fairlead ledger list --member Bob --status invalid",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.Limit < 1 || in.Limit > 1000 {
				return fmt.Errorf("--limit %d: a number from 1 to 1,000 is needed", in.Limit)
			}
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				argument, err := json.Marshal(in)
				if err != nil {
					return fmt.Errorf("encode the argument: %w", err)
				}
				asked, err := g.whoHasFlow(ctx, c, member, listFlow)
				if err != nil {
					return err
				}
				all, more := []listedTx{}, []string{}
				err = g.askEach(ctx, cmd, c, asked, member == "", listFlow, argument, func(vnode virtualNode, raw json.RawMessage) error {
					var list []listedTx
					if err := json.Unmarshal(raw, &list); err != nil {
						return fmt.Errorf("flow %s does not answer as that of apps/tokens does: %w", listFlow, err)
					}
					for i := range list {
						list[i].Member = vnode.X500Name
					}
					if all = append(all, list...); len(list) == in.Limit {
						more = append(more, vnode.X500Name)
					}
					return nil
				})
				if err != nil {
					return err
				}
				return g.showList(all, more, in.Status)
			})
		},
	}
	cmd.Flags().StringVar(&member, "member", "", "ask this `member` alone")
	cmd.Flags().StringVar(&in.Status, "status", "unverified", "list those of this `status`: unverified, verified, invalid or draft")
	cmd.Flags().IntVar(&in.Limit, "limit", 100, "list at most so many of each member, up to 1,000")
	return cmd
}

// askEach runs a flow on each virtual node and hands over its results. One in maintenance is named and left out when others may tell.
func (g *Globals) askEach(ctx context.Context, cmd *cobra.Command, c *restClient, asked []virtualNode, others bool, class string, argument json.RawMessage, take func(virtualNode, json.RawMessage) error) error {
	for _, vnode := range asked {
		raw, err := g.runFlow(ctx, cmd, c, vnode, class, argument)
		if refusedAs(err) == idNotOperational && others {
			fmt.Fprintf(g.Err, "not asked: %v\n", err)
			continue
		}
		if err == nil {
			err = take(vnode, raw)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *Globals) showList(all []listedTx, more []string, status string) error {
	for _, m := range more {
		fmt.Fprintf(g.Err, "%s may have more: --limit takes up to 1,000, and fairlead ledger repair finishes what can be finished\n", m)
	}
	if g.Output == "json" {
		return g.printJSON(all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintf(g.Out, "no member that was asked has %s transactions\n", status)
		return err
	}
	slices.SortStableFunc(all, func(a, b listedTx) int { return a.Stored.Compare(b.Stored) })
	var rows [][]string
	for _, t := range all {
		rows = append(rows, []string{t.Transaction, t.Status, t.Member, localTime(t.Stored), age(g.now().Sub(t.Stored)), strconv.Itoa(t.Repairs)})
	}
	return g.printTable([]string{"TRANSACTION", "IS", "MEMBER", "STORED", "AGE", "REPAIRS"}, rows)
}
