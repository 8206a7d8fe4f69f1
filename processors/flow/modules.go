package flow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/sandbox"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// notHereError tells that something is not visible to this worker, or not ready, and may be soon.
type notHereError struct {
	what string
	// coming tells that this worker is getting it: it is waited for however long that takes, and however late the record
	// was when this worker began.
	coming bool
}

func (e *notHereError) Error() string { return e.what }

func notHere(format string, args ...any) error {
	return &notHereError{what: fmt.Sprintf(format, args...)}
}

func coming(format string, args ...any) error {
	return &notHereError{what: fmt.Sprintf(format, args...), coming: true}
}

// modules finds modules in the sandbox, and installs those that are not there from the parts on cpi.chunks. Installing
// runs beside the partitions' work, one module at a time. Those that no package names go when no flow in memory uses
// them; a flow that waits without an instance has its module installed again when it goes on.
type modules struct {
	sandbox Sandbox
	chunks  View
	wait    time.Duration

	mu      sync.Mutex
	pending map[[32]byte]*installation
	here    map[[32]byte]bool // installed by this worker
	named   map[[32]byte]bool // named by a package
	closed  bool
	work    sync.WaitGroup
	turn    sync.Mutex // one installation at a time
	ctx     context.Context
	stop    context.CancelFunc
}

// installation is a module on its way; done is closed when the other fields are set.
type installation struct {
	began  time.Time
	done   chan struct{}
	module Module
	err    error
}

func newModules(s Sandbox, chunks View, wait time.Duration) *modules {
	ctx, stop := context.WithCancel(context.Background())
	return &modules{sandbox: s, chunks: chunks, wait: wait, pending: map[[32]byte]*installation{}, here: map[[32]byte]bool{}, ctx: ctx, stop: stop}
}

// get returns a module that is ready. Its error is a *notHereError when it may be ready later, and a sandbox.Error
// when the module is none that can run.
func (m *modules) get(ctx context.Context, sha [32]byte) (Module, error) {
	if mod, ok := m.sandbox.Module(sha); ok {
		return mod, nil
	}
	in, err := m.install(sha)
	if err != nil {
		return nil, err
	}
	// A partition waits once, not once for each of its flows.
	timer := time.NewTimer(m.wait - time.Since(in.began))
	defer timer.Stop()
	select {
	case <-in.done:
		if in.err != nil {
			return nil, fmt.Errorf("install module %x: %w", sha[:6], in.err)
		}
		return in.module, nil
	case <-timer.C:
		return nil, coming("module %x is being compiled", sha[:6])
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for module %x: %w", sha[:6], ctx.Err())
	}
}

// instance makes an instance of a module. One that is uninstalled in the meantime is installed again.
func (m *modules) instance(ctx context.Context, sha, seed [32]byte, log func(string)) (Instance, error) {
	const tries = 3
	for n := 1; ; n++ {
		module, err := m.get(ctx, sha)
		if err != nil {
			return nil, err
		}
		i, err := module.NewInstance(ctx, seed, log)
		if err == nil {
			return i, nil
		}
		if n == tries || !errors.Is(err, sandbox.ErrUninstalled) {
			return nil, fmt.Errorf("make an instance: %w", err)
		}
	}
}

// name takes down which modules packages name, and uninstalls others.
func (m *modules) name(packages iter.Seq2[string, any]) error {
	named := map[[32]byte]bool{}
	for _, msg := range packages {
		cpi, _ := msg.(*cpiv1.Cpi)
		for _, mod := range cpi.GetModules() {
			if len(mod.GetSha256()) == sha256.Size {
				named[[32]byte(mod.GetSha256())] = true
			}
		}
	}
	m.mu.Lock()
	m.named = named
	m.mu.Unlock()
	return m.sweep()
}

// sweep uninstalls the modules that no package names and no instance uses.
func (m *modules) sweep() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.named == nil {
		return nil // no package was seen yet
	}
	var errs []error
	for sha := range m.here {
		if m.named[sha] {
			continue
		}
		gone, err := m.sandbox.Uninstall(m.ctx, sha)
		if err != nil {
			errs = append(errs, err)
		}
		if gone {
			delete(m.here, sha)
		}
	}
	return errors.Join(errs...)
}

// warm installs the flow modules of a package before anybody asks for them. What is wrong shows when a flow starts.
func (m *modules) warm(cpi *cpiv1.Cpi) {
	for _, mod := range cpi.GetModules() {
		if mod.GetKind() == cpiv1.ModuleKind_MODULE_KIND_FLOW && len(mod.GetSha256()) == 32 {
			_, _ = m.install([32]byte(mod.GetSha256())) // a part that is missing comes later
		}
	}
}

// install begins to install a module, or returns the installation that is under way or has failed for good.
func (m *modules) install(sha [32]byte) (*installation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("the flow worker is stopping")
	}
	if in := m.pending[sha]; in != nil {
		return in, nil
	}
	wasm, err := m.assemble(sha)
	if err != nil {
		return nil, err
	}
	in := &installation{began: time.Now(), done: make(chan struct{})}
	m.pending[sha] = in
	m.work.Go(func() {
		m.turn.Lock()
		defer m.turn.Unlock()
		in.module, in.err = m.sandbox.Install(m.ctx, wasm)
		m.mu.Lock()
		if in.err == nil {
			m.here[sha] = true
		}
		if !IsGuestFault(in.err) { // a success is found in the sandbox; what is no fault of the module's is tried again
			delete(m.pending, sha)
		}
		m.mu.Unlock()
		close(in.done)
	})
	return in, nil
}

// assemble puts a module together from its parts.
func (m *modules) assemble(sha [32]byte) ([]byte, error) {
	var wasm bytes.Buffer
	for part, parts := uint32(0), uint32(1); part < parts; part++ {
		key := fmt.Sprintf("%x/%08d", sha, part)
		msg, ok := m.chunks.Get(key)
		if !ok {
			return nil, notHere("module %x: part %d is not known to this worker yet", sha[:6], part)
		}
		chunk, ok := msg.(*cpiv1.Chunk)
		if !ok || chunk.GetPart() != part || chunk.GetParts() == 0 {
			return nil, &sandbox.Error{Kind: sandbox.Rejected, Detail: fmt.Sprintf("part %s of the module is malformed", key)}
		}
		parts = chunk.GetParts()
		wasm.Write(chunk.GetData())
	}
	if sha256.Sum256(wasm.Bytes()) != sha {
		return nil, &sandbox.Error{Kind: sandbox.Rejected, Detail: fmt.Sprintf("the parts of module %x do not add up to its checksum", sha[:6])}
	}
	return wasm.Bytes(), nil
}

// close waits for what is under way.
func (m *modules) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.work.Wait()
}
