package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/processors/database"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	"github.com/fairleadio/fairlead/topics"
)

func (a *App) buildDatabase(ctx context.Context) error {
	c := a.cfg
	if c.Postgres.URL == "" || c.Postgres.VnodeURL == "" || c.Postgres.SealKeyFile == "" {
		return errors.New("postgres.url, postgres.vnode_url and postgres.seal_key_file are needed: the cluster's database, that of the virtual nodes, and the key of sealed credentials")
	}
	if c.Postgres.URL == c.Postgres.VnodeURL {
		return errors.New("postgres.url and postgres.vnode_url are the same: tenants' SQL runs in the second, which must be a database of its own")
	}
	key, err := seal.ReadFile(c.Postgres.SealKeyFile)
	if err != nil {
		return fmt.Errorf("postgres.seal_key_file: %w", err)
	}
	deps := database.Deps{Key: key, Log: a.log, Published: map[string]database.View{}}
	if deps.Cluster, deps.Vaults, err = a.databases(ctx); err != nil {
		return err
	}
	runtime, err := a.sandbox(ctx)
	if err != nil {
		return err
	}
	deps.Packages = packageFiles{runtime}
	for topic, codec := range database.Facts() {
		if deps.Published[topic], err = a.views.get(topic, codec); err != nil {
			return err
		}
	}
	producer, err := engine.NewProducer(engine.ProducerConfig{Brokers: c.Kafka.Brokers, Prefix: c.Kafka.Prefix, Outside: a.outside, Log: a.log})
	if err != nil {
		return err
	}
	a.onClose(func() error { producer.Close(); return nil })
	deps.Ask = func(ctx context.Context, key string, m *dbv1.Request) error {
		_, err := producer.Produce(ctx, engine.Record{Topic: topics.DbRequests, Key: key, Partition: -1, Msg: m, Codec: schemas.Codec[*dbv1.Request]()})
		return err
	}
	deps.Admin.Login = c.Bootstrap.AdminUser
	if deps.Admin.Password, err = c.Bootstrap.Password(); err != nil {
		return err
	}
	if deps.Admin.Login != "" && deps.Admin.Password == "" {
		return errors.New("bootstrap.admin_user is set and has no password: give bootstrap.admin_password_file")
	}
	metrics, err := database.NewMetrics(a.metrics)
	if err != nil {
		return err
	}
	worker, err := database.NewWorker(database.Config{
		AnySigner: c.Database.AnySigner, Reconcile: c.Database.Reconcile, Keep: c.Database.Keep, Metrics: metrics,
	}, deps)
	if err != nil {
		return err
	}
	a.onClose(func() error { worker.Close(); return nil })
	// A record that is in hand when Postgres goes away waits for it as long as it takes.
	group, err := a.addGroup(Database, worker.Graph(), func(e *engine.Config) { e.Retries = math.MaxInt32 })
	if err != nil {
		return err
	}
	worker.Bind(group)
	a.beside("database", worker.Run)
	return nil
}

// databases opens the pools of the cluster's database and of that of the virtual nodes.
func (a *App) databases(ctx context.Context) (cluster, vnodes *postgres.Pool, err error) {
	c := a.cfg.Postgres
	password, vnodePassword, err := c.Passwords()
	if err != nil {
		return nil, nil, err
	}
	pulse, err := a.pulse(ctx, "postgres.url", c.URL, password)
	if err != nil {
		return nil, nil, err
	}
	vnodePulse, err := a.pulse(ctx, "postgres.vnode_url", c.VnodeURL, vnodePassword)
	if err != nil {
		return nil, nil, err
	}
	cluster, err = postgres.Open(ctx, postgres.Config{URL: c.URL, Password: password, MaxConns: c.MaxConnections, SearchPath: clusterdb.Schema, Pulse: pulse})
	if err != nil {
		return nil, nil, fmt.Errorf("postgres.url: %w", err)
	}
	a.onClose(func() error { cluster.Close(); return nil })
	vnodes, err = postgres.Open(ctx, postgres.Config{URL: c.VnodeURL, Password: vnodePassword, MaxConns: c.MaxConnections, Pulse: vnodePulse})
	if err != nil {
		return nil, nil, fmt.Errorf("postgres.vnode_url: %w", err)
	}
	a.onClose(func() error { vnodes.Close(); return nil })
	return cluster, vnodes, nil
}

