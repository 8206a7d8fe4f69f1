package chat

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
	"github.com/fairleadio/fairlead/integration/flows"
	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/integration/replica"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/internal/vault/vaulttest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// Environment of a run.
const (
	messagesVariable  = "FAIRLEAD_MESSAGES"  // how many are sent
	seedVariable      = "FAIRLEAD_SEED"      // repeats a run's decisions
	artifactsVariable = "FAIRLEAD_ARTIFACTS" // an existing directory that keeps the workers' logs
)

const (
	defaultMessages = 150
	perSecond       = 10
	clients         = 16
	workers         = 3
	session         = 3 * time.Second
	password        = "first password of the chat"
	// patience is how long everything may take that must come to an end; more for each message.
	patience           = 3 * time.Minute
	patiencePerMessage = 200 * time.Millisecond
	group              = "5a5e1c5e-0000-4000-8000-00000000c4a7"
	overrides          = "sets: {flow: {partitions: 6}, flow-mapper: {partitions: 6}, flow-status: {partitions: 6}, facts: {partitions: 1}, tools: {partitions: 1}}\n"
)

var members = []string{"O=Alice, L=London, C=GB", "O=Bob, L=Paris, C=FR", "O=Carol, L=Rome, C=IT"}

func number(t *testing.T, variable string, otherwise uint64) uint64 {
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

// TestChat is the proof.
func TestChat(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("wants a real Kafka, Postgres and Vault; %s=1 starts them", kafkatest.RealServersVariable)
	}
	seed := number(t, seedVariable, uint64(time.Now().UnixNano()))
	r := &run{t: t, began: time.Now(), rnd: rand.New(rand.NewPCG(seed, 1)), count: int(number(t, messagesVariable, defaultMessages)), dir: t.TempDir()}
	t.Logf("seed %d (%s=%d repeats it), %d messages", seed, seedVariable, seed, r.count)
	r.start()
	r.install()
	r.talk()
	r.judge()
}

// run is one run of TestChat.
type run struct {
	t      *testing.T
	rnd    *rand.Rand
	began  time.Time
	count  int
	dir    string
	binary string

	cluster  *kafkatest.Cluster
	postgres *pgserver.Server
	slots    []*replica.Replica
	client   *flows.Client
	vnodes   []flows.Vnode
	sent     []message
	faults   map[string]int
}

// message is one that was sent: its request, from whom to whom.
type message struct {
	flows.Asked
	to, text string
}

func (r *run) say(format string, args ...any) {
	r.t.Logf("%6.1fs "+format, append([]any{time.Since(r.began).Seconds()}, args...)...)
}

