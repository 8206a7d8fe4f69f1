package channels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// Environment of a run.
const (
	ordersVariable    = "FAIRLEAD_ORDERS"    // how many start a flow
	seedVariable      = "FAIRLEAD_SEED"      // repeats a run's decisions
	faultsVariable    = "FAIRLEAD_FAULTS"    // 0 does no harm
	recordVariable    = "FAIRLEAD_RECORD"    // a file to which what was measured is added
	artifactsVariable = "FAIRLEAD_ARTIFACTS" // an existing directory that keeps the logs
)

const (
	defaultOrders = 2000
	// writing is how long orders are written at least, perSecond how many in a second at most.
	writing   = 12 * time.Second
	perSecond = 2000
	workers   = 3
	session   = 3 * time.Second
	// patience is how long everything may take that must come to an end; more for each order.
	patience         = 3 * time.Minute
	patiencePerOrder = 50 * time.Millisecond
	undoneOrders     = 20
	// manyFaults is how many come in quick succession. ordersPerSecond is how many orders a second of faults stands for: they
	// end sooner when most flows have ended.
	manyFaults      = 6
	ordersPerSecond = 100
	shown           = 30
	password        = "first password of the orders"
	member          = "O=Alice, L=London, C=GB"
	group           = "5a5e1c5e-0000-4000-8000-00000000c4a7"
)

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

// TestChannels is the proof.
func TestChannels(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("wants a real Kafka, its Java clients and Postgres; %s=1 starts them", kafkatest.RealServersVariable)
	}
	seed := number(t, seedVariable, uint64(time.Now().UnixNano()))
	r := &run{
		t: t, began: time.Now(), rnd: rand.New(rand.NewPCG(seed, 1)), count: int(number(t, ordersVariable, defaultOrders)), dir: t.TempDir(),
		harm: number(t, faultsVariable, 1) != 0, load: loadAverage(),
	}
	t.Logf("seed %d (%s=%d repeats it), %d orders", seed, seedVariable, seed, r.count)
	r.start()
	r.install()
	r.trade()
	r.judge()
}

// run is one run of TestChannels.
type run struct {
	t      *testing.T
	rnd    *rand.Rand
	began  time.Time
	count  int
	harm   bool
	load   string // of the machine, before the run
	dir    string
	logs   string
	binary string
	// brokers, prefix and api are what commands are told.
	brokers, prefix, api string

	cluster        *kafkatest.Cluster
	postgres       *pgserver.Server
	slots          []*replica.Replica
	place          *place
	ends           *endings
	deals, changes *consumer
	orders         []Order
	faults         map[string]int
	// first is when the first order was written, written when all were.
	first, written time.Time
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

// patient bounds what must come to an end.
func (r *run) patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.t.Context(), patience+time.Duration(r.count)*patiencePerOrder)
}

// until repeats a look until it is content.
func (r *run) until(what string, look func(ctx context.Context) error) {
	r.t.Helper()
	ctx, cancel := r.patient()
	defer cancel()
	var last error
	err := kafkatest.Until(ctx, 100*time.Millisecond, func() (bool, error) {
		last = look(ctx)
		return last == nil, nil
	})
	if err != nil {
		r.t.Fatalf("%s: %v", what, errors.Join(err, last))
	}
}

