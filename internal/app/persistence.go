package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/processors/persistence"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

func (a *App) buildPersistence(ctx context.Context) error {
	c := a.cfg
	if c.Postgres.URL == "" || c.Postgres.VnodeURL == "" || c.Postgres.SealKeyFile == "" {
		return errors.New("postgres.url, postgres.vnode_url and postgres.seal_key_file are needed: the cluster's database, that of the virtual nodes, and the key of sealed credentials")
	}
	key, err := seal.ReadFile(c.Postgres.SealKeyFile)
	if err != nil {
		return fmt.Errorf("postgres.seal_key_file: %w", err)
	}
	password, _, err := c.Postgres.Passwords()
	if err != nil {
		return err
	}
	pulse, err := a.pulse(ctx, "postgres.url", c.Postgres.URL, password)
	if err != nil {
		return err
	}
	cluster, err := postgres.Open(ctx, postgres.Config{URL: c.Postgres.URL, Password: password, MaxConns: 2, SearchPath: clusterdb.Schema, Pulse: pulse})
	if err != nil {
		return fmt.Errorf("postgres.url: %w", err)
	}
	a.onClose(func() error { cluster.Close(); return nil })
	virtualNodes, err := a.views.get(topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]())
	if err != nil {
		return err
	}
	packages, err := a.views.get(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]())
	if err != nil {
		return err
	}
	logins := &vnodeLogins{cluster: cluster, key: key, address: c.Postgres.VnodeURL, known: map[string]vnodes.Login{}}
	pool := vnodes.NewPool(vnodes.Config{
		Login: logins.get, Rejected: logins.forget, Connecting: a.connecting, Max: c.Persistence.MaxConnections, MaxPerVnode: c.Persistence.MaxConnectionsPerVnode,
		TimeLimit: c.Persistence.TimeLimit, LockTimeout: c.Persistence.TimeLimit, Log: a.log,
	})
	a.onClose(func() error { pool.Close(); return nil })
	// Whatever changed of a virtual node, its credentials may have.
	virtualNodes.OnChange(func(hash string, _ any) { logins.forget(hash); pool.Forget(hash) })
	metrics, err := persistence.NewMetrics(a.metrics)
	if err != nil {
		return err
	}
	if err := metrics.Watch(pool); err != nil {
		return err
	}
	worker, err := persistence.NewWorker(persistence.Config{Keep: c.Persistence.Keep, SweepEvery: c.Persistence.SweepEvery}, persistence.Deps{
		VirtualNodes: virtualNodes, Packages: packages, Store: persistence.NewVault(pool), Log: a.log, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	a.onClose(func() error { worker.Close(); return nil }) // before its pool
	// What is in hand when Postgres goes away waits for it, up to its own deadline.
	patient := func(e *engine.Config) { e.Retries = math.MaxInt32 }
	if _, err := a.addGroup(topics.PersistenceGroup, worker.Graph(), patient, func(e *engine.Config) { e.MaxBatch = persistence.MaxBatch() }); err != nil {
		return err
	}
	worker.PauseWith(a.engines[len(a.engines)-1].engine)
	if _, err := a.addGroup(topics.PersistenceFeedGroup, worker.FeedGraph(), patient); err != nil {
		return err
	}
	worker.PauseWith(a.engines[len(a.engines)-1].engine)
	a.besides = append(a.besides, besides{Persistence, worker.Run})
	return nil
}

// vnodeLogins finds the logins of virtual nodes in the cluster's database and opens their seals. It remembers them
// until they are forgotten.
type vnodeLogins struct {
	cluster *postgres.Pool
	key     *seal.Key
	// address is where virtual nodes lie whose connection names no other.
	address string

	mu    sync.Mutex
	known map[string]vnodes.Login
}

func (l *vnodeLogins) get(ctx context.Context, vnode string) (vnodes.Login, error) {
	l.mu.Lock()
	login, ok := l.known[vnode]
	l.mu.Unlock()
	if ok {
		return login, nil
	}
	c, err := clusterdb.Connection(ctx, l.cluster, vnode, clusterdb.DML)
	if err != nil {
		return login, fmt.Errorf("read the login of virtual node %s: %w", vnode, err)
	}
	if c == nil {
		return login, fmt.Errorf("virtual node %s has no login for its data", vnode)
	}
	password, err := l.key.Open(c.Password, clusterdb.Place(vnode, clusterdb.DML)...)
	if err != nil {
		return login, fmt.Errorf("open the password of virtual node %s: %w", vnode, err)
	}
	login = vnodes.Login{URL: c.Address, User: c.Login, Password: string(password), Schema: c.Schema, Elsewhere: c.Address != ""}
	if login.URL == "" {
		login.URL = l.address
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[vnode] = login
	return login, nil
}

func (l *vnodeLogins) forget(vnode string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, vnode)
}
