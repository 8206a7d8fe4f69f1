package devenv

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/sandbox/wasmtest"
)

// hello is the example application.
const hello = "../../apps/hello"

// patience bounds every wait; machines of tests are busy.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, dir, application string, change func(*Options)) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	opts := Options{
		Dir: dir, App: application, RestAddress: "127.0.0.1:0", Workers: Bare(), Build: "test", CacheDir: os.Getenv(wasmtest.CacheVariable),
		Warnings: slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}),
		Step:     func(what string, took time.Duration) { t.Logf("%8s  %s", took.Round(time.Millisecond), what) },
	}
	if change != nil {
		change(&opts)
	}
	c, err := Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Announce(); err != nil {
		t.Fatal(err)
	}
	return c
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func stop(t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// client calls a cluster's REST interface as its administrator.
type client struct {
	t    *testing.T
	info Info
	http *http.Client
}

func newClient(t *testing.T, c *Cluster) *client {
	t.Helper()
	pem, err := os.ReadFile(c.Info().CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t, c.Info(), &http.Client{Transport: transport}}
}

func (c *client) do(method, path, body string, header ...string) (int, string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.info.API+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.SetBasicAuth(c.info.User, c.info.Password)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (c *client) start(id, class, input string) {
	c.t.Helper()
	body := fmt.Sprintf(`{"clientRequestId":%q,"flowClassName":%q,"requestBody":%s}`, id, class, input)
	if code, text := c.do("POST", "/api/v5_2/flow/"+c.info.VirtualNodes[0].ShortHash, body); code != http.StatusAccepted {
		c.t.Fatalf("start of %s: %d %s", id, code, text)
	}
}

func (c *client) result(id string) string {
	c.t.Helper()
	path := "/api/fairlead/v1/flow/" + c.info.VirtualNodes[0].ShortHash + "/" + id + "/result"
	for {
		code, text := c.do("GET", path, "", "Prefer", "wait=30")
		if code == http.StatusOK {
			return text
		}
		if code != http.StatusAccepted || c.t.Context().Err() != nil {
			c.t.Fatalf("result of %s: %d %s", id, code, text)
		}
	}
}

func TestFlowsOutliveTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := start(t, dir, hello, nil)
	api := newClient(t, c)
	api.start("first", "hello", `{"name":"World"}`)
	if got := api.result("first"); !strings.Contains(got, `"COMPLETED"`) || !strings.Contains(got, "World") {
		t.Errorf("result: %s", got)
	}
	api.start("long", "countdown", `{"n":3,"seconds":0.5}`)
	stop(t, c)

	c = start(t, dir, hello, nil)
	if !c.Info().Continued {
		t.Error("the second run does not know of the first")
	}
	api = newClient(t, c)
	if got := api.result("long"); !strings.Contains(got, `"COMPLETED"`) {
		t.Errorf("result after the restart: %s", got)
	}
	if code, text := api.do("GET", "/api/fairlead/v1/flow/"+c.Info().VirtualNodes[0].ShortHash+"/long/history", ""); code != 200 || !strings.Contains(text, `"sleep"`) {
		t.Errorf("history: %d %s", code, text)
	}
	if code, text := api.do("POST", "/api/v5_2/flow/"+c.Info().VirtualNodes[0].ShortHash, `{"clientRequestId":"first","flowClassName":"hello","requestBody":{}}`); code != 409 {
		t.Errorf("a second start of one id: %d %s", code, text)
	}
	stop(t, c)
}

// A changed application is built and installed while the cluster runs; one that does not build changes nothing.
func TestApplicationIsFollowed(t *testing.T) {
	root := t.TempDir()
	for from, to := range map[string]string{"../../sdk": "sdk", hello: "apps/hello"} {
		if err := os.CopyFS(filepath.Join(root, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	type rebuilt struct {
		flows []string
		err   error
	}
	news := make(chan rebuilt, 8)
	dir := filepath.Join(root, "apps/hello")
	c := start(t, t.TempDir(), dir, func(o *Options) { o.Rebuilt = func(flows []string, err error) { news <- rebuilt{flows, err} } })
	defer stop(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() { waited <- c.Wait(ctx) }()
	extra := filepath.Join(dir, "extra.go")
	put(t, extra, "package main\n\nfunc init( {\n")
	if n := <-news; n.err == nil || !strings.Contains(n.err.Error(), "extra.go") {
		t.Errorf("a broken application: %+v", n)
	}
	put(t, extra, `package main

import "github.com/fairleadio/fairlead/sdk/flow"

func init() {
	flow.Register("extra", func(*flow.Context, struct{}) (string, error) { return "new", nil })
}
`)
	if n := <-news; n.err != nil || !slices.Contains(n.flows, "extra") {
		t.Fatalf("a right application: %+v", n)
	}
	// Nobody sees the screen of a cluster in the background.
	log, err := os.ReadFile(c.Info().LogFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`level=INFO msg="the application changed and is built" application=`,
		`level=ERROR msg="the application changed, but stays as it was until its files change again" application=`,
		`extra.go:3:`, `level=INFO msg="the application changed and is installed" application=`,
	} {
		if !strings.Contains(string(log), line) {
			t.Errorf("dev.log lacks %q:\n%s", line, log)
		}
	}
	api := newClient(t, c)
	for {
		if _, text := api.do("GET", "/api/v5_2/flowclass/"+c.Info().VirtualNodes[0].ShortHash, ""); strings.Contains(text, "extra") {
			break
		}
	}
	api.start("new", "extra", "{}")
	if got := api.result("new"); !strings.Contains(got, `"new"`) {
		t.Errorf("result: %s", got)
	}
	cancel()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir, "", nil)
	defer stop(t, c)
	// Without application there are virtual nodes, which say that they have none.
	if code, text := newClient(t, c).do("GET", "/api/v5_2/flowclass/"+c.Info().VirtualNodes[0].ShortHash, ""); code != 404 || !strings.Contains(text, "CPI") {
		t.Errorf("flow classes without application: %d %s", code, text)
	}
	_, err := Start(t.Context(), Options{Dir: dir, RestAddress: "127.0.0.1:0", Workers: Bare()})
	var locked *LockedError
	if !errors.As(err, &locked) || !strings.Contains(locked.Holder, fmt.Sprint(os.Getpid())) || !strings.Contains(locked.Holder, c.Info().API) {
		t.Errorf("got %v", err)
	}
	if err := Reset(dir); !errors.As(err, &locked) {
		t.Errorf("reset of a running cluster: %v", err)
	}
	var info Info
	b, err := os.ReadFile(filepath.Join(dir, devFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &info); err != nil || info.API != c.Info().API || len(info.VirtualNodes) != 2 {
		t.Errorf("dev.json: %s", b)
	}
	if bytes.Contains(b, []byte(c.Info().Password)) {
		t.Error("dev.json holds the password")
	}
	for _, name := range []string{credentialsFile, passwordFile, filepath.Join(tlsDir, "ca-key.pem"), filepath.Join(tlsDir, "rest-key.pem")} {
		s, err := os.Stat(filepath.Join(dir, name))
		if err != nil || s.Mode().Perm() != fileMode {
			t.Errorf("%s: %v %v", name, s.Mode(), err)
		}
	}
}

// A real Kafka, with a prefix, and without the rest worker.
func TestOtherKafka(t *testing.T) {
	kafka := enginetest.NewCluster(t)
	change := func(o *Options) {
		o.Kafka, o.Prefix, o.Workers = kafka.Brokers(), "mine.", []string{app.Flow, app.FlowMapper}
	}
	dir := t.TempDir()
	c := start(t, dir, "", change)
	if i := c.Info(); i.API != "" || i.Prefix != "mine." || !slices.Equal(i.Brokers, kafka.Brokers()) {
		t.Errorf("%+v", i)
	}
	if _, err := os.Stat(filepath.Join(dir, kafkaDir, "meta.json")); err == nil {
		t.Error("an embedded Kafka was made")
	}
	stop(t, c)
	if running, err := Running(dir); running || err != nil {
		t.Errorf("after the stop: %v %v", running, err)
	}
	names, err := kafka.Admin().ListTopics(t.Context())
	if err != nil || !names.Has("mine.flow.mapper.start") {
		t.Errorf("topics %v %v", names.Names(), err)
	}
}

func TestBusyPortNamesTheFlag(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Start(t.Context(), Options{Dir: t.TempDir(), RestAddress: l.Addr().String(), Workers: Bare()})
	if err == nil || !strings.Contains(err.Error(), "--rest-address") || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}
