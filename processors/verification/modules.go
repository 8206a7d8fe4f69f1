package verification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	mods "github.com/fairleadio/fairlead/internal/modules"
)

// laterError says why something is not there yet, through no fault of a contract's.
type laterError struct{ what string }

func (e *laterError) Error() string { return e.what }

func later(format string, args ...any) error { return &laterError{fmt.Sprintf(format, args...)} }

// modules are the modules with contracts of all packages.
type modules struct {
	set *mods.Set[Module]
	log *slog.Logger
}

func newModules(d Deps) *modules {
	cfg := mods.Config{Wait: installWait}
	if d.Metrics != nil {
		cfg.Changed = d.Metrics.installed
	}
	return &modules{mods.New(cfg, d.Sandbox, d.Chunks), d.Log}
}

// installWait is how long a request waits for a module that is being compiled, before it lets others go first.
const installWait = 20 * time.Millisecond

// get returns a module that is ready. Its error is a *laterError when it may be ready later, and a sandbox.Error when the
// module is none that can run.
func (m *modules) get(ctx context.Context, sha [32]byte) (Module, error) {
	module, err := m.set.Get(ctx, sha)
	var notReady *mods.NotReadyError
	var parts *mods.PartsError // of a package that is replaced, perhaps
	if errors.As(err, &notReady) || errors.As(err, &parts) || errors.Is(err, mods.ErrClosed) {
		return nil, later("%v", err)
	}
	return module, err
}

// keep installs the modules that packages name, before anybody asks for them, and uninstalls others.
func (m *modules) keep(named [][32]byte) {
	m.set.Warm(named...)
	want := map[[32]byte]bool{}
	for _, sha := range named {
		want[sha] = true
	}
	if err := m.set.Name(want); err != nil {
		m.log.Warn("modules were uninstalled, not all of their memory was given back", "error", err)
	}
}
