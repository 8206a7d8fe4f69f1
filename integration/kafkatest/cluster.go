package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// RealServersVariable, when set to 1, allows to fetch and start real servers. `make test` sets it.
const RealServersVariable = "FAIRLEAD_REAL_SERVERS"

// Administrator is the user for whom access rules do not hold.
const Administrator = "admin"

// BootstrapVariable names an existing cluster: host:port, comma separated.
const BootstrapVariable = "KAFKA_BOOTSTRAP"

// Options say what cluster a test wants. The zero value is one node.
type Options struct {
	// Nodes is 1 (also when zero) or 3; each is broker and controller.
	Nodes int
	// Config is added to each node's server properties, and wins.
	Config map[string]string
	// HeapMB is each node's heap in MiB; zero means 512.
	HeapMB int
	// Users, when there are any, log in with their passwords (mechanism PLAIN) at [Cluster.LoginBrokers], and the broker
	// then refuses what no access rule allows. [Administrator] must be among them, and may do everything.
	Users map[string]string
	// Fast starts the nodes for throughput instead of a quick start: with the optimising compiler.
	Fast bool
	// Log is told what is started and why; nil is silent.
	Log func(format string, args ...any)
}

// Cluster is a running Kafka.
type Cluster struct {
	opts  Options
	kind  string
	seeds []string
	jvm   jvm
	fake  *kfake.Cluster

	mu    sync.Mutex // guards the processes in nodes
	nodes []*node
}

// errUnmanaged is returned for nodes of a cluster that this package did not start.
var errUnmanaged = errors.New("only a real Kafka that kafkatest started has nodes to stop and start")

// Start gives the test a cluster, which ends with the test. Without a real one to be had it is the embedded broker;
// a real one that does not start fails the test. On failure the ends of the brokers' logs are in the test's log.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if opts.Log == nil {
		opts.Log = t.Logf
	}
	dir := t.TempDir()
	c, err := Launch(ctx, dir, opts)
	if err != nil {
		t.Fatalf("start Kafka: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for id := 1; id <= c.Nodes(); id++ {
				t.Logf("Kafka node %d, end of its log:\n%s", id, c.LogTail(id, 4<<10))
			}
		}
		if err := c.Close(); err != nil {
			t.Errorf("end Kafka: %v", err)
		}
	})
	return c
}

// Launch starts a cluster outside a test; its files are kept below dir. The caller must Close it. ctx bounds the
// start, not the cluster's life.
func Launch(ctx context.Context, dir string, opts Options) (*Cluster, error) {
	if opts.Nodes == 0 {
		opts.Nodes = 1
	}
	if opts.Nodes != 1 && opts.Nodes != 3 {
		return nil, fmt.Errorf("Options.Nodes is %d: use 1 or 3", opts.Nodes)
	}
	if opts.HeapMB == 0 {
		opts.HeapMB = 512
	}
	if opts.Log == nil {
		opts.Log = func(string, ...any) {}
	}
	if opts.Users != nil && opts.Users[Administrator] == "" {
		return nil, fmt.Errorf("Options.Users lacks %s", Administrator)
	}
	if seeds := os.Getenv(BootstrapVariable); seeds != "" && opts.Users != nil {
		return launchFake(opts, "the access rules of the cluster named by "+BootstrapVariable+" are not a test's to change")
	} else if seeds != "" {
		c := &Cluster{opts: opts, kind: "the cluster named by " + BootstrapVariable, seeds: strings.Split(seeds, ",")}
		if err := c.waitReady(ctx, 1); err != nil {
			return nil, fmt.Errorf("reach the cluster named by %s: %w", BootstrapVariable, err)
		}
		return c, c.note("yes")
	}
	if os.Getenv(RealServersVariable) != "1" {
		return launchFake(opts, RealServersVariable+"=1 is not set")
	}
	c, err := launchReal(ctx, dir, opts)
	if missing := (*errMissing)(nil); errors.As(err, &missing) {
		return launchFake(opts, missing.what)
	}
	if err != nil {
		return nil, err
	}
	return c, c.note("yes")
}

func (c *Cluster) note(answer string) error {
	c.opts.Log("real Kafka: %s (%s)", answer, c.kind)
	return Note("real Kafka: %s (%s)", answer, c.kind)
}

