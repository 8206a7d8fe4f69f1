package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/internal/vault/vaultserver"
)

// cluster is a running cluster with the members' virtual nodes and keys.
type cluster struct {
	kind    string
	brokers []string
	prefix  string
	bank    member
	members []member
	// parts tells whose processor time is whose.
	parts  func(all measure.Processes) map[string]time.Duration
	logs   []*kafkatest.Process
	closes []func() error
	// monitors are the addresses of the workers' probes and metrics, by worker type.
	monitors map[string]string
}

// member is a virtual node.
type member struct {
	name, group, shortHash string
}

// close ends what was started, the last first.
func (c *cluster) close() error {
	var errs []error
	for i := len(c.closes) - 1; i >= 0; i-- {
		errs = append(errs, c.closes[i]())
	}
	return errors.Join(errs...)
}

func (c *cluster) then(f func() error) { c.closes = append(c.closes, f) }

// tail is what the processes said last.
func (c *cluster) tail() string {
	var out []string
	for _, p := range c.logs {
		out = append(out, p.LogTail(1<<10))
	}
	return strings.Join(out, "\n")
}

// Names of the members, and the folders of their applications.
const (
	bankName   = "O=Bank, L=London, C=GB"
	notaryName = "O=Notary, L=London, C=GB"
	tokensApp  = "tokens"
	notaryApp  = "notary"
)

func memberName(n int) string { return fmt.Sprintf("O=Member %d, L=London, C=GB", n) }

// network are all members' names with their applications.
func (b bench) network() (names []string, apps map[string]string) {
	names = []string{bankName, notaryName}
	for n := range b.members {
		names = append(names, memberName(n))
	}
	apps = map[string]string{}
	for _, n := range names {
		apps[n] = tokensApp
	}
	apps[notaryName] = notaryApp
	return names, apps
}

// clientPart is this program's own part of the processor time.
const clientPart = "the client, this program"

// partNames says what the programs are that a cluster is made of.
func partNames() map[string]string {
	return map[string]string{"java": "Kafka", "postgres": "Postgres", "bao": "Vault", "vault": "Vault"}
}

// childParts are the times of a process's children with all that they started, by part; known names some by their process.
func childParts(all measure.Processes, of int, known map[int]string) map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, p := range all.Children(of) {
		name := p.Name
		if n, ok := partNames()[p.Name]; ok {
			name = n
		}
		if n, ok := known[p.PID]; ok {
			name = n
		}
		out[name] += all.Tree(p.PID)
	}
	return out
}

// onKafka starts one node of Kafka, the servers, and a process for each worker type, and sets them up as an operator would.
func (b bench) onKafka(ctx context.Context) (_ *cluster, err error) {
	dir := filepath.Join(b.dir, "kafka")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	if err := os.Setenv(kafkatest.RealServersVariable, "1"); err != nil {
		return nil, err
	}
	c := &cluster{kind: "Apache Kafka " + kafkatest.Version + ", 1 node; a process for each worker type", prefix: "pay-", monitors: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	kafka, err := kafkatest.Launch(ctx, dir, kafkatest.Options{HeapMB: 1024, Fast: true})
	if err != nil {
		return nil, err
	}
	c.then(kafka.Close)
	if !kafka.Real() {
		return nil, fmt.Errorf("a real Kafka is needed: %s", kafka.Kind())
	}
	c.brokers = kafka.Brokers()
	db, err := pgserver.Start(ctx, pgserver.Options{Dir: filepath.Join(dir, "postgres"), Durable: true})
	if err != nil {
		return nil, err
	}
	c.then(func() error { return db.Stop(context.WithoutCancel(ctx)) })
	if err := db.Ensure(ctx, "cluster", "vnodes"); err != nil {
		return nil, err
	}
	keys, err := vaultserver.Start(ctx, vaultserver.Options{Dir: filepath.Join(dir, "vault")})
	if err != nil {
		return nil, err
	}
	c.then(func() error { return keys.Stop(context.WithoutCancel(ctx)) })
	login, err := vault.Setup(ctx, vault.SetupConfig{Address: keys.URL(), Token: keys.RootToken(), Dir: filepath.Join(dir, "vault")})
	if err != nil {
		return nil, err
	}
	if _, err := b.fairlead(ctx, nil, "topics", "apply", "--brokers", strings.Join(c.brokers, ","), "--prefix", c.prefix, "--profile", "dev"); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	op := &operator{base: "http://" + address, user: "admin", password: "a password for the benchmark", http: &http.Client{Timeout: time.Minute}}
	settings, err := b.settings(dir, c, db, login, op, address)
	if err != nil {
		return nil, err
	}
	known := map[int]string{}
	for _, worker := range app.Available() {
		p, pid, monitor, err := b.worker(ctx, dir, worker, settings)
		if err != nil {
			return nil, err
		}
		c.then(p.Kill)
		c.monitors[worker] = monitor
		c.logs, known[pid] = append(c.logs, p), "worker "+worker
	}
	c.parts = func(all measure.Processes) map[string]time.Duration {
		out := childParts(all, os.Getpid(), known)
		out[clientPart] = all[os.Getpid()].Own
		return out
	}
	if err := b.install(ctx, dir, op); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, c.tail())
	}
	return c, b.keys(ctx, c, op, policyGroup)
}

