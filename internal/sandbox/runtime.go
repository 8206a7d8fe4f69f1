package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/fairleadio/fairlead/internal/sandbox/meter"
)

// Config is a runtime's settings. The zero value is usable.
type Config struct {
	// CacheDir keeps compiled modules between processes; empty keeps them in memory only. What lies there is
	// executed: nobody else may write to it. It is made, for its owner only, when it does not exist.
	CacheDir string
	// Limits of every instance; zero fields mean DefaultLimits.
	Limits Limits
	// IdleInstances is how many finished instances of a module are kept for the next flow, each with the memory that flows
	// change, a megabyte at most where base images are mapped. Zero means 64 there and 2 × GOMAXPROCS elsewhere, less than
	// zero none.
	IdleInstances int
	// ColdInstances is how many more are kept where base images are mapped. Those that were not needed for ten seconds have
	// no memory of their own any more: the next flow takes the pages that it changes anew, which costs a small part of what
	// a new instance does. After a minute they are closed. Both happens when other instances come back. Zero means 1024,
	// less than zero none.
	ColdInstances int
	// WallClock is how long one call may take before it is stopped whatever its budget; zero means 10 s.
	WallClock time.Duration
	// Log gets what happens to modules; nil discards it.
	Log *slog.Logger

	staysWarm  time.Duration // how long an instance that is one too many keeps memory of its own
	staysOpen  time.Duration // how long it is kept
	copyImages bool          // copy base images even where they can be mapped
	interpret  bool          // do not compile
}

// Runtime holds the installed modules.
type Runtime struct {
	cfg   Config
	cache wazero.CompilationCache
	rt    wazero.Runtime
	pages pageMap

	// open is held for reading while an instance is made, called or reset, so that Close waits for them: their
	// memory is not the garbage collector's.
	open   sync.RWMutex
	closed bool // guarded by open

	mu      sync.Mutex
	modules map[[32]byte]*installation
}

// enter holds the runtime open. The caller calls leave afterwards, when enter returned true.
func (r *Runtime) enter() bool {
	r.open.RLock()
	if r.closed {
		r.open.RUnlock()
		return false
	}
	return true
}

func (r *Runtime) leave() { r.open.RUnlock() }

// installation is a module on its way or there.
type installation struct {
	done   chan struct{}
	module *Module
	err    error
}

// New makes a runtime without modules.
func New(ctx context.Context, cfg Config) (*Runtime, error) {
	d := DefaultLimits()
	if cfg.Limits.MemoryPages == 0 {
		cfg.Limits.MemoryPages = d.MemoryPages
	}
	if cfg.Limits.Instructions == 0 {
		cfg.Limits.Instructions = d.Instructions
	}
	if cfg.Limits.MaxArgument == 0 {
		cfg.Limits.MaxArgument = d.MaxArgument
	}
	if cfg.Limits.MaxResult == 0 {
		cfg.Limits.MaxResult = d.MaxResult
	}
	if cfg.Limits.MemoryPages > 65536 || cfg.Limits.Instructions < 0 || cfg.Limits.MaxArgument < 0 || cfg.Limits.MaxResult < 0 {
		return nil, fmt.Errorf("sandbox: limits %+v: pages are at most 65536 and nothing is negative", cfg.Limits)
	}
	if cfg.IdleInstances == 0 {
		if cfg.IdleInstances = 2 * runtime.GOMAXPROCS(0); canMap && !cfg.copyImages {
			cfg.IdleInstances = 64
		}
	}
	if cfg.ColdInstances == 0 {
		cfg.ColdInstances = 1024
	}
	if cfg.staysWarm == 0 {
		cfg.staysWarm = 10 * time.Second
	}
	if cfg.staysOpen == 0 {
		cfg.staysOpen = time.Minute
	}
	if cfg.WallClock <= 0 {
		cfg.WallClock = defaultWallClock
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runtime{cfg: cfg, modules: map[[32]byte]*installation{}}
	r.pages.log = cfg.Log
	if cfg.CacheDir != "" {
		if err := os.MkdirAll(cfg.CacheDir, 0o700); err != nil {
			return nil, fmt.Errorf("sandbox: make the directory of compiled modules: %w", err)
		}
		cache, err := wazero.NewCompilationCacheWithDir(cfg.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("sandbox: open the directory of compiled modules %s: %w", cfg.CacheDir, err)
		}
		r.cache = cache
	} else {
		r.cache = wazero.NewCompilationCache()
	}
	rc := wazero.NewRuntimeConfig()
	if cfg.interpret {
		rc = wazero.NewRuntimeConfigInterpreter()
	}
	r.rt = wazero.NewRuntimeWithConfig(ctx, rc.
		WithCompilationCache(r.cache).
		WithCoreFeatures(api.CoreFeaturesV2&^api.CoreFeatureSIMD).
		WithMemoryLimitPages(cfg.Limits.MemoryPages).
		WithDebugInfoEnabled(false).
		WithCustomSections(false))
	if err := instantiateHost(ctx, r.rt); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), r.Close(ctx))
	}
	return r, nil
}