func (r *run) must(what string, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// fairlead runs a command as an operator types it, and returns what it prints.
func (r *run) fairlead(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.binary, append(args, "--yes")...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(r.dir, "config"), "FAIRLEAD_USER=admin", "FAIRLEAD_PASSWORD="+password)
	if len(r.client.URLs) > 0 {
		cmd.Env = append(cmd.Env, "FAIRLEAD_API="+r.client.URLs[0])
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("fairlead %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// file writes a file of the run and returns its path.
func (r *run) file(name, content string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	r.must("write "+name, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// start brings the servers and three processes of all workers up.
func (r *run) start() {
	t := r.t
	r.binary = filepath.Join(r.dir, "fairlead.exe")
	r.client = &flows.Client{User: "admin", Password: password, HTTP: &http.Client{Timeout: 10 * time.Second}}
	built := make(chan error, 1)
	go func() {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", r.binary, "../../cmd/fairlead").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		built <- err
	}()
	r.cluster = kafkatest.Start(t, kafkatest.Options{Nodes: 3, Log: r.say})
	r.postgres = pgtest.Server(t, pgserver.Options{})
	r.must("make databases", r.postgres.Ensure(t.Context(), "cluster", "vnodes"))
	keys := vaulttest.Own(t).Setup(t)
	r.must("build fairlead", <-built)
	r.say("the servers run, the binary is built")

	prefix, brokers := fmt.Sprintf("chat-%d-", r.began.UnixNano()), strings.Join(r.cluster.Brokers(), ",")
	r.fairlead("topics", "apply", "--brokers", brokers, "--prefix", prefix, "--profile", "production", "--overrides", r.file("overrides.yaml", overrides), "--timeout", "2m")
	sealKey := filepath.Join(r.dir, "seal.key")
	r.must("make a key", seal.WriteKey(sealKey))
	settings := r.file("fairlead.yaml", fmt.Sprintf(`kafka: {brokers: [%s], prefix: %q}
monitor: {address: ""}
log: {format: text}
rest: {plaintext: true, start_timeout: 5s, login_failures: 1000}
engine: {sessions: 1, session_timeout: %s, unsafe_topics: %t}
postgres: {url: %q, vnode_url: %q, seal_key_file: %q}
bootstrap: {admin_user: admin, admin_password_file: %q}
vault: {address: %q, mount: %q, auth: %q, auth_path: %q, role_id_file: %q, secret_id_file: %q}
`, brokers, prefix, session, !r.cluster.Real(), r.postgres.URL("cluster"), r.postgres.URL("vnodes"), sealKey, r.file("password", password+"\n"),
		keys.Address, keys.Mount, keys.Auth.Method, keys.Auth.Path, keys.Auth.RoleIDFile, keys.Auth.SecretIDFile))
	logs := os.Getenv(artifactsVariable)
	if logs == "" {
		logs = r.dir
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		for _, s := range r.slots {
			if t.Failed() {
				t.Log(s.Tail(6 << 10))
			}
		}
	})
	for id := range workers {
		name, address := "worker-"+strconv.Itoa(id), r.address()
		storage := filepath.Join(r.dir, name)
		s := replica.New(replica.Options{ID: id, Dir: storage, Log: filepath.Join(logs, name+".log"), Command: func() *exec.Cmd {
			return exec.Command(r.binary, "worker", "all", "--config", settings, "--set", "process.instance="+name, "--set", "process.data_dir="+storage, "--set", "rest.address="+address)
		}})
		r.slots, r.client.URLs = append(r.slots, s), append(r.client.URLs, "http://"+address)
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("worker %d: %v", s.ID, err)
			}
		})
	}
	for _, url := range r.client.URLs {
		r.until("the administrator can log in at "+url, func(ctx context.Context) error { return r.get(ctx, url, "/user/admin", nil) })
	}
	r.say("%d processes of all workers are ready", workers)
}

// address finds a port below those that systems give to outgoing connections, so that none takes it while a worker is
// down.
func (r *run) address() string {
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(18_000+r.rnd.IntN(13_000)))
		l, err := net.Listen("tcp4", address)
		if err != nil {
			continue
		}
		r.must("close a listener", l.Close())
		if !slices.Contains(r.client.URLs, "http://"+address) {
			return address
		}
	}
	r.t.Fatal("there is no free port")
	return ""
}

// get calls REST.
func (r *run) get(ctx context.Context, url, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v5_2"+path, nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(r.client.User, r.client.Password)
	resp, err := r.client.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
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

// until repeats a call until it works.
func (r *run) until(what string, f func(ctx context.Context) error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience+time.Duration(r.count)*patiencePerMessage)
	defer cancel()
	var last error
	err := kafkatest.Until(ctx, 100*time.Millisecond, func() (bool, error) {
		last = f(ctx)
		return last == nil, nil
	})
	if err != nil {
		r.t.Fatalf("%s: %v", what, errors.Join(err, last))
	}
}

