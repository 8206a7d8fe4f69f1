package devenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/config"
	"github.com/fairleadio/fairlead/internal/cpi/keystore"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/rbac"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/internal/vault/vaultserver"
)

// DefaultRestAddress is where REST is served when nothing else is said.
const DefaultRestAddress = "127.0.0.1:8888"

// Options are what `fairlead dev` can be told.
type Options struct {
	// Dir is the data directory.
	Dir string
	// CacheDir keeps built applications and compiled modules for all data directories; empty keeps them in this one.
	// What lies there is run, so it must be its owner's alone.
	CacheDir string
	// SignerFile is the key that packages are signed with, made when it is missing; empty keeps it in Dir.
	SignerFile string
	// App is the folder of the application; empty for none.
	App string
	// Kafka are the addresses of a real Kafka; none for the embedded one.
	Kafka  []string
	Prefix string
	// RestAddress is where REST is served.
	RestAddress string
	// Workers are worker types.
	Workers []string
	// Warnings gets what an operator should see at once; everything is in dev.log. Nil for nobody.
	Warnings slog.Handler
	Build    string
	// Step is told what was done, for people; nil for nobody.
	Step func(what string, took time.Duration)
	// Rebuilt is told how a changed application was taken; nil for nobody.
	Rebuilt func(flows []string, err error)
}

// Info is what others need to use a dev cluster: the content of dev.json.
type Info struct {
	PID             int           `json:"pid"`
	API             string        `json:"api"`
	CAFile          string        `json:"caFile"`
	CredentialsFile string        `json:"credentialsFile"`
	User            string        `json:"user"`
	PasswordFile    string        `json:"passwordFile"`
	Brokers         []string      `json:"brokers"`
	Prefix          string        `json:"prefix"`
	Monitor         string        `json:"monitor"`
	Data            string        `json:"data"`
	LogFile         string        `json:"logFile"`
	Workers         []string      `json:"workers"`
	VirtualNodes    []VirtualNode `json:"virtualNodes"`
	App             string        `json:"app"`
	Flows           []string      `json:"flows"`
	StartedAt       string        `json:"startedAt"`
	// Password is not written to dev.json.
	Password string `json:"-"`
	// Continued tells that the directory held data before.
	Continued bool `json:"-"`
}

// Cluster is a running dev cluster.
type Cluster struct {
	opts    Options
	info    Info
	dir     *dataDir
	broker  *broker
	runtime *sandbox.Runtime
	cluster cluster
	app     *app.App
	nodes   []VirtualNode
	digest  string
	// application is what was built at the start.
	application Application
	cache       string
	postgres    *pgserver.Server
	vault       *vaultserver.Server
	vaultConfig vault.Config
	// closing ends the watch over the servers.
	closing  chan struct{}
	watching sync.WaitGroup
	// listener is where REST is served; nil without the rest worker.
	listener net.Listener
	log      *slog.Logger
	logFile  *os.File

	// failure ends Wait.
	failure chan error
	stop    context.CancelFunc
	done    chan struct{}
}

// Start brings a cluster up and returns when it is ready. Close it, also after Wait returned.
func Start(ctx context.Context, opts Options) (c *Cluster, err error) {
	if opts.Step == nil {
		opts.Step = func(string, time.Duration) {}
	}
	if err := checkWorkers(opts.Workers); err != nil {
		return nil, err
	}
	if opts.App != "" {
		// What is watched and what was built are compared by path.
		if opts.App, err = filepath.Abs(opts.App); err != nil {
			return nil, fmt.Errorf("find the application: %w", err)
		}
	}
	c = &Cluster{opts: opts, failure: make(chan error, 1), closing: make(chan struct{}), stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close(context.WithoutCancel(ctx)))
			c = nil
		}
	}()
	if c.dir, err = openDir(opts.Dir, formatOf(opts.Workers)); err != nil {
		return c, err
	}
	if err = c.openLog(); err != nil {
		return c, err
	}
	_, statErr := os.Stat(c.dir.join(credentialsFile))
	c.info.Continued = statErr == nil
	if slices.Contains(opts.Workers, app.Rest) {
		if c.listener, err = net.Listen("tcp", opts.RestAddress); err != nil {
			return c, restAddressError(opts.RestAddress, err)
		}
		c.info.API = apiURL(c.listener.Addr())
	}
	if err = c.dir.sign(c.info.API); err != nil {
		return c, err
	}
	if err = c.prepare(ctx); err != nil {
		return c, err
	}
	if err = c.runWorkers(ctx); err != nil {
		return c, err
	}
	if whole(opts.Workers) {
		if err = c.setUp(ctx, c.application); err != nil {
			return c, err
		}
	}
	c.describe()
	return c, nil
}

