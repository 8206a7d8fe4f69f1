package flow

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"time"

	mods "github.com/fairleadio/fairlead/internal/modules"
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

// modules are the modules of flows. Those that no package names go when no flow in memory uses them; a flow that waits
// without an instance has its module installed again when it goes on.
type modules struct{ set *mods.Set[Module] }

func newModules(s Sandbox, chunks View, wait time.Duration) *modules {
	// A partition waits once, not once for each of its flows.
	return &modules{mods.New(mods.Config{Wait: wait, Shared: true}, s, chunks)}
}

// get returns a module that is ready. Its error is a *notHereError when it may be ready later, and a sandbox.Error
// when the module is none that can run.
func (m *modules) get(ctx context.Context, sha [32]byte) (Module, error) {
	module, err := m.set.Get(ctx, sha)
	var later *mods.NotReadyError
	var parts *mods.PartsError
	switch {
	case err == nil:
		return module, nil
	case errors.As(err, &later):
		return nil, &notHereError{what: later.What, coming: later.Coming}
	case errors.As(err, &parts):
		return nil, &sandbox.Error{Kind: sandbox.Rejected, Detail: parts.What}
	default:
		return nil, fmt.Errorf("install module %x: %w", sha[:6], err)
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
	return m.set.Name(named)
}

// warm installs the flow modules of a package before anybody asks for them. What is wrong shows when a flow starts.
func (m *modules) warm(cpi *cpiv1.Cpi) {
	for _, mod := range cpi.GetModules() {
		if mod.GetKind() == cpiv1.ModuleKind_MODULE_KIND_FLOW && len(mod.GetSha256()) == sha256.Size {
			m.set.Warm([32]byte(mod.GetSha256()))
		}
	}
}
