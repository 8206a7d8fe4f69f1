package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// vnodeCommand runs with the virtual node that the first argument names, and the other arguments.
type vnodeCommand func(ctx context.Context, c *restClient, v virtualNode, args []string) error

func newVnodeCommand(g *Globals) *cobra.Command {
	byName := func(use, short string, run vnodeCommand, args cobra.PositionalArgs) *cobra.Command {
		return restCommand(g, use, short, args, func(ctx context.Context, c *restClient, args []string) error {
			v, err := findVNode(ctx, c, args[0])
			if err != nil {
				return err
			}
			return run(ctx, c, v, args[1:])
		})
	}
	return groupCommand("vnode", "Make virtual nodes, look at them, change them",
		newVnodeCreateCommand(g),
		restCommand(g, "list", "List the virtual nodes", cobra.NoArgs, func(ctx context.Context, c *restClient, _ []string) error { return g.listVnodes(ctx, c) }),
		byName("get VNODE", "Show a virtual node", func(ctx context.Context, c *restClient, v virtualNode, _ []string) error {
			var any map[string]any
			if _, err := c.get(ctx, corda("virtualnode", v.ShortHash), &any); err != nil {
				return err
			}
			return g.printJSON(any)
		}, cobra.ExactArgs(1)),
		byName("state VNODE active|maintenance", "Let a virtual node work, or put it to maintenance", func(ctx context.Context, c *restClient, v virtualNode, args []string) error {
			state := strings.ToUpper(args[0])
			if state != "ACTIVE" && state != "MAINTENANCE" {
				return fmt.Errorf("state %q is not known: use active or maintenance", args[0])
			}
			what := fmt.Sprintf("set %s (%s) to %s", v.ShortHash, v.X500Name, state)
			return g.mutate(what, func() error {
				var made struct {
					State string `json:"newState"`
				}
				raw, err := c.fetch(ctx, http.MethodPut, corda("virtualnode", v.ShortHash, "state", state), nil, &made)
				if err != nil {
					return err
				}
				return g.show(raw, func() error {
					_, err := fmt.Fprintf(g.Out, "%s (%s) is now %s%s\n", v.ShortHash, v.X500Name, made.State, stateMeans(made.State))
					return err
				})
			})
		}, cobra.ExactArgs(2)),
		newVnodeUpgradeCommand(g, byName),
		restCommand(g, "status ID", "Show how far a change of a virtual node is", cobra.ExactArgs(1), func(ctx context.Context, c *restClient, args []string) error {
			var o operation
			if _, err := c.get(ctx, corda("virtualnode", "status", args[0]), &o); err != nil {
				return err
			}
			return g.showOperation(o, "")
		}))
}

func newVnodeUpgradeCommand(g *Globals, byName func(use, short string, run vnodeCommand, args cobra.PositionalArgs) *cobra.Command) *cobra.Command {
	force := false
	cmd := byName("upgrade VNODE CHECKSUM", "Put another version of its package on a virtual node in maintenance", func(ctx context.Context, c *restClient, v virtualNode, args []string) error {
		p, err := c.installed(ctx, args[0])
		if err != nil {
			return err
		}
		path := corda("virtualnode", v.ShortHash, "cpi", args[0])
		if force {
			path += "?forceupgrade=true"
		}
		return g.mutate(fmt.Sprintf("upgrade %s (%s) to %s", v.ShortHash, v.X500Name, args[0]), func() error {
			return g.operate(ctx, c, http.MethodPut, path, nil, fmt.Sprintf("%s (%s) has package %s %s (%s) now", v.ShortHash, v.X500Name, p.ID.Name, p.ID.Version, p.Checksum))
		})
	}, cobra.ExactArgs(2))
	cmd.Long = "Puts another version of its package on a virtual node in maintenance: the migrations of the version run, and flows that start\nafterwards have it. It is refused when the virtual node keeps states that it can consume now and could not with that version; its\npackage and migrations stay as they were then."
	cmd.Flags().BoolVar(&force, "force", false, "upgrade a virtual node that is not in maintenance, that has an operation under way, or that could not consume states afterwards; what would have refused it is shown, and kept in the operation")
	return cmd
}

// stateMeans says what a state comes to.
func stateMeans(state string) string {
	if state == "MAINTENANCE" {
		return ": no flow starts, and those that run are killed at their next event"
	}
	return ""
}

func newVnodeCreateCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "create X500NAME CHECKSUM", Short: "Make a virtual node with a package", Args: cobra.ExactArgs(2),
		Long:    "Makes a virtual node: its identity, its database, its application. CHECKSUM is the package's, as `fairlead cpi list` shows it.",
		Example: `  fairlead vnode create "O=Alice, L=London, C=GB" 0123456789AB`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				if g.DryRun() {
					_, err := fmt.Fprintf(g.Out, "would make virtual node %s with package %s\n", args[0], args[1])
					return err
				}
				return g.operate(ctx, c, http.MethodPost, corda("virtualnode"), map[string]string{"x500Name": args[0], "cpiFileChecksum": args[1]}, "")
			})
		},
	}
}

// idLosesStates is of upgrades that are refused before anything was done.
const idLosesStates = "FL-DB-026"

// operation is how far something is that takes a while.
type operation struct {
	RequestID string  `json:"requestId"`
	Operation string  `json:"operation"`
	Status    string  `json:"status"`
	Stage     *string `json:"processingStage"`
	Reason    *string `json:"errorReason"`
	Resource  *string `json:"resourceId"`
	UpdatedAt string  `json:"lastUpdatedTimestamp"`
	// Overridden is what would have refused it, had it not been forced.
	Overridden []string `json:"overridden,omitempty"`
}

func (o operation) ended() bool {
	return o.Status == "SUCCEEDED" || o.Status == "FAILED" || o.Status == "ABORTED"
}

// operate begins an operation and waits for its end. What it says then is done, or, without that, the id of what was made.
func (g *Globals) operate(ctx context.Context, c *restClient, method, path string, body any, done string) error {
	var begun struct {
		RequestID string `json:"requestId"`
	}
	if _, err := c.call(ctx, method, path, body, &begun); err != nil {
		return err
	}
	var o operation
	err := until(ctx, func() (bool, error) {
		_, err := c.get(ctx, corda("virtualnode", "status", begun.RequestID), &o)
		return o.ended(), err
	})
	if err != nil {
		return fmt.Errorf("operation %s is under way (fairlead vnode status %s): %w", begun.RequestID, begun.RequestID, err)
	}
	return g.showOperation(o, done)
}

func (g *Globals) showOperation(o operation, done string) error {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	if g.Output == "json" {
		if err := g.printJSON(o); err != nil {
			return err
		}
	}
	for _, reason := range o.Overridden {
		fmt.Fprintf(g.Err, "forced: %s\n", inertLine(reason))
	}
	switch {
	case o.Status == "FAILED" || o.Status == "ABORTED":
		if strings.HasPrefix(text(o.Reason), idLosesStates) {
			return refused("%s", text(o.Reason))
		}
		return errors.New(text(o.Reason))
	case g.Output == "json":
		return nil
	case o.ended():
		if done == "" {
			done = text(o.Resource)
		}
		_, err := fmt.Fprintln(g.Out, inertLine(done))
		return err
	default:
		_, err := fmt.Fprintf(g.Out, "%s: %s\n", o.Status, text(o.Stage))
		return err
	}
}

func (g *Globals) listVnodes(ctx context.Context, c *restClient) error {
	var list struct {
		VirtualNodes []struct {
			Holding struct {
				ShortHash string `json:"shortHash"`
				X500Name  string `json:"x500Name"`
				GroupID   string `json:"groupId"`
			} `json:"holdingIdentity"`
			Cpi struct {
				Name    string `json:"cpiName"`
				Version string `json:"cpiVersion"`
			} `json:"cpiIdentifier"`
			FlowStart  string  `json:"flowStartOperationalStatus"`
			InProgress *string `json:"operationInProgress"`
		}
	}
	raw, err := c.fetch(ctx, http.MethodGet, corda("virtualnode"), nil, &list)
	if err != nil {
		return err
	}
	return g.show(raw, func() error {
		rows := [][]string{}
		for _, v := range list.VirtualNodes {
			state := v.FlowStart
			if v.InProgress != nil {
				state += ", " + *v.InProgress
			}
			rows = append(rows, []string{v.Holding.ShortHash, v.Holding.X500Name, v.Cpi.Name + " " + v.Cpi.Version, state, v.Holding.GroupID})
		}
		if len(rows) == 0 {
			_, err := fmt.Fprintln(g.Out, "no virtual nodes")
			return err
		}
		return g.printTable([]string{"VNODE", "NAME", "PACKAGE", "FLOWS", "GROUP"}, rows)
	})
}
