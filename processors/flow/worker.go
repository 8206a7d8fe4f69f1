package flow

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// View is a compacted topic in memory.
type View interface {
	Get(key string) (msg any, ok bool)
}

// WholeView is a view that can be walked.
type WholeView interface {
	View
	// All yields the messages.
	All() iter.Seq2[string, any]
}

// Deps is what the worker needs of the process around it.
type Deps struct {
	// VirtualNodes, Packages and Chunks are views of virtual.node.info, cpi.info and cpi.chunks, ready.
	VirtualNodes, Chunks View
	Packages             WholeView
	// Directory knows members and keys, fed by views of virtual.node.info, cpi.info and crypto.keys. Default: an empty one.
	Directory *Directory
	// Sandbox runs the modules.
	Sandbox Sandbox
	// Random is where seeds come from. Default: the system's generator.
	Random io.Reader
	// Log receives what flows write, and what an operator should see. Default: slog.Default().
	Log *slog.Logger
	// Metrics counts; nil for none.
	Metrics *Metrics
}

// Worker owns the instances of the flows in this process.
type Worker struct {
	cfg     Config
	deps    Deps
	live    *liveInstances
	modules *modules
	// sessionTimeout is how long sessions that are opened now may be silent, nanoseconds; 0 for what cfg says.
	sessionTimeout atomic.Int64
	// ctx outlives every callback: instances are released in it.
	ctx context.Context
}

// NewWorker makes a worker. Without dependencies it can only describe its [Worker.Graph].
func NewWorker(cfg Config, deps Deps) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if deps.Random == nil {
		deps.Random = rand.Reader
	}
	if deps.Directory == nil {
		deps.Directory = NewDirectory()
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	return &Worker{
		cfg:     cfg,
		deps:    deps,
		live:    newLiveInstances(cfg.LiveCount, cfg.LiveBytes, deps.Metrics),
		modules: newModules(deps.Sandbox, deps.Chunks, cfg.InstallWait),
		ctx:     context.Background(),
	}, nil
}

// Changed is called when a package in cpi.info changes; cpi is nil when it is gone. Its modules are installed before a
// flow asks for them, and those that no package names any more go. It returns at once.
func (w *Worker) Changed(cpi *cpiv1.Cpi) {
	w.modules.warm(cpi)
	if err := w.modules.name(w.deps.Packages.All()); err != nil {
		w.deps.Log.Warn("modules were uninstalled, not all of their memory was given back", "error", err)
	}
}

// sweep lets go of modules that only the flow which has ended needed.
func (w *Worker) sweep() {
	if err := w.modules.set.Sweep(); err != nil {
		w.deps.Log.Warn("modules were uninstalled, not all of their memory was given back", "error", err)
	}
}

// Close lets go of all instances and waits for installations. The group must have ended.
func (w *Worker) Close() {
	w.modules.set.Close()
	w.live.dropAll(w.ctx)
}

// startOf finds out what a start needs.
func (t *turn) startOf(s *flowv1.Started) (Started, error) {
	e := Started{Started: s, NowUs: t.nowUs}
	var err error
	if e.Seed, err = t.seed(); err != nil {
		return e, err
	}
	err = t.w.resolve(&e)
	if asNotHere(err) {
		if !t.waited() {
			return e, t.retry(err)
		}
		e.Refused = platformError(ErrNotHere, "%s, after %s: look at the virtual node and its package", validText(err.Error()), t.w.cfg.ViewWait)
	} else if err != nil {
		e.Refused = platformError(ErrWorker, "%s", validText(err.Error()))
	}
	return e, nil
}

// resolve finds the module that has a flow's class.
func (w *Worker) resolve(e *Started) error {
	start := e.Started.GetStart()
	vnode, cpi, err := w.packageOf(start.GetVnode())
	if err != nil {
		return err
	}
	if vnode.GetFlowStart() == vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE {
		e.Stopped = inMaintenance(vnode, "lets no flow start")
	}
	e.CPIChecksum = vnode.GetCpiChecksum()
	fromClient := start.GetInitiator() != flowv1.Initiator_INITIATOR_P2P
	var startable []string
	for _, m := range cpi.GetModules() {
		if m.GetKind() != cpiv1.ModuleKind_MODULE_KIND_FLOW || len(m.GetSha256()) != 32 {
			continue
		}
		for _, class := range m.GetFlows() {
			if class.GetStartable() {
				startable = append(startable, class.GetName())
			}
			if class.GetName() == start.GetFlowClass() && (class.GetStartable() || !fromClient) {
				e.Module = m.GetSha256()
				return nil
			}
		}
	}
	e.Refused = platformError(ErrNoClass, "package %s %s of virtual node %s has no flow %q that may be started; it has %s",
		cpi.GetName(), cpi.GetVersion(), start.GetVnode(), start.GetFlowClass(), orNone(startable))
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// packageOf finds a virtual node and its package. Its error is a *notHereError when they may be visible later.
func (w *Worker) packageOf(hash string) (*vnodev1.VirtualNode, *cpiv1.Cpi, error) {
	vnode, err := w.vnode(hash)
	if err != nil {
		return nil, nil, err
	}
	msg, ok := w.deps.Packages.Get(vnode.GetCpiChecksum())
	if !ok {
		return nil, nil, notHere("package %s of virtual node %s is not known to this worker", vnode.GetCpiChecksum(), hash)
	}
	cpi, ok := msg.(*cpiv1.Cpi)
	if !ok {
		return nil, nil, fmt.Errorf("view of packages holds a %T", msg)
	}
	return vnode, cpi, nil
}

// seed draws a flow's only source of randomness.
func (t *turn) seed() ([]byte, error) {
	seed := make([]byte, 32)
	if _, err := io.ReadFull(t.w.deps.Random, seed); err != nil {
		return nil, t.retry(fmt.Errorf("draw a seed: %w", err))
	}
	return seed, nil
}

func (w *Worker) vnode(hash string) (*vnodev1.VirtualNode, error) {
	msg, ok := w.deps.VirtualNodes.Get(hash)
	if !ok {
		return nil, notHere("virtual node %s is not known to this worker", hash)
	}
	v, ok := msg.(*vnodev1.VirtualNode)
	if !ok {
		return nil, fmt.Errorf("view of virtual nodes holds a %T", msg)
	}
	return v, nil
}

// errStopping tells that the process is going down in the middle of a call.
var errStopping = errors.New("the flow worker is stopping")
