package devenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/config"
	"github.com/fairleadio/fairlead/internal/cpi/keystore"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/native"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/rbac"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/internal/vault/vaultserver"
)

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
	// network has the members, with their applications' folders; digests are those of the folders' sources, and apps
	// what was built from them at the start.
	network Network
	digests map[string]string
	apps    map[string]Application
	cache   string
	// flows is what the flow worker knows of virtual nodes and keys.
	flows       *seen
	postgres    *pgserver.Server
	vault       *vaultserver.Server
	vaultConfig vault.Config
	databases   databases
	places      *placeBook
	// kafka is how brokers are reached.
	kafka kafkaadmin.Connection
	// host and program run flows natively; nil in the sandbox.
	host    *native.Host
	program *program
	// closing ends the watch over the servers.
	closing  chan struct{}
	watching sync.WaitGroup
	// listener is where REST is served; nil without the rest worker.
	listener net.Listener
	log      *slog.Logger
	// fileLog is for what the screen is told otherwise.
	fileLog *slog.Logger
	logFile *os.File

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
	if err := errors.Join(checkWorkers(opts.Workers), checkReal(opts), checkNative(opts)); err != nil {
		return nil, err
	}
	if opts.App != "" {
		// What is watched and what was built are compared by path.
		if opts.App, err = filepath.Abs(opts.App); err != nil {
			return nil, fmt.Errorf("find the application: %w", err)
		}
	}
	network, err := opts.Network.withApp(opts.App)
	if err != nil {
		return nil, err
	}
	if folders := network.folders(); opts.Native && len(folders) != 1 {
		if len(folders) == 0 {
			return nil, errors.New("--native: there is no application to run: name its folder with --app")
		}
		return nil, fmt.Errorf("--native: it runs one application, and network %s has %d: run them one at a time, with --app", network.Name, len(folders))
	}
	if network.hasNotary() && !slices.Contains(opts.Workers, app.Crypto) {
		return nil, fmt.Errorf("--network %s: it has a notary, whose key the crypto worker makes, and --workers leaves that out", network.Name)
	}
	c = &Cluster{opts: opts, network: network, flows: newSeen(), digests: map[string]string{}, apps: map[string]Application{}, failure: make(chan error, 1), closing: make(chan struct{}), stop: func() {}}
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
	if c.places, err = c.dir.places(); err != nil {
		return c, err
	}
	if err = c.places.get().agree(c.dir.path, opts); err != nil {
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
		if err = c.setUp(ctx, c.apps); err != nil {
			return c, err
		}
		if err = c.notePostgres(ctx); err != nil {
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
	file := slog.NewTextHandler(c.logFile, &slog.HandlerOptions{Level: slog.LevelInfo})
	c.fileLog = slog.New(file)
	handlers := []slog.Handler{file}
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
		binary string
		took   time.Duration
		err    error
	}
	builds := make(chan built, 1)
	go func() {
		var b built
		for _, folder := range c.network.folders() {
			a, digest, err := c.builder().build(ctx, folder)
			if err == nil && c.opts.Native {
				b.binary, err = c.builder().native(ctx, folder, c.dir.join(nativeDir), digest)
			}
			c.apps[folder], c.digests[folder] = a, digest
			if b.err = err; err != nil {
				break
			}
		}
		b.took = time.Since(began)
		builds <- b
	}()
	serversErr := make(chan error, 1)
	go func() { serversErr <- c.startServers(ctx) }()
	kafkaErr := c.startKafka(ctx)
	b := <-builds
	if err := errors.Join(kafkaErr, <-serversErr, b.err); err != nil {
		return err
	}
	if err := c.network.verifiable(c.apps); err != nil {
		return err
	}
	for _, folder := range c.network.folders() {
		a := c.apps[folder]
		flows := "it only answers other flows" // as a notary's does
		if len(a.Flows) > 0 {
			flows = strings.Join(a.Flows, ", ")
		}
		c.opts.Step(fmt.Sprintf("application %s is built: %s", a.Name, flows), b.took)
	}
	if c.opts.Native {
		if err := c.startNative(ctx, b.binary); err != nil {
			return err
		}
	}
	began = time.Now()
	credentials, err := c.dir.credentials(func(password string) (string, error) { return rbac.Hash(password, rbac.DefaultCost()) })
	if err != nil {
		return err
	}
	c.info.User, c.info.Password = credentials.User, credentials.Password
	if c.nodes, err = c.network.virtualNodes(); err != nil {
		return err
	}
	if whole(c.opts.Workers) {
		return nil // the database worker publishes
	}
	written, err := c.cluster.publish(ctx, userFacts(credentials), false)
	if err != nil {
		return err
	}
	installed, err := c.install(ctx, c.apps)
	if err != nil {
		return err
	}
	c.opts.Step(fmt.Sprintf("facts are published: %d written", written+installed), time.Since(began))
	return nil
}

