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
	"os/exec"
	"path/filepath"
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

// demo is one telling of the story.
type demo struct {
	// workers are the types that run.
	workers []string
	// application is the folder of the application.
	application string
	g           *Globals
	self        string
	dir         string
	info        devenv.Info
	api         *restClient
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
	if err := devenv.Servers(ctx); err != nil {
		servers, d.workers = "no Postgres or no Vault", devenv.Bare()
		fmt.Fprintf(g.Err, "%s\n\n", g.paint(yellow, err.Error()))
	}
	fmt.Fprintf(g.Out, "fairlead demo: one cluster in one process, %d of the twelve workers (%s), embedded Kafka, %s, HTTPS.\n", len(d.workers), strings.Join(d.workers, ", "), servers)
	fmt.Fprintln(g.Out, "Plan: start · flows over HTTPS · wrong requests · pause, resume, kill · SIGKILL in the middle of a flow · the way of one flow · keys, rows and a topic for others")
	type chapter struct {
		title string
		tell  func(context.Context) error
	}
	chapters := []chapter{
		{"Start", d.start}, {"Flows over HTTPS", d.flows}, {"Wrong requests are refused", d.wrong}, {"An operator steers", d.steer},
		{"The process is killed in the middle of a flow", d.crash}, {"The way of one flow", d.trace},
	}
	if len(d.workers) > len(devenv.Bare()) {
		chapters = append(chapters, chapter{"Another application: a key in Vault, a row in Postgres, a record for a plain consumer", d.notes})
	}
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
	from, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the current folder: %w", err)
	}
	if d.application == "" {
		d.application = devenv.FindHello(from)
	}
	if d.application == "" {
		return errors.New("apps/hello is not there: run the demo in a copy of fairlead's repository")
	}
	env := append(os.Environ(), envConfig+"="+d.config())
	steps := true
	info, err := startDetached(ctx, d.self, []string{"dev", "--data", d.data(), "--rest-address", "127.0.0.1:0", "--app", d.application, "--workers", strings.Join(d.workers, ",")}, env, d.data(), func(line string) {
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
	d.step("the cluster is ready: application %s as WebAssembly, %d virtual nodes, an administrator", d.info.App, len(d.info.VirtualNodes))
	return nil
}

func (d *demo) alice() string { return d.info.VirtualNodes[0].ShortHash }

// begin starts a flow on Alice's virtual node.
func (d *demo) begin(ctx context.Context, id, class, argument string) error {
	var s flowStatus
	_, err := d.api.call(ctx, "POST", cordaAPI+"/flow/"+d.alice(), map[string]any{
		"clientRequestId": id, "flowClassName": class, "requestBody": json.RawMessage(argument),
	}, &s)
	if err != nil {
		return err
	}
	d.step("POST /flow/%s %s %s → 202 %s", d.alice(), class, argument, s.FlowStatus)
	return nil
}

// end waits for a flow's end, which must be the one that the story wants.
func (d *demo) end(ctx context.Context, id, want string) error {
	s, err := d.api.waitEnd(ctx, d.alice(), id)
	if err != nil {
		return err
	}
	said := string(s.JSON)
	if s.FlowError != nil {
		said = s.FlowError.Message
	}
	d.step("%s is %s %s", id, d.g.paintStatus(s.FlowStatus), shorten(said, 90))
	if s.FlowStatus != want {
		return fmt.Errorf("flow %s should be %s", id, want)
	}
	return nil
}

func (d *demo) flows(ctx context.Context) error {
	for _, f := range []struct{ id, class, argument string }{
		{"greeting", "hello", `{"name":"World"}`},
		{"hundred-steps", "steps", `{"n":100}`},
	} {
		if err := d.begin(ctx, f.id, f.class, f.argument); err != nil {
			return err
		}
		if err := d.end(ctx, f.id, "COMPLETED"); err != nil {
			return err
		}
	}
	return nil
}

// notes upgrades the virtual nodes to another application, whose flow signs, keeps and tells.
func (d *demo) notes(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, d.self, "dev", "stop", "--data", d.data()).CombinedOutput(); err != nil {
		return fmt.Errorf("stop the cluster: %w: %s", err, out)
	}
	d.application = filepath.Join(filepath.Dir(d.application), "notes")
	if err := d.launch(ctx); err != nil {
		return err
	}
	d.step("the virtual nodes are upgraded to application %s, its table is made", d.info.App)
	var key struct {
		ID string `json:"id"`
	}
	if _, err := d.api.call(ctx, "POST", corda("key", d.alice(), "alias", "notes", "category", "LEDGER", "scheme", "CORDA.EDDSA.ED25519"), nil, &key); err != nil {
		return err
	}
	d.step("key %s is made in Vault; its private half stays there", key.ID)
	if err := d.begin(ctx, "note", "note", `{"text":"signed, kept and told, once"}`); err != nil {
		return err
	}
	if err := d.end(ctx, "note", "COMPLETED"); err != nil {
		return err
	}
	if err := d.begin(ctx, "notes", "note-list", `{}`); err != nil {
		return err
	}
	if err := d.end(ctx, "notes", "COMPLETED"); err != nil {
		return err
	}
	return d.consume(ctx)
}