// install builds the example application, signs it, has its signer trusted, and makes the members' virtual nodes.
func (r *run) install() {
	page, err := os.ReadFile("../../docs/operate/cluster.md")
	r.must("read the page for operators", err)
	_, policy, found := strings.Cut(string(page), "```json\n")
	policy, _, closed := strings.Cut(policy, "```")
	if !found || !closed {
		r.t.Fatal("the page for operators has no group policy")
	}
	in := func(name string) string { return filepath.Join(r.dir, name) }
	r.fairlead("app", "build", "../../apps/chat", "--file", in("chat.cpk"), "--ephemeral-key")
	r.fairlead("app", "package", "create-cpb", in("chat.cpk"), "--cpb-name", "chat", "--cpb-version", "1.0", "--file", in("chat.cpb"), "--ephemeral-key")
	r.fairlead("app", "package", "create-cpi", "--cpb", in("chat.cpb"), "--group-policy", r.file("policy.json", policy),
		"--cpi-name", "chat", "--cpi-version", "1.0", "--file", in("chat.cpi"), "--ephemeral-key")
	r.fairlead("cert", "import", "code-signer", "chat", in("config/fairlead/dev-signer.pem"))
	var uploaded struct{ CPIFileChecksum string }
	r.must("read what cpi upload says", json.Unmarshal([]byte(r.fairlead("cpi", "upload", in("chat.cpi"), "-o", "json", "--timeout", "3m")), &uploaded))
	for _, m := range members {
		r.fairlead("vnode", "create", m, uploaded.CPIFileChecksum, "--timeout", "3m")
		h, err := identity.NewHolding(m, group)
		r.must("short hash", err)
		r.vnodes = append(r.vnodes, flows.Vnode{ShortHash: h.ShortHash(), X500Name: h.Name.String()})
	}
	r.say("the application is on %d virtual nodes", len(members))
}

// talk sends the messages at a steady rate while faults happen.
func (r *run) talk() {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience+time.Duration(r.count)*(time.Second/perSecond+patiencePerMessage))
	defer cancel()
	stormy, calm := context.WithCancel(ctx)
	defer calm()
	chaos := make(chan error, 1)
	rnd := rand.New(rand.NewPCG(r.rnd.Uint64(), 2))
	go func() { chaos <- r.chaos(stormy, rnd) }()
	queue := make(chan message)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for range clients {
		rnd := rand.New(rand.NewPCG(r.rnd.Uint64(), 3))
		wg.Go(func() {
			for m := range queue {
				asked, err := r.client.Start(ctx, rnd, m.Request)
				m.Asked = asked
				mu.Lock()
				r.sent, errs = append(r.sent, m), append(errs, err)
				mu.Unlock()
			}
		})
	}
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for n := range r.count {
		queue <- r.draw(n)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	close(queue)
	wg.Wait()
	calm()
	r.must("faults", <-chaos)
	r.must("clients", errors.Join(errs...))
	r.say("%d messages are asked for; faults %v", len(r.sent), r.faults)
}

func (r *run) draw(n int) message {
	from := r.rnd.IntN(len(r.vnodes))
	to := (from + 1 + r.rnd.IntN(len(r.vnodes)-1)) % len(r.vnodes)
	m := message{to: r.vnodes[to].ShortHash, text: fmt.Sprintf("message %d of %s", n, r.vnodes[from].X500Name)}
	input, err := json.Marshal(map[string]string{"to": r.vnodes[to].X500Name, "text": m.text})
	r.must("encode a message", err)
	m.Request = flows.Request{ID: "m" + strconv.Itoa(n), Vnode: r.vnodes[from], Class: "chat-send", Input: string(input), Twice: r.rnd.IntN(20) == 0}
	return m
}

// chaos does harm, each kind once and then at random until ctx ends. All runs again when it returns.
func (r *run) chaos(ctx context.Context, rnd *rand.Rand) error {
	r.faults = map[string]int{}
	first := []string{"kill", "wipe", "freeze", "postgres"}
	rnd.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	kinds := []string{"kill", "kill", "kill", "wipe", "freeze", "postgres"}
	whole := r.t.Context()
	var errs []error
	for n := 0; n < len(first) || ctx.Err() == nil; n++ {
		pause := time.Duration(1500+rnd.IntN(2500)) * time.Millisecond
		if n < len(first) {
			replica.Wait(whole, pause)
		} else if replica.Wait(ctx, 2*pause); ctx.Err() != nil {
			break
		}
		kind, s := kinds[rnd.IntN(len(kinds))], r.slots[rnd.IntN(len(r.slots))]
		if n < len(first) {
			kind = first[n]
		}
		r.faults[kind]++
		r.say("%s (worker %d)", kind, s.ID)
		switch kind {
		case "freeze":
			errs = append(errs, s.Freeze(whole, session+time.Duration(rnd.IntN(2000))*time.Millisecond))
		case "postgres":
			errs = append(errs, r.postgres.Kill())
			replica.Wait(whole, time.Duration(rnd.IntN(3000))*time.Millisecond)
			errs = append(errs, r.postgres.Restart(whole))
		default:
			errs = append(errs, s.Kill(kind == "wipe"))
		}
	}
	return errors.Join(errs...)
}

