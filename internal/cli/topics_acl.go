package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/channels"
	"github.com/fairleadio/fairlead/topics"
)

func newTopicsACLCommand(g *Globals) *cobra.Command {
	o := topics.ACLOptions{}
	elsewhere := false
	cmd := outputs(&cobra.Command{
		Use: "acl", Short: "Write the access rules that each worker type needs", Args: cobra.NoArgs,
		Long: `Writes what the Kafka user of each worker type may do, and nothing else is needed: lines for kafka-acls.sh (sh),
KafkaUser resources for Strimzi 0.49 or later (strimzi), or JSON. It changes nothing: hand it to who administers Kafka.
What a taken-over worker could do under these rules is in docs/security/threat-model.md.`,
		Example: "  fairlead topics acl -o sh --prefix prod- > acl.sh\n  fairlead topics acl -o strimzi --strimzi-cluster kafka --user 'fl-{worker}' | kubectl apply -f -",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := g.Settings()
			if err != nil {
				return err
			}
			catalogue := topics.All()
			if elsewhere {
				ctx, cancel := g.Context(cmd)
				defer cancel()
				a, _, err := g.Kafka(ctx)
				if err != nil {
					return err
				}
				defer a.Close()
				if catalogue, err = channels.Catalogue(ctx, a); err != nil {
					return err
				}
			}
			o.Prefix = s.Prefix
			text, err := topics.ExportRules(topics.Rules(catalogue), topics.Format(g.Output), o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(g.Out, text)
			return err
		},
	}, "sh", "strimzi", "json")
	f := cmd.Flags()
	f.StringVar(&o.User, "user", "fairlead-"+topics.UserPlaceholder, "name of the Kafka user of each worker type; "+topics.UserPlaceholder+" stands for the type")
	f.StringVar(&o.StrimziCluster, "strimzi-cluster", "kafka", "name of Strimzi's Kafka resource")
	f.BoolVar(&elsewhere, "channels", false, "also the topics of external channels that are routed away from "+topics.ChannelPrefix+"*; asks the cluster")
	return cmd
}
