package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/fairleadio/fairlead/internal/channels"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

// guardFlags protect against the wrong cluster.
type guardFlags struct{ clusterID string }

func (f *guardFlags) add(set *pflag.FlagSet) {
	set.StringVar(&f.clusterID, "cluster-id", "", "refuse when Kafka's `id` of the cluster is another; default: the context's")
}

func (f *guardFlags) check(s Settings, got string) error {
	want := f.clusterID
	if want == "" {
		want = s.ClusterID
	}
	if want != "" && want != got {
		return refused("this is cluster %s, %s is wanted: check --brokers and --context", got, want)
	}
	return nil
}

func newTopicsPlanCommand(g *Globals) *cobra.Command {
	var w wantedFlags
	var guard guardFlags
	var out string
	cmd := outputs(&cobra.Command{
		Use: "plan", Short: "Show what topics apply would change", Args: cobra.NoArgs,
		Long: `Compares the catalogue with the cluster and shows what would be created, set and unset, what is refused and why, and
which topics under the prefix nobody knows. It changes nothing.

Exit code 0: nothing to do; 2: changes are pending; 3: something is refused.`,
		Example: "  fairlead topics plan --out plan.json && fairlead topics apply plan.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := g.Context(cmd)
			defer cancel()
			a, p, err := g.plan(ctx, w, guard)
			if err != nil {
				return err
			}
			defer a.Close()
			if out != "" {
				if err := g.writePlan(out, p); err != nil {
					return err
				}
			}
			if err := g.showPlan(p); err != nil {
				return err
			}
			return planOutcome(p)
		},
	}, "text", "json", "sh")
	w.add(cmd.Flags())
	guard.add(cmd.Flags())
	cmd.Flags().BoolVar(&w.prune, "prune", false, "also delete topics under the prefix that the catalogue does not know")
	cmd.Flags().StringVar(&out, "out", "", "write the plan to this `file`, for topics apply")
	return cmd
}

// plan compares the catalogue with the cluster. The caller closes the connection when there is no error.
func (g *Globals) plan(ctx context.Context, w wantedFlags, guard guardFlags) (*kafkaadmin.Admin, topics.Plan, error) {
	a, s, err := g.Kafka(ctx)
	if err != nil {
		return nil, topics.Plan{}, err
	}
	p, err := g.planOn(ctx, a, s, w, guard)
	if err != nil {
		a.Close()
		return nil, p, err
	}
	return a, p, nil
}

func (g *Globals) planOn(ctx context.Context, a *kafkaadmin.Admin, s Settings, w wantedFlags, guard guardFlags) (topics.Plan, error) {
	profile, overrides, err := w.read(g, s)
	if err != nil {
		return topics.Plan{}, err
	}
	cluster, err := a.Cluster(ctx)
	if err != nil {
		return topics.Plan{}, err
	}
	if err := guard.check(s, cluster.ID); err != nil {
		return topics.Plan{}, err
	}
	return newPlan(ctx, a, profile, overrides, w.prune, cluster)
}

// newPlan is a plan with the descriptors that are not published.
func newPlan(ctx context.Context, a *kafkaadmin.Admin, profile topics.Profile, o topics.Overrides, prune bool, cluster topics.Cluster) (topics.Plan, error) {
	catalogue, err := channels.Catalogue(ctx, a)
	if err != nil {
		return topics.Plan{}, err
	}
	p, err := topics.NewPlan(catalogue, profile, o, prune, cluster)
	if err != nil {
		return p, err
	}
	missing, err := a.UnpublishedSchemas(ctx)
	var conflict *kafkaadmin.SchemaConflictError
	if errors.As(err, &conflict) {
		p.Refusals = append(p.Refusals, topics.Refusal{ID: topics.RefusedSchemas, Topic: topics.Schemas, Reason: conflict.Error()})
		return p, nil
	}
	p.Descriptors = slices.AppendSeq(p.Descriptors, maps.Keys(missing))
	slices.Sort(p.Descriptors)
	return p, err
}

// planOutcome is the error that gives a shown plan its exit code.
func planOutcome(p topics.Plan) error {
	switch {
	case len(p.Refusals) > 0:
		return refused("%s refused: see above", plural(len(p.Refusals), "change"))
	case p.Pending():
		return errPending
	default:
		return nil
	}
}