// fairlead runs a command as an operator types it, and returns what it prints.
func (r *run) fairlead(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.binary, append(args, "--yes", "--timeout", "3m")...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(r.dir, "config"), "FAIRLEAD_USER=admin", "FAIRLEAD_PASSWORD="+password, "FAIRLEAD_API="+r.api)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("fairlead %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// applyTopics makes the topics of the cluster, and those of the channels that it knows.
func (r *run) applyTopics(sets ...string) {
	r.t.Helper()
	overrides := "sets: {flow: {partitions: 6}, flow-mapper: {partitions: 6}, flow-status: {partitions: 6}, persistence: {partitions: 6}, persistence.feed: {partitions: 1}, " +
		"database: {partitions: 1}, crypto: {partitions: 1}, rpc: {partitions: 1}, flow-mapper.channels: {partitions: 1}, facts: {partitions: 1}, tools: {partitions: 1}"
	for _, s := range sets {
		overrides += fmt.Sprintf(", %s: {partitions: 6}", s)
	}
	r.fairlead("topics", "apply", "--brokers", r.brokers, "--prefix", r.prefix, "--profile", "production", "--overrides", r.file("overrides.yaml", overrides+"}\n"))
}

// file writes a file of the run and returns its path.
func (r *run) file(name, content string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	r.must("write "+name, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// start brings the servers and three worker processes up.
func (r *run) start() {
	t := r.t
	r.binary = filepath.Join(r.dir, "fairlead.exe")
	built := make(chan error, 1)
	go func() {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", r.binary, "../../cmd/fairlead").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		built <- err
	}()
	r.cluster = kafkatest.Start(t, kafkatest.Options{Nodes: 3, Log: r.say, Fast: r.count > defaultOrders})
	r.postgres = pgtest.Server(t, pgserver.Options{})
	r.must("make databases", r.postgres.Ensure(t.Context(), "cluster", "vnodes"))
	r.must("build fairlead", <-built)
	r.say("the servers run, the binary is built")
	r.prefix, r.brokers = fmt.Sprintf("orders-%d-", r.began.UnixNano()), strings.Join(r.cluster.Brokers(), ",")
	r.applyTopics()
	r.say("the topics are made")
	sealKey := filepath.Join(r.dir, "seal.key")
	r.must("make a key", seal.WriteKey(sealKey))
	settings := r.file("fairlead.yaml", fmt.Sprintf(`kafka: {brokers: [%s], prefix: %q}
monitor: {address: ""}
log: {format: text, level: warn}
rest: {plaintext: true}
engine: {sessions: 1, session_timeout: %s, unsafe_topics: %t}
postgres: {url: %q, vnode_url: %q, seal_key_file: %q}
bootstrap: {admin_user: admin, admin_password_file: %q}
`, r.brokers, r.prefix, session, !r.cluster.Real(), r.postgres.URL("cluster"), r.postgres.URL("vnodes"), sealKey, r.file("password", password+"\n")))
	if r.logs = os.Getenv(artifactsVariable); r.logs == "" {
		r.logs = r.dir
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
		if id == 0 {
			r.api = "http://" + address
		}
		storage := filepath.Join(r.dir, name)
		s := replica.New(replica.Options{ID: id, Dir: storage, Log: filepath.Join(r.logs, name+".log"), Command: func() *exec.Cmd {
			return exec.Command(r.binary, "worker", "database,flow,flow-mapper,persistence,rest", "--config", settings,
				"--set", "process.instance="+name, "--set", "process.data_dir="+storage, "--set", "rest.address="+address)
		}})
		r.slots = append(r.slots, s)
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("worker %d: %v", s.ID, err)
			}
		})
	}
	r.until("the administrator can log in", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.api+"/api/v5_2/user/admin", nil)
		if err != nil {
			return err
		}
		req.SetBasicAuth("admin", password)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
		return errors.Join(err, resp.Body.Close())
	})
	r.say("%d processes of workers run", workers)
}

// address finds a port below those that systems give to outgoing connections, so that none takes it while a worker is
// down.
func (r *run) address() string {
	for range 1000 {
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(18_000+r.rnd.IntN(13_000))))
		if err != nil {
			continue
		}
		r.must("close a listener", l.Close())
		return l.Addr().String()
	}
	r.t.Fatal("there is no free port")
	return ""
}

// install puts application orders on a virtual node, makes the topics of its channels, and starts the plain clients.
func (r *run) install() {
	page, err := os.ReadFile("../../docs/operate/cluster.md")
	r.must("read the page for operators", err)
	_, policy, found := strings.Cut(string(page), "```json\n")
	policy, _, closed := strings.Cut(policy, "```")
	if !found || !closed {
		r.t.Fatal("the page for operators has no group policy")
	}
	in := func(name string) string { return filepath.Join(r.dir, name) }
	r.fairlead("app", "build", "../../apps/orders", "--file", in("orders.cpk"), "--ephemeral-key")
	r.fairlead("app", "package", "create-cpb", in("orders.cpk"), "--cpb-name", "orders", "--cpb-version", "1.0", "--file", in("orders.cpb"), "--ephemeral-key")
	r.fairlead("app", "package", "create-cpi", "--cpb", in("orders.cpb"), "--group-policy", r.file("policy.json", policy),
		"--cpi-name", "orders", "--cpi-version", "1.0", "--file", in("orders.cpi"), "--ephemeral-key")
	r.fairlead("cert", "import", "code-signer", "orders", in("config/fairlead/dev-signer.pem"))
	var uploaded struct{ CPIFileChecksum string }
	r.must("read what cpi upload says", json.Unmarshal([]byte(r.fairlead("cpi", "upload", in("orders.cpi"), "-o", "json")), &uploaded))
	r.fairlead("vnode", "create", member, uploaded.CPIFileChecksum)
	h, err := identity.NewHolding(member, group)
	r.must("short hash", err)
	vnode := h.ShortHash()
	r.applyTopics("ext."+vnode+".orders.send", "ext."+vnode+".deals.receive", "ext."+vnode+".changes.feed")
	r.place, err = newPlace(r.t.Context(), r.cluster.Brokers(), r.prefix, vnode)
	r.must("connect", err)
	r.t.Cleanup(r.place.close)
	r.ends, err = r.place.follow(r.t.Context())
	r.must("follow flow.status", err)
	r.t.Cleanup(r.ends.stop)
	r.deals, r.changes = r.consume(r.place.deals), r.consume(r.place.changes)
	r.say("the application is on a virtual node, its topics are made")
}

