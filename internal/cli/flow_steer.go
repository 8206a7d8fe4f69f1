package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newFlowSteerCommand is kill, pause, resume or retry.
func newFlowSteerCommand(g *Globals, word, short, long string) *cobra.Command {
	var reason string
	var step uint32
	var force bool
	use, retry := word+" [VNODE] ID", word == "retry"
	if retry {
		use += " --step N"
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.RangeArgs(1, 2),
		Long: strings.TrimSpace(long + " The command waits for its outcome: exit code 3 when it was refused, with the reason. Either way the audit topic says so."),
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
					if force { // an older rest worker does not know it
						body["force"] = true
					}
					what = fmt.Sprintf("%s after step %d", what, step)
				}
				if g.DryRun() {
					fmt.Fprintln(g.Out, "would "+what)
					return nil
				}
				if !g.flags.yes { // nobody is asked about what will be refused; the cluster decides all the same
					if err := c.mayBeSteered(ctx, s, word, step); err != nil {
						return err
					}
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
		cmd.Flags().BoolVar(&force, "force", false, "go on although a session that was opened at or before the step cannot be used any more")
	}
	return cmd
}

// mayBeSteered tells what can be known of a command's refusal before it is sent.
func (c *restClient) mayBeSteered(ctx context.Context, s flowStatus, word string, step uint32) error {
	switch {
	case s.ended():
		return refused("FL-REST-021: flow %s is %s: what has ended cannot be changed", s.ClientRequestID, s.FlowStatus)
	case word == "pause" && s.Paused:
		return refused("FL-FLOW-022: flow %s is %s already; resume it first", s.ClientRequestID, s.WaitingFor)
	case word == "resume" && !s.Paused:
		return refused("FL-FLOW-022: flow %s is not paused", s.ClientRequestID)
	case word != "retry":
		return nil
	}
	var h struct{ Steps []historyStep }
	if _, err := c.get(ctx, flowPath(ownAPI, s.Holding, s.ClientRequestID)+"/history", &h); err != nil || len(h.Steps) == 0 {
		return nil //nolint:nilerr // the cluster will say
	}
	var reached uint32
	for _, x := range h.Steps {
		if !x.Cut {
			reached = max(reached, x.Step)
		}
	}
	if step > reached {
		return refused("FL-FLOW-023: step %d was not reached; the flow is at step %d", step, reached)
	}
	return nil
}

// steer sends a command, waits until the cluster has carried it out or refused it, and shows the flow after it.
func (g *Globals) steer(ctx context.Context, c *restClient, before flowStatus, word string, body map[string]any) error {
	path := flowPath(ownAPI, before.Holding, before.ClientRequestID) + "/" + word
	var now flowStatus
	status, err := c.call(ctx, http.MethodPost, path, body, &now, "Prefer", fmt.Sprintf("wait=%d", int(waitSlice/time.Second)))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the command was sent and is not known to be decided; `fairlead flow status %s` tells more: %w", before.ClientRequestID, err)
	case err != nil:
		return err
	case status == http.StatusAccepted:
		return &codedError{ExitTimeout, fmt.Errorf("the command was written, but no worker has decided it in %s; `fairlead flow status %s` tells more", waitSlice, before.ClientRequestID)}
	}
	_ = g.showFlow(now) // a killed flow is what was asked for
	return nil
}