// consume reads the application's channel as any consumer of Kafka would, read-committed.
func (d *demo) consume(ctx context.Context) error {
	admin, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: d.info.Brokers, Prefix: d.info.Prefix, ClientID: "fairlead-demo"})
	if err != nil {
		return err
	}
	defer admin.Close()
	topic, records, last := "ext."+d.alice()+".notes.receive", 0, ""
	err = admin.Read(ctx, kafkaadmin.Range{Topics: []string{topic}, From: kafkaadmin.Start()}, func(r kafkaadmin.Record) error {
		records++
		last = string(r.Value)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the channel: %w", err)
	}
	d.step("a plain consumer of %s reads %s: %s", topic, plural(records, "record"), shorten(last, 70))
	if records != 1 {
		return fmt.Errorf("the channel should have one record")
	}
	return nil
}

// refusedWith makes a call that must fail with a status.
func (d *demo) refusedWith(ctx context.Context, want int, what, id, class string, argument any) error {
	_, _, err := d.api.do(ctx, "POST", cordaAPI+"/flow/"+d.alice(), map[string]any{"clientRequestId": id, "flowClassName": class, "requestBody": argument})
	var e *restError
	if !errors.As(err, &e) || e.status != want {
		return fmt.Errorf("%s should be refused with %d, but: %w", what, want, err)
	}
	d.step("%s → %d %s", what, want, shorten(e.Error(), 100))
	return nil
}

func (d *demo) wrong(ctx context.Context) error {
	if err := d.refusedWith(ctx, 400, "an unknown flow class", "nonsense", "no-such-flow", 1); err != nil {
		return err
	}
	if err := d.refusedWith(ctx, 409, "the same client request id again", "greeting", "hello", map[string]string{"name": "again"}); err != nil {
		return err
	}
	right := d.api.password
	d.api.password = "wrong"
	err := d.refusedWith(ctx, 401, "a wrong password", "nonsense", "hello", 1)
	d.api.password = right
	if err != nil {
		return err
	}
	if err := d.begin(ctx, "bad-input", "hello", `{"name":""}`); err != nil {
		return err
	}
	return d.end(ctx, "bad-input", "FAILED")
}

// command sends a command and waits until the status shows it.
func (d *demo) command(ctx context.Context, id, word string, done func(flowStatus) bool) error {
	path := flowPath(ownAPI, d.alice(), id)
	if _, _, err := d.api.do(ctx, "POST", path+"/"+word, map[string]string{"reason": "the demo"}); err != nil {
		return err
	}
	tick := time.NewTicker(detachLook)
	defer tick.Stop()
	for {
		var s flowStatus
		if _, err := d.api.get(ctx, path, &s); err != nil {
			return err
		}
		if done(s) {
			waits := ""
			if s.WaitingFor != "" && !s.ended() {
				waits = ", waits for: " + s.WaitingFor
			}
			d.step("%s %s → %s%s", word, id, d.g.paintStatus(s.FlowStatus), waits)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s of %s: %w", word, id, ctx.Err())
		}
	}
}

