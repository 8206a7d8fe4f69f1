package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// txFlow shows what a member's vault has of a transaction.
const txFlow = "tokens-transaction"

// txAbsent is the status of a transaction that a vault does not have.
const txAbsent = "absent"

// ledgerTx is a transaction as a member's vault has it.
type ledgerTx struct {
	// Member is whose vault it is.
	Member      string     `json:"member"`
	Transaction string     `json:"transaction"`
	Status      string     `json:"status"`
	Notary      string     `json:"notary,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	Commands    []string   `json:"commands,omitempty"`
	Consumes    []string   `json:"consumes,omitempty"`
	Makes       []madeTx   `json:"makes,omitempty"`
	Signed      []string   `json:"signed,omitempty"`
}

// madeTx is a state that it makes.
type madeTx struct {
	State  string `json:"state"`
	Type   string `json:"type"`
	Owner  string `json:"owner,omitempty"`
	Amount string `json:"amount,omitempty"`
	Symbol string `json:"symbol,omitempty"`
}

func newLedgerTxCommand(g *Globals) *cobra.Command {
	var member string
	cmd := &cobra.Command{
		Use: "tx ID", Short: "Show a transaction, and which members have it with which status", Args: cobra.ExactArgs(1),
		Long: `Starts flow ` + txFlow + ` of the application apps/tokens on every virtual node that has it, or on that of --member, and waits:
each flow reads its member's own vault, through REST. What is in a transaction is the same for all who have it.
Members in maintenance are not asked, and named. ID may be that of a state, with its number behind a colon.`,
		Example: "  fairlead ledger tx 71A97778EC7B1BF24897EFC7BC96F43F77F36123C2F520D9986EA4E70DF872D0 --member Bob",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				asked, err := g.whoHasFlow(ctx, c, member, txFlow)
				if err != nil {
					return err
				}
				id, _, _ := strings.Cut(args[0], ":") // of a state, as errors name it
				argument, err := json.Marshal(map[string]string{"transaction": id})
				if err != nil {
					return fmt.Errorf("encode the argument: %w", err)
				}
				var all []ledgerTx
				err = g.askEach(ctx, cmd, c, asked, member == "", txFlow, argument, func(vnode virtualNode, raw json.RawMessage) error {
					var tx ledgerTx
					if err := json.Unmarshal(raw, &tx); err != nil {
						return fmt.Errorf("flow %s does not answer as that of apps/tokens does: %w", txFlow, err)
					}
					if tx.Member = vnode.X500Name; tx.Status != txAbsent {
						all = append(all, tx)
					}
					return nil
				})
				if err != nil {
					return err
				}
				if len(all) == 0 {
					return notFound("no member that was asked has transaction %s", id)
				}
				return g.showTx(all)
			})
		},
	}
	cmd.Flags().StringVar(&member, "member", "", "ask this `member` alone")
	return cmd
}

// whoHasFlow is the virtual node of a name, or all that have a flow when the name is empty.
func (g *Globals) whoHasFlow(ctx context.Context, c *restClient, name, class string) ([]virtualNode, error) {
	if name != "" {
		vnode, err := findVNode(ctx, c, name)
		return []virtualNode{vnode}, err
	}
	nodes, err := c.virtualNodes(ctx)
	if err != nil {
		return nil, err
	}
	var out []virtualNode
	for _, n := range nodes {
		has, err := c.hasFlow(ctx, n, class)
		if err != nil {
			return nil, err
		}
		if has {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return nil, notFound("no virtual node has flow %s, which reads its vault: it comes with apps/tokens", class)
	}
	return out, nil
}

// showTx shows what members have of one transaction.
func (g *Globals) showTx(all []ledgerTx) error {
	if g.Output == "json" {
		return g.printJSON(all)
	}
	tx := all[0]
	row := func(name, value string) { fmt.Fprintf(g.Out, "%-13s%s\n", name, value) }
	rows := func(name string, values []string) {
		for _, v := range values {
			row(name, v)
			name = ""
		}
	}
	row("transaction", tx.Transaction)
	var members, made []string
	for _, t := range all {
		members = append(members, t.Member+"  "+t.Status)
	}
	rows("known to", members)
	row("notary", tx.Notary)
	if tx.Until != nil {
		row("until", localTime(*tx.Until))
	}
	row("commands", strings.Join(tx.Commands, ", "))
	rows("consumes", tx.Consumes)
	for _, m := range tx.Makes {
		what := m.Type
		if m.Amount != "" {
			what = m.Amount + " " + m.Symbol + " of " + m.Owner
		}
		made = append(made, m.State+"  "+what)
	}
	rows("makes", made)
	rows("signed", tx.Signed)
	return nil
}