// Install makes a module ready to run: it checks, meters and compiles it and takes its base image. It takes seconds
// for a module that was never compiled here, and nothing for one that is installed already. What is wrong with the
// module is an *Error of kind Rejected, or of the kind of what its _initialize did.
func (r *Runtime) Install(ctx context.Context, wasm []byte) (*Module, error) {
	if !r.enter() {
		return nil, errClosed
	}
	defer r.leave()
	sha := sha256.Sum256(wasm)
	for {
		r.mu.Lock()
		in, ok := r.modules[sha]
		if !ok {
			in = &installation{done: make(chan struct{})}
			r.modules[sha] = in
			r.mu.Unlock()
			r.install(ctx, in, sha, wasm)
			return in.module, in.err
		}
		r.mu.Unlock()
		select {
		case <-in.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if in.err == nil || KindOf(in.err) != "" {
			return in.module, in.err
		}
		// The installation failed for its caller's reasons, not the module's: do it ourselves.
	}
}

var errClosed = errors.New("sandbox: the runtime is closed")

func (r *Runtime) install(ctx context.Context, in *installation, sha [32]byte, wasm []byte) {
	begin := time.Now()
	in.module, in.err = r.build(ctx, sha, wasm)
	if in.err != nil {
		in.err = fmt.Errorf("install module %s: %w", hex.EncodeToString(sha[:6]), in.err)
		r.mu.Lock()
		delete(r.modules, sha)
		r.mu.Unlock()
	} else {
		r.cfg.Log.Info("module installed", "sha256", hex.EncodeToString(sha[:]), "bytes", len(wasm), "took", time.Since(begin),
			"image_bytes", in.module.ImageBytes(), "init_instructions", in.module.initUsed, "reset_in_place", in.module.resettable)
	}
	close(in.done)
}

func (r *Runtime) build(ctx context.Context, sha [32]byte, wasm []byte) (*Module, error) {
	metered, err := meter.Instrument(wasm)
	if err != nil {
		return nil, failed(Rejected, "%s", err)
	}
	role, err := checkInterface(metered, r.cfg.Limits)
	if err != nil {
		return nil, err
	}
	compiled, err := r.rt.CompileModule(experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0)), metered.Wasm)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, failed(Rejected, "the module does not compile: %s", err)
	}
	m := &Module{r: r, sha: sha, role: role, compiled: compiled, globals: metered.Globals, resettable: metered.Resettable, tableBytes: metered.TableBytes}
	if err := m.takeImage(ctx, metered.Data); err != nil {
		return nil, errors.Join(err, compiled.Close(ctx))
	}
	return m, nil
}

// Module returns an installed module.
func (r *Runtime) Module(sha [32]byte) (*Module, bool) {
	r.mu.Lock()
	in, ok := r.modules[sha]
	r.mu.Unlock()
	if !ok {
		return nil, false
	}
	select {
	case <-in.done:
		return in.module, in.err == nil
	default:
		return nil, false
	}
}

// Close waits for running calls, ends all instances and gives all memory back.
func (r *Runtime) Close(ctx context.Context) error {
	r.open.Lock()
	defer r.open.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	errs := []error{r.rt.Close(ctx), r.cache.Close(ctx), r.pages.close()}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.modules { // all are done: Install holds the runtime open
		if in.module != nil && in.module.image.shared != nil {
			errs = append(errs, in.module.image.shared.close())
		}
	}
	r.modules = nil
	return errors.Join(errs...)
}
