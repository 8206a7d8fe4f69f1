package devenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/app"
)

// nativeApp writes an application beside a copy of the SDK and returns its folder.
func nativeApp(t *testing.T, body string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "sdk"), os.DirFS("../../sdk")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "debugged")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "go.mod"), "module example.com/debugged\n\ngo 1.26.0\n\nrequire github.com/fairleadio/fairlead/sdk v0.0.0\n\nreplace github.com/fairleadio/fairlead/sdk => ../sdk\n")
	put(t, filepath.Join(dir, "main.go"), body)
	return dir
}

// Flows that do what native code may do to its process.
const debugged = `package main

import (
	"os"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/native"
)

func init() {
	flow.Register("where", func(ctx *flow.Context, _ struct{}) (map[string]any, error) {
		return map[string]any{"pid": os.Getpid(), "version": version}, ctx.Checkpoint()
	})
	flow.Register("panics", func(ctx *flow.Context, _ struct{}) (string, error) {
		if err := ctx.Checkpoint(); err != nil {
			return "", err
		}
		panic("the answer is not 42")
	})
	flow.Register("crashes", func(*flow.Context, struct{}) (string, error) {
		done := make(chan int)
		go func() { panic("in a goroutine of its own") }()
		<-done
		return "", nil
	})
	flow.Register("long", func(ctx *flow.Context, _ struct{}) (string, error) {
		if err := ctx.Sleep(2 * time.Second); err != nil {
			return "", err
		}
		return "long", nil
	})
}

func main() { native.Main() }
`

const versionOf = "package main\n\nconst version = %s\n"

func version1(t *testing.T, dir, v string) {
	t.Helper()
	put(t, filepath.Join(dir, "version.go"), strings.Replace(versionOf, "%s", v, 1))
}

// The application runs as a process of its own, which may panic, end, be killed and be built anew.
func TestNative(t *testing.T) {
	dir := nativeApp(t, debugged)
	version1(t, dir, "1")
	runs, rebuilt := make(chan int, 16), make(chan error, 16)
	data := t.TempDir()
	c := start(t, data, dir, func(o *Options) {
		o.Native, o.Runs = true, func(pid int) { runs <- pid }
		o.Rebuilt = func(_ []string, err error) { rebuilt <- err }
	})
	defer stop(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	first := c.Info().NativePID
	go func() { waited <- c.Wait(ctx) }()
	defer func() {
		cancel()
		if err := <-waited; err != nil {
			t.Error(err)
		}
	}()
	api := newClient(t, c)
	where := func(id string, pid int, v string) {
		t.Helper()
		api.start(id, "where", "{}")
		if got := api.result(id); !strings.Contains(got, `"COMPLETED"`) || !strings.Contains(got, `"pid":`+fmt.Sprint(pid)) || !strings.Contains(got, `"version":`+v) {
			t.Errorf("%s: not in process %d, version %s: %s", id, pid, v, got)
		}
	}
	if first == 0 || first == os.Getpid() {
		t.Fatalf("it runs as process %d", first)
	}
	where("first", first, "1")

	// A panic costs the flow alone.
	api.start("panic", "panics", "{}")
	if got := api.result("panic"); !strings.Contains(got, `"FAILED"`) || !strings.Contains(got, "the answer is not 42") || !strings.Contains(got, "main.go") {
		t.Errorf("a panic: %s", got)
	}
	where("after-a-panic", first, "1")

	// One that takes the process with it fails its flow in the end; the others go on.
	api.start("long", "long", "{}")
	api.start("crash", "crashes", "{}")
	if got := api.result("crash"); !strings.Contains(got, "FL-FLOW-008") || !strings.Contains(got, "in a goroutine of its own") {
		t.Errorf("a crash: %s", got)
	}
	if got := api.result("long"); !strings.Contains(got, `"COMPLETED"`) {
		t.Errorf("a flow beside the crash: %s", got)
	}
	second := 0
	for len(runs) > 0 || second == 0 {
		second = <-runs
	}
	where("after-a-crash", second, "1")

	// A change is built, and the next process has it.
	api.start("under-way", "long", "{}")
	version1(t, dir, "2")
	if err := <-rebuilt; err != nil {
		t.Fatal(err)
	}
	third := <-runs
	where("after-a-change", third, "2")
	if got := api.result("under-way"); !strings.Contains(got, `"COMPLETED"`) {
		t.Errorf("a flow over the change: %s", got)
	}
	// One that does not build leaves what runs, and is in the log.
	version1(t, dir, "nonsense")
	if err := <-rebuilt; err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("what does not build: %v", err)
	}
	where("after-what-does-not-build", third, "2")
	if log, err := os.ReadFile(filepath.Join(data, logFile)); err != nil || !strings.Contains(string(log), "nonsense") || !strings.Contains(string(log), "in a goroutine of its own") {
		t.Errorf("dev.log does not tell of it: %v", err)
	}

	// A developer's own program takes the place of the child while it runs.
	binaries, err := filepath.Glob(filepath.Join(data, nativeDir, "*"))
	if err != nil || len(binaries) != 1 {
		t.Fatalf("programs %v %v", binaries, err)
	}
	own := &program{host: c.host, log: c.log, output: testLog{t}, runs: make(chan int, 1)}
	mine, err := own.begin(ctx, binaries[0])
	if err != nil {
		t.Fatal(err)
	}
	where("in-mine", mine.cmd.Process.Pid, "2")
	mine.kill()
	own.work.Wait()
	where("after-mine", <-runs, "2")
}

// What cannot run natively is told, with what to do.
func TestNativeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no application": {func(o *Options) { o.App = "" }, "--native: there is no application"},
		"no flow worker": {func(o *Options) { o.Workers = []string{app.FlowMapper, app.Rest} }, "--native: the flow worker"},
		"a main that does nothing": {func(o *Options) {
			o.App = nativeApp(t, "package main\n\nimport \"github.com/fairleadio/fairlead/sdk/flow\"\n\nfunc init() { flow.Register(\"x\", func(*flow.Context, struct{}) (string, error) { return \"\", nil }) }\n\nfunc main() {}\n")
		}, "native.Main()"},
	} {
		o := Options{Dir: t.TempDir(), App: hello, Native: true, RestAddress: "127.0.0.1:0", Workers: Bare()}
		c.change(&o)
		running, err := Start(t.Context(), o)
		if err == nil {
			stop(t, running)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Why a process ended is told by its panic, however much it printed before.
func TestReason(t *testing.T) {
	c := &child{tail: &tail{to: io.Discard, log: slog.New(slog.DiscardHandler)}, failed: errors.New("exit status 2")}
	line := []byte(strings.Repeat("x", 1000) + "\n")
	for range 40 {
		_, _ = c.tail.Write(line)
	}
	_, _ = c.tail.Write([]byte("panic: boom\n\ngoroutine 7 [running]:\nmain.f()\n"))
	for range 40 {
		_, _ = c.tail.Write(line)
	}
	if r := c.reason(); !strings.HasPrefix(r, "panic: boom\n\ngoroutine 7 [running]:\nmain.f()") || !strings.HasSuffix(r, "exit status 2") {
		t.Errorf("%.200s", r)
	}
	quiet := &child{tail: &tail{to: io.Discard, log: slog.New(slog.DiscardHandler)}}
	if r := quiet.reason(); r != "exit status 0" {
		t.Errorf("%s", r)
	}
	if n := len(c.tail.text()); n > outputTail {
		t.Errorf("%d bytes are kept", n)
	}
}