// openLog begins the log of this run.
func (c *Cluster) openLog() (err error) {
	name := c.dir.join(logFile)
	if err := os.Rename(name, name+".before"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("FL-DEV-002: keeping the log of the run before: %w", err)
	}
	if c.logFile, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, fileMode); err != nil {
		return fmt.Errorf("FL-DEV-002: making the log: %w", err)
	}
	handlers := []slog.Handler{slog.NewTextHandler(c.logFile, &slog.HandlerOptions{Level: slog.LevelInfo})}
	if c.opts.Warnings != nil {
		handlers = append(handlers, c.opts.Warnings)
	}
	c.log = slog.New(slog.NewMultiHandler(handlers...))
	return nil
}

func restAddressError(address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "in use") {
		return fmt.Errorf("FL-DEV-006: %s is in use by another program: choose another with --rest-address, for example --rest-address 127.0.0.1:0 for any free port", address)
	}
	return fmt.Errorf("FL-DEV-006: --rest-address %s: %w", address, err)
}

// apiURL is the address for people on this machine.
func apiURL(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "https://" + a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "https://" + net.JoinHostPort(host, port)
}

// prepare starts Kafka, builds the application at the same time, and publishes the facts.
func (c *Cluster) prepare(ctx context.Context) error {
	began := time.Now()
	cache := c.opts.CacheDir
	if cache == "" {
		cache = c.dir.join(cacheDir)
	}
	if err := os.MkdirAll(filepath.Join(cache, appDir), dirMode); err != nil {
		return fmt.Errorf("FL-DEV-002: making the cache: %w", err)
	}
	c.cache = cache
	runtime, err := sandbox.New(ctx, sandbox.Config{CacheDir: filepath.Join(cache, compiledDir), Log: c.log})
	if err != nil {
		return fmt.Errorf("starting the sandbox: %w", err)
	}
	c.runtime = runtime
	type built struct {
		app    Application
		digest string
		took   time.Duration
		err    error
	}
	applications := make(chan built, 1)
	go func() {
		if c.opts.App == "" {
			applications <- built{}
			return
		}
		a, digest, err := c.builder().build(ctx, c.opts.App)
		applications <- built{a, digest, time.Since(began), err}
	}()
	serversErr := make(chan error, 1)
	go func() { serversErr <- c.startServers(ctx) }()
	kafkaErr := c.startKafka(ctx)
	b := <-applications
	if err := errors.Join(kafkaErr, <-serversErr, b.err); err != nil {
		return err
	}
	if c.opts.App != "" {
		c.opts.Step(fmt.Sprintf("application %s is built: %s", b.app.Name, strings.Join(b.app.Flows, ", ")), b.took)
	}
	began = time.Now()
	credentials, err := c.dir.credentials(func(password string) (string, error) { return rbac.Hash(password, rbac.DefaultCost()) })
	if err != nil {
		return err
	}
	c.info.User, c.info.Password = credentials.User, credentials.Password
	if c.nodes, err = virtualNodes(); err != nil {
		return err
	}
	c.application, c.digest = b.app, b.digest
	if whole(c.opts.Workers) {
		return nil // the database worker publishes
	}
	written, err := c.cluster.publish(ctx, userFacts(credentials), false)
	if err != nil {
		return err
	}
	installed, err := c.install(ctx, b.app)
	if err != nil {
		return err
	}
	c.opts.Step(fmt.Sprintf("facts are published: %d written", written+installed), time.Since(began))
	return nil
}

