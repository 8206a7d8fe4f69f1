package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// node is one broker and controller of a cluster that this package started.
type node struct {
	id         int
	port       int // clients
	controller int // the quorum
	login      int // clients that log in, when there are users
	dir        string
	config     string // path of its properties file
	proc       *Process
}

func (n *node) address() string { return "127.0.0.1:" + strconv.Itoa(n.port) }

// properties returns a node's configuration: made for a quick start, quick failure detection and small topics.
func properties(n *node, all []*node, extra map[string]string) map[string]string {
	var voters []string
	for _, o := range all {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", o.id, o.controller))
	}
	replicas, inSync := len(all), max(1, len(all)-1)
	p := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(n.id),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"listeners":                      fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", n.port, n.controller),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAINTEXT",
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                       filepath.Join(n.dir, "data"),
		"auto.create.topics.enable":      "false",
		"default.replication.factor":     strconv.Itoa(replicas),
		"min.insync.replicas":            strconv.Itoa(inSync),

		"offsets.topic.replication.factor":                 strconv.Itoa(replicas),
		"offsets.topic.num.partitions":                     "3",
		"transaction.state.log.replication.factor":         strconv.Itoa(replicas),
		"transaction.state.log.min.isr":                    strconv.Itoa(inSync),
		"transaction.state.log.num.partitions":             "3",
		"share.coordinator.state.topic.num.partitions":     "1",
		"share.coordinator.state.topic.replication.factor": strconv.Itoa(replicas),
		"share.coordinator.state.topic.min.isr":            strconv.Itoa(inSync),

		// Clients that die are noticed soon, and what they left open is ended soon.
		"group.initial.rebalance.delay.ms":                            "0",
		"group.min.session.timeout.ms":                                "1000",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
		// Brokers that die are noticed soon.
		"broker.heartbeat.interval.ms":          "500",
		"broker.session.timeout.ms":             "3000",
		"controller.quorum.election.timeout.ms": "1000",
		"controller.quorum.fetch.timeout.ms":    "2000",
		"replica.lag.time.max.ms":               "5000",

		"num.network.threads":               "2",
		"num.io.threads":                    "4",
		"background.threads":                "2",
		"num.recovery.threads.per.data.dir": "2",
		"log.cleaner.dedupe.buffer.size":    "16777216",
	}
	maps.Copy(p, extra)
	return p
}

// withUsers adds a listener at which users log in, and an authorizer. Whoever comes by the other one, as the brokers
// themselves do, may do everything.
func (n *node) withUsers(p, users map[string]string) {
	p["listeners"] += fmt.Sprintf(",SASL_PLAINTEXT://127.0.0.1:%d", n.login)
	p["listener.security.protocol.map"] += ",SASL_PLAINTEXT:SASL_PLAINTEXT"
	p["sasl.enabled.mechanisms"] = "PLAIN"
	p["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
	p["allow.everyone.if.no.acl.found"] = "false"
	p["super.users"] = "User:ANONYMOUS;User:" + Administrator
	jaas := "org.apache.kafka.common.security.plain.PlainLoginModule required"
	for _, user := range slices.Sorted(maps.Keys(users)) {
		jaas += fmt.Sprintf(" user_%s=%q", user, users[user])
	}
	p["listener.name.sasl_plaintext.plain.sasl.jaas.config"] = jaas + ";"
}

func (n *node) writeConfig(all []*node, users, extra map[string]string) error {
	p := properties(n, all, extra)
	if users != nil {
		n.withUsers(p, users)
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", k, p[k])
	}
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of Kafka node %d: %w", n.id, err)
	}
	n.config = filepath.Join(n.dir, "server.properties")
	if err := os.WriteFile(n.config, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write the configuration of Kafka node %d: %w", n.id, err)
	}
	return nil
}

// jvm is what it takes to run a main class of Kafka's.
type jvm struct {
	java, jars string
	flags      []string
}

func (j jvm) command(ctx context.Context, mainClass string, args ...string) *exec.Cmd {
	all := append(slices.Clone(j.flags), "-cp", filepath.Join(j.jars, "*"), mainClass)
	return exec.CommandContext(ctx, j.java, append(all, args...)...)
}

// format makes the storage of a new node.
func (n *node) format(ctx context.Context, j jvm, clusterID string) error {
	cmd := j.command(ctx, "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", n.config)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format the storage of Kafka node %d: %w\n%s", n.id, err, lastBytes(out, 4<<10))
	}
	return nil
}

// start runs the broker's process. The process outlives ctx's caller: it ends by Stop or Kill.
func (n *node) start(j jvm) error {
	p, err := StartProcess(j.command(context.Background(), "kafka.Kafka", n.config), filepath.Join(n.dir, "server.log"))
	if err != nil {
		return fmt.Errorf("Kafka node %d: %w", n.id, err)
	}
	n.proc = p
	return nil
}

// newClusterID returns a random id in Kafka's form.
func newClusterID() string {
	var b [16]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		s := base64.RawURLEncoding.EncodeToString(b[:])
		if !strings.HasPrefix(s, "-") { // the storage tool would take it for a flag
			return s
		}
	}
}

// freePorts returns n ports that nobody listens on. They lie below the range from which systems take the ports of
// outgoing connections, so that none of those takes one while a node is down.
func freePorts(n int) ([]int, error) {
	const low, high = 18_000, 31_000
	var out []int
	var open []net.Listener
	defer func() {
		for _, l := range open {
			_ = l.Close()
		}
	}()
	for try := 0; len(out) < n && try < 1000; try++ {
		r, err := rand.Int(rand.Reader, big.NewInt(high-low))
		if err != nil {
			return nil, fmt.Errorf("pick a port: %w", err)
		}
		port := low + int(r.Int64())
		l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		open = append(open, l)
		out = append(out, port)
	}
	if len(out) < n {
		return nil, fmt.Errorf("found %d free ports between %d and %d, need %d", len(out), low, high, n)
	}
	return out, nil
}
