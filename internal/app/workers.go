package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	"github.com/fairleadio/fairlead/processors/rest"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// viewSet holds one view for each topic, whoever asks for it.
type viewSet struct {
	app *App
	all map[string]*engine.View
}

func (s *viewSet) get(topic string, codec engine.Codec) (*engine.View, error) {
	if v, ok := s.all[topic]; ok {
		return v, nil
	}
	v, err := engine.NewView(engine.ViewConfig{
		Brokers: s.app.cfg.Kafka.Brokers, Prefix: s.app.cfg.Kafka.Prefix, Topic: topic, Codec: codec, Outside: s.app.outside, Log: s.app.log,
	})
	if err != nil {
		return nil, fmt.Errorf("view of %s: %w", topic, err)
	}
	if s.all == nil {
		s.all = map[string]*engine.View{}
	}
	s.all[topic] = v
	return v, nil
}

// groupWorker is a processor group with its engine.
type groupWorker struct {
	name   string
	engine *engine.Engine
	// prepare, when it is set, is what comes before the group takes partitions.
	prepare func(ctx context.Context) (underway int)
}

// prepareTime bounds how long a group waits for modules before it takes partitions all the same: with many packages, or on a
// slow machine, some flows that can run are better than none.
const prepareTime = 30 * time.Second

// run runs the group. Its partitions are another's as long as this process could not run what is in them: a process that lost
// its disk compiles every module anew, which takes seconds for each.
func (g *groupWorker) run(ctx context.Context, log *slog.Logger, takePartitions func(ctx context.Context) error) error {
	if g.prepare != nil {
		began := time.Now()
		limit, cancel := context.WithTimeout(ctx, prepareTime)
		underway := g.prepare(limit)
		cancel()
		if underway > 0 && ctx.Err() == nil {
			log.Warn("the group takes partitions before all modules are compiled", "group", g.name, "underway", underway, "waited", time.Since(began).Round(time.Millisecond))
		}
	}
	return takePartitions(ctx)
}

// preparedBy has the group that was added last wait for its worker.
func (a *App) preparedBy(prepare func(ctx context.Context) (underway int)) {
	a.engines[len(a.engines)-1].prepare = prepare
}

// addGroup adds a group; settings are what its worker has to say about the engine.
func (a *App) addGroup(name string, g *engine.Graph, settings ...func(*engine.Config)) (*engine.Engine, error) {
	db, err := a.storage()
	if err != nil {
		return nil, err
	}
	e := a.cfg.Engine
	cfg := engine.Config{
		Brokers: a.cfg.Kafka.Brokers, Prefix: a.cfg.Kafka.Prefix, InstanceID: a.cfg.Process.Instance, Sessions: e.Sessions, DB: db,
		LeaveOnStop: a.cfg.Process.LeaveGroup, Outside: a.outside, Log: a.log.With("group", name), Metrics: a.metrics, Build: a.opts.Build,
		MaxDelay: e.MaxDelay, Retries: e.Retries, TransactionTimeout: e.TransactionTimeout, SessionTimeout: e.SessionTimeout,
		FetchMaxWait: e.FetchMaxWait, Trials: a.trials,
	}
	for _, edge := range g.Edges() {
		if t, ok := topics.Find(edge.Topic); ok && edge.Kind == engine.EdgeInput && t.OutOfRange == topics.Expires {
			cfg.Expires = append(cfg.Expires, edge.Topic)
		}
	}
	for _, set := range settings {
		set(&cfg)
	}
	built, err := engine.New(cfg, g)
	if err != nil {
		return nil, err
	}
	a.engines = append(a.engines, &groupWorker{name: name, engine: built})
	return built, nil
}

// beside adds what runs beside the groups: it starts before them and ends after them.
func (a *App) beside(name string, run func(ctx context.Context) error) {
	a.besides = append(a.besides, besides{name, run})
}

// storage opens the local storage once.
func (a *App) storage() (engine.DB, error) {
	if a.opts.DB != nil {
		return a.opts.DB, nil
	}
	dir := filepath.Join(a.cfg.Process.DataDir, "tables")
	db, err := engine.OpenPebble(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the local tables in %s (process.data_dir): %w", dir, err)
	}
	a.opts.DB = db
	a.onClose(db.Close)
	return db, nil
}

func (a *App) buildFlowMapper() error {
	metrics, err := flowmapper.NewMetrics(a.metrics)
	if err != nil {
		return err
	}
	c := flowmapper.Config{
		MaxRunningPerVnode: a.cfg.FlowMapper.MaxRunningPerVnode, MaxRunning: a.cfg.FlowMapper.MaxRunning, Keep: a.cfg.FlowMapper.Keep, Metrics: metrics,
	}
	if err := c.Validate(); err != nil {
		return err
	}
	vnodes, err := a.views.get(topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]())
	if err != nil {
		return err
	}
	packages, err := a.views.get(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]())
	if err != nil {
		return err
	}
	c.VirtualNodes = vnodes
	a.channels, err = flowmapper.NewChannels(flowmapper.ChannelsConfig{
		VirtualNodes: vnodes, Packages: packages, Metrics: metrics, Log: a.log.With("group", topics.FlowMapperChannels),
		Relay: engine.RelayConfig{
			Brokers: a.cfg.Kafka.Brokers, Prefix: a.cfg.Kafka.Prefix, InstanceID: a.cfg.Process.Instance, Outside: a.outside, Build: a.opts.Build,
			TransactionTimeout: a.cfg.Engine.TransactionTimeout, SessionTimeout: a.cfg.Engine.SessionTimeout,
		},
	})
	if err != nil {
		return err
	}
	for _, v := range []*engine.View{vnodes, packages} {
		v.OnChange(func(string, any) { a.channels.Changed() })
	}
	_, err = a.addGroup(FlowMapper, flowmapper.Graph(c))
	return err
}