func (c *Cluster) startKafka(ctx context.Context) error {
	began := time.Now()
	brokers := c.opts.Kafka
	if len(brokers) == 0 {
		b, err := startBroker(c.dir.join(kafkaDir), c.log)
		if err != nil {
			return err
		}
		c.broker = b
		brokers = b.addresses()
		c.opts.Step("embedded Kafka runs", time.Since(began))
	}
	c.info.Brokers, c.info.Prefix = brokers, c.opts.Prefix
	var err error
	if c.cluster.admin, err = kafkaadmin.New(kafkaadmin.Connection{Brokers: brokers, Prefix: c.opts.Prefix, ClientID: "fairlead-dev"}); err != nil {
		return err
	}
	if c.cluster.producer, err = engine.NewProducer(engine.ProducerConfig{Brokers: brokers, Prefix: c.opts.Prefix, Log: c.log}); err != nil {
		return err
	}
	began = time.Now()
	changes, err := c.cluster.prepareTopics(ctx)
	if err != nil {
		return err
	}
	c.opts.Step(fmt.Sprintf("topics are as the catalogue says: %d changes", changes), time.Since(began))
	return nil
}

// install publishes an application and puts it on the virtual nodes. Without application the nodes keep the one
// they have, if any.
func (c *Cluster) install(ctx context.Context, a Application) (int, error) {
	if len(a.Module) == 0 {
		return c.cluster.publish(ctx, vnodeFacts(c.nodes, ""), true)
	}
	checksum, facts := packageFacts(a)
	written, err := c.cluster.publish(ctx, append(facts, vnodeFacts(c.nodes, checksum)...), false)
	if err != nil {
		return 0, fmt.Errorf("installing %s: %w", a.Name, err)
	}
	c.info.App, c.info.Flows = a.Name, a.Flows
	return written, nil
}

// builder builds applications for this cluster.
func (c *Cluster) builder() builder {
	b := builder{cache: c.cache, sandbox: c.runtime}
	if whole(c.opts.Workers) {
		if b.signer = c.opts.SignerFile; b.signer == "" {
			b.signer = c.dir.join(keystore.DevFile)
		}
	}
	return b
}

// replace puts a changed application in the place of the one that is there.
func (c *Cluster) replace(ctx context.Context, a Application) error {
	if !whole(c.opts.Workers) {
		_, err := c.install(ctx, a)
		return err
	}
	api, err := c.newAPI()
	if err != nil {
		return err
	}
	defer api.close()
	return c.deploy(ctx, api, a)
}

// devFetchWait bounds what the first record after a start waits for; on one machine empty fetches cost little.
const devFetchWait = 500 * time.Millisecond

func (c *Cluster) runWorkers(ctx context.Context) error {
	began := time.Now()
	host := "localhost"
	if c.listener != nil {
		h, _, err := net.SplitHostPort(c.listener.Addr().String())
		if err != nil {
			return fmt.Errorf("reading the address of REST: %w", err)
		}
		host = h
	}
	files, err := c.dir.certificates(host, time.Now())
	if err != nil {
		return err
	}
	c.info.CAFile = files.CA
	cfg := config.Default()
	cfg.Kafka = config.Kafka{Brokers: c.info.Brokers, Prefix: c.opts.Prefix}
	cfg.Process = config.Process{Instance: "dev", DataDir: c.dir.path, DrainTime: 5 * time.Second, LeaveGroup: true}
	cfg.Monitor.Address = "127.0.0.1:0"
	cfg.Engine.Sessions, cfg.Engine.UnsafeTopics = 1, true
	cfg.Engine.FetchMaxWait = devFetchWait
	cfg.Rest.CertificateFile, cfg.Rest.KeyFile = files.Cert, files.Key
	c.configure(&cfg)
	c.app, err = app.New(ctx, app.Options{
		Config: cfg, Workers: c.opts.Workers, Sandbox: c.runtime, RestListener: c.listener, Log: c.log, Build: c.opts.Build,
	})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop, c.done = stop, make(chan struct{})
	go func() {
		defer close(c.done)
		if err := c.app.Run(run); err != nil {
			c.fail(err)
		}
	}()
	ready := make(chan error, 1)
	go func() { ready <- c.app.WaitReady(run) }()
	select {
	case err = <-ready:
	case err = <-c.failure:
	case err = <-c.diskFailed():
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		stop()
		return errors.Join(err, <-ready)
	}
	c.opts.Step("workers are ready: "+strings.Join(c.opts.Workers, ", "), time.Since(began))
	return nil
}

