package sandbox

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrUninstalled is returned by [Module.NewInstance] of a module that was uninstalled after it was looked up. Installing
// it again gives one that works.
var ErrUninstalled = errors.New("sandbox: the module was uninstalled")

// Uninstall gives back what a module takes: its code, its base image and its idle instances. Gone is false, and nothing
// is changed, while somebody uses an instance of it or installs it.
func (r *Runtime) Uninstall(ctx context.Context, sha [32]byte) (gone bool, err error) {
	if !r.enter() {
		return false, errClosed
	}
	defer r.leave()
	r.mu.Lock()
	in, ok := r.modules[sha]
	if !ok {
		r.mu.Unlock()
		return true, nil
	}
	select {
	case <-in.done:
	default:
		r.mu.Unlock()
		return false, nil
	}
	if in.module != nil && !in.module.retire() {
		r.mu.Unlock()
		return false, nil
	}
	delete(r.modules, sha)
	r.mu.Unlock()
	if in.module == nil {
		return true, nil
	}
	r.cfg.Log.Info("module uninstalled", "sha256", hex.EncodeToString(sha[:]))
	if err := in.module.dispose(ctx); err != nil {
		return true, fmt.Errorf("uninstall module %s: %w", hex.EncodeToString(sha[:6]), err)
	}
	return true, nil
}

// use counts an instance that somebody is about to have.
func (m *Module) use() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.retired {
		return ErrUninstalled
	}
	m.users++
	return nil
}

func (m *Module) unuse() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users--
}

// retire lets no more instances be made, unless some are in use.
func (m *Module) retire() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.users > 0 {
		return false
	}
	m.retired = true
	return true
}

// dispose gives a retired module's memory back.
func (m *Module) dispose(ctx context.Context) error {
	m.mu.Lock()
	idle := append(m.idle, m.cold...)
	m.idle, m.cold = nil, nil
	m.mu.Unlock()
	for _, i := range idle {
		i.close(ctx)
	}
	err := m.compiled.Close(ctx)
	if m.image.shared != nil {
		err = errors.Join(err, m.image.shared.close())
	}
	return err
}
