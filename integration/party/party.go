package party

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/integration/replica"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/internal/vault/vaulttest"
)

// Environment of a run.
const (
	// SeedVariable repeats a run's decisions.
	SeedVariable = "FAIRLEAD_SEED"
	// ArtifactsVariable is an existing directory that keeps the logs.
	ArtifactsVariable = "FAIRLEAD_ARTIFACTS"
)

// The administrator, the group of the members, and how long a worker may be silent before it loses its partitions.
const (
	User    = "admin"
	Group   = "5a5e1c5e-0000-4000-8000-00000000c4a7"
	Session = 3 * time.Second
)

// Run is what one run of a suite stands on. Its methods fail the test when they cannot do what they are asked for.
type Run struct {
	T *testing.T
	// Rnd makes all decisions of the run that come one after the other.
	Rnd   *rand.Rand
	Began time.Time
	// Patience is how long anything may take that must come to an end.
	Patience time.Duration
	// Dir is the run's own, Logs is where logs are kept, Binary is the program.
	Dir, Logs, Binary string
	// Brokers and Prefix are what commands are told of Kafka.
	Brokers, Prefix string
	Password        string
	// Sessions is how many sessions each group of a process has; 1 unless a suite says otherwise before [Run.Settings].
	Sessions int
	// Processes is how many processes of workers run; 3 unless a suite says otherwise before [Run.Start].
	Processes int
	// Members are those of the group; without any it is the group of the page for operators.
	Members []string

	Cluster  *kafkatest.Cluster
	Postgres *pgserver.Server
	Slots    []*replica.Replica
	// URLs are those of the processes' REST workers, in their order.
	URLs []string
	HTTP *http.Client
}

// Number reads a number from the environment.
func Number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// New begins a run; what names it in the prefix of its topics. The test is skipped where real servers are not asked for.
func New(t *testing.T, what string, patience time.Duration) *Run {
	t.Helper()
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("wants real servers; %s=1 starts them", kafkatest.RealServersVariable)
	}
	seed := Number(t, SeedVariable, uint64(time.Now().UnixNano()))
	t.Logf("seed %d (%s=%d repeats it)", seed, SeedVariable, seed)
	r := &Run{
		T: t, Began: time.Now(), Rnd: rand.New(rand.NewPCG(seed, 1)), Patience: patience, Dir: t.TempDir(), //nolint:gosec // decisions of a test are no secret
		Password: "first password of the " + what, Sessions: 1, Processes: 3, HTTP: &http.Client{Timeout: 10 * time.Second},
	}
	r.Prefix = fmt.Sprintf("%s-%d-", what, r.Began.UnixNano())
	r.Binary = filepath.Join(r.Dir, "fairlead.exe")
	if r.Logs = os.Getenv(ArtifactsVariable); r.Logs == "" {
		r.Logs = r.Dir
	}
	t.Cleanup(r.HTTP.CloseIdleConnections)
	return r
}

// Say tells what happens, and when.
func (r *Run) Say(format string, args ...any) {
	r.T.Logf("%6.1fs "+format, append([]any{time.Since(r.Began).Seconds()}, args...)...)
}

// Must ends the test when something failed.
func (r *Run) Must(what string, err error) {
	r.T.Helper()
	if err != nil {
		r.T.Fatalf("%s: %v", what, err)
	}
}

// Patient bounds what must come to an end.
func (r *Run) Patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.T.Context(), r.Patience)
}

// Until repeats a look until it is content.
func (r *Run) Until(what string, look func(ctx context.Context) error) {
	r.T.Helper()
	ctx, cancel := r.Patient()
	defer cancel()
	var last error
	err := kafkatest.Until(ctx, 100*time.Millisecond, func() (bool, error) {
		last = look(ctx)
		return last == nil, nil
	})
	if err != nil {
		r.T.Fatalf("%s: %v", what, errors.Join(err, last))
	}
}

