package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/identity"
)

func newFlowCommand(g *Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "flow",
		Short: "Start flows, look at them, steer them",
		Long: `These commands talk to the REST interface of a cluster (--api, or the context's).

VNODE is a virtual node: its short hash, its X.500 name, or the name's O alone when only one has it. ID is the client
request id that a flow was started with, or its flow id; the virtual node before it can be left out. Commands that change
nothing take the first characters of an id, too, when only one flow has such an id; those of a session's id find the flow
that answers it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newFlowClassesCommand(g), newFlowStartCommand(g), newFlowListCommand(g), newFlowStatusCommand(g), newFlowResultCommand(g),
		newFlowHistoryCommand(g), newFlowReplayCommand(g),
		newFlowSteerCommand(g, "kill", "End a flow", "It ends as KILLED and cannot be continued."),
		newFlowSteerCommand(g, "pause", "Stop a flow at its next step", "Answers that arrive meanwhile are kept; flow resume goes on."),
		newFlowSteerCommand(g, "resume", "Let a paused or parked flow go on", ""),
		newFlowSteerCommand(g, "retry", "Do a flow again from a step", "The steps after --step are cut off the journal and done again, as a new attempt. It is refused (FL-FLOW-025) when a session that was opened by then failed since, timed out, or was used after the step: the flow would get a session-error; go back before its opening, or say --force."),
	)
	return cmd
}

// withRest runs f with a client and the command's context.
func (g *Globals) withRest(cmd *cobra.Command, f func(ctx context.Context, c *restClient) error) error {
	c, err := g.rest()
	if err != nil {
		return err
	}
	defer c.close()
	ctx, cancel := g.Context(cmd)
	defer cancel()
	return f(ctx, c)
}

// findVNode returns the virtual node that a name means.
func findVNode(ctx context.Context, c *restClient, name string) (virtualNode, error) {
	nodes, err := c.virtualNodes(ctx)
	if err != nil {
		return virtualNode{}, err
	}
	canonical, canonicalErr := identity.Canonical(name)
	var found []virtualNode
	var known []string
	for _, n := range nodes {
		parsed, err := identity.ParseName(n.X500Name)
		if strings.EqualFold(n.ShortHash, name) || canonicalErr == nil && n.X500Name == canonical || err == nil && strings.EqualFold(parsed.Organization, name) {
			found = append(found, n)
		}
		known = append(known, fmt.Sprintf("%s (%s)", n.ShortHash, n.X500Name))
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return virtualNode{}, notFound("there is no virtual node %q: the cluster has %s", name, listOr(known, "none"))
	default:
		return virtualNode{}, refused("%d virtual nodes are called %q: use the short hash, one of %s", len(found), name, strings.Join(known, ", "))
	}
}

// findFlow returns the flow that [VNODE] ID means, whole: what changes a flow must not be meant for another.
func findFlow(ctx context.Context, c *restClient, args []string) (flowStatus, error) {
	id := args[len(args)-1]
	if len(args) == 2 {
		vnode, err := findVNode(ctx, c, args[0])
		if err != nil {
			return flowStatus{}, err
		}
		return findFlowOf(ctx, c, vnode.ShortHash, id)
	}
	nodes, err := c.virtualNodes(ctx)
	if err != nil {
		return flowStatus{}, err
	}
	var found []flowStatus
	for _, n := range nodes {
		s, err := findFlowOf(ctx, c, n.ShortHash, id)
		if exitCode(err) == ExitNotFound {
			continue
		}
		if err != nil {
			return s, err
		}
		found = append(found, s)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return flowStatus{}, notFound("no virtual node has a flow %q", id)
	default:
		return flowStatus{}, refused("%d virtual nodes have a flow %q: name the virtual node before it", len(found), id)
	}
}

func findFlowOf(ctx context.Context, c *restClient, holding, id string) (flowStatus, error) {
	if _, err := identity.ParseUUID(id); err == nil {
		var list struct {
			Statuses []flowStatus `json:"flowStatusResponses"`
		}
		if _, err := c.get(ctx, cordaAPI+"/flow/"+url.PathEscape(holding), &list); err != nil {
			return flowStatus{}, err
		}
		for _, s := range list.Statuses {
			if s.FlowID == id {
				id = s.ClientRequestID
			}
		}
	}
	var s flowStatus
	_, err := c.get(ctx, flowPath(ownAPI, holding, id), &s)
	return s, err
}

func newFlowClassesCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "classes VNODE", Short: "List the flows that can be started", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				vnode, err := findVNode(ctx, c, args[0])
				if err != nil {
					return err
				}
				var list struct {
					Names []string `json:"flowClassNames"`
				}
				if _, err := c.get(ctx, cordaAPI+"/flowclass/"+vnode.ShortHash, &list); err != nil {
					return err
				}
				if g.Output == "json" {
					return g.printJSON(list)
				}
				for _, n := range list.Names {
					fmt.Fprintln(g.Out, n)
				}
				return nil
			})
		},
	}
}

func newFlowStartCommand(g *Globals) *cobra.Command {
	var id string
	var wait bool
	cmd := &cobra.Command{
		Use: "start VNODE CLASS [ARGUMENT]", Short: "Start a flow", Args: cobra.RangeArgs(2, 3),
		Long: `ARGUMENT is JSON; @FILE reads it from a file and - from standard input; it is {} when left out. Starting again with
the same --id starts nothing twice: when class and argument are those of the flow that has it, the command shows that flow
(and waits for it, with --wait) as if it had been started now; else it is refused. With --wait the command ends with the flow, however long that takes unless --timeout
is given: exit code 0 when it completed, 1 when it failed or was killed.`,
		Example: `  fairlead flow start Alice hello '{"name":"World"}' --wait`,
		RunE: func(cmd *cobra.Command, args []string) error {
			argument := []byte("{}")
			if len(args) == 3 {
				var err error
				if argument, err = g.argument(args[2]); err != nil {
					return err
				}
			}
			if id == "" {
				id = strings.ToLower(rand.Text()[:10])
			}
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				vnode, err := findVNode(ctx, c, args[0])
				if err != nil {
					return err
				}
				if g.DryRun() {
					fmt.Fprintf(g.Out, "would start %s on %s with client request id %s\n", args[1], vnode.X500Name, id)
					return nil
				}
				s, err := c.startFlow(ctx, vnode, id, args[1], argument)
				again := false
				switch refusedAs(err) {
				case idTaken:
					if s, err = g.startedAlready(ctx, c, vnode, id, args[1], argument, err); err != nil {
						return err
					}
					again = true
				case idNotOperational:
					return fmt.Errorf("%w It is in maintenance: `fairlead vnode state %s active` lets its flows start again", err, vnode.ShortHash)
				default:
					if err != nil {
						return err
					}
				}
				if wait {
					if s, err = g.awaitFlow(cmd, c, s); err != nil {
						return err
					}
				}
				if err := g.showFlow(s); !again || wait {
					return err
				}
				return nil // as for fairlead flow status: it was shown how it is
			})
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "client request `id`; a random one when left out")
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "wait for the flow's end")
	return cmd
}

// argument reads JSON from the command line, a file or standard input.
func (g *Globals) argument(text string) ([]byte, error) {
	raw := []byte(text)
	var err error
	if text == "-" {
		raw, err = g.readFile("-")
	} else if file, ok := strings.CutPrefix(text, "@"); ok {
		raw, err = g.readFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the argument: %w", err)
	}
	if !json.Valid(raw) {
		return nil, fmt.Errorf("the argument is not JSON: %s", shorten(string(bytes.TrimSpace(raw)), 80))
	}
	return raw, nil
}

func shorten(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n]) + "…"
	}
	return s
}

func (c *restClient) startFlow(ctx context.Context, vnode virtualNode, id, class string, argument json.RawMessage) (flowStatus, error) {
	var s flowStatus
	body := map[string]any{"clientRequestId": id, "flowClassName": class, "requestBody": argument}
	_, err := c.call(ctx, "POST", cordaAPI+"/flow/"+vnode.ShortHash, body, &s)
	return s, err
}

// awaitFlow waits for a flow's end as long as it takes, or as --timeout says. Who gives up is told how to look again.
func (g *Globals) awaitFlow(cmd *cobra.Command, c *restClient, s flowStatus) (flowStatus, error) {
	ctx, cancel := g.WaitContext(cmd)
	defer cancel()
	ended, err := c.waitEnd(ctx, s.Holding, s.ClientRequestID)
	if err == nil {
		return ended, nil
	}
	fmt.Fprintf(g.Err, "flow %s goes on without this command; `fairlead flow result %s --wait` waits again, `fairlead flow status %s` shows it\n",
		s.ClientRequestID, s.ClientRequestID, s.ClientRequestID)
	if cmd.Context().Err() != nil {
		return s, errors.New("interrupted")
	}
	return s, err
}

// errFlowFailed ends a command with exit code 1 when the flow that it waited for did not complete; what happened was
// shown.
func errFlowFailed(s flowStatus) error {
	if s.FlowStatus == "FAILED" || s.FlowStatus == "KILLED" {
		return fmt.Errorf("flow %s is %s", s.ClientRequestID, s.FlowStatus)
	}
	return nil
}

// showFlow prints a flow; its error tells that the flow did not complete.
func (g *Globals) showFlow(s flowStatus) error {
	if g.Output == "json" {
		if err := g.printJSON(s); err != nil {
			return err
		}
		return errFlowFailed(s)
	}
	rows := [][2]string{{"status", g.paintStatus(s.FlowStatus)}, {"request id", s.ClientRequestID}, {"flow id", s.FlowID}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, [2]string{name, strings.ReplaceAll(inert(value), "\n", "\n            ")}) // under itself: no line looks like another field
		}
	}
	add("class", s.FlowClass)
	if s.CreatedAt != nil {
		add("started", localTime(*s.CreatedAt)+by(s.InitiatedBy))
	}
	add("changed", localTime(s.Timestamp))
	add("waits for", s.WaitingFor)
	if s.LastCommand != nil {
		add("command", s.LastCommand.text())
	}
	if s.FlowError != nil {
		add("error", s.FlowError.Type+": "+s.FlowError.Message)
	}
	switch {
	case s.FlowResult != nil:
		add("result", *s.FlowResult)
	case len(s.JSON) > 0 && string(s.JSON) != "null":
		add("result", string(s.JSON))
	}
	for _, r := range rows {
		fmt.Fprintf(g.Out, "%-12s%s\n", r[0], r[1])
	}
	return errFlowFailed(s)
}

func by(name string) string {
	if name == "" {
		return ""
	}
	return " by " + name
}

func localTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

func (g *Globals) paintStatus(s string) string {
	switch s {
	case "COMPLETED":
		return g.paint(green, s)
	case "FAILED", "KILLED":
		return g.paint(red, s)
	default:
		return g.paint(yellow, s)
	}
}