// sandbox returns the process's sandbox, made when it is first asked for.
func (a *App) sandbox(ctx context.Context) (*sandbox.Runtime, error) {
	if a.opts.Sandbox != nil {
		return a.opts.Sandbox, nil
	}
	cache := filepath.Join(a.cfg.Process.DataDir, "compiled")
	runtime, err := sandbox.New(ctx, sandbox.Config{CacheDir: cache, Log: a.log})
	if err != nil {
		return nil, fmt.Errorf("starting the sandbox with its cache in %s (process.data_dir): %w", cache, err)
	}
	a.opts.Sandbox = runtime
	a.onClose(func() error { return runtime.Close(context.WithoutCancel(ctx)) })
	return runtime, nil
}

// packageFiles opens package files for the database worker.
type packageFiles struct{ runtime *sandbox.Runtime }

// refusedPackage is a refusal with its stable id.
type refusedPackage struct{ error }

func (r refusedPackage) StableID() string { return cpi.IDOf(r.error) }
func (r refusedPackage) Unwrap() error    { return r.error }

// Open is [database.Packages]'.
func (packageFiles) Open(_ context.Context, file []byte, trust database.Trust) (*database.Package, error) {
	p, err := cpi.OpenBytes(file, cpi.Options{Kind: cpi.CPI, Trust: cpi.Trust{Roots: trust.Roots, AnySigner: trust.Any, Unsigned: trust.Any}})
	if err != nil {
		return nil, refusedPackage{err}
	}
	out := contentOf(p)
	for _, c := range p.CPKs {
		m := clusterdb.Migrations{Cpk: c.Name}
		for _, x := range c.Migrations {
			sql, err := x.SQL()
			if err != nil {
				return nil, refusedPackage{err}
			}
			m.List = append(m.List, postgres.Migration{Name: x.Name, SQL: sql})
		}
		if len(m.List) > 0 {
			out.Migrations = append(out.Migrations, m)
		}
	}
	return out, nil
}

// OpenCode is [database.Packages]'.
func (packageFiles) OpenCode(_ context.Context, file []byte, trust database.Trust) (*database.Package, error) {
	p, err := cpi.OpenBytes(file, cpi.Options{Kind: cpi.CPK, Trust: cpi.Trust{Roots: trust.Roots}})
	if err != nil {
		return nil, refusedPackage{err}
	}
	return contentOf(p), nil
}

// contentOf is what the database worker keeps of a package, without its migrations.
func contentOf(p *cpi.Package) *database.Package {
	out := &database.Package{Cpi: p.ToProto()}
	for _, f := range p.CodeFiles() {
		if info := f.CodeRecord(f.File.Size()); info != nil {
			out.Code = append(out.Code, database.CodeFile{Info: info, File: f.File})
		}
	}
	out.Chunks = func(yield func(*cpiv1.Chunk, error) bool) { eachModule(p, chunksOf(yield)) }
	out.Modules = func(yield func(database.Module, error) bool) {
		eachModule(p, func(c *cpi.CPKContent, m cpi.Module) bool {
			b, err := m.Bytes()
			return yield(database.Module{Name: fmt.Sprintf("%s of %s %s", m.Name, c.Name, c.Version), Kind: m.Kind, Wasm: b}, err)
		})
	}
	return out
}

func eachModule(p *cpi.Package, f func(*cpi.CPKContent, cpi.Module) bool) {
	for _, c := range p.CPKs {
		for _, m := range c.Modules {
			if !f(c, m) {
				return
			}
		}
	}
}

func chunksOf(yield func(*cpiv1.Chunk, error) bool) func(*cpi.CPKContent, cpi.Module) bool {
	return func(_ *cpi.CPKContent, m cpi.Module) bool {
		for c, err := range m.Chunks() {
			if !yield(c, err) {
				return false
			}
		}
		return true
	}
}

// Validate is [database.Packages]'.
func (f packageFiles) Validate(ctx context.Context, m database.Module) error {
	if _, err := f.runtime.Install(ctx, m.Wasm); err != nil {
		return fmt.Errorf("the sandbox would not run it: %w; change the code, or build it with fairlead app build of this cluster's version", err)
	}
	return nil
}