// File writes a file of the run and returns its path.
func (r *Run) File(name, content string) string {
	r.T.Helper()
	path := filepath.Join(r.Dir, name)
	r.Must("write "+name, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// Fairlead runs a command as an operator types it, and returns what it prints.
func (r *Run) Fairlead(args ...string) string {
	r.T.Helper()
	out, err := r.try(r.T.Context(), args...)
	if err != nil {
		r.T.Fatal(err)
	}
	return out
}

func (r *Run) try(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, r.Binary, append(args, "--yes", "--timeout", "3m")...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(r.Dir, "config"), "FAIRLEAD_USER="+User, "FAIRLEAD_PASSWORD="+r.Password)
	if len(r.URLs) > 0 {
		cmd.Env = append(cmd.Env, "FAIRLEAD_API="+r.URLs[0])
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("fairlead %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

// Servers builds the program while three brokers and Postgres come up. fast has Kafka wait for no disk.
func (r *Run) Servers(fast bool) {
	r.T.Helper()
	built := r.build()
	r.kafka(fast)
	r.Postgres = pgtest.Server(r.T, pgserver.Options{})
	r.Must("make databases", r.Postgres.Ensure(r.T.Context(), "cluster", "vnodes"))
	r.Must("build fairlead", <-built)
	r.Say("the servers run, the binary is built")
}

// Kafka builds the program while three brokers come up: all that workers without a database need.
func (r *Run) Kafka(fast bool) {
	r.T.Helper()
	built := r.build()
	r.kafka(fast)
	r.Must("build fairlead", <-built)
	r.Say("the brokers run, the binary is built")
}

func (r *Run) build() <-chan error {
	built := make(chan error, 1)
	go func() {
		out, err := exec.CommandContext(r.T.Context(), "go", "build", "-o", r.Binary, "../../cmd/fairlead").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		built <- err
	}()
	return built
}

func (r *Run) kafka(fast bool) {
	r.T.Helper()
	r.Cluster = kafkatest.Start(r.T, kafkatest.Options{Nodes: 3, Log: r.Say, Fast: fast})
	r.Brokers = strings.Join(r.Cluster.Brokers(), ",")
}

// ApplyTopics makes the topics that are missing. overrides is YAML. On a busy machine a broker may drop out for a moment:
// what was made stays, so it is asked for again.
func (r *Run) ApplyTopics(overrides string) {
	r.T.Helper()
	file := r.File("overrides.yaml", overrides)
	r.Until("make topics", func(ctx context.Context) error {
		_, err := r.try(ctx, "topics", "apply", "--brokers", r.Brokers, "--prefix", r.Prefix, "--profile", "production", "--overrides", file)
		return err
	})
}

// Settings writes the file of settings of all processes: what they have in common, and more.
func (r *Run) Settings(more string) string {
	r.T.Helper()
	text := fmt.Sprintf(`kafka: {brokers: [%s], prefix: %q}
monitor: {address: ""}
engine: {sessions: %d, session_timeout: %s, unsafe_topics: %t}
`, r.Brokers, r.Prefix, r.Sessions, Session, !r.Cluster.Real())
	if r.Postgres != nil {
		sealKey := filepath.Join(r.Dir, "seal.key")
		r.Must("make a key", seal.WriteKey(sealKey))
		text += fmt.Sprintf(`postgres: {url: %q, vnode_url: %q, seal_key_file: %q}
bootstrap: {admin_user: %s, admin_password_file: %q}
`, r.Postgres.URL("cluster"), r.Postgres.URL("vnodes"), sealKey, User, r.File("password", r.Password+"\n"))
	}
	return r.File("fairlead.yaml", text+more)
}

// Workers keeps [Run.Processes] processes of worker types, REST among them, alive until the test ends, and waits until the
// administrator can log in at each.
func (r *Run) Workers(types, settings string) {
	r.T.Helper()
	r.Start(types, settings)
	for _, url := range r.URLs {
		r.Until("the administrator can log in at "+url, func(ctx context.Context) error { return r.Get(ctx, url, "/user/"+User, nil) })
	}
	r.Say("%d processes of workers are ready", r.Processes)
}

// All brings up all servers, and processes that each have all worker types. overrides are those of [Run.ApplyTopics].
func (r *Run) All(overrides string) {
	r.T.Helper()
	r.Servers(false)
	keys := vaulttest.Own(r.T).Setup(r.T)
	r.ApplyTopics(overrides)
	r.Workers("all", r.Settings(fmt.Sprintf(`log: {format: text}
rest: {plaintext: true, start_timeout: 5s, login_failures: 1000}
vault: {address: %q, mount: %q, auth: %q, auth_path: %q, role_id_file: %q, secret_id_file: %q}
`, keys.Address, keys.Mount, keys.Auth.Method, keys.Auth.Path, keys.Auth.RoleIDFile, keys.Auth.SecretIDFile)))
}

// Start is [Run.Workers] without the wait.
func (r *Run) Start(types, settings string) {
	t := r.T
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		for _, s := range r.Slots {
			if t.Failed() {
				t.Log(s.Tail(6 << 10))
			}
		}
	})
	for id := range r.Processes {
		name, address := "worker-"+strconv.Itoa(id), r.address()
		storage := filepath.Join(r.Dir, name)
		s := replica.New(replica.Options{ID: id, Dir: storage, Log: filepath.Join(r.Logs, name+".log"), Command: func() *exec.Cmd {
			return exec.Command(r.Binary, "worker", types, "--config", settings, "--set", "process.instance="+name,
				"--set", "process.data_dir="+storage, "--set", "rest.address="+address)
		}})
		r.Slots, r.URLs = append(r.Slots, s), append(r.URLs, "http://"+address)
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("worker %d: %v", s.ID, err)
			}
		})
	}
}

