package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// IO is everything that the commands have from outside.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	// Env looks up an environment variable; empty when it is not set.
	Env func(name string) string
	// Dir is where relative file names begin; empty for the process's own.
	Dir string
	// By is who runs the command, for the audit topic: user@host.
	By string
	// Version is the program's own version.
	Version string
	// Interactive is true when In is a person who can answer questions.
	Interactive bool
	// Colour is true when Out shows colours.
	Colour bool
	// Now is the wall clock.
	Now func() time.Time
	// Dial opens connections; nil for TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Run carries out a command line (without the program's name) and returns the exit code.
func Run(ctx context.Context, outside IO, args []string) int {
	root := New(outside)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, errPending) {
		fmt.Fprintf(outside.Err, "fairlead: %s\n", inert(err.Error()))
		if errors.Is(err, context.DeadlineExceeded) {
			fmt.Fprintln(outside.Err, "fairlead: it took longer than --timeout allows")
		}
	}
	return exitCode(err)
}

// New builds the command tree.
func New(outside IO) *cobra.Command {
	g := &Globals{IO: outside}
	root := &cobra.Command{
		Use:   "fairlead",
		Short: "Run and operate fairlead clusters",
		Long: `fairlead runs the workers of a cluster and is the tool of those who operate it.

Settings come from flags, then from the environment (FAIRLEAD_BROKERS for --brokers, and so on), then from the
context. Contexts are kept in fairlead/config.yaml in the user's configuration directory.

Exit codes: 0 done, 1 error, 2 changes pending or threshold exceeded, 3 refused, 4 not found, 5 timed out.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(outside.In)
	root.SetOut(outside.Out)
	root.SetErr(outside.Err)
	g.addFlags(root.PersistentFlags())
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return g.prepare(cmd) }
	root.CompletionOptions.DisableDescriptions = true
	root.AddCommand(commands(g)...)
	nameArguments(root)
	return root
}

// nameArguments makes errors about the number of arguments say which there are: the library's own only count.
func nameArguments(cmd *cobra.Command) {
	if check := cmd.Args; check != nil && !cmd.HasSubCommands() {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) == nil {
				return nil
			}
			given := "nothing is given"
			if len(args) > 0 {
				given = fmt.Sprintf("given is %q", args)
			}
			return fmt.Errorf("write %s: %s; %s --help says more", cmd.UseLine(), given, cmd.CommandPath())
		}
	}
	for _, sub := range cmd.Commands() {
		nameArguments(sub)
	}
}

// outputs declares the values of -o that a command takes; the first is its default.
func outputs(cmd *cobra.Command, values ...string) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[outputsKey] = strings.Join(values, " ")
	return cmd
}

const outputsKey = "outputs"

// outputsOf returns what a command declared with outputs: text and json when nothing.
func outputsOf(cmd *cobra.Command) []string {
	if v, ok := cmd.Annotations[outputsKey]; ok {
		return strings.Fields(v)
	}
	return []string{"text", "json"}
}

// Globals is what every command has: the global flags, and what they lead to.
type Globals struct {
	IO
	flags struct {
		context, kafkaConfig, prefix, api, output string
		brokers                                   []string
		yes, dryRun, noColour                     bool
		timeout                                   time.Duration
	}
	// Output is the chosen form of output, one of those that the command declared.
	Output string
}

const defaultTimeout = time.Minute

func (g *Globals) addFlags(f *pflag.FlagSet) {
	f.StringVarP(&g.flags.context, "context", "c", "", "context to use, of those in the configuration file")
	f.StringSliceVar(&g.flags.brokers, "brokers", nil, "bootstrap addresses of Kafka, host:port, separated by commas")
	f.StringVar(&g.flags.kafkaConfig, "kafka-config", "", "Kafka client properties `file` (TLS, SASL)")
	f.StringVar(&g.flags.prefix, "prefix", "", "the cluster's prefix before every topic, group and transaction")
	f.StringVar(&g.flags.api, "api", "", "`URL` of the REST API")
	f.StringVarP(&g.flags.output, "output", "o", "", "form of the output: text or json; some commands have others")
	f.BoolVarP(&g.flags.yes, "yes", "y", false, "do not ask before changing something")
	f.BoolVar(&g.flags.dryRun, "dry-run", false, "show what would be done, do nothing")
	f.DurationVar(&g.flags.timeout, "timeout", defaultTimeout, "give up after this time, 0 for never; what waits for a flow or a start of dev, or follows a topic, has no limit unless one is given")
	f.BoolVar(&g.flags.noColour, "no-color", false, "no colours")
}

// flagVariable is the environment variable of a global flag.
func flagVariable(flag string) string {
	return "FAIRLEAD_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// prepare runs before each command: the environment fills flags that were not given, and -o is checked.
func (g *Globals) prepare(cmd *cobra.Command) error {
	var problems []error
	flags := cmd.Root().PersistentFlags()
	// Who names a context means its cluster, whatever the environment says of one.
	named := flags.Changed("context")
	flags.VisitAll(func(f *pflag.Flag) {
		name := flagVariable(f.Name)
		if v := g.env(name); v != "" && !f.Changed && !(named && slices.Contains([]string{"brokers", "kafka-config", "prefix", "api"}, f.Name)) {
			if err := f.Value.Set(v); err != nil {
				problems = append(problems, fmt.Errorf("environment variable %s: %w", name, err))
			}
		}
	})
	if err := errors.Join(problems...); err != nil {
		return err
	}
	accepted := outputsOf(cmd)
	g.Output = g.flags.output
	if g.Output == "" {
		g.Output = accepted[0]
	}
	if !slices.Contains(accepted, g.Output) {
		return fmt.Errorf("--output %s: %s has %s", g.Output, cmd.CommandPath(), strings.Join(accepted, ", "))
	}
	if g.flags.noColour || g.env("NO_COLOR") != "" {
		g.Colour = false
	}
	return nil
}

func (g *Globals) env(name string) string {
	if g.Env == nil {
		return ""
	}
	return g.Env(name)
}

// Context bounds a command by --timeout.
func (g *Globals) Context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if g.flags.timeout <= 0 {
		return context.WithCancel(cmd.Context())
	}
	return context.WithTimeout(cmd.Context(), g.flags.timeout)
}

// WaitContext is the context of what waits for as long as it takes, unless a time-out was asked for.
func (g *Globals) WaitContext(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if cmd.Root().PersistentFlags().Changed("timeout") || g.env("FAIRLEAD_TIMEOUT") != "" {
		return g.Context(cmd)
	}
	return context.WithCancel(cmd.Context())
}

// DryRun tells whether nothing may be changed.
func (g *Globals) DryRun() bool { return g.flags.dryRun }

// Path makes a file name of the command line usable.
func (g *Globals) Path(name string) string {
	if g.Dir == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(g.Dir, name)
}

// readFile reads a file of the command line, - for standard input.
func (g *Globals) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(g.In)
	}
	return os.ReadFile(g.Path(name))
}

// Confirm asks before something is changed. With --yes it does not ask; where nobody can answer it refuses.
func (g *Globals) Confirm(question string) error {
	if g.flags.yes {
		return nil
	}
	if !g.Interactive {
		return refused("%s nobody can answer here: say --yes", question)
	}
	fmt.Fprintf(g.Err, "%s [y/N] ", question)
	var answer string
	if _, err := fmt.Fscanln(g.In, &answer); err != nil && answer == "" {
		return refused("not confirmed")
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return refused("not confirmed")
	}
	return nil
}
