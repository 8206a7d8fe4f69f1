package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/fairleadio/fairlead/topics"
)

func newTopicsCommand(g *Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Look at and set up the topics of a cluster",
		Long: `The catalogue inside this program names every topic that fairlead uses. plan compares it with a cluster, apply makes
the cluster equal to it; workers never make topics themselves.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newTopicsListCommand(g), newTopicsDescribeCommand(g), newTopicsGraphCommand(g), newTopicsPlanCommand(g),
		newTopicsApplyCommand(g), newTopicsDiffCommand(g), newTopicsLintCommand(g), newTopicsExportCommand(g),
		newTopicsACLCommand(g), newTopicsTrimCommand(g),
	)
	return cmd
}

// topicNames completes the names of topics.
func topicNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, t := range topics.All() {
		names = append(names, t.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// wantedFlags are the flags that decide what the topics should be.
type wantedFlags struct {
	profile   string
	overrides string
	prune     bool
	// text is what overrides says, read once: standard input cannot be read again for the plan under the lock.
	text *string
}

func (w *wantedFlags) add(f *pflag.FlagSet) {
	f.StringVar(&w.profile, "profile", "", "production (12 partitions, 3 replicas) or dev (3 partitions, 1 replica); default: the context's, else production")
	f.StringVarP(&w.overrides, "overrides", "f", "", "YAML `file` with replicas, partitions of sets and settings of topics; - for standard input")
}

// read returns the profile and the overrides.
func (w *wantedFlags) read(g *Globals, s Settings) (topics.Profile, topics.Overrides, error) {
	p, err := s.TopicProfile(w.profile)
	if err != nil {
		return p, topics.Overrides{}, err
	}
	if w.overrides == "" {
		return p, topics.Overrides{}, nil
	}
	if w.text == nil {
		raw, err := g.readFile(w.overrides)
		if err != nil {
			return p, topics.Overrides{}, fmt.Errorf("read the overrides: %w", err)
		}
		text := string(raw)
		w.text = &text
	}
	var o topics.Overrides
	d := yaml.NewDecoder(strings.NewReader(*w.text))
	d.KnownFields(true)
	if err := d.Decode(&o); err != nil && len(strings.TrimSpace(*w.text)) > 0 {
		return p, o, fmt.Errorf("read the overrides from %s: %w", w.overrides, err)
	}
	return p, o, nil
}

func newTopicsListCommand(g *Globals) *cobra.Command {
	var class, data, owner string
	cmd := &cobra.Command{
		Use: "list", Short: "List the topics of the catalogue", Args: cobra.NoArgs,
		Example: "  fairlead topics list --class state\n  fairlead topics list --owner flow -o json",
		RunE: func(*cobra.Command, []string) error {
			list := []topics.Topic{}
			for _, t := range topics.All() {
				if (class == "" || string(t.Class) == class) && (data == "" || string(t.Data) == data) && (owner == "" || t.Owner == owner) {
					list = append(list, t)
				}
			}
			if g.Output == "json" {
				return g.printJSON(list)
			}
			rows := [][]string{}
			for _, t := range list {
				rows = append(rows, []string{t.Name, string(t.Class), string(t.Data), t.Policy(), t.Set, t.Owner})
			}
			return g.printTable([]string{"TOPIC", "CLASS", "DATA", "POLICY", "SET", "OWNER"}, rows)
		},
	}
	f := cmd.Flags()
	f.StringVar(&class, "class", "", "only this class: state, stream, loop, dlq, engine or external")
	f.StringVar(&data, "data", "", "only this data class: public, operational, tenant or secret")
	f.StringVar(&owner, "owner", "", "only topics of this group or worker")
	return cmd
}

// findTopic finds a topic of the catalogue by its name, with or without the prefix.
func findTopic(name, prefix string) (topics.Topic, error) {
	for _, n := range []string{name, strings.TrimPrefix(name, prefix)} {
		if t, ok := topics.Find(n); ok {
			return t, nil
		}
	}
	var near []string
	for _, t := range topics.All() {
		if strings.Contains(t.Name, name) {
			near = append(near, t.Name)
		}
	}
	if len(near) > 0 {
		return topics.Topic{}, notFound("there is no topic %s in the catalogue: do you mean %s?", name, strings.Join(near, ", "))
	}
	return topics.Topic{}, notFound("there is no topic %s in the catalogue: see fairlead topics list", name)
}

func newTopicsDescribeCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "describe TOPIC", Short: "Show everything about a topic", Args: cobra.ExactArgs(1), ValidArgsFunction: topicNames,
		Long: "Shows a topic's row of the catalogue and, where a cluster is known, the topic as it is there.",
		RunE: func(cmd *cobra.Command, args []string) error { return g.describeTopic(cmd, args[0]) },
	}
}

// described is the JSON of topics describe.
type described struct {
	topics.Topic
	// Cluster is nil when no cluster is known or the topic is not there.
	Cluster *topics.Existing `json:"cluster"`
}

func (g *Globals) describeTopic(cmd *cobra.Command, name string) error {
	s, err := g.Settings()
	if err != nil {
		return err
	}
	t, err := findTopic(name, s.Prefix)
	if err != nil {
		return err
	}
	out := described{Topic: t}
	if s.HasKafka() {
		if out.Cluster, err = g.existing(cmd, t.Name); err != nil {
			return err
		}
	}
	if g.Output == "json" {
		return g.printJSON(out)
	}
	rows := [][2]string{
		{"topic", t.Name}, {"purpose", t.Doc}, {"key", t.Key}, {"message", messageText(t)}, {"class", string(t.Class)},
		{"data", string(t.Data)}, {"partition set", t.Set}, {"owner", t.Owner}, {"written by", strings.Join(t.Writers, ", ")},
		{"read by", readersText(t)}, {"offset out of range", string(t.OutOfRange)}, {"replay", string(t.Replay)},
		{"replies go to", strings.Join(t.Replies, ", ")},
	}
	for _, k := range slices.Sorted(maps.Keys(t.Config)) {
		rows = append(rows, [2]string{k, t.Config[k]})
	}
	var problems []error
	line := func(label, text string) {
		if text != "" {
			_, err := fmt.Fprintf(g.Out, "%-26s %s\n", label, text)
			problems = append(problems, err)
		}
	}
	for _, r := range rows {
		line(r[0], r[1])
	}
	if e := out.Cluster; e != nil {
		line("on the cluster", fmt.Sprintf("%s, %s", plural(e.Partitions, "partition"), plural(e.Replicas, "replica")))
		for _, k := range slices.Sorted(maps.Keys(e.Config)) {
			if e.Config[k] != t.Config[k] {
				line("  "+k, e.Config[k])
			}
		}
	} else if s.HasKafka() {
		line("on the cluster", "it does not exist: run fairlead topics apply")
	}
	return errors.Join(problems...)
}

func (g *Globals) existing(cmd *cobra.Command, name string) (*topics.Existing, error) {
	ctx, cancel := g.Context(cmd)
	defer cancel()
	a, _, err := g.Kafka(ctx)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	cluster, err := a.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range cluster.Topics {
		if e.Name == name {
			return &e, nil
		}
	}
	return nil, nil
}

func messageText(t topics.Topic) string {
	if t.Type != "" {
		return t.Type
	}
	var by []string
	for _, k := range slices.Sorted(maps.Keys(t.TypeByKey)) {
		by = append(by, fmt.Sprintf("%s (key begins with %s)", t.TypeByKey[k], k))
	}
	return strings.Join(by, ", ")
}

func readersText(t topics.Topic) string {
	var out []string
	for _, r := range t.Readers {
		out = append(out, fmt.Sprintf("%s (%s)", r.By, r.As))
	}
	return strings.Join(out, ", ")
}

func newTopicsGraphCommand(g *Globals) *cobra.Command {
	var all bool
	cmd := outputs(&cobra.Command{
		Use: "graph", Short: "Draw who writes and reads which topics", Args: cobra.NoArgs,
		Example: "  fairlead topics graph -o svg > topics.svg\n  fairlead topics graph -o dot | dot -Tpng > topics.png",
		RunE: func(*cobra.Command, []string) error {
			graph := topics.NewGraph(topics.All(), all)
			var text string
			switch g.Output {
			case "mermaid":
				text = graph.Mermaid()
			case "dot":
				text = graph.Dot()
			case "svg":
				text = graph.SVG()
			default:
				return g.printJSON(graph)
			}
			_, err := fmt.Fprint(g.Out, text)
			return err
		},
	}, "mermaid", "dot", "svg", "json")
	cmd.Flags().BoolVar(&all, "all", false, "also the tables, stores, loops and engine rows that only their group uses")
	return cmd
}

func newTopicsExportCommand(g *Globals) *cobra.Command {
	var w wantedFlags
	var strimzi string
	cmd := outputs(&cobra.Command{
		Use: "export", Short: "Write what the topics should be, for other tools", Args: cobra.NoArgs,
		Long: `Writes the topics as they should be: as YAML or JSON, as a script of Kafka's own tools (sh), or as KafkaTopic
resources for Strimzi 0.49 or later (strimzi).`,
		Example: "  fairlead topics export -o sh --prefix prod- > topics.sh\n  fairlead topics export -o strimzi --strimzi-cluster kafka | kubectl apply -f -",
		RunE: func(*cobra.Command, []string) error {
			s, err := g.Settings()
			if err != nil {
				return err
			}
			p, o, err := w.read(g, s)
			if err != nil {
				return err
			}
			specs, err := topics.Desired(topics.All(), p, o)
			if err != nil {
				return err
			}
			text, err := topics.Export(specs, topics.Format(g.Output), topics.ExportOptions{Prefix: s.Prefix, StrimziCluster: strimzi})
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(g.Out, text)
			return err
		},
	}, "yaml", "json", "sh", "strimzi")
	w.add(cmd.Flags())
	cmd.Flags().StringVar(&strimzi, "strimzi-cluster", "kafka", "name of Strimzi's Kafka resource")
	return cmd
}