func (g *Globals) writePlan(name string, p topics.Plan) error {
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if err := os.WriteFile(g.Path(name), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

func (g *Globals) readPlan(name string) (topics.Plan, error) {
	var p topics.Plan
	raw, err := g.readFile(name)
	if err != nil {
		return p, fmt.Errorf("read the plan: %w", err)
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("read the plan from %s: %w", name, err)
	}
	if p.Version != topics.PlanVersion {
		return p, refused("%s is a plan of version %d, this program reads %d: make a new plan", name, p.Version, topics.PlanVersion)
	}
	return p, nil
}

func (g *Globals) showPlan(p topics.Plan) error {
	switch g.Output {
	case "json":
		return g.printJSON(p)
	case "sh":
		_, err := fmt.Fprint(g.Out, p.Shell())
		return err
	}
	_, err := fmt.Fprint(g.Out, g.planText(p))
	return err
}

// planText is the plan for people.
func (g *Globals) planText(p topics.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %s, prefix %q, profile %s\n", p.ClusterID, p.Prefix, p.Profile.Name)
	created, deleted := 0, 0
	for _, c := range p.Changes {
		sign, colour := "~", yellow
		switch c.Kind {
		case topics.Create:
			sign, colour, created = "+", green, created+1
		case topics.Delete:
			sign, colour, deleted = "-", red, deleted+1
		default: // a change of what is there
		}
		fmt.Fprintln(&b, g.paint(colour, sign+" "+c.String()))
	}
	if n := len(p.Descriptors); n > 0 {
		fmt.Fprintln(&b, g.paint(green, "+ publish "+plural(n, "message descriptor")))
	}
	for _, r := range p.Refusals {
		fmt.Fprintln(&b, g.paint(red, "! refused "+r.String()))
	}
	if !p.Prune {
		for _, o := range p.Orphans {
			fmt.Fprintln(&b, g.paint(grey, "? "+o+" is not in the catalogue (it stays; --prune deletes it)"))
		}
	}
	fmt.Fprintf(&b, "%d to create, %d to change, %d to delete, %d refused, %s\n", created, len(p.Changes)-created-deleted, deleted, len(p.Refusals), plural(len(p.Orphans), "unknown topic"))
	return b.String()
}

func newTopicsDiffCommand(g *Globals) *cobra.Command {
	var w wantedFlags
	var guard guardFlags
	cmd := &cobra.Command{
		Use: "diff", Short: "Show where the cluster differs from the catalogue", Args: cobra.NoArgs,
		Long: "One line for each difference: + is missing on the cluster, ~ is set otherwise there, ! cannot be changed by a plan, ? is not in the catalogue.\n\nExit code 0: no difference; 2: there are some.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := g.Context(cmd)
			defer cancel()
			a, p, err := g.plan(ctx, w, guard)
			if err != nil {
				return err
			}
			defer a.Close()
			diff := differences(p)
			if g.Output == "json" {
				err = g.printJSON(diff)
			} else {
				for _, d := range diff {
					if _, err = fmt.Fprintln(g.Out, g.paint(d.colour, d.line())); err != nil {
						break
					}
				}
			}
			if err != nil {
				return err
			}
			if len(diff) > 0 {
				return errPending
			}
			return nil
		},
	}
	w.add(cmd.Flags())
	guard.add(cmd.Flags())
	return cmd
}

// difference is one row of topics diff.
type difference struct {
	// Sign is + for missing, ~ for set otherwise, ! for what no plan can change, ? for unknown topics.
	Sign  string `json:"sign"`
	Topic string `json:"topic"`
	// What is the setting, or what is the matter.
	What string `json:"what"`
	// Cluster and Catalogue are the values; empty where there is none.
	Cluster   string `json:"cluster"`
	Catalogue string `json:"catalogue"`
	colour    string
}

func (d difference) line() string {
	text := d.Sign + " " + d.Topic + "  " + d.What
	if d.Cluster != "" || d.Catalogue != "" {
		text += fmt.Sprintf("  %s → %s", orNone(d.Cluster), orNone(d.Catalogue))
	}
	return text
}

func orNone(v string) string {
	if v == "" {
		return "(default)"
	}
	return v
}

func differences(p topics.Plan) []difference {
	out := []difference{}
	for _, c := range p.Changes {
		d := difference{Sign: "~", Topic: c.Topic, What: c.Key, Cluster: c.From, Catalogue: c.To, colour: yellow}
		switch c.Kind {
		case topics.Create:
			d.Sign, d.What, d.colour = "+", "is missing", green
		case topics.AddPartitions:
			d.What, d.Catalogue = "partitions", fmt.Sprint(c.Partitions)
		default: // a setting, as it stands above
		}
		out = append(out, d)
	}
	for _, name := range p.Descriptors {
		out = append(out, difference{Sign: "+", Topic: topics.Schemas, What: "lacks the descriptors of " + name, colour: green})
	}
	for _, r := range p.Refusals {
		out = append(out, difference{Sign: "!", Topic: r.Topic, What: r.Reason, colour: red})
	}
	for _, o := range p.Orphans {
		out = append(out, difference{Sign: "?", Topic: o, What: "is not in the catalogue", colour: grey})
	}
	return out
}

func newTopicsLintCommand(g *Globals) *cobra.Command {
	var w wantedFlags
	cmd := &cobra.Command{
		Use: "lint", Short: "Find unsafe settings of the cluster's topics", Args: cobra.NoArgs,
		Long: `Looks for settings that can lose data or break a group: fewer than 3 replicas, min.insync.replicas below 2, unclean
leader election, tombstones that go too early, wrong policies, unequal partition counts. With profile dev, one replica
is enough.

Exit code 0: nothing found; 2: something was.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := g.Context(cmd)
			defer cancel()
			a, s, err := g.Kafka(ctx)
			if err != nil {
				return err
			}
			defer a.Close()
			p, err := s.TopicProfile(w.profile)
			if err != nil {
				return err
			}
			cluster, err := a.Cluster(ctx)
			if err != nil {
				return err
			}
			catalogue, err := channels.Catalogue(ctx, a)
			if err != nil {
				return err
			}
			found := topics.Lint(catalogue, p, cluster, nil)
			if g.Output == "json" {
				err = g.printJSON(append([]topics.Finding{}, found...))
			} else {
				for _, f := range found {
					if _, err = fmt.Fprintln(g.Out, f); err != nil {
						break
					}
				}
			}
			if err != nil {
				return err
			}
			if len(found) > 0 {
				return errPending
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&w.profile, "profile", "", "production or dev; default: the context's, else production")
	return cmd
}