// install publishes applications, by folder, and puts them on their virtual nodes. Nodes without application keep the one
// they have, if any.
func (c *Cluster) install(ctx context.Context, apps map[string]Application) (written int, err error) {
	for _, folder := range append(c.network.folders(), "") {
		var nodes []VirtualNode
		for _, n := range c.nodes {
			if n.folder == folder {
				nodes = append(nodes, n)
			}
		}
		a, changed := apps[folder]
		n := 0
		switch {
		case folder == "":
			n, err = c.cluster.publish(ctx, vnodeFacts(nodes, ""), true)
		case changed:
			checksum, facts := packageFacts(a)
			n, err = c.cluster.publish(ctx, append(facts, vnodeFacts(nodes, checksum)...), false)
		}
		if err != nil {
			return 0, fmt.Errorf("installing %s: %w", a.Name, err)
		}
		written += n
	}
	c.installed(apps)
	return written, nil
}

// installed notes which applications are on the virtual nodes.
func (c *Cluster) installed(apps map[string]Application) {
	maps.Copy(c.apps, apps)
	var names, flows []string
	for _, folder := range c.network.folders() {
		names = append(names, c.apps[folder].Name)
		flows = append(flows, c.apps[folder].Flows...)
	}
	slices.Sort(flows)
	c.info.App, c.info.Flows = strings.Join(names, ", "), slices.Compact(flows)
}

// builder builds applications for this cluster.
func (c *Cluster) builder() builder {
	b := builder{cache: c.cache, sandbox: c.runtime, network: c.network}
	if whole(c.opts.Workers) {
		b.signer = c.signer()
	}
	return b
}

// signer is the file of the key that packages are signed with.
func (c *Cluster) signer() string {
	if c.opts.SignerFile != "" {
		return c.opts.SignerFile
	}
	return c.dir.join(keystore.DevFile)
}

// replace puts a changed application in the place of the one that is there.
func (c *Cluster) replace(ctx context.Context, folder string, a Application) error {
	apps := map[string]Application{folder: a}
	if !whole(c.opts.Workers) {
		_, err := c.install(ctx, apps)
		return err
	}
	api, err := c.newAPI()
	if err != nil {
		return err
	}
	defer api.close()
	return c.deploy(ctx, api, apps)
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
		Config: cfg, Workers: c.opts.Workers, Sandbox: c.runtime, RestListener: c.listener, Log: c.log, Build: c.opts.Build, Kafka: &c.kafka, Native: c.host, FlowSees: c.flows.add,
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

// Info tells how the cluster is reached.
func (c *Cluster) Info() Info { return c.info }

// Close drains the workers and ends the cluster. What was accepted is in its directory.
func (c *Cluster) Close(ctx context.Context) error {
	var errs []error
	c.stop()
	if c.done != nil {
		<-c.done
	}
	if c.program != nil {
		c.program.close()
	}
	if c.host != nil {
		errs = append(errs, c.host.Close())
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
