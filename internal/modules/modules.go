package modules

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/sandbox"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Sandbox holds installed modules.
type Sandbox[M any] interface {
	// Module returns an installed module.
	Module(sha [32]byte) (M, bool)
	// Install makes a module ready; it may take seconds, and nothing when it is ready already.
	Install(ctx context.Context, wasm []byte) (M, error)
	// Uninstall gives a module's memory back, unless it is in use.
	Uninstall(ctx context.Context, sha [32]byte) (gone bool, err error)
}

// View is cpi.chunks in memory.
type View interface {
	Get(key string) (msg any, ok bool)
}

// Config says how a worker waits for modules.
type Config struct {
	// Wait is how long [Set.Get] waits for a module that is being compiled.
	Wait time.Duration
	// Shared: all that wait for one module have Wait together, from its beginning.
	Shared bool
	// Changed, when set, is told how many of the modules that packages name are ready, whoever installed them in this
	// process, and how many are on their way.
	Changed func(ready, underway int)
}

// NotReadyError tells that a module is not there yet, through no fault of its own.
type NotReadyError struct {
	What string
	// Coming: it is being compiled. Otherwise a part of it was not seen yet.
	Coming bool
}

// Error says what is not there.
func (e *NotReadyError) Error() string { return e.What }

// PartsError tells that the parts of a module are malformed, or not what its checksum says.
type PartsError struct{ What string }

// Error says which.
func (e *PartsError) Error() string { return e.What }

// ErrClosed tells that the worker is stopping.
var ErrClosed = errors.New("the worker is stopping")

// Set finds modules in the sandbox, and installs those that are not there.
type Set[M any] struct {
	cfg     Config
	sandbox Sandbox[M]
	chunks  View

	mu      sync.Mutex
	pending map[[32]byte]*installation[M]
	here    map[[32]byte]bool // installed by this worker
	lacking map[[32]byte]bool // to be installed as soon as their parts are here
	named   map[[32]byte]bool // named by a package; nil until one was seen
	closed  bool
	work    sync.WaitGroup
	turn    sync.Mutex // one installation at a time
	ctx     context.Context
	stop    context.CancelFunc
}

// installation is a module on its way; done is closed when module and err are set.
type installation[M any] struct {
	began  time.Time
	done   chan struct{}
	module M
	err    error
}

// New makes a set. [Set.Close] ends it.
func New[M any](cfg Config, s Sandbox[M], chunks View) *Set[M] {
	ctx, stop := context.WithCancel(context.Background()) //nolint:gosec // Close calls stop
	return &Set[M]{
		cfg: cfg, sandbox: s, chunks: chunks, pending: map[[32]byte]*installation[M]{}, here: map[[32]byte]bool{}, lacking: map[[32]byte]bool{}, ctx: ctx, stop: stop,
	}
}

// Get returns a module that is ready. Its error is a *[NotReadyError] when it may be ready later, a *[PartsError] or
// [ErrClosed], else what the sandbox says: a sandbox.Error when the module is none that can run.
func (s *Set[M]) Get(ctx context.Context, sha [32]byte) (M, error) {
	var none M
	if mod, ok := s.sandbox.Module(sha); ok {
		return mod, nil
	}
	in, err := s.install(sha)
	if err != nil {
		return none, err
	}
	wait := s.cfg.Wait
	if s.cfg.Shared {
		wait -= time.Since(in.began)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-in.done:
		return in.module, in.err
	case <-timer.C:
		return none, &NotReadyError{What: fmt.Sprintf("module %x is being compiled", sha[:6]), Coming: true}
	case <-ctx.Done():
		return none, fmt.Errorf("wait for module %x: %w", sha[:6], ctx.Err())
	}
}

// Warm begins to install modules before anybody asks for them. One of which a part is missing is begun by [Set.Complete];
// what is wrong with a module shows when somebody gets it.
func (s *Set[M]) Warm(all ...[32]byte) {
	for _, sha := range all {
		if _, ok := s.sandbox.Module(sha); ok {
			continue
		}
		s.lacks(sha, true) // before it is looked for: the part may come meanwhile
		var missing *NotReadyError
		if _, err := s.install(sha); !errors.As(err, &missing) {
			s.lacks(sha, false)
		}
	}
}

func (s *Set[M]) lacks(sha [32]byte, parts bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if parts {
		s.lacking[sha] = true
	} else {
		delete(s.lacking, sha)
	}
}