func launchFake(opts Options, why string) (*Cluster, error) {
	settings := []kfake.Opt{kfake.NumBrokers(opts.Nodes), kfake.SleepOutOfOrder(),
		kfake.BrokerConfigs(map[string]string{"auto.create.topics.enable": "false", "group.min.session.timeout.ms": "1000"})}
	if opts.Users != nil {
		settings = append(settings, kfake.EnableSASL(), kfake.EnableACLs())
	}
	for user, password := range opts.Users {
		if user == Administrator {
			settings = append(settings, kfake.Superuser("PLAIN", user, password))
		} else {
			settings = append(settings, kfake.User("PLAIN", user, password))
		}
	}
	fake, err := kfake.NewCluster(settings...)
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	c := &Cluster{opts: opts, kind: "the embedded broker instead: " + why, seeds: fake.ListenAddrs(), fake: fake}
	return c, c.note("no")
}

func launchReal(ctx context.Context, dir string, opts Options) (_ *Cluster, err error) {
	began := time.Now()
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	jars, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	flags := []string{fmt.Sprintf("-Xmx%dm", opts.HeapMB), "-Xshare:auto", "-Djava.awt.headless=true",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"}
	quick := append(slices.Clone(flags), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
	c := &Cluster{opts: opts, kind: fmt.Sprintf("Apache Kafka %s, %d node(s) started here", Version, opts.Nodes)}
	c.jvm = jvm{java: java, jars: jars, flags: quick}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	ports, err := freePorts(3 * opts.Nodes)
	if err != nil {
		return nil, err
	}
	for i := range opts.Nodes {
		n := &node{id: i + 1, port: ports[3*i], controller: ports[3*i+1], login: ports[3*i+2], dir: filepath.Join(dir, fmt.Sprintf("kafka-%d", i+1))}
		c.nodes = append(c.nodes, n)
		c.seeds = append(c.seeds, n.address())
	}
	id := newClusterID()
	formatted := make(chan error, len(c.nodes))
	for _, n := range c.nodes {
		if err := n.writeConfig(c.nodes, opts.Users, opts.Config); err != nil {
			return nil, err
		}
	}
	for _, n := range c.nodes {
		go func() { formatted <- n.format(ctx, c.jvm, id) }()
	}
	for range c.nodes {
		err = errors.Join(err, <-formatted)
	}
	if err != nil {
		return nil, err
	}
	if opts.Fast {
		c.jvm.flags = flags
	}
	for _, n := range c.nodes {
		if err := n.start(c.jvm); err != nil {
			return nil, err
		}
	}
	if err := c.waitReady(ctx, len(c.nodes)); err != nil {
		return nil, fmt.Errorf("wait for Kafka to be ready: %w\n%s", err, c.LogTail(1, 4<<10))
	}
	opts.Log("Kafka %s with %d node(s) was ready after %v", Version, opts.Nodes, time.Since(began).Round(time.Millisecond))
	return c, nil
}

// waitReady waits until the cluster has its brokers and its coordinators of groups and transactions.
func (c *Cluster) waitReady(ctx context.Context, brokers int) error {
	if err := c.waitBrokers(ctx, brokers); err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.seeds...))
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer cl.Close()
	for _, kind := range []int8{0, 1} { // group, transaction: the first question creates the coordinators' topics
		var last error
		err := Until(ctx, 50*time.Millisecond, func() (bool, error) {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType = kind
			req.CoordinatorKey = "kafkatest"
			req.CoordinatorKeys = []string{"kafkatest"}
			last = coordinatorError(cl.Request(ctx, req))
			return last == nil, nil
		})
		if err != nil {
			return errors.Join(err, last)
		}
	}
	return nil
}

func coordinatorError(r kmsg.Response, err error) error {
	if err != nil {
		return err
	}
	resp := r.(*kmsg.FindCoordinatorResponse)
	codes := []int16{resp.ErrorCode}
	for _, co := range resp.Coordinators {
		codes = append(codes, co.ErrorCode)
	}
	for _, code := range codes {
		if code != 0 {
			return fmt.Errorf("find a coordinator: Kafka error code %d", code)
		}
	}
	return nil
}