// consume starts a plain consumer that ends with the test.
func (r *run) consume(topic string) *consumer {
	r.t.Helper()
	c, err := consume(r.t.Context(), r.brokers, r.prefix+topic, filepath.Join(r.logs, "consumer-"+topic+".log"))
	r.must("start a consumer", err)
	r.t.Cleanup(func() {
		if err := c.process.Kill(); err != nil {
			r.t.Error(err)
		}
	})
	return c
}

// draw makes the n-th order that starts a flow, and its value.
func (r *run) draw(n int) (Order, string) {
	o := Order{Key: fmt.Sprintf("Zoë %d", n), Item: "tea", Quantity: int64(1 + r.rnd.IntN(9))}
	switch d := r.rnd.IntN(100); {
	case d == 0:
		o.Kind = Odd
		return o, []string{"tea, please", `{"item":"tea"}`, nothing, `["tea"]`}[r.rnd.IntN(4)]
	case d <= 10:
		o.Kind = Large
		o.Quantity += 9
	}
	return o, fmt.Sprintf(`{"item":%q,"quantity":%d}`, o.Item, o.Quantity)
}

// trade has the plain producer write the orders while faults happen, until most flows have ended.
func (r *run) trade() {
	ctx, cancel := r.patient()
	defer cancel()
	p, err := produce(ctx, r.brokers, r.prefix+r.place.inbound, filepath.Join(r.logs, "producer.log"))
	r.must("start the producer", err)
	defer func() {
		if err := p.process.Kill(); err != nil {
			r.t.Error(err)
		}
	}()
	stormy, calm := context.WithTimeout(ctx, time.Duration(r.count)*time.Second/ordersPerSecond)
	defer calm()
	chaos := make(chan error, 1)
	rnd := rand.New(rand.NewPCG(r.rnd.Uint64(), 2))
	r.faults = map[string]int{}
	go func() { chaos <- r.chaos(stormy, rnd) }()

	huge := min(20, max(3, r.count/500))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	lasts := max(writing, time.Duration(r.count)*time.Second/perSecond)
	for r.first = time.Now(); len(r.orders) < r.count+huge; {
		<-tick.C
		due := min(1, float64(time.Since(r.first))/float64(lasts))
		for len(r.orders) < int(due*float64(r.count+huge)) {
			n := len(r.orders)
			o, value := r.draw(n)
			if every := (r.count + huge) / huge; n%every == every/2 && n/every < huge {
				o, value = Order{Kind: Huge, Key: fmt.Sprintf("huge %d", n)}, `{"item":"`+strings.Repeat("x", 600<<10)+`","quantity":1}`
			}
			r.must("write", p.write(o.Key, value))
			if r.orders = append(r.orders, o); n == r.count/2 {
				r.must("write in a transaction that is undone", r.place.undone(ctx, r.cluster.Brokers(), undoneOrders))
			}
		}
	}
	r.must("end the producer", p.close())
	r.written = time.Now()
	r.say("the producer has written %d orders", len(r.orders))
	told := 0
	r.until("most flows end", func(context.Context) error {
		n, _, _, err := r.ends.count()
		if tenth := 10 * n / r.count; tenth > told {
			told = tenth
			r.say("%d flows have ended", n)
		}
		if err != nil || n < r.count*9/10 {
			return errors.Join(err, fmt.Errorf("%d flows have ended", n))
		}
		return nil
	})
	calm()
	r.must("faults", <-chaos)
	r.say("faults %v", r.faults)
}