// restWorker is the rest worker with its listener.
type restWorker struct {
	app      *App
	server   *rest.Server
	inbox    *engine.Inbox
	listener net.Listener
	tls      *tls.Config
}

func (a *App) buildRest() error {
	views := map[string]*engine.View{}
	for topic, codec := range rest.Reads() {
		v, err := a.views.get(topic, codec)
		if err != nil {
			return err
		}
		views[topic] = v
	}
	w := &restWorker{app: a, listener: a.opts.RestListener}
	c := a.cfg.Rest
	if !c.Plaintext {
		if c.CertificateFile == "" {
			return errors.New("rest.certificate_file and rest.key_file are not set: name PEM files, or set rest.plaintext behind a proxy that adds TLS")
		}
		cert, err := rest.LoadCertificate(c.CertificateFile, c.KeyFile, a.log)
		if err != nil {
			return err
		}
		w.tls = cert.TLS()
	}
	producer, err := engine.NewProducer(engine.ProducerConfig{Brokers: a.cfg.Kafka.Brokers, Prefix: a.cfg.Kafka.Prefix, Outside: a.outside, Log: a.log})
	if err != nil {
		return err
	}
	a.onClose(func() error { producer.Close(); return nil })
	admin, err := kafkaadmin.New(a.conn)
	if err != nil {
		return err
	}
	a.onClose(func() error { admin.Close(); return nil })
	for topic, codec := range rest.Receives() {
		inbox, err := engine.NewInbox(engine.InboxConfig{
			Brokers: a.cfg.Kafka.Brokers, Prefix: a.cfg.Kafka.Prefix, Topic: topic, Codec: codec, Outside: a.outside, Log: a.log,
		})
		if err != nil {
			return err
		}
		w.inbox = inbox
	}
	uploads := filepath.Join(a.cfg.Process.DataDir, "uploads")
	if err := freshDir(uploads); err != nil {
		return fmt.Errorf("making the directory of uploads (process.data_dir): %w", err)
	}
	sealing, err := a.sealing()
	if err != nil {
		return err
	}
	w.server, err = rest.New(rest.Config{
		MaxBody: c.MaxBody, MaxUpload: c.MaxUpload, UploadDir: uploads, RequestTimeout: c.RequestTimeout,
		StartTimeout: c.StartTimeout, MaxWait: c.MaxWait, LoginFailures: c.LoginFailures, LoginWindow: c.LoginWindow,
	}, rest.Parts{
		Views: rest.Views{
			VirtualNodes: views[topics.VirtualNodeInfo], Cpis: views[topics.CpiInfo], FlowStatus: views[topics.FlowStatus],
			Users: views[topics.RBACUser], Roles: views[topics.RBACRole], Permissions: views[topics.RBACPermission], Credentials: views[topics.RBACCredential],
			Config: views[topics.Config], Operations: views[topics.OperationStatus], Keys: views[topics.CryptoKeys],
		},
		Writer: rest.NewWriter(producer), Requests: rest.NewRequests(producer, w.inbox), Journal: journalReader{admin}, Seal: sealing, Healthy: a.healthy, Log: a.log, Metrics: a.metrics,
	})
	if err != nil {
		return err
	}
	for _, topic := range []string{topics.RBACUser, topics.RBACCredential} {
		views[topic].OnChange(func(login string, _ any) { w.server.UserChanged(login) })
	}
	if w.listener == nil {
		if w.listener, err = net.Listen("tcp", c.Address); err != nil {
			return fmt.Errorf("rest.address: %w", err)
		}
		a.onClose(func() error { return ignoreClosed(w.listener.Close()) })
	}
	a.rest = w
	return nil
}

// sealing returns how rest seals database connections; nil where it has no key.
func (a *App) sealing() (func(string, *dbv1.Connections) ([]byte, error), error) {
	file := a.cfg.Postgres.SealKeyFile
	if file == "" {
		return nil, nil //nolint:nilnil // connections are then refused
	}
	key, err := seal.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("postgres.seal_key_file: %w", err)
	}
	return func(recordKey string, c *dbv1.Connections) ([]byte, error) {
		return vaultdb.SealConnections(key, recordKey, c)
	}, nil
}

// freshDir makes a directory and drops what an earlier process left in it.
func freshDir(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (w *restWorker) run(ctx context.Context) error {
	return w.server.Serve(ctx, w.listener, w.tls, w.app.cfg.Process.DrainTime)
}