// waitBrokers waits until at least n brokers are registered and answer.
func (c *Cluster) waitBrokers(ctx context.Context, n int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.seeds...), kgo.DialTimeout(time.Second), kgo.RetryTimeout(time.Second))
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer cl.Close()
	seen, last := 0, error(nil)
	err = Until(ctx, 50*time.Millisecond, func() (bool, error) {
		if id, dead := c.deadNode(); dead && n == len(c.nodes) {
			return false, fmt.Errorf("Kafka node %d ended:\n%s", id, c.LogTail(id, 4<<10))
		}
		// Asked directly: kgo's and kadm's cached metadata never learn of brokers that come later.
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{}
		m, err := req.RequestWith(ctx, cl)
		if last = err; err == nil {
			seen = len(m.Brokers)
		}
		return err == nil && seen >= n, nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("waited for %d brokers, saw %d: %w", n, seen, err), last)
	}
	return nil
}

// deadNode returns a node whose process has ended.
func (c *Cluster) deadNode() (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.proc != nil && !n.proc.Running() {
			return n.id, true
		}
	}
	return 0, false
}

// Brokers returns the addresses for clients, of all nodes.
func (c *Cluster) Brokers() []string { return slices.Clone(c.seeds) }

// LoginBrokers returns the addresses at which [Options.Users] log in.
func (c *Cluster) LoginBrokers() []string {
	if c.fake != nil {
		return c.Brokers()
	}
	var out []string
	for _, n := range c.nodes {
		out = append(out, "127.0.0.1:"+strconv.Itoa(n.login))
	}
	return out
}

// Real tells whether this is an Apache Kafka (or what KAFKA_BOOTSTRAP names) and not the embedded broker.
func (c *Cluster) Real() bool { return c.fake == nil }

// Kind describes the cluster in words.
func (c *Cluster) Kind() string { return c.kind }

// Nodes returns how many nodes can be stopped and started by number, from 1; zero when none can.
func (c *Cluster) Nodes() int { return len(c.nodes) }

// Replication returns the replication factor for the test's topics.
func (c *Cluster) Replication() int16 { return int16(max(1, len(c.nodes))) }

func (c *Cluster) with(id int, f func(*node) error) error {
	if len(c.nodes) == 0 {
		return errUnmanaged
	}
	if id < 1 || id > len(c.nodes) {
		return fmt.Errorf("node %d: the cluster has nodes 1 to %d", id, len(c.nodes))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return f(c.nodes[id-1])
}

// Stop ends a node in order and waits until it has ended; it is killed when ctx ends first.
func (c *Cluster) Stop(ctx context.Context, id int) error {
	return c.with(id, func(n *node) error { return n.proc.Stop(ctx) })
}

// Kill ends a node at once (SIGKILL).
func (c *Cluster) Kill(id int) error {
	return c.with(id, func(n *node) error { return n.proc.Kill() })
}

// Pause freezes a node (SIGSTOP) until Continue.
func (c *Cluster) Pause(id int) error {
	return c.with(id, func(n *node) error { return n.proc.Pause() })
}

// Continue thaws a paused node.
func (c *Cluster) Continue(id int) error {
	return c.with(id, func(n *node) error { return n.proc.Continue() })
}

// WaitNodes waits until all running nodes are members of the cluster, as after Continue.
func (c *Cluster) WaitNodes(ctx context.Context) error {
	running := 0
	c.mu.Lock()
	for _, n := range c.nodes {
		if n.proc.Running() {
			running++
		}
	}
	c.mu.Unlock()
	return c.waitBrokers(ctx, running)
}

// Restart starts a stopped or killed node again (a running one is killed first), with what is on its disk, and waits
// until all running nodes are members of the cluster again.
func (c *Cluster) Restart(ctx context.Context, id int) error {
	err := c.with(id, func(n *node) error {
		if n.proc.Running() {
			if err := n.proc.Kill(); err != nil {
				return err
			}
		}
		return n.start(c.jvm)
	})
	if err != nil {
		return err
	}
	return c.WaitNodes(ctx)
}

// LogTail returns the last n bytes of a node's output.
func (c *Cluster) LogTail(id, n int) string {
	tail := ""
	err := c.with(id, func(nd *node) error {
		if nd.proc != nil {
			tail = nd.proc.LogTail(n)
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return tail
}

// Close ends all nodes at once and waits for them. Their files stay until their directory is removed.
func (c *Cluster) Close() error {
	if c.fake != nil {
		c.fake.Close()
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, n := range c.nodes {
		if n.proc != nil {
			errs = append(errs, n.proc.Kill())
		}
	}
	return errors.Join(errs...)
}
