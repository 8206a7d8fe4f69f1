package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/app"
)

// listFlags say which flows are listed.
type listFlags struct {
	status string
	paused bool
	limit  int
}

// defaultListed is how many flows of a virtual node are listed unless --limit says otherwise; programs get all.
const defaultListed = 50

func newFlowListCommand(g *Globals) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use: "list [VNODE]", Short: "List flows with their statuses", Args: cobra.MaximumNArgs(1),
		Long: `Lists flows, the oldest first, with their age and what they wait for, or what came of them. Of each virtual node the
youngest --limit are listed; -o json lists all unless --limit is given.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.limit < 0 {
				return fmt.Errorf("--limit %d: a number from 1 on is needed, or 0 for all", f.limit)
			}
			if g.Output == "json" && !cmd.Flags().Changed("limit") {
				f.limit = 0
			}
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				nodes, err := c.virtualNodes(ctx)
				if err != nil {
					return err
				}
				if len(args) == 1 {
					vnode, err := findVNode(ctx, c, args[0])
					if err != nil {
						return err
					}
					nodes = []virtualNode{vnode}
				}
				return g.listFlows(ctx, c, nodes, f)
			})
		},
	}
	cmd.Flags().StringVar(&f.status, "status", "", "only flows of this `status`: START_REQUESTED, RUNNING, COMPLETED, FAILED or KILLED")
	cmd.Flags().BoolVar(&f.paused, "paused", false, "only flows that are paused by an operator or parked by the platform")
	cmd.Flags().IntVar(&f.limit, "limit", defaultListed, "only the youngest so many of each virtual node, 0 for all")
	return cmd
}

func (g *Globals) listFlows(ctx context.Context, c *restClient, nodes []virtualNode, f listFlags) error {
	all := []flowStatus{}
	rows := [][]string{}
	left := 0
	for _, n := range nodes {
		list, more, err := c.flows(ctx, n.ShortHash, f)
		if err != nil {
			return err
		}
		left += more
		for _, s := range list {
			all = append(all, s)
			born := s.Timestamp
			if s.CreatedAt != nil {
				born = *s.CreatedAt
			}
			rows = append(rows, []string{n.ShortHash, s.ClientRequestID, s.FlowStatus, s.FlowClass, age(g.now().Sub(born)), s.FlowID, shorten(s.saying(), 60)})
		}
	}
	if g.Output == "json" {
		return g.printJSON(map[string]any{"flows": all})
	}
	if len(rows) == 0 {
		fmt.Fprintln(g.Out, "no flows")
		return nil
	}
	if err := g.printTable([]string{"VNODE", "REQUEST ID", "STATUS", "CLASS", "AGE", "FLOW ID", "WAITS FOR, OR RESULT"}, rows); err != nil {
		return err
	}
	if left > 0 {
		fmt.Fprintf(g.Out, "%d older ones are left out: --limit 0 lists all\n", left)
	}
	return nil
}

func newFlowStatusCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "status [VNODE] ID", Short: "Show how a flow is", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				s, err := lookFlow(ctx, c, args)
				if err != nil {
					return err
				}
				if failed := g.showFlow(s); failed != nil && !s.ended() {
					return failed
				}
				return nil
			})
		},
	}
}

func newFlowResultCommand(g *Globals) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use: "result [VNODE] ID", Short: "Print a flow's result", Args: cobra.RangeArgs(1, 2),
		Long: "Prints the result alone, as JSON. Exit code 2 tells that the flow still runs, 1 that it failed or was killed.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				s, err := lookFlow(ctx, c, args)
				if err != nil {
					return err
				}
				if wait && !s.ended() {
					s, err = g.awaitFlow(cmd, c, s)
				} else {
					_, err = c.get(ctx, flowPath(ownAPI, s.Holding, s.ClientRequestID)+"/result", &s)
				}
				if err != nil {
					return err
				}
				return g.showResult(s)
			})
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "wait for the flow's end")
	return cmd
}

func (g *Globals) showResult(s flowStatus) error {
	if g.Output == "json" {
		if err := g.printJSON(s); err != nil {
			return err
		}
	} else if s.FlowStatus == "COMPLETED" {
		fmt.Fprintln(g.Out, string(s.JSON))
	}
	switch {
	case s.FlowError != nil:
		return fmt.Errorf("flow %s is %s: %s: %s", s.ClientRequestID, s.FlowStatus, s.FlowError.Type, s.FlowError.Message)
	case !s.ended():
		fmt.Fprintf(g.Err, "flow %s is %s\n", s.ClientRequestID, s.FlowStatus)
		return errPending
	default:
		return nil
	}
}

func newFlowReplayCommand(g *Globals) *cobra.Command {
	var dir string
	var until uint32
	cmd := &cobra.Command{
		Use: "replay [VNODE] ID --app DIR", Short: "Run a flow's journal against an application's code", Args: cobra.RangeArgs(1, 2),
		Long: `Builds the application in DIR and feeds it what the flow was answered. Each step must ask for what is recorded; the
first that does not is named, with what was recorded and what came. Nothing is changed. Exit code 2 tells that the
code does something else. The journal is read from Kafka (--brokers, or the context's).`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				return errors.New("--app is needed: the folder of the application")
			}
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				s, err := lookFlow(ctx, c, args)
				if err != nil {
					return err
				}
				return g.replay(ctx, s, dir, until)
			})
		},
	}
	cmd.Flags().StringVar(&dir, "app", "", "`folder` of the application")
	cmd.Flags().Uint32Var(&until, "until", 0, "last `step` to replay; all when left out")
	return cmd
}

func (g *Globals) replay(ctx context.Context, s flowStatus, dir string, until uint32) error {
	admin, _, err := g.Kafka(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	since := s.Timestamp
	if s.CreatedAt != nil {
		since = *s.CreatedAt
	}
	steps, err := app.ReplayFlow(ctx, app.Replay{Admin: admin, FlowID: s.FlowID, Since: since, App: g.Path(dir), Until: until})
	if err != nil {
		return err
	}
	if g.Output == "json" {
		if err := g.printJSON(map[string]any{"flowId": s.FlowID, "steps": steps}); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	differs := false
	for _, x := range steps {
		verdict := g.paint(green, "same")
		if x.Difference != "" {
			differs, verdict = true, g.paint(red, "differs")+": "+x.Difference
		}
		fmt.Fprintf(&text, "step %-4d %s  %s\n", x.Step, strings.TrimSpace(x.Recorded), verdict)
	}
	if g.Output != "json" {
		if _, err := g.Out.Write(text.Bytes()); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
	}
	if differs {
		return errPending
	}
	return nil
}