// Complete is called when parts have come: packages are told of in another order than their parts, so that a worker that
// starts may hear of all packages before it has one part.
func (s *Set[M]) Complete() {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.lacking))
	clear(s.lacking)
	s.mu.Unlock()
	s.Warm(all...)
}

// Await returns when nothing is on its way any more, or when ctx ends: then it tells how many modules are.
func (s *Set[M]) Await(ctx context.Context) (underway int) {
	for {
		s.mu.Lock()
		underway = 0
		var next *installation[M]
		for _, in := range s.pending {
			select {
			case <-in.done: // it is known to be none that can run
			default:
				underway++
				next = in
			}
		}
		s.mu.Unlock()
		if next == nil {
			return 0
		}
		select {
		case <-next.done:
		case <-ctx.Done():
			return underway
		}
	}
}

// Name takes down which modules packages name, and uninstalls others, as [Set.Sweep] does.
func (s *Set[M]) Name(named map[[32]byte]bool) error {
	s.mu.Lock()
	s.named = named
	for sha, in := range s.pending {
		if !named[sha] && in.err != nil {
			delete(s.pending, sha)
		}
	}
	maps.DeleteFunc(s.lacking, func(sha [32]byte, _ bool) bool { return !named[sha] })
	s.mu.Unlock()
	return s.Sweep()
}

// Sweep uninstalls the modules of this worker that no package names and nobody uses. An error says that not all memory
// was given back.
func (s *Set[M]) Sweep() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.named == nil || s.closed {
		return nil
	}
	var errs []error
	for sha := range s.here {
		if s.named[sha] {
			continue
		}
		gone, err := s.sandbox.Uninstall(s.ctx, sha)
		if err != nil {
			errs = append(errs, err)
		}
		if gone {
			delete(s.here, sha)
		}
	}
	s.tell()
	return errors.Join(errs...)
}

// Show calls Changed: another worker of this process may have installed modules meanwhile.
func (s *Set[M]) Show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell()
}

// Close ends what is under way and waits for it.
func (s *Set[M]) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
}

// install begins to install a module, or returns the installation that is under way or has failed for good.
func (s *Set[M]) install(sha [32]byte) (*installation[M], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if in := s.pending[sha]; in != nil {
		return in, nil
	}
	wasm, err := s.assemble(sha)
	if err != nil {
		return nil, err
	}
	in := &installation[M]{began: time.Now(), done: make(chan struct{})}
	s.pending[sha] = in
	s.tell()
	s.work.Go(func() {
		s.turn.Lock()
		defer s.turn.Unlock()
		module, err := s.sandbox.Install(s.ctx, wasm)
		s.mu.Lock()
		in.module, in.err = module, err
		if err == nil {
			s.here[sha] = true
		}
		if !IsFault(err) { // a success is found in the sandbox; what is no fault of the module's is tried again
			delete(s.pending, sha)
		}
		s.tell()
		s.mu.Unlock()
		close(in.done)
	})
	return in, nil
}

// tell is called with the lock held.
func (s *Set[M]) tell() {
	if s.cfg.Changed == nil {
		return
	}
	ready, underway := 0, 0
	for sha := range s.named {
		if _, ok := s.sandbox.Module(sha); ok {
			ready++
		}
	}
	for _, in := range s.pending {
		if in.err == nil {
			underway++
		}
	}
	s.cfg.Changed(ready, underway)
}

// assemble puts a module together from its parts.
func (s *Set[M]) assemble(sha [32]byte) ([]byte, error) {
	var wasm bytes.Buffer
	for part, parts := uint32(0), uint32(1); part < parts; part++ {
		key := fmt.Sprintf("%x/%08d", sha, part)
		msg, ok := s.chunks.Get(key)
		if !ok {
			return nil, &NotReadyError{What: fmt.Sprintf("module %x: part %d is not known to this worker yet", sha[:6], part)}
		}
		chunk, ok := msg.(*cpiv1.Chunk)
		if !ok || chunk.GetPart() != part || chunk.GetParts() == 0 {
			return nil, &PartsError{fmt.Sprintf("part %s of the module is malformed", key)}
		}
		parts = chunk.GetParts()
		wasm.Write(chunk.GetData())
	}
	if sha256.Sum256(wasm.Bytes()) != sha {
		return nil, &PartsError{fmt.Sprintf("the parts of module %x do not add up to its checksum", sha[:6])}
	}
	return wasm.Bytes(), nil
}

// IsFault tells whether an error is a module's own doing, and comes again wherever the same is run.
func IsFault(err error) bool {
	kind := sandbox.KindOf(err)
	return kind != "" && kind != sandbox.OutOfTime
}