// policyGroup is the group of the members on Kafka.
const policyGroup = "5a5e1c5e-0000-4000-8000-0000000000aa"

// settings writes the file of settings of all workers.
func (b bench) settings(dir string, c *cluster, db *pgserver.Server, login vault.Config, op *operator, address string) (string, error) {
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(seal.WriteKey(in("seal.key")), os.WriteFile(in("password"), []byte(op.password+"\n"), 0o600)); err != nil {
		return "", fmt.Errorf("write secrets: %w", err)
	}
	text := fmt.Sprintf(`kafka: {brokers: [%s], prefix: %q}
log: {format: text, level: warn}
engine: {sessions: 1, unsafe_topics: true}
postgres: {url: %q, vnode_url: %q, seal_key_file: %q}
database: {any_signer: true}
bootstrap: {admin_user: %s, admin_password_file: %q}
rest: {plaintext: true, address: %q, login_failures: 100000}
vault: {address: %q, mount: %q, auth: %q, auth_path: %q, role_id_file: %q, secret_id_file: %q}
`, strings.Join(c.brokers, ","), c.prefix, db.URL("cluster"), db.URL("vnodes"), in("seal.key"), op.user, in("password"), address,
		login.Address, login.Mount, login.Auth.Method, login.Auth.Path, login.Auth.RoleIDFile, login.Auth.SecretIDFile)
	file := in("fairlead.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write settings: %w", err)
	}
	return file, nil
}