// chaos does harm, each kind once and then at random until ctx ends; all processes run again when it returns. After
// manyFaults it leaves the cluster time to work in between.
func (r *run) chaos(ctx context.Context, rnd *rand.Rand) error {
	if !r.harm {
		return nil
	}
	first := []string{"kill", "wipe", "freeze"}
	rnd.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	kinds := []string{"kill", "kill", "kill", "kill", "wipe", "freeze"}
	whole := r.t.Context()
	var errs []error
	for n := 0; ; n++ {
		pause := time.Duration(1000+rnd.IntN(2500)) * time.Millisecond
		if n >= manyFaults {
			pause *= 8
		}
		if n < len(first) {
			replica.Wait(whole, pause)
		} else if replica.Wait(ctx, pause); ctx.Err() != nil {
			return errors.Join(errs...)
		}
		kind, s := kinds[rnd.IntN(len(kinds))], r.slots[rnd.IntN(len(r.slots))]
		if n < len(first) {
			kind = first[n]
		}
		r.faults[kind]++
		r.say("%s worker %d", kind, s.ID)
		if kind == "freeze" {
			errs = append(errs, s.Freeze(whole, session+time.Duration(rnd.IntN(2000))*time.Millisecond))
		} else {
			errs = append(errs, s.Kill(kind == "wipe"))
		}
	}
}

// judge waits until nothing is left to be done, stops the workers, and reads everything.
func (r *run) judge() {
	ctx, cancel := r.patient()
	defer cancel()
	r.until("all flows end", func(context.Context) error {
		if n, _, _, err := r.ends.count(); err != nil || n < r.count {
			return errors.Join(err, fmt.Errorf("%d of %d flows have ended", n, r.count))
		}
		return nil
	})
	r.say("all flows have ended")
	r.until("nothing is left to be read", func(ctx context.Context) error {
		left, err := r.place.lag(ctx)
		if len(left) > 0 {
			err = errors.Join(err, fmt.Errorf("left to be read: %v", left))
		}
		return err
	})
	starts := 0
	for _, s := range r.slots {
		r.must("stop", s.Stop(ctx))
		n, _ := s.Starts()
		starts += n
		for _, u := range s.Unasked() {
			r.t.Error(u)
		}
	}
	r.until("no transaction is open", func(ctx context.Context) error {
		if n, err := r.place.open(ctx); err != nil || n > 0 {
			return errors.Join(err, fmt.Errorf("%d partitions have an open transaction", n))
		}
		return nil
	})
	r.say("nothing is left to be read, the workers have stopped")
	found, err := r.place.collect(ctx)
	r.must("collect", err)
	var lastDeal time.Time
	for _, c := range []struct {
		*consumer
		seen  *[]Seen
		there int
	}{{r.deals, &found.Deals, found.DealsThere}, {r.changes, &found.Changes, found.ChangesThere}} {
		r.until("the plain consumers have seen everything", func(context.Context) error {
			seen, last, err := c.records()
			if *c.seen = seen; last.After(lastDeal) {
				lastDeal = last
			}
			if len(seen) < c.there {
				err = errors.Join(err, fmt.Errorf("%d of %d records were seen", len(seen), c.there))
			}
			return err
		})
	}
	problems := Check(r.orders, found)
	for _, p := range problems[:min(len(problems), shown)] {
		r.t.Error(p)
	}
	if len(problems) > shown {
		r.t.Errorf("and %d more problems, all of them in problems.txt beside the logs", len(problems)-shown)
	}
	if len(problems) > 0 {
		r.must("keep the problems", os.WriteFile(filepath.Join(r.logs, "problems.txt"), []byte(strings.Join(problems, "\n")+"\n"), 0o600))
	}
	_, lastEnd, pause, _ := r.ends.count()
	if lastDeal.After(lastEnd) {
		lastEnd = lastDeal
	}
	m := Measured{
		Recorded: time.Now().UTC().Format(time.DateOnly), Machine: fmt.Sprintf("%d cores, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		LoadBefore: r.load, LoadAfter: loadAverage(), Orders: r.count, Deals: len(found.Deals), Changes: len(found.Changes), Dead: len(found.Dead),
		WriteSeconds: r.written.Sub(r.first).Seconds(), Seconds: lastEnd.Sub(r.first).Seconds(), LongestPause: pause.Seconds(), Faults: r.faults, ProcessStarts: starts, Problems: len(problems),
	}
	r.say("judged on %s and PostgreSQL %s: %d orders made %d flows, %d deals, %d changes, %d dead letters in %.1f s (%.1f/s), written in %.1f s; faults %v, %d process starts; longest time without an end %.1f s; load of the machine %s before, %s after",
		r.cluster.Kind(), r.postgres.Version(), r.count, len(found.Statuses), m.Deals, m.Changes, m.Dead, m.Seconds, float64(m.Orders)/m.Seconds, m.WriteSeconds, m.Faults, starts, m.LongestPause, m.LoadBefore, m.LoadAfter)
	if name := os.Getenv(recordVariable); name != "" {
		r.must("record", m.AddTo(name))
	}
}
