package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

// trimAge is how long records of loops are kept that were read: as long as other topics keep theirs.
const trimAge = 7 * 24 * time.Hour

func newTopicsTrimCommand(g *Globals) *cobra.Command {
	var guard guardFlags
	var age time.Duration
	cmd := &cobra.Command{
		Use: "trim", Short: "Remove old records of loop topics that were read", Args: cobra.NoArgs,
		Long: `Loop topics (GROUP-loop) hold timers that are due and what a group sends to itself. They have no retention, because nothing
in them may be lost before it was read, so they grow until they are trimmed. This removes the records that are older than
--older-than and that their group has read and committed, and never others. Run it once a day. Workers have no right to
remove records; this needs the operation Delete on these topics.`,
		Example: "  fairlead topics trim --yes\n  fairlead topics trim --older-than 48h --dry-run",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if age < 0 {
				return fmt.Errorf("--older-than is %s; give a duration such as 168h, or 0 for all that was read", age)
			}
			ctx, cancel := g.Context(cmd)
			defer cancel()
			admin, settings, err := g.Kafka(ctx)
			if err != nil {
				return err
			}
			defer admin.Close()
			cluster, err := admin.Cluster(ctx)
			if err != nil {
				return err
			}
			if err := guard.check(settings, cluster.ID); err != nil {
				return err
			}
			found, err := admin.Trims(ctx, topics.All(), g.now().Add(-age))
			if err != nil {
				return err
			}
			if !g.DryRun() && len(found) > 0 {
				if err := g.Confirm(fmt.Sprintf("remove what %s of loop topics hold of records before %s, in cluster %s?",
					plural(len(found), "partition"), g.now().Add(-age).UTC().Format(time.RFC3339), cluster.ID)); err != nil {
					return err
				}
				if err := admin.Trim(ctx, found); err != nil {
					return err
				}
			}
			return g.showTrims(found)
		},
	}
	guard.add(cmd.Flags())
	cmd.Flags().DurationVar(&age, "older-than", trimAge, "keep records that are younger")
	return cmd
}

// showTrims prints what was, or would be, removed.
func (g *Globals) showTrims(found []kafkaadmin.Trim) error {
	if found == nil {
		found = []kafkaadmin.Trim{}
	}
	if g.Output == "json" {
		return g.printJSON(found)
	}
	if len(found) == 0 {
		fmt.Fprintln(g.Out, "there is nothing to remove")
		return nil
	}
	verb := "removed"
	if g.DryRun() {
		verb = "would be removed"
	}
	for _, t := range found {
		fmt.Fprintf(g.Out, "%s/%d: offsets %d to %d %s\n", t.Topic, t.Partition, t.From, t.To-1, verb)
	}
	return nil
}