// worker starts a process of one worker type. It is ready when the others are.
func (b bench) worker(ctx context.Context, dir, worker, settings string) (_ *kafkatest.Process, pid int, monitor string, err error) {
	if monitor, err = freeAddress(); err != nil {
		return nil, 0, "", err
	}
	data := filepath.Join(dir, worker)
	cmd := exec.Command(b.binary, "worker", worker, "--config", settings, "--set", "process.instance="+worker, "--set", "process.data_dir="+data,
		"--set", "monitor.address="+monitor, "--set", "monitor.profiles="+strconv.FormatBool(b.profile != ""))
	p, err := kafkatest.StartProcess(cmd, data+".log")
	if err != nil {
		return nil, 0, "", err
	}
	limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err = kafkatest.Until(limit, 50*time.Millisecond, func() (bool, error) {
		if !p.Running() {
			return false, errors.New("it ended")
		}
		r, err := http.NewRequestWithContext(limit, http.MethodGet, "http://"+monitor+"/startupz", nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false, nil //nolint:nilerr // asked again: it is on its way up
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
	if err != nil {
		return nil, 0, "", errors.Join(fmt.Errorf("worker %s: %w\n%s", worker, err, p.LogTail(4<<10)), p.Kill())
	}
	return p, cmd.Process.Pid, monitor, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// fairlead runs a command as an operator types it.
func (b bench) fairlead(ctx context.Context, op *operator, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, b.binary, append(args, "--yes", "--timeout", "3m")...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(b.dir, "config"))
	if op != nil {
		cmd.Env = append(cmd.Env, "FAIRLEAD_API="+op.base, "FAIRLEAD_USER="+op.user, "FAIRLEAD_PASSWORD="+op.password)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("fairlead %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

// install puts the applications on virtual nodes.
func (b bench) install(ctx context.Context, dir string, op *operator) error {
	if err := op.until(ctx, func() (bool, error) { return op.call(ctx, http.MethodGet, "/user/"+op.user, nil, nil) == nil, nil }); err != nil {
		return fmt.Errorf("wait for the administrator: %w", err)
	}
	names, apps := b.network()
	policy := filepath.Join(dir, "policy.json")
	args := []string{"app", "group-policy", "--group", policyGroup, "--file", policy}
	for _, n := range names {
		args = append(args, "--member", n)
	}
	if _, err := b.fairlead(ctx, nil, args...); err != nil {
		return err
	}
	checksums := map[string]string{}
	for _, name := range []string{tokensApp, notaryApp} {
		in := func(ext string) string { return filepath.Join(dir, name+ext) }
		for _, args := range [][]string{
			{"app", "build", filepath.Join(b.root, "apps", name), "--file", in(".cpk"), "--ephemeral-key"},
			{"app", "package", "create-cpb", in(".cpk"), "--cpb-name", name, "--cpb-version", "1.0", "--file", in(".cpb"), "--ephemeral-key"},
			{"app", "package", "create-cpi", "--cpb", in(".cpb"), "--group-policy", policy, "--cpi-name", name, "--cpi-version", "1.0", "--file", in(".cpi"), "--ephemeral-key"},
		} {
			if _, err := b.fairlead(ctx, nil, args...); err != nil {
				return err
			}
		}
		out, err := b.fairlead(ctx, op, "cpi", "upload", in(".cpi"), "-o", "json")
		if err != nil {
			return err
		}
		var uploaded struct{ CPIFileChecksum string }
		if err := json.Unmarshal([]byte(out), &uploaded); err != nil {
			return fmt.Errorf("read what cpi upload says: %w", err)
		}
		checksums[name] = uploaded.CPIFileChecksum
	}
	for _, n := range names {
		if err := op.makeNode(ctx, n, checksums[apps[n]]); err != nil {
			return fmt.Errorf("virtual node of %s: %w", n, err)
		}
	}
	return nil
}

// keys makes the members' keys, and says who they are.
func (b bench) keys(ctx context.Context, c *cluster, op *operator, group string) error {
	names, _ := b.network()
	for _, n := range names {
		h, err := identity.NewHolding(n, group)
		if err != nil {
			return fmt.Errorf("identity of %s: %w", n, err)
		}
		m := member{h.Name.String(), h.GroupID, h.ShortHash()}
		alias, category := "ledger", "LEDGER"
		switch n {
		case bankName:
			c.bank = m
		case notaryName:
			alias, category = "notary", "NOTARY"
		default:
			c.members = append(c.members, m)
		}
		path := "/key/" + m.shortHash + "/alias/" + alias + "/category/" + category + "/scheme/CORDA.ECDSA.SECP256R1"
		if err := op.call(ctx, http.MethodPost, path, nil, nil); err != nil {
			return fmt.Errorf("key of %s: %w", n, err)
		}
	}
	return nil
}

// inDev starts `fairlead dev`.
func (b bench) inDev(ctx context.Context) (_ *cluster, err error) {
	dir := filepath.Join(b.dir, "dev")
	names, apps := b.network()
	network := "applications:\n"
	for _, a := range []string{tokensApp, notaryApp} {
		network += fmt.Sprintf("  %s: %q\n", a, filepath.Join(b.root, "apps", a))
	}
	network += "members:\n"
	for _, n := range names {
		network += fmt.Sprintf("  - {name: %q, application: %s}\n", n, apps[n])
	}
	file := filepath.Join(b.dir, "network.yaml")
	if err := os.WriteFile(file, []byte(network), 0o600); err != nil {
		return nil, fmt.Errorf("write the network: %w", err)
	}
	c := &cluster{kind: "fairlead dev: embedded broker and all workers in one process"}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	cmd := exec.Command(b.binary, "dev", "--data", dir, "--network", file, "--rest-address", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "FAIRLEAD_CONFIG="+filepath.Join(b.dir, "config.yaml"))
	p, err := kafkatest.StartProcess(cmd, filepath.Join(b.dir, "dev.log"))
	if err != nil {
		return nil, err
	}
	c.logs = append(c.logs, p)
	c.then(func() error {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return p.Stop(stopping)
	})
	limit, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	var info devenv.Info
	err = kafkatest.Until(limit, 50*time.Millisecond, func() (bool, error) {
		if !p.Running() {
			return false, errors.New("it ended")
		}
		var err error
		info, err = devenv.ReadInfo(dir)
		return err == nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for fairlead dev: %w\n%s", err, c.tail())
	}
	c.brokers, c.prefix = info.Brokers, info.Prefix
	pid := cmd.Process.Pid
	c.parts = func(all measure.Processes) map[string]time.Duration {
		out := childParts(all, pid, nil)
		out["fairlead dev: workers and broker"], out[clientPart] = all[pid].Own, all[os.Getpid()].Own
		return out
	}
	op, err := newOperator(info)
	if err != nil {
		return nil, err
	}
	return c, b.keys(ctx, c, op, info.VirtualNodes[0].GroupID)
}
