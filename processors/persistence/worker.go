package persistence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairleadio/fairlead/internal/rows"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// View is what the worker reads of a compacted topic; *engine.View is one.
type View interface {
	Get(key string) (msg any, ok bool)
	OnChange(f func(key string, msg any))
}

// Pauser stops and resumes the reading of a group's input; *engine.Engine is one.
type Pauser interface {
	Pause(reason string)
	Resume()
}

// Deps are what the worker works with.
type Deps struct {
	// VirtualNodes and Packages are views of virtual.node.info and cpi.info.
	VirtualNodes, Packages View
	Store                  Store
	Log                    *slog.Logger
	// Metrics counts what happens; nil for none.
	Metrics *Metrics
}

// Worker is both groups of the persistence worker.
type Worker struct {
	cfg     Config
	deps    Deps
	replies map[string][]string // where answers may go, by the topic of requests
	parked  parkedFeeds
	running *running
	paused  atomic.Bool // the shared server is away

	mu      sync.Mutex
	schemas map[string]compiled
	feeds   map[string]map[string]bool // topics of channels, by virtual node
	pausers []Pauser
	away    chan string // a virtual node at which the server was found to be away
}

// compiled are the declarations of one package.
type compiled struct {
	cpi    *cpiv1.Cpi
	schema *rows.Schema
	err    error
}

// NewWorker makes the worker; nothing runs before its graphs do. It must be made before the views run.
func NewWorker(cfg Config, deps Deps) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	replies := map[string][]string{}
	for _, name := range []string{topics.PersistenceRequests, topics.PersistenceTokens} {
		t, ok := topics.Find(name)
		if !ok {
			return nil, errors.New("persistence: the catalogue has no " + name)
		}
		replies[name] = t.Replies
	}
	w := &Worker{cfg: cfg.withDefaults(), deps: deps, replies: replies, schemas: map[string]compiled{}, running: newRunning(),
		feeds: map[string]map[string]bool{}, away: make(chan string, 1)}
	if deps.VirtualNodes != nil {
		deps.VirtualNodes.OnChange(w.routesChanged)
	}
	return w, nil
}

// PauseWith names an engine that is paused while Postgres is away. It is called before [Worker.Run].
func (w *Worker) PauseWith(p Pauser) { w.pausers = append(w.pausers, p) }

// Close ends the requests that run and waits for them. The groups must have ended.
func (w *Worker) Close() { w.running.close() }

// Run watches for the way back to Postgres until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case vnode := <-w.away:
			w.waitForServer(ctx, vnode)
		}
	}
}

// serverAway is told of a request that the server could not take.
func (w *Worker) serverAway(vnode string) {
	select {
	case w.away <- vnode:
	default: // it is being looked at
	}
}

// waitForServer pauses the groups until the server can be reached again. What looked like the server may have been one
// session: then it can be reached at once.
func (w *Worker) waitForServer(ctx context.Context, vnode string) {
	paused := false
	for wait := 50 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 2*time.Second) {
		pctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := w.deps.Store.Ping(pctx, vnode)
		cancel()
		if !isAway(err) {
			break
		}
		if !paused {
			paused = true
			w.paused.Store(true)
			w.running.recovered(nil) // it was not the requests' fault
			w.deps.Log.Error("Postgres cannot be reached; requests wait in Kafka until it can", "id", IDAway, "error", err)
			for _, p := range w.pausers {
				p.Pause(fmt.Sprintf("%s: Postgres cannot be reached: %v", IDAway, err))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	if paused {
		w.paused.Store(false)
		for _, p := range w.pausers {
			p.Resume()
		}
		w.deps.Log.Info("Postgres can be reached again")
	}
}

func (w *Worker) vnode(hash string) *vnodev1.VirtualNode {
	if m, ok := w.deps.VirtualNodes.Get(hash); ok {
		v, _ := m.(*vnodev1.VirtualNode)
		return v
	}
	return nil
}

// schema returns the declarations of a package, nil when the view has none.
func (w *Worker) schema(checksum string) (*rows.Schema, error) {
	m, ok := w.deps.Packages.Get(checksum)
	cpi, isCpi := m.(*cpiv1.Cpi)
	if !ok || !isCpi {
		return nil, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := w.schemas[checksum]; ok && c.cpi == cpi {
		return c.schema, c.err
	}
	c := compiled{cpi: cpi}
	c.schema, c.err = rows.CompilePackage(cpi)
	w.schemas[checksum] = c
	return c.schema, c.err
}

// routesChanged keeps the topics to which the feed may emit.
func (w *Worker) routesChanged(hash string, msg any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := msg.(*vnodev1.VirtualNode)
	if !ok {
		delete(w.feeds, hash)
		return
	}
	to := map[string]bool{}
	for _, r := range v.GetChannels() {
		if topics.CheckChannelTopic(r.GetTopic()) == nil {
			to[r.GetTopic()] = true
		}
	}
	w.feeds[hash] = to
}

// mayFeed tells whether a topic is that of a channel of some virtual node. Which virtual node emits where is decided by
// [Routes]; this is the engine's second look.
func (w *Worker) mayFeed(topic string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, to := range w.feeds {
		if to[topic] {
			return true
		}
	}
	return false
}
