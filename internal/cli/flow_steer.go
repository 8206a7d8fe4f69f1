package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// How long a command's effect is waited for, and how often it is looked for.
const (
	steerWait = 5 * time.Second
	steerLook = 100 * time.Millisecond
)

// newFlowSteerCommand is kill, pause, resume or retry.
func newFlowSteerCommand(g *Globals, word, short, long string) *cobra.Command {
	var reason string
	var step uint32
	use, retry := word+" [VNODE] ID", word == "retry"
	if retry {
		use += " --step N"
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.RangeArgs(1, 2),
		Long: strings.TrimSpace(long + " The worker writes the command to the audit topic."),
		RunE: func(cmd *cobra.Command, args []string) error {
			if retry && !cmd.Flags().Changed("step") {
				return fmt.Errorf("--step is needed: the last step that is kept, as `fairlead flow history` numbers them")
			}
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				s, err := findFlow(ctx, c, args)
				if err != nil {
					return err
				}
				body := map[string]any{"reason": reason}
				what := fmt.Sprintf("%s flow %s of class %s (%s)", word, s.ClientRequestID, s.FlowClass, s.FlowStatus)
				if retry {
					body["step"] = step
					what = fmt.Sprintf("%s after step %d", what, step)
				}
				if g.DryRun() {
					fmt.Fprintln(g.Out, "would "+what)
					return nil
				}
				if err := g.Confirm(what + "?"); err != nil {
					return err
				}
				return g.steer(ctx, c, s, word, body)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who read the status and the audit topic")
	if retry {
		cmd.Flags().Uint32Var(&step, "step", 0, "last `step` that is kept")
	}
	return cmd
}

// steer sends a command and shows the flow once the command has had its effect, or after a while.
func (g *Globals) steer(ctx context.Context, c *restClient, before flowStatus, word string, body map[string]any) error {
	path := flowPath(ownAPI, before.Holding, before.ClientRequestID)
	if _, _, err := c.do(ctx, "POST", path+"/"+word, body); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, steerWait)
	defer cancel()
	tick := time.NewTicker(steerLook)
	defer tick.Stop()
	for {
		var now flowStatus
		if _, err := c.get(ctx, path, &now); err != nil {
			return err
		}
		if now.ended() || hadEffect(word, before, now) {
			_ = g.showFlow(now) // a killed flow is what was asked for
			return nil
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(g.Err, "the command was written, but nothing has changed yet; `fairlead flow status %s` tells more\n", before.ClientRequestID)
			return g.showFlow(now)
		}
	}
}

// hadEffect tells whether a command shows in the status.
func hadEffect(word string, before, now flowStatus) bool {
	paused := strings.Contains(now.WaitingFor, "paused")
	changed := !now.Timestamp.Equal(before.Timestamp) || now.WaitingFor != before.WaitingFor
	switch word {
	case "pause":
		return paused
	case "resume":
		return changed && !paused
	case "kill":
		return now.ended()
	default:
		return changed
	}
}
