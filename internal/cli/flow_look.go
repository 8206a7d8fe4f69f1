package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/app"
)

func newFlowListCommand(g *Globals) *cobra.Command {
	var status string
	cmd := &cobra.Command{
		Use: "list [VNODE]", Short: "List flows with their statuses", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
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
				return g.listFlows(ctx, c, nodes, status)
			})
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only flows of this `status`: START_REQUESTED, RUNNING, COMPLETED, FAILED or KILLED")
	return cmd
}

func (g *Globals) listFlows(ctx context.Context, c *restClient, nodes []virtualNode, status string) error {
	all := []flowStatus{}
	rows := [][]string{}
	for _, n := range nodes {
		var list struct {
			Statuses []flowStatus `json:"flowStatusResponses"`
		}
		path := cordaAPI + "/flow/" + n.ShortHash
		if status != "" {
			path += "?status=" + url.QueryEscape(status)
		}
		if _, err := c.get(ctx, path, &list); err != nil {
			return err
		}
		for _, s := range list.Statuses {
			all = append(all, s)
			said := ""
			if s.FlowResult != nil {
				said = *s.FlowResult
			}
			if s.FlowError != nil {
				said = s.FlowError.Message
			}
			rows = append(rows, []string{n.ShortHash, s.ClientRequestID, s.FlowStatus, localTime(s.Timestamp), s.FlowID, shorten(said, 60)})
		}
	}
	if g.Output == "json" {
		return g.printJSON(map[string]any{"flows": all})
	}
	if len(rows) == 0 {
		fmt.Fprintln(g.Out, "no flows")
		return nil
	}
	return g.printTable([]string{"VNODE", "REQUEST ID", "STATUS", "CHANGED", "FLOW ID", "RESULT"}, rows)
}

func newFlowStatusCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "status [VNODE] ID", Short: "Show how a flow is", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				s, err := findFlow(ctx, c, args)
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
				s, err := findFlow(ctx, c, args)
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

// historyStep is one step of a flow as REST tells it.
type historyStep struct {
	Attempt, Step, Ordinal uint32
	Kind, Operation        string
	Arguments, Answer      json.RawMessage
	At                     time.Time
	AnsweredAt             *time.Time
	WaitedMicros           int64
	Error                  *flowFailure
	Cut                    bool
}

func newFlowHistoryCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "history [VNODE] ID", Short: "Show what a flow asked and was answered, step by step", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				s, err := findFlow(ctx, c, args)
				if err != nil {
					return err
				}
				_, raw, err := c.do(ctx, "GET", flowPath(ownAPI, s.Holding, s.ClientRequestID)+"/history", nil)
				if err != nil {
					return err
				}
				if g.Output == "json" {
					return g.printJSON(json.RawMessage(raw))
				}
				var h struct{ Steps []historyStep }
				if err := json.Unmarshal(raw, &h); err != nil {
					return fmt.Errorf("read the history: %w", err)
				}
				return g.showHistory(s, h.Steps)
			})
		},
	}
}

func (g *Globals) showHistory(s flowStatus, steps []historyStep) error {
	if len(steps) == 0 {
		fmt.Fprintln(g.Out, "no steps: the flow has not begun, or its journal is no longer kept")
		return nil
	}
	began := steps[0].At
	rows := make([][]string, 0, len(steps))
	for _, x := range steps {
		place := fmt.Sprintf("%d.%d", x.Step, x.Ordinal)
		if x.Attempt > 1 {
			place = fmt.Sprintf("%s (attempt %d)", place, x.Attempt)
		}
		what := x.Operation
		if x.Kind == "start" {
			what = "start " + x.Operation
		}
		if len(x.Arguments) > 0 {
			what += " " + string(x.Arguments)
		}
		outcome := ""
		switch {
		case x.Error != nil:
			outcome = x.Error.Type + ": " + x.Error.Message
		case x.AnsweredAt != nil:
			outcome = "answered after " + (time.Duration(x.WaitedMicros) * time.Microsecond).String()
		case x.Kind == "end":
			outcome = string(x.Answer)
		case x.Kind == "request":
			outcome = "no answer yet"
		}
		if x.Cut {
			outcome += " (cut by a retry)"
		}
		rows = append(rows, []string{place, "+" + x.At.Sub(began).String(), shorten(what, 70), shorten(outcome, 70)})
	}
	fmt.Fprintf(g.Out, "flow %s, %s, began %s\n", s.FlowID, s.FlowStatus, localTime(began))
	return g.printTable([]string{"STEP", "AT", "WHAT", "OUTCOME"}, rows)
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
				s, err := findFlow(ctx, c, args)
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
