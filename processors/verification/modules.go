package verification

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/sandbox"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// laterError says why something is not there yet, through no fault of a contract's.
type laterError struct{ what string }

func (e *laterError) Error() string { return e.what }

func later(format string, args ...any) error { return &laterError{fmt.Sprintf(format, args...)} }

// modules finds modules in the sandbox, and installs those that are not there from the parts on cpi.chunks: beside the
// partitions' work, one at a time. Those that no package names any more are uninstalled.
type modules struct {
	sandbox Sandbox
	chunks  View
	log     *slog.Logger
	metrics *Metrics

	mu      sync.Mutex
	pending map[[32]byte]*installation
	here    map[[32]byte]bool // installed by this worker
	named   map[[32]byte]bool // by packages
	closed  bool
	work    sync.WaitGroup
	turn    sync.Mutex // one installation at a time
	ctx     context.Context
	stop    context.CancelFunc
}

// installation is a module on its way; done is closed when the other fields are set.
type installation struct {
	done   chan struct{}
	module Module
	err    error
}

func newModules(d Deps) *modules {
	ctx, stop := context.WithCancel(context.Background())
	return &modules{sandbox: d.Sandbox, chunks: d.Chunks, log: d.Log, metrics: d.Metrics, pending: map[[32]byte]*installation{}, here: map[[32]byte]bool{}, ctx: ctx, stop: stop}
}

// installWait is how long a request waits for a module that is being compiled, before it lets others go first.
const installWait = 20 * time.Millisecond

// get returns a module that is ready. Its error is a *laterError when it may be ready later, and a sandbox.Error when the
// module is none that can run.
func (m *modules) get(ctx context.Context, sha [32]byte) (Module, error) {
	if mod, ok := m.sandbox.Module(sha); ok {
		return mod, nil
	}
	in, err := m.install(sha)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(installWait)
	defer timer.Stop()
	select {
	case <-in.done:
		return in.module, in.err
	case <-timer.C:
		return nil, later("module %x is being compiled", sha[:6])
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for module %x: %w", sha[:6], ctx.Err())
	}
}

// install begins to install a module, or returns the installation that is under way or has failed for good.
func (m *modules) install(sha [32]byte) (*installation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, later("the verification worker is stopping")
	}
	if in := m.pending[sha]; in != nil {
		return in, nil
	}
	wasm, err := m.assemble(sha)
	if err != nil {
		return nil, err
	}
	in := &installation{done: make(chan struct{})}
	m.pending[sha] = in
	m.tell()
	m.work.Go(func() {
		m.turn.Lock()
		defer m.turn.Unlock()
		module, err := m.sandbox.Install(m.ctx, wasm)
		m.mu.Lock()
		in.module, in.err = module, err
		if err == nil {
			m.here[sha] = true
		}
		if !isFault(err) { // a success is found in the sandbox; what is no fault of the module's is tried again
			delete(m.pending, sha)
		}
		m.tell()
		m.mu.Unlock()
		close(in.done)
	})
	return in, nil
}

// tell shows how many of the modules that packages name are ready, whoever installed them in this process, and how many
// are on their way.
func (m *modules) tell() {
	if m.metrics == nil {
		return
	}
	ready, under := 0, 0
	for sha := range m.named {
		if _, ok := m.sandbox.Module(sha); ok {
			ready++
		}
	}
	for _, in := range m.pending {
		if in.err == nil {
			under++
		}
	}
	m.metrics.installed(ready, under)
}

// show tells how things are; a flow worker in the same process may have installed modules meanwhile.
func (m *modules) show() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell()
}

// assemble puts a module together from its parts.
func (m *modules) assemble(sha [32]byte) ([]byte, error) {
	var wasm bytes.Buffer
	for part, parts := uint32(0), uint32(1); part < parts; part++ {
		key := fmt.Sprintf("%x/%08d", sha, part)
		msg, _ := m.chunks.Get(key)
		chunk, ok := msg.(*cpiv1.Chunk)
		if !ok || chunk.GetPart() != part || chunk.GetParts() == 0 {
			return nil, later("module %x: part %d is not known here yet", sha[:6], part)
		}
		parts = chunk.GetParts()
		wasm.Write(chunk.GetData())
	}
	if sha256.Sum256(wasm.Bytes()) != sha {
		return nil, later("the parts of module %x that are known here do not add up to it", sha[:6])
	}
	return wasm.Bytes(), nil
}

// keep installs the modules that packages name, before anybody asks for them, and uninstalls others.
func (m *modules) keep(named [][32]byte) {
	want := map[[32]byte]bool{}
	for _, sha := range named {
		want[sha] = true
		if _, ok := m.sandbox.Module(sha); !ok {
			_, _ = m.install(sha) // a part that is missing comes later; what is wrong shows when a request needs it
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.named = want
	for sha := range m.here {
		if want[sha] || m.closed {
			continue
		}
		gone, err := m.sandbox.Uninstall(m.ctx, sha)
		if err != nil {
			m.log.Warn("a module was uninstalled, not all of its memory was given back", "error", err)
		}
		if gone {
			delete(m.here, sha)
		}
	}
	for sha, in := range m.pending {
		if !want[sha] && in.err != nil {
			delete(m.pending, sha)
		}
	}
	m.tell()
}

// close waits for what is under way.
func (m *modules) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.work.Wait()
}

// isFault tells whether an error is a module's own doing, and comes again wherever the same is run.
func isFault(err error) bool {
	kind := sandbox.KindOf(err)
	return kind != "" && kind != sandbox.OutOfTime
}
