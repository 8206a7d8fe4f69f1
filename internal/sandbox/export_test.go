package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/internal/sandbox/meter"
)

// Ways to run that users do not choose, for comparison.
func WithCopies(cfg Config) Config      { cfg.copyImages = true; return cfg }
func WithInterpreter(cfg Config) Config { cfg.interpret = true; return cfg }

// WithCooling makes instances that are too many give up their memory after warm, and be closed after open.
func WithCooling(cfg Config, warm, open time.Duration) Config {
	cfg.staysWarm, cfg.staysOpen = warm, open
	return cfg
}

// Cold is how many instances in the pool have no memory of their own.
func Cold(m *Module) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.cold)
}

// CheckFresh tells how an instance differs from the base image.
func CheckFresh(i *Instance) error {
	mem, ok := i.g.mem.Read(0, i.g.mem.Size())
	if !ok || !bytes.Equal(mem, i.m.image.bytes) {
		return fmt.Errorf("the memory differs from the base image")
	}
	for n, g := range i.globals {
		if g.Get() != i.m.values[n] {
			return fmt.Errorf("global %s is %d, not %d", i.m.globals[n], g.Get(), i.m.values[n])
		}
	}
	if i.g.clock != i.m.clock {
		return fmt.Errorf("the clock is %d, not %d", i.g.clock, i.m.clock)
	}
	return nil
}

// SetWallClock changes the second net of a module's runtime. No instance may be running.
func SetWallClock(m *Module, d time.Duration) { m.r.cfg.WallClock = d }

// Size is an instance's linear memory, bytes.
func Size(i *Instance) int { return i.size() }

// TableBytes is what an instance's tables take.
func TableBytes(i *Instance) int { return i.m.tableBytes }

// Idle is how many instances are in the pool.
func Idle(m *Module) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.idle) + len(m.cold)
}

// Initialised instantiates and runs _initialize as for the base image, but keeps the instance. The module is that of wasm.
func Initialised(ctx context.Context, m *Module, wasm []byte) (*Instance, error) {
	i, err := m.instantiate(ctx)
	if err != nil {
		return nil, err
	}
	metered, err := meter.Instrument(wasm)
	if err != nil {
		return nil, err
	}
	if mem, ok := i.g.mem.Read(0, i.g.mem.Size()); !ok || !meter.Lay(mem, metered.Data) {
		return nil, errors.New("the data do not fit")
	}
	i.g.clock = imageClock
	if err := i.g.seed(m.sha); err != nil {
		return nil, err
	}
	for _, name := range []string{exportInit, exportABI} {
		if _, err := i.initial(ctx, name); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// Maps tells whether a module's base image is mapped.
func Maps(m *Module) bool { return m.image.shared != nil }