// judge waits until every flow has ended, and compares what is kept with what was sent.
func (r *run) judge() {
	byNode := map[string]map[string]bool{} // receiver, text
	for _, v := range r.vnodes {
		byNode[v.ShortHash] = map[string]bool{}
	}
	completed := 0
	for _, m := range r.sent {
		byNode[m.to][m.text] = true
		var s struct {
			FlowStatus string
			FlowError  json.RawMessage
		}
		url := r.client.URLs[completed%len(r.client.URLs)]
		r.until("flow "+m.ID+" ends", func(ctx context.Context) error {
			err := r.get(ctx, url, "/flow/"+m.Vnode.ShortHash+"/"+m.ID, &s)
			if err == nil && !slices.Contains([]string{"COMPLETED", "FAILED", "KILLED"}, s.FlowStatus) {
				err = fmt.Errorf("it is %s", s.FlowStatus)
			}
			return err
		})
		if s.FlowStatus != "COMPLETED" {
			r.t.Errorf("message %s of %s: its flow is %s: %s", m.ID, m.Vnode.X500Name, s.FlowStatus, s.FlowError)
		}
		if len(m.FlowIDs) > 1 {
			r.t.Errorf("message %s was accepted as flows %v", m.ID, m.FlowIDs)
		}
		completed++
	}
	r.say("all flows have ended")
	for _, s := range r.slots {
		r.must("stop", s.Stop(r.t.Context()))
		for _, u := range s.Unasked() {
			r.t.Error(u)
		}
	}
	db := pgtest.Open(r.t, postgres.Config{URL: r.postgres.URL("vnodes")})
	for _, v := range r.vnodes {
		r.compare(v, byNode[v.ShortHash], r.kept(db, v))
	}
	starts := 0
	for _, s := range r.slots {
		n, _ := s.Starts()
		starts += n
	}
	r.say("judged on %s, %s: %d messages among %d members; faults %v, %d process starts", r.cluster.Kind(), "PostgreSQL "+r.postgres.Version(), len(r.sent), len(r.vnodes), r.faults, starts)
}

// kept reads the texts in a member's table.
func (r *run) kept(db *postgres.Pool, v flows.Vnode) []string {
	r.t.Helper()
	var schema string
	r.must("find the schema of "+v.X500Name, db.One(r.t.Context(), []any{&schema},
		"SELECT table_schema FROM information_schema.tables WHERE table_name = 'messages' AND table_schema ILIKE '%' || $1 || '%'", v.ShortHash))
	var texts []string
	var all string
	r.must("read the messages of "+v.X500Name, db.One(r.t.Context(), []any{&all},
		"SELECT coalesce(json_agg(text), '[]')::text FROM "+postgres.Identifier(schema)+".messages"))
	r.must("decode the messages", json.Unmarshal([]byte(all), &texts))
	return texts
}

// compare names what is missing, what is there twice, and what nobody sent.
func (r *run) compare(v flows.Vnode, want map[string]bool, have []string) {
	seen := map[string]int{}
	for _, text := range have {
		seen[text]++
		if !want[text] {
			r.t.Errorf("%s keeps %q, which nobody sent", v.X500Name, text)
		}
	}
	for text := range want {
		if seen[text] != 1 {
			r.t.Errorf("%s keeps %q %d times", v.X500Name, text, seen[text])
		}
	}
}
