package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/cpi"
)

// policyFile is where app group-policy writes unless it is told otherwise.
const policyFile = "GroupPolicy.json"

func newGroupPolicyCommand(g *Globals) *cobra.Command {
	var members []string
	var group, file string
	cmd := &cobra.Command{
		Use: "group-policy", Short: "Write the policy of a group, for create-cpi", Args: cobra.NoArgs,
		Long: `Writes the policy of a static group: its id and its members, which all live on one cluster. A package is made for a group
by create-cpi, and its virtual nodes are to be these members. Nothing enforces that yet: a virtual node of another name joins the
group as well.

A group has one id for its whole life: a virtual node is upgraded only to a package for the same group. Without --group
a new one is made; give it when you write the policy again, as when a member joins.`,
		Example: "  fairlead app group-policy --member 'O=Alice, L=London, C=GB' --member 'O=Bob, L=Paris, C=FR'\n" +
			"  fairlead app group-policy --group 5a5e1c5e-0000-4000-8000-00000000c4a7 --member 'O=Alice, L=London, C=GB' --file -",
		RunE: func(*cobra.Command, []string) error {
			var names []identity.Name
			var problems []error
			for _, m := range members {
				n, err := identity.ParseName(m)
				if err != nil {
					problems = append(problems, fmt.Errorf("--member: %w", err))
				}
				names = append(names, n)
			}
			if group == "" {
				group = identity.NewGroupID(rand.Text())
			} else if _, err := identity.ParseUUID(group); err != nil {
				problems = append(problems, fmt.Errorf("--group: %w; leave it out for a new one", err))
			}
			if err := errors.Join(problems...); err != nil {
				return err
			}
			text, err := cpi.StaticGroupPolicy(group, names)
			if err != nil {
				return err
			}
			return g.writePolicy(file, group, len(names), text)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&members, "member", "m", nil, "X.500 `name` of a member, such as 'O=Alice, L=London, C=GB'; once for each")
	f.StringVar(&group, "group", "", "`UUID` of the group; a new one when left out")
	f.StringVarP(&file, "file", "f", policyFile, "`file` to write, - for standard output")
	required(cmd, "member")
	return outputs(cmd, "text")
}

// writePolicy writes a policy into a file that must not be there: another id in its place would be another group.
func (g *Globals) writePolicy(file, group string, members int, text []byte) error {
	if file == "-" {
		_, err := g.Out.Write(text)
		return err
	}
	to := g.Path(file)
	if _, err := os.Stat(to); err == nil {
		return refused("%s is there already: give another --file, or remove it", file)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if g.DryRun() {
		fmt.Fprintf(g.Out, "would write %s: group %s, %s\n", file, group, plural(members, "member"))
		return nil
	}
	if err := writeWhole(to, text); err != nil {
		return err
	}
	fmt.Fprintf(g.Out, "wrote %s: group %s, %s\n", file, group, plural(members, "member"))
	return nil
}