// address finds a port below those that systems give to outgoing connections, so that none takes it while a worker is
// down.
func (r *Run) address() string {
	r.T.Helper()
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(18_000+r.Rnd.IntN(13_000)))
		l, err := net.Listen("tcp4", address)
		if err != nil {
			continue
		}
		r.Must("close a listener", l.Close())
		if !slices.Contains(r.URLs, "http://"+address) {
			return address
		}
	}
	r.T.Fatal("there is no free port")
	return ""
}

// Get calls REST at a process.
func (r *Run) Get(ctx context.Context, url, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v5_2"+path, nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(User, r.Password)
	resp, err := r.HTTP.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// Install is [Run.InstallFrom] of an application of apps.
func (r *Run) Install(app string, members ...string) []identity.Holding {
	r.T.Helper()
	return r.InstallFrom("../../apps/"+app, app, members...)
}

// InstallFrom builds the application of a folder, signs it, has its signer trusted, and makes a virtual node for each member.
// It returns their identities.
func (r *Run) InstallFrom(dir, app string, members ...string) []identity.Holding {
	r.T.Helper()
	in := func(name string) string { return filepath.Join(r.Dir, name) }
	cpk, cpb, cpi := in(app+".cpk"), in(app+".cpb"), in(app+".cpi")
	r.Fairlead("app", "build", dir, "--file", cpk, "--ephemeral-key")
	r.Fairlead("app", "package", "create-cpb", cpk, "--cpb-name", app, "--cpb-version", "1.0", "--file", cpb, "--ephemeral-key")
	r.Fairlead("app", "package", "create-cpi", "--cpb", cpb, "--group-policy", r.policy(),
		"--cpi-name", app, "--cpi-version", "1.0", "--file", cpi, "--ephemeral-key")
	r.Fairlead("cert", "import", "code-signer", app, in("config/fairlead/dev-signer.pem"))
	var uploaded struct{ CPIFileChecksum string }
	r.Must("read what cpi upload says", json.Unmarshal([]byte(r.Fairlead("cpi", "upload", cpi, "-o", "json")), &uploaded))
	var out []identity.Holding
	for _, m := range members {
		r.Fairlead("vnode", "create", m, uploaded.CPIFileChecksum)
		h, err := identity.NewHolding(m, Group)
		r.Must("identity of "+m, err)
		out = append(out, h)
	}
	r.Say("application %s is on %d virtual nodes", app, len(members))
	return out
}

// policy writes the policy of the group and returns its file.
func (r *Run) policy() string {
	r.T.Helper()
	if len(r.Members) > 0 {
		args := []string{"app", "group-policy", "--group", Group, "--file", "-"}
		for _, m := range r.Members {
			args = append(args, "--member", m)
		}
		return r.File("policy.json", r.Fairlead(args...))
	}
	page, err := os.ReadFile("../../docs/operate/cluster.md")
	r.Must("read the page for operators", err)
	_, policy, found := strings.Cut(string(page), "```json\n")
	policy, _, closed := strings.Cut(policy, "```")
	if !found || !closed {
		r.T.Fatal("the page for operators has no group policy")
	}
	return r.File("policy.json", policy)
}

// Stop stops all processes and tells which had ended unasked, and how many were started.
func (r *Run) Stop(ctx context.Context) (starts int) {
	r.T.Helper()
	for _, s := range r.Slots {
		r.Must("stop", s.Stop(ctx))
		n, _ := s.Starts()
		starts += n
		for _, u := range s.Unasked() {
			r.T.Error(u)
		}
	}
	return starts
}
