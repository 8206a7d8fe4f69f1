package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/trace"
)

// demoPicture is where the picture of the trace is written.
const demoPicture = "demo/trace.svg"

// demoTime bounds the whole story.
const demoTime = 5 * time.Minute

func newDemoCommand(g *Globals) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Tell the whole story on this machine", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTime)
			defer cancel()
			return g.demo(ctx, keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the cluster running at the end")
	return outputs(cmd, "text")
}

// chapter is a part of the story.
type chapter struct {
	title string
	tell  func(context.Context) error
}

// demo is one telling of the story.
type demo struct {
	// workers are the types that run.
	workers []string
	// cluster are the arguments of fairlead dev that say which members and applications there are.
	cluster []string
	// traced is the client request id of the flow whose way is shown.
	traced string
	// next are the commands to go on with: the first with the cluster of the demo, others begins a new one.
	next, others []string
	g            *Globals
	self         string
	dir          string
	info         devenv.Info
	api          *restClient
	// began is when the telling began, last when its last step ended.
	began, last time.Time
}

func (g *Globals) demo(ctx context.Context, keep bool) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "fairlead-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	d := &demo{g: g, self: self, dir: dir, began: g.now(), last: g.now()}
	defer func() {
		if keep && err == nil {
			return
		}
		err = errors.Join(err, d.clean(context.WithoutCancel(ctx)))
	}()
	servers := "Postgres and Vault beside it"
	d.workers = app.Available()
	tell := d.payments
	if err := devenv.Servers(ctx); err != nil {
		servers, d.workers, tell = "no Postgres or no Vault", devenv.Bare(), d.smaller
		fmt.Fprintf(g.Err, "%s\n\n", g.paint(yellow, err.Error()))
	}
	fmt.Fprintf(g.Out, "fairlead demo: one cluster in one process, %d of the twelve workers (%s), embedded Kafka, %s, HTTPS.\n", len(d.workers), strings.Join(d.workers, ", "), servers)
	chapters, err := tell()
	if err != nil {
		return err
	}
	var plan []string
	for _, chapter := range chapters {
		plan = append(plan, chapter.title)
	}
	fmt.Fprintln(g.Out, "Plan: "+strings.Join(plan, " · "))
	for _, chapter := range chapters {
		fmt.Fprintf(g.Out, "\n%s\n", g.paint("1", chapter.title))
		if err := chapter.tell(ctx); err != nil {
			return fmt.Errorf("demo, %q: %w", chapter.title, err)
		}
	}
	fmt.Fprintf(g.Out, "\nDone in %s.\n", g.now().Sub(d.began).Round(100*time.Millisecond))
	d.farewell(keep)
	return nil
}

// step tells what happened and how long it took.
func (d *demo) step(format string, args ...any) {
	now := d.g.now()
	fmt.Fprintf(d.g.Out, "  %8s  %s\n", now.Sub(d.last).Round(time.Millisecond), fmt.Sprintf(format, args...))
	d.last = now
}

func (d *demo) data() string   { return filepath.Join(d.dir, "data") }
func (d *demo) config() string { return filepath.Join(d.dir, "config.yaml") }

// launch starts the cluster's process and makes a client for it.
func (d *demo) launch(ctx context.Context) error {
	env := append(os.Environ(), envConfig+"="+d.config())
	steps := true
	args := append([]string{"dev", "--data", d.data(), "--rest-address", "127.0.0.1:0", "--workers", strings.Join(d.workers, ",")}, d.cluster...)
	info, err := startDetached(ctx, d.self, args, env, d.data(), func(line string) {
		if steps = steps && strings.TrimSpace(line) != ""; steps { // behind the steps comes the screen of dev
			fmt.Fprintln(d.g.Out, d.g.paint(grey, "            "+line))
		}
	})
	if err != nil {
		return err
	}
	d.info = info
	password, err := os.ReadFile(d.info.PasswordFile)
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	d.info.Password = strings.TrimSpace(string(password))
	// The environment and context of the caller must not lead the story elsewhere.
	own := &Globals{IO: d.g.IO}
	own.Env = func(name string) string {
		return map[string]string{envConfig: d.config(), envUser: d.info.User, envPassword: d.info.Password, envCAFile: d.info.CAFile}[name]
	}
	own.flags.api = d.info.API
	if d.api != nil {
		d.api.close()
	}
	d.api, err = own.rest()
	return err
}

func (d *demo) start(ctx context.Context) error {
	if err := d.launch(ctx); err != nil {
		return err
	}
	var who []string
	for _, v := range d.info.VirtualNodes {
		who = append(who, v.Name)
	}
	d.step("the cluster is ready: %s as WebAssembly on the virtual nodes of %s; an administrator", d.info.App, strings.Join(who, ", "))
	return nil
}

// The members of the demo's networks; the smaller story has the first two.
const (
	alice, bob, bank, mallory, shop = "Alice", "Bob", "Bank", "Mallory", "Shop"
)

