package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/cli"
	"github.com/fairleadio/fairlead/internal/devenv"
)

// devCluster is a whole cluster with the example application, and a context for it.
type devCluster struct {
	t    *testing.T
	info devenv.Info
	env  map[string]string
}

func startDevCluster(t *testing.T) *devCluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c, err := devenv.Start(ctx, devenv.Options{
		Dir: t.TempDir(), App: "../../apps/hello", RestAddress: "127.0.0.1:0", Workers: devenv.Bare(), Build: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	d := &devCluster{t: t, info: c.Info(), env: map[string]string{"FAIRLEAD_CONFIG": filepath.Join(t.TempDir(), "config.yaml"), "HOME": t.TempDir()}}
	err = cli.PutContext(d.env["FAIRLEAD_CONFIG"], "dev", cli.Settings{
		Brokers: d.info.Brokers, Profile: "dev", API: d.info.API, User: d.info.User, PasswordFile: d.info.PasswordFile, CAFile: d.info.CAFile,
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// run runs a command line; its arguments are split at spaces, but for the last, which may be anything.
func (d *devCluster) run(wantCode int, line string, last ...string) (out, errOut string) {
	d.t.Helper()
	var o, e bytes.Buffer
	code := cli.Run(d.t.Context(), cli.IO{
		In: strings.NewReader(""), Out: &o, Err: &e, Env: func(n string) string { return d.env[n] }, By: "ann@example", Version: "v0-test",
	}, append(strings.Fields(line), last...))
	if code != wantCode {
		d.t.Errorf("%s %v: exit code %d, want %d\n%s%s", line, last, code, wantCode, o.String(), e.String())
	}
	return o.String(), e.String()
}

func (d *devCluster) want(got string, patterns ...string) {
	d.t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(got) {
			d.t.Errorf("%s does not match\n%s", p, got)
		}
	}
}

func TestFlows(t *testing.T) {
	d := startDevCluster(t)
	for name, f := range map[string]func(*devCluster){"commands": flowCommands, "steering": flowSteering, "errors": flowErrors} {
		t.Run(name, func(t *testing.T) { f(d.in(t)) })
	}
}

// in is the cluster for a subtest, with an environment of its own.
func (d *devCluster) in(t *testing.T) *devCluster {
	return &devCluster{t: t, info: d.info, env: maps.Clone(d.env)}
}

func flowCommands(d *devCluster) {
	t := d.t
	out, _ := d.run(0, "flow classes Alice")
	d.want(out, `(?m)^countdown$`, `(?m)^hello$`)

	out, _ = d.run(0, "flow start Alice hello --wait --id first", `{"name":"World"}`)
	d.want(out, `status +COMPLETED`, `request id +first`, `flow id +[0-9a-f-]{36}`, `result +\{"greeting":"Hello, World!"`)
	out, _ = d.run(0, "-o json flow status first")
	var s struct{ FlowID, FlowStatus, HoldingIdentityShortHash string }
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.FlowStatus != "COMPLETED" {
		t.Fatalf("%v: %s", err, out)
	}
	for _, id := range []string{"first", s.FlowID, d.info.VirtualNodes[0].ShortHash + " first", strings.ToLower(d.info.VirtualNodes[0].ShortHash) + " " + s.FlowID} {
		out, _ = d.run(0, "flow result "+id)
		d.want(out, `^\{"greeting":"Hello, World!".*\}\n$`)
	}
	d.run(0, "flow status first", "--timeout=10s")
	for _, wait := range []string{"", " --wait"} { // the same again is not another flow
		out, errOut := d.run(0, "flow start Alice hello --id first"+wait, ` { "name" : "World" } `)
		d.want(errOut, `flow first was started already, [\dmsh]+ ago, with the same class and argument: nothing was started now`)
		d.want(out, `status +COMPLETED`, `flow id +`+s.FlowID)
	}
	_, errOut := d.run(3, "flow start Alice hello --id first", `{"name":"Mars"}`)
	d.want(errOut, `FL-REST-016: .*another argument`)
	_, errOut = d.run(3, "flow start Alice countdown --id first", `{"name":"World"}`)
	d.want(errOut, `FL-REST-016: .*of class hello`)
	for _, id := range []string{"firs", s.FlowID[:8]} { // what changes nothing takes the beginning of an id
		out, _ = d.run(0, "flow status "+id)
		d.want(out, `request id +first`)
		out, _ = d.run(0, "trace "+id)
		d.want(out, `flow\.events`)
	}
	d.run(4, "--yes flow kill firs")
	out, _ = d.run(0, "flow history first")
	d.want(out, `COMPLETED`, `(?m)^0\.0 .*start hello \{"name":"World"\}`, `(?m)^1\.0 .*COMPLETED .*Hello, World!`)
	out, _ = d.run(0, "flow replay first --app ../../apps/hello")
	d.want(out, `(?m)^step 1 .*same$`)
	other := otherApplication(t)
	out, _ = d.run(2, "flow replay first --app", other)
	d.want(out, `differs: .*Hello, World.*Goodbye, World`)

	argument := filepath.Join(t.TempDir(), "argument.json")
	if err := os.WriteFile(argument, []byte(`{"name":"file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = d.run(0, "flow start Bob hello --wait --id second", "@"+argument)
	d.want(out, `Hello, file!`)
	out, _ = d.run(1, "flow start Alice hello --wait --id bad", `{"name":""}`)
	d.want(out, `FAILED`, `FL-FLOW-001`)
	_, errOut = d.run(1, "flow result bad")
	d.want(errOut, `bad is FAILED: bad-input`)
	out, _ = d.run(0, "flow list")
	d.want(out, `VNODE +REQUEST ID +STATUS +CLASS +AGE +FLOW ID +WAITS FOR, OR RESULT`, `first +COMPLETED +hello +[\dmsh]+ `, `second +COMPLETED`, `bad +FAILED`)
	out, _ = d.run(0, "flow list Alice --limit 1")
	d.want(out, `bad +FAILED`, `older ones are left out: --limit 0 lists all`)
	_, errOut = d.run(1, "flow list --limit -1")
	d.want(errOut, `--limit -1: a number from 1 on`)
	out, _ = d.run(0, "status --workers", d.info.Monitor)
	d.want(out, `(?m)^flow +runs +1 `, `(?m)^crypto +never ran`, `ready: flow,flow-mapper,rest`, `(?m)^well$`)
	out, _ = d.run(0, "flow list Alice --status FAILED")
	d.want(out, `bad`)
	if strings.Contains(out, "first") {
		t.Errorf("the filter lets others pass:\n%s", out)
	}
	out, _ = d.run(0, "flow list Bob --status KILLED")
	d.want(out, `no flows`)

	out, _ = d.run(0, "trace first")
	d.want(out, `flow\.mapper\.start .*rest → flow-mapper`, `flow\.events .*flow-mapper → flow`, `flow\.status .*flow → rest`, `hops, \d in a row`)
	out, _ = d.run(0, "trace -o svg", s.FlowID)
	d.want(out, `^<svg `, `</svg>\n$`)
	out, _ = d.run(0, "trace first -o json --since 1h")
	d.want(out, `"workers": \[\n\s+"flow",`)
}

// otherApplication is the example application with another greeting.
func otherApplication(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for from, to := range map[string]string{"../../sdk": "sdk", "../../apps/hello": "apps/hello"} {
		if err := os.CopyFS(filepath.Join(root, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(root, "apps", "hello")
	file := filepath.Join(dir, "hello.go")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(b, []byte(`"Hello, "`), []byte(`"Goodbye, "`)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func flowSteering(d *devCluster) {
	t := d.t
	d.run(0, "flow start Alice countdown --id long", `{"n":1000,"seconds":3600}`)
	_, errOut := d.run(2, "flow result long")
	d.want(errOut, `long is (RUNNING|START_REQUESTED)`)
	_, errOut = d.run(5, "--timeout 200ms flow result long --wait")
	d.want(errOut, `--timeout`, "flow long goes on without this command; `fairlead flow result long --wait` waits again")
	_, errOut = d.run(3, "flow kill long")
	d.want(errOut, `kill flow long of class countdown \((RUNNING|START_REQUESTED)\)\?`, `--yes`)
	out, _ := d.run(0, "--dry-run flow kill long")
	d.want(out, `would kill`)
	out, _ = d.run(0, "--yes flow pause long --reason lunch")
	d.want(out, `RUNNING`, `waits for +paused by admin: lunch`)
	out, _ = d.run(0, "flow list --paused")
	d.want(out, `long +RUNNING +countdown .*paused by admin: lunch`)
	_, errOut = d.run(3, "flow pause long") // nobody is asked about what will be refused
	d.want(errOut, `FL-FLOW-022: flow long is paused by admin: lunch already`)
	_, errOut = d.run(3, "--yes flow pause long")
	d.want(errOut, `FL-FLOW-022: the flow is paused by admin: lunch already`)
	out, _ = d.run(0, "flow status long")
	d.want(out, `command +pause, refused: FL-FLOW-022`)
	out, _ = d.run(0, "--yes flow resume long")
	d.want(out, `RUNNING`, `waits for +sleep until`)
	out, _ = d.run(0, "flow list --paused")
	d.want(out, `no flows`)
	_, errOut = d.run(3, "flow resume long")
	d.want(errOut, `FL-FLOW-022: flow long is not paused`)
	_, errOut = d.run(3, "flow retry long --step 7")
	d.want(errOut, `FL-FLOW-023: step 7 was not reached; the flow is at step 1`)
	_, errOut = d.run(1, "--yes flow retry long")
	d.want(errOut, `--step is needed`)
	_, errOut = d.run(3, "--yes flow retry long --step 7")
	d.want(errOut, `FL-FLOW-023: step 7 was not reached`)
	out, _ = d.run(0, "--yes flow retry long --step 0")
	d.want(out, `RUNNING`)
	out, _ = d.run(0, "flow history long")
	d.want(out, `(?m)^0\.0 +\+[1-9]`, `(cut by a retry)`) // the start is written anew, after what it cut off
	if strings.Contains(out, "+-") {
		t.Errorf("something happened before the flow began:\n%s", out)
	}
	out, _ = d.run(0, "--yes flow kill long --reason", "enough of it")
	d.want(out, `KILLED`, `enough of it`)
	for _, line := range []string{"--yes flow kill long", "flow kill long"} {
		_, errOut = d.run(3, line)
		d.want(errOut, `FL-REST-021`)
	}
}

func flowErrors(d *devCluster) {
	t := d.t
	for _, c := range []struct {
		code int
		line string
		last []string
		want string
	}{
		{4, "flow status nothing", nil, `no virtual node has a flow "nothing"`},
		{4, "flow status Alice nothing", nil, `FL-REST-018`},
		{4, "flow classes Carol", nil, `no virtual node "Carol".*O=Alice`},
		{4, "trace nothing", nil, `no record has the key nothing`},
		{4, "flow start Alice nonsense", nil, `FL-REST-014: .*startableFlows: countdown,hello,steps`},
		{1, "flow start Alice hello", []string{"{"}, `not JSON`},
		{1, "flow start Alice hello", []string{"@/does/not/exist"}, `read the argument`},
		{1, "flow replay x", nil, `--app`},
		{1, "--api https://127.0.0.1:1 flow list", nil, `nothing answers at https://127.0.0.1:1`},
		{1, "--api localhost flow list", nil, `a URL such as https://`},
		{1, "flow list --status NEVER", nil, `FL-REST-019`},
	} {
		_, errOut := d.run(c.code, c.line, c.last...)
		d.want(errOut, c.want)
	}
	d.env["FAIRLEAD_PASSWORD"] = "wrong"
	_, errOut := d.run(3, "flow list")
	d.want(errOut, `FL-REST-002`)
	delete(d.env, "FAIRLEAD_PASSWORD")
	d.env["FAIRLEAD_CA_FILE"] = "/does/not/exist"
	_, errOut = d.run(1, "flow list")
	d.want(errOut, `read the CA`)
	d.env["FAIRLEAD_CONFIG"] = filepath.Join(t.TempDir(), "none.yaml")
	_, errOut = d.run(1, "flow list")
	d.want(errOut, `no REST interface is known`)
}

func TestWorkerSettings(t *testing.T) {
	d := &devCluster{t: t, env: map[string]string{"FAIRLEAD_KAFKA_PREFIX": "p.", "FAIRLEAD_KAFKA_PASSWORD": "hush"}}
	out, _ := d.run(0, "worker flow,rest --print-config --brokers a:1,b:2 --set rest.max_wait=5s")
	d.want(out, `brokers: "a:1,b:2" +# flag`, `prefix: p\. +# FAIRLEAD_KAFKA_PREFIX`, `max_wait: 5s +# flag`, `password: "\*\*\*"`)
	out, _ = d.run(0, "worker flow,flow-mapper --check")
	d.want(out, `is right`)
	_, errOut := d.run(1, "worker all --check --set vault.auth=token")
	d.want(errOut, `postgres\.url: is not set, and database and persistence need it`, `postgres\.vnode_url`, `postgres\.seal_key_file`, `vault\.address: is not set, and crypto needs it`,
		`vault\.token_file`, `rest\.certificate_file`)
	_, errOut = d.run(1, "worker database --check --set postgres.url=postgres://a/b --set postgres.vnode_url=postgres://a/b --set postgres.seal_key_file=/does/not/exist")
	d.want(errOut, `vnode_url: is the same`, `seal_key_file: open /does/not/exist`)
	_, errOut = d.run(1, "worker all --check --set rest.maxwait=5s")
	d.want(errOut, `did you mean rest.max_wait\?`)
	_, errOut = d.run(1, "worker gateway --check")
	d.want(errOut, `not part of this version`)
	_, errOut = d.run(1, "worker rest")
	d.want(errOut, `rest.certificate_file`)
}

func TestDevFlags(t *testing.T) {
	d := &devCluster{t: t, env: map[string]string{"XDG_DATA_HOME": t.TempDir(), "HOME": t.TempDir()}}
	_, errOut := d.run(1, "dev --ephemeral --data x")
	d.want(errOut, `give one of them`)
	_, errOut = d.run(1, "dev --workers gateway")
	d.want(errOut, `--workers: .*not part of this version`)
	_, errOut = d.run(1, "dev --rest-address 8899")
	d.want(errOut, `use 127\.0\.0\.1:8899 .*:8899`)
	_, errOut = d.run(1, "dev --app /does/not/exist")
	d.want(errOut, `--app /does/not/exist: an application is a folder with a go\.mod`)
	_, errOut = d.run(4, "dev stop")
	d.want(errOut, `no cluster runs in .*fairlead/dev`)
	_, errOut = d.run(3, "dev reset")
	d.want(errOut, `discard .*fairlead/dev`)
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"--yes dev reset --data", "dev reset --data"} { // nobody is asked for what will be refused
		_, errOut = d.run(3, line, foreign)
		d.want(errOut, `was not made by fairlead dev`)
	}
	if _, err := os.Stat(filepath.Join(foreign, "thesis.txt")); err != nil {
		t.Errorf("a foreign file is gone: %v", err)
	}
	out, _ := d.run(0, "--yes dev reset")
	d.want(out, `is discarded`)
}
