package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/trace"
)

func newTraceCommand(g *Globals) *cobra.Command {
	var since time.Duration
	cmd := &cobra.Command{
		Use: "trace ID", Short: "Follow a flow through the topics, hop by hop", Args: cobra.ExactArgs(1),
		Long: `ID is a flow id, a client request id (with or without -VNODE behind it), or any other key; its first characters are enough when only one begins so. Every record that follows
from those under its keys is shown in the order of time, with the time that its step worked before it was handed to
Kafka (whole milliseconds) and the time until the step that read it began. Reads committed records with read-only access.`,
		Example: "  fairlead trace my-request\n  fairlead trace my-request -o svg > trace.svg",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := g.Context(cmd)
			defer cancel()
			admin, _, err := g.Kafka(ctx)
			if err != nil {
				return err
			}
			defer admin.Close()
			var from time.Time
			if since > 0 {
				from = g.now().Add(-since)
			}
			records, err := trace.Scan(ctx, admin, from)
			if err != nil {
				return err
			}
			t := trace.Build(args[0], records)
			if len(t.Hops) == 0 && len(args[0]) >= shortestPrefix {
				switch ids := trace.Beginning(args[0], records); len(ids) {
				case 0: // nothing at all
				case 1:
					t = trace.Build(ids[0], records)
				default:
					return refused("%d ids begin with %s: give more of it, of %s", len(ids), args[0], strings.Join(ids[:min(len(ids), 5)], ", "))
				}
			}
			if len(t.Hops) == 0 {
				return notFound("no record has the key %s or one that begins with it and a virtual node; %d records were looked at", args[0], len(records))
			}
			switch g.Output {
			case "json":
				return g.printJSON(t)
			case "svg":
				if _, err := io.WriteString(g.Out, t.SVG()); err != nil {
					return fmt.Errorf("write the output: %w", err)
				}
				return nil
			default:
				return t.Text(g.Out)
			}
		},
	}
	cmd.Flags().DurationVar(&since, "since", 0, "look only at records of this last `time`, for example 1h")
	return outputs(cmd, "text", "json", "svg")
}