// member is a member's virtual node.
func (d *demo) member(name string) devenv.VirtualNode {
	i := slices.IndexFunc(d.info.VirtualNodes, func(v devenv.VirtualNode) bool { return v.Name == name })
	if i < 0 {
		return devenv.VirtualNode{Name: name} // the cluster says that it does not know it
	}
	return d.info.VirtualNodes[i]
}

// begin starts a flow on a member's virtual node.
func (d *demo) begin(ctx context.Context, member, id, class, argument string) error {
	var s flowStatus
	_, err := d.api.call(ctx, "POST", cordaAPI+"/flow/"+d.member(member).ShortHash, map[string]any{
		"clientRequestId": id, "flowClassName": class, "requestBody": json.RawMessage(argument),
	}, &s)
	if err != nil {
		return err
	}
	d.step("%s: POST /flow/%s %s %s → 202 %s", member, d.member(member).ShortHash, class, shorten(argument, 150), s.FlowStatus)
	return nil
}

// end waits for a flow's end, which must be the one that the story wants.
func (d *demo) end(ctx context.Context, member, id, want string) (flowStatus, error) {
	s, err := d.api.waitEnd(ctx, d.member(member).ShortHash, id)
	if err != nil {
		return s, err
	}
	said := string(s.JSON)
	if s.FlowError != nil {
		said = s.FlowError.Message
	}
	d.step("%s is %s %s", id, d.g.paintStatus(s.FlowStatus), shorten(said, 200))
	if s.FlowStatus != want {
		return s, fmt.Errorf("flow %s should be %s", id, want)
	}
	return s, nil
}

func (d *demo) trace(ctx context.Context) error {
	admin, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: d.info.Brokers, Prefix: d.info.Prefix, ClientID: "fairlead-demo"})
	if err != nil {
		return err
	}
	defer admin.Close()
	records, err := trace.Scan(ctx, admin, time.Time{})
	if err != nil {
		return err
	}
	t := trace.Build(d.traced, records)
	if len(t.Hops) == 0 {
		return fmt.Errorf("flow %s left no trace", d.traced)
	}
	var text bytes.Buffer
	if err := t.Chain().Text(&text); err != nil {
		return err
	}
	d.step("fairlead trace %s: its longest chain, hop by hop", d.traced)
	lines := slices.Collect(strings.Lines(text.String()))
	for _, line := range lines[:len(lines)-1] { // the last one sums up
		fmt.Fprint(d.g.Out, "  "+line)
	}
	fmt.Fprintln(d.g.Out, "  "+t.Summary())
	if err := os.MkdirAll(filepath.Dir(demoPicture), 0o755); err != nil {
		return fmt.Errorf("make a place for the picture: %w", err)
	}
	if err := os.WriteFile(demoPicture, []byte(t.SVG()), 0o644); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	d.step("all %d hops as a picture: %s", len(t.Hops), demoPicture)
	var workers []string
	for _, group := range t.Workers { // persistence.feed is the persistence worker
		if worker, _, _ := strings.Cut(group, "."); !slices.Contains(workers, worker) {
			workers = append(workers, worker)
		}
	}
	d.step("%d hops; %d of 12 workers took part: %s", len(t.Hops), len(workers), strings.Join(workers, ", "))
	return nil
}

func (d *demo) farewell(keep bool) {
	me := program()
	out := func(line string) { fmt.Fprintln(d.g.Out, line) }
	if !keep {
		out("\nNext")
		out("  " + me + " dev --detach" + strings.Join(append([]string{""}, d.others...), " ") + freeAddress())
		out("  " + me + " --context dev " + d.next[0])
		out("  " + me + " dev stop")
		return
	}
	out(fmt.Sprintf("\nThe cluster runs on as process %d, data in %s.\n  REST      %s%s\n  log-in    %s / %s\n  Kafka     %s", d.info.PID, d.dir, d.info.API, cordaAPI, d.info.User, d.info.Password, strings.Join(d.info.Brokers, ",")))
	out("\nNext")
	for _, command := range d.next[1:] {
		out("  FAIRLEAD_CONFIG=" + d.config() + " " + me + " " + command)
	}
	out("  " + program() + " dev stop --data " + d.data())
}

// freeAddress is the flag that a cluster needs when its usual port is in use.
func freeAddress() string {
	l, err := net.Listen("tcp", devenv.DefaultRestAddress)
	if err != nil {
		return " --rest-address 127.0.0.1:0"
	}
	_ = l.Close() // nobody has connected
	return ""
}

// clean ends the cluster and removes what the demo made, but the picture.
func (d *demo) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if d.api != nil {
		d.api.close()
	}
	var errs []error
	running, err := devenv.Running(d.data())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	if running {
		errs = append(errs, stopProcess(ctx, d.info.PID, d.data()))
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}