func (c *Cluster) fail(err error) {
	select {
	case c.failure <- err:
	default: // the first failure is the one that counts
	}
}

func (c *Cluster) diskFailed() <-chan error {
	if c.broker == nil {
		return nil
	}
	return c.broker.failed
}

func (c *Cluster) describe() {
	i := &c.info
	i.PID, i.Data, i.LogFile = os.Getpid(), c.dir.path, c.dir.join(logFile)
	i.CredentialsFile, i.PasswordFile = c.dir.join(credentialsFile), c.dir.join(passwordFile)
	i.Monitor, i.Workers, i.VirtualNodes = "http://"+c.app.MonitorAddress(), c.opts.Workers, c.nodes
	i.StartedAt = time.Now().UTC().Format(time.RFC3339)
}

// Announce writes dev.json, by which other processes know that the cluster is ready.
func (c *Cluster) Announce() error { return writeJSON(c.dir.join(devFile), c.info) }

// ReadInfo reads what a running cluster tells about itself; an error that is [fs.ErrNotExist] tells that none runs.
func ReadInfo(dir string) (Info, error) {
	var i Info
	b, err := os.ReadFile(filepath.Join(dir, devFile))
	if err != nil {
		return i, fmt.Errorf("reading how the dev cluster is reached: %w", err)
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("%s is damaged: %w", filepath.Join(dir, devFile), err)
	}
	return i, nil
}

// Running tells whether a process uses a data directory.
func Running(dir string) (bool, error) {
	lock, err := takeLock(filepath.Join(dir, lockFile))
	var held *LockedError
	if errors.As(err, &held) {
		return true, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return false, lock.Close()
}

// Serves tells whether a cluster is ready in a data directory. A directory that cannot be looked at has none.
func Serves(dir string) bool {
	if _, err := ReadInfo(dir); err != nil {
		return false
	}
	running, err := Running(dir)
	return err == nil && running
}

// LogFile is where a cluster writes its log.
func LogFile(dir string) string { return filepath.Join(dir, logFile) }

// Info tells how the cluster is reached.
func (c *Cluster) Info() Info { return c.info }

// Wait follows changes of the application until ctx ends or the cluster fails.
func (c *Cluster) Wait(ctx context.Context) error {
	var changes <-chan time.Time
	if c.opts.App != "" {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		changes = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-c.failure:
			c.log.Error("the cluster failed", "error", err)
			return err
		case err := <-c.diskFailed():
			c.log.Error("the cluster failed", "error", err)
			return err
		case <-changes:
			c.follow(ctx)
		}
	}
}

// watchEvery is how often the application's sources are looked at.
const watchEvery = time.Second

// follow takes a changed application in.
func (c *Cluster) follow(ctx context.Context) {
	from, err := sources(c.opts.App)
	if err != nil {
		return // files come and go while an editor saves
	}
	digest, err := sourceDigest(from...)
	if err != nil || digest == c.digest {
		return
	}
	c.digest = digest
	a, _, err := c.builder().build(ctx, c.opts.App)
	if err == nil {
		err = c.replace(ctx, a)
	}
	if err == nil {
		err = c.Announce()
	}
	if c.opts.Rebuilt != nil {
		c.opts.Rebuilt(a.Flows, err)
	}
}

// Close drains the workers and ends the cluster. What was accepted is in its directory.
func (c *Cluster) Close(ctx context.Context) error {
	var errs []error
	c.stop()
	if c.done != nil {
		<-c.done
	}
	select {
	case err := <-c.failure:
		errs = append(errs, err)
	default:
	}
	if c.cluster.producer != nil {
		c.cluster.producer.Close()
	}
	if c.cluster.admin != nil {
		c.cluster.admin.Close()
	}
	if c.listener != nil {
		if err := c.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if c.runtime != nil {
		errs = append(errs, c.runtime.Close(ctx))
	}
	errs = append(errs, c.stopServers(ctx))
	if c.broker != nil {
		c.broker.close()
	}
	if c.logFile != nil {
		errs = append(errs, c.logFile.Close())
	}
	if c.dir != nil {
		if err := os.Remove(c.dir.join(devFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		errs = append(errs, c.dir.close())
	}
	return errors.Join(errs...)
}
