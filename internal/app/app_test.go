package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
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

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/config"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/topics"
)

// Access rules and pictures are made from the catalogue, so it must be what the code does.
func TestCatalogueIsWhatTheWorkersDo(t *testing.T) {
	for _, w := range Available() {
		groups, err := groupsOf(w)
		if err != nil {
			t.Fatal(err)
		}
		for name, joined := range groups {
			var got []topics.Edge
			for _, e := range joined {
				got = append(got, topics.Edge{Kind: topics.Kind(e.Kind), Topic: e.Topic, Type: e.Type})
			}
			if err := topics.Check(name, got); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestParseTypes(t *testing.T) {
	for list, want := range map[string]string{"all": "crypto database flow flow-mapper persistence rest tokens uniqueness verification", "rest": "rest", "rest,flow , rest": "flow rest"} {
		got, err := ParseTypes(list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	for list, want := range map[string]string{"": "not known", "gateway": "not part of this version", "rest,x": `"x" is not known`} {
		if _, err := ParseTypes(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", list, err)
		}
	}
	if len(Types()) != 12 || !slices.IsSorted(Types()) {
		t.Errorf("types %v", Types())
	}
}

// dataDir is where the processes of these tests keep their files: not where a process on this machine does.
var dataDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if dataDir, err = os.MkdirTemp("", "app"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(dataDir)
		return m.Run()
	}())
}

func testConfig(c *enginetest.Cluster) config.Config {
	cfg := config.Default()
	cfg.Process.DataDir = dataDir
	cfg.Kafka.Brokers, cfg.Kafka.Prefix = c.Brokers(), c.Prefix
	cfg.Monitor.Address, cfg.Rest.Address = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Rest.Plaintext, cfg.Engine.UnsafeTopics, cfg.Engine.Sessions = true, true, 1
	cfg.Process.Instance, cfg.Process.LeaveGroup = "test-0", true
	return cfg
}

func memory(t *testing.T) engine.DB {
	t.Helper()
	db, err := engine.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newApp(t *testing.T, cfg config.Config, workers ...string) *App {
	t.Helper()
	a, err := New(t.Context(), Options{Config: cfg, Workers: workers, DB: memory(t), Log: slog.New(slog.DiscardHandler), Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func prepareTopics(t *testing.T, c *enginetest.Cluster) {
	t.Helper()
	admin, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: c.Brokers(), Prefix: c.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx := enginetest.Context(t)
	now, err := admin.Cluster(ctx)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := topics.NewPlan(topics.All(), topics.Dev(), topics.Overrides{}, false, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range kafkaadmin.Steps(plan.Changes) {
		if err := admin.Do(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMissingTopicsAreNamed(t *testing.T) {
	c := enginetest.NewCluster(t)
	err := newApp(t, testConfig(c), Rest, FlowMapper).Run(enginetest.Context(t))
	var e *TopicsError
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"FL-APP-001", topics.FlowMapperStart, topics.RBACUser, "flow-mapper-table", "fairlead topics apply"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), topics.PersistenceRequests) {
		t.Errorf("topics of other workers are named: %v", err)
	}
	if made := c.Fake.ListenAddrs(); len(made) == 0 {
		t.Error("the broker is gone")
	}
}

func TestUnsafeTopicsAreRefusedInProduction(t *testing.T) {
	c := enginetest.NewCluster(t)
	prepareTopics(t, c)
	cfg := testConfig(c)
	cfg.Engine.UnsafeTopics = false
	err := newApp(t, cfg, FlowMapper).Run(enginetest.Context(t))
	if err == nil || !strings.Contains(err.Error(), topics.FoundReplicas) {
		t.Errorf("got %v", err)
	}
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestWorkersRunAndDrain(t *testing.T) {
	c := enginetest.NewCluster(t)
	prepareTopics(t, c)
	a := newApp(t, testConfig(c), Flow, FlowMapper, Rest)
	ctx, stop := context.WithCancel(enginetest.Context(t))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	if err := a.WaitReady(ctx); err != nil {
		t.Fatal(errors.Join(err, <-done))
	}
	monitor := "http://" + a.MonitorAddress()
	for _, path := range []string{"/isHealthy", "/startupz"} {
		if code, body := fetch(t, monitor+path); code != 200 || body != "OK\n" {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	code, body := fetch(t, monitor+"/status")
	var s processStatus
	if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 || !s.Ready || len(s.Groups) != 2 || s.Phase != "running" || len(s.Reasons) != 0 {
		t.Errorf("/status: %d %s %v", code, body, err)
	}
	if _, body := fetch(t, monitor+"/metrics"); !strings.Contains(body, "fairlead_engine_commits_total") || !strings.Contains(body, "go_goroutines") {
		t.Errorf("/metrics lacks the engine's or the process's figures")
	}
	if code, _ := fetch(t, monitor+"/debug/pprof/"); code != 404 {
		t.Errorf("profiles without monitor.profiles: %d", code)
	}
	if code, _ := fetch(t, "http://"+a.RestAddress()+"/api/v5_2/flow/getprotocolversion"); code != 200 {
		t.Errorf("REST: %d", code)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("stop: %v", err)
	}
	if a.phaseNow() != "draining" {
		t.Errorf("phase %s", a.phaseNow())
	}
}

func TestWrongSettingsAreToldAtOnce(t *testing.T) {
	cfg := config.Default()
	cfg.Monitor.Address = ""
	for name, c := range map[string]struct {
		change  func(*config.Config)
		workers []string
		want    string
	}{
		"no certificate": {func(*config.Config) {}, []string{Rest}, "rest.certificate_file"},
		"no such file":   {func(c *config.Config) { c.Rest.CertificateFile, c.Rest.KeyFile = "/no/cert", "/no/key" }, []string{Rest}, "/no/cert"},
		"no CA":          {func(c *config.Config) { c.Kafka.TLS, c.Kafka.CAFile = true, "/no/ca" }, []string{Rest}, "kafka.ca_file"},
		"no password":    {func(c *config.Config) { c.Kafka.SASL, c.Kafka.PasswordFile = "PLAIN", "/no/pw" }, []string{Rest}, "kafka.password_file"},
		"no worker":      {func(*config.Config) {}, nil, "no worker"},
		"other worker":   {func(*config.Config) {}, []string{"gateway"}, "not part of this version"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			c.change(&cfg)
			_, err := New(t.Context(), Options{Config: cfg, Workers: c.workers, DB: memory(t)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A Postgres that is frozen takes connections and says nothing. The status says so, long before anything times out.
func TestFrozenPostgresIsTold(t *testing.T) {
	c := enginetest.NewCluster(t)
	prepareTopics(t, c)
	frozen, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections for it
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	cfg := testConfig(c)
	cfg.Postgres.URL = "postgres://ann@" + frozen.Addr().String() + "/cluster?sslmode=disable"
	cfg.Postgres.VnodeURL = "postgres://ann@" + frozen.Addr().String() + "/vnodes?sslmode=disable"
	cfg.Postgres.SealKeyFile = filepath.Join(t.TempDir(), "seal.key")
	if err := os.WriteFile(cfg.Postgres.SealKeyFile, []byte(base64.StdEncoding.EncodeToString(make([]byte, seal.KeyBytes))), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newApp(t, cfg, Persistence)
	ctx, stop := context.WithCancel(enginetest.Context(t))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	want := "waiting for Postgres " + frozen.Addr().String() + " since "
	for {
		code, body := fetch(t, "http://"+a.MonitorAddress()+"/status")
		var s processStatus
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		if len(s.Waiting) == 1 && strings.HasPrefix(s.Waiting[0], want) && slices.Contains(s.Reasons, s.Waiting[0]) {
			if code != http.StatusServiceUnavailable || s.Ready {
				t.Errorf("it counts as ready: %d %s", code, body)
			}
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("nobody says what is waited for: %s", body)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestCheckSettings(t *testing.T) {
	cfg := config.Default()
	if err := CheckSettings(cfg, []string{Flow, FlowMapper}, true); err != nil {
		t.Error(err)
	}
	err := CheckSettings(cfg, Available(), false)
	if err == nil {
		t.Fatal("nothing is missing")
	}
	for _, key := range []string{"postgres.url", "postgres.vnode_url", "postgres.seal_key_file", "vault.address", "rest.certificate_file"} {
		if !strings.Contains(err.Error(), key+": is not set") {
			t.Errorf("%s is missing in %v", key, err)
		}
	}
	cfg.Rest.CertificateFile, cfg.Rest.KeyFile = "/no/cert", "/no/key"
	if err := CheckSettings(cfg, []string{Rest}, false); err != nil {
		t.Errorf("files are looked at without being asked for: %v", err)
	}
	if err := CheckSettings(cfg, []string{Rest}, true); err == nil || !strings.Contains(err.Error(), "rest.certificate_file: open /no/cert") || !strings.Contains(err.Error(), "rest.key_file: open /no/key") {
		t.Errorf("got %v", err)
	}
}

// A process to which its groups give no partitions, because others have all, is ready and serves REST. It takes over
// when they are gone.
func TestSpareIsReady(t *testing.T) {
	c := enginetest.NewCluster(t)
	prepareTopics(t, c)
	ctx, stop := context.WithCancel(enginetest.Context(t))
	defer stop()
	run := func(ctx context.Context, instance string, sessions int, workers ...string) (*App, chan error) {
		cfg := testConfig(c)
		cfg.Process.Instance, cfg.Engine.Sessions = instance, sessions
		a := newApp(t, cfg, workers...)
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		if err := a.WaitReady(ctx); err != nil {
			t.Fatal(errors.Join(err, <-done))
		}
		return a, done
	}
	first, leave := context.WithCancel(ctx)
	// Members are served in the order of their names.
	_, owned := run(first, "a", topics.Dev().Partitions, FlowMapper)
	a, done := run(ctx, "b", 1, FlowMapper, Rest)
	status := func() (s processStatus) {
		t.Helper()
		code, body := fetch(t, "http://"+a.MonitorAddress()+"/status")
		if err := json.Unmarshal([]byte(body), &s); err != nil || s.Ready != (code == http.StatusOK) || len(s.Groups) != 1 {
			t.Fatalf("/status: %d %s %v", code, body, err)
		}
		return s
	}
	until := func(what string, cond func(processStatus) bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !cond(status()) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("%s: %+v", what, status())
			}
		}
	}
	until("a spare", func(s processStatus) bool {
		return s.Ready && s.Groups[0].Ready && s.Groups[0].Spare && s.Groups[0].Sessions[0].Phase == "spare"
	})
	if code, _ := fetch(t, "http://"+a.RestAddress()+"/api/v5_2/flow/getprotocolversion"); code != 200 {
		t.Errorf("REST: %d", code)
	}
	leave()
	if err := <-owned; err != nil {
		t.Error(err)
	}
	until("an owner", func(s processStatus) bool {
		return s.Ready && !s.Groups[0].Spare && len(s.Groups[0].Sessions[0].Partitions) == topics.Dev().Partitions
	})
	stop()
	if err := <-done; err != nil {
		t.Errorf("stop: %v", err)
	}
}