func (d *demo) steer(ctx context.Context) error {
	if err := d.begin(ctx, "countdown", "countdown", `{"n":3,"seconds":0.3}`); err != nil {
		return err
	}
	paused := func(s flowStatus) bool { return strings.Contains(s.WaitingFor, "pause") }
	if err := d.command(ctx, "countdown", "pause", paused); err != nil {
		return err
	}
	if err := d.command(ctx, "countdown", "resume", func(s flowStatus) bool { return !paused(s) }); err != nil {
		return err
	}
	if err := d.end(ctx, "countdown", "COMPLETED"); err != nil {
		return err
	}
	if err := d.begin(ctx, "hopeless", "countdown", `{"n":1000,"seconds":3600}`); err != nil {
		return err
	}
	return d.command(ctx, "hopeless", "kill", func(s flowStatus) bool { return s.FlowStatus == "KILLED" })
}

func (d *demo) crash(ctx context.Context) error {
	if err := d.begin(ctx, "survivor", "countdown", `{"n":4,"seconds":1}`); err != nil {
		return err
	}
	process, err := os.FindProcess(d.info.PID)
	if err != nil {
		return fmt.Errorf("find process %d: %w", d.info.PID, err)
	}
	if err := process.Kill(); err != nil {
		return fmt.Errorf("kill process %d: %w", d.info.PID, err)
	}
	if err := waitFree(ctx, d.data()); err != nil {
		return err
	}
	d.step("SIGKILL to process %d: Kafka, workers, REST, everything is gone", d.info.PID)
	if err := d.launch(ctx); err != nil {
		return err
	}
	d.step("a new process %d is ready", d.info.PID)
	return d.end(ctx, "survivor", "COMPLETED") // it slept four times; the sleep that was cut short was not begun again
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
	t := trace.Build("countdown", records)
	if len(t.Hops) == 0 {
		return errors.New("flow countdown left no trace")
	}
	var text bytes.Buffer
	if err := t.Text(&text); err != nil {
		return err
	}
	d.step("fairlead trace countdown: the flow that was paused and resumed, record by record")
	for line := range strings.Lines(text.String()) {
		fmt.Fprint(d.g.Out, "  "+line)
	}
	if err := os.MkdirAll(filepath.Dir(demoPicture), 0o755); err != nil {
		return fmt.Errorf("make a place for the picture: %w", err)
	}
	if err := os.WriteFile(demoPicture, []byte(t.SVG()), 0o644); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	d.step("the same as a picture: %s", demoPicture)
	d.step("%d of 12 workers took part: %s", len(t.Workers), strings.Join(t.Workers, ", "))
	return nil
}

func (d *demo) farewell(keep bool) {
	me := program()
	out := func(line string) { fmt.Fprintln(d.g.Out, line) }
	if !keep {
		out("\nNext")
		out("  " + me + " dev --detach" + freeAddress())
		out("  " + me + ` --context dev flow start Alice hello '{"name":"World"}' --wait`)
		out("  " + me + " dev stop")
		return
	}
	out(fmt.Sprintf("\nThe cluster runs on as process %d, data in %s.\n  REST      %s%s\n  log-in    %s / %s\n  Kafka     %s", d.info.PID, d.dir, d.info.API, cordaAPI, d.info.User, d.info.Password, strings.Join(d.info.Brokers, ",")))
	me = "FAIRLEAD_CONFIG=" + d.config() + " " + me
	out("\nNext")
	out("  " + me + ` flow start Alice hello '{"name":"World"}' --wait`)
	out("  " + me + " trace survivor")
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
