package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/fairleadio/fairlead/internal/sandbox/meter"
)

// abi is the number of the guest interface that this host speaks.
const abi = 1

// Names of what a module exports.
const (
	exportMemory = "memory"
	exportInit   = "_initialize"
	exportABI    = "fairlead_abi"
	exportAlloc  = "fairlead_alloc"
	exportStart  = "fairlead_start"
	exportResume = "fairlead_resume"
	exportVerify = "fairlead_verify"
)

// role is what a module is for.
type role struct{ flows, contracts bool }

// checkInterface refuses a module that does not speak the guest interface.
func checkInterface(m *meter.Module, limits Limits) (role, error) {
	if err := checkImports(m.Imports); err != nil {
		return role{}, err
	}
	exports := map[string]meter.Export{}
	for _, e := range m.Exports {
		exports[e.Name] = e
	}
	if e, ok := exports[exportMemory]; !ok || e.Kind != meter.KindMemory {
		return role{}, failed(Rejected, "the module does not export its memory as %q", exportMemory)
	}
	if m.MemoryPages > limits.MemoryPages {
		return role{}, failed(Rejected, "the module starts with %d pages of memory, at most %d are allowed", m.MemoryPages, limits.MemoryPages)
	}
	i32, i64 := []meter.ValType{meter.I32}, []meter.ValType{meter.I64}
	pair := []meter.ValType{meter.I32, meter.I32}
	check := func(name string, params, results []meter.ValType) error {
		want := meter.FuncType{Params: params, Results: results}
		e, ok := exports[name]
		if !ok || e.Kind != meter.KindFunc {
			return failed(Rejected, "the module does not export the function %s%s; a Go module does when it is built with -buildmode=c-shared and imports the SDK", name, want)
		}
		if !slices.Equal(e.Type.Params, params) || !slices.Equal(e.Type.Results, results) {
			return failed(Rejected, "the exported function %s has type %s, not %s", name, e.Type, want)
		}
		return nil
	}
	if err := check(exportInit, nil, nil); err != nil {
		return role{}, err
	}
	if err := check(exportABI, nil, i32); err != nil {
		return role{}, err
	}
	if err := check(exportAlloc, i32, i32); err != nil {
		return role{}, err
	}
	_, start := exports[exportStart]
	_, resume := exports[exportResume]
	_, verify := exports[exportVerify]
	if start || resume || !verify {
		for _, name := range []string{exportStart, exportResume} {
			if err := check(name, pair, i64); err != nil {
				return role{}, err
			}
		}
	}
	if verify {
		if err := check(exportVerify, pair, i64); err != nil {
			return role{}, err
		}
	}
	return role{flows: start, contracts: verify}, nil
}

// Module is an installed module.
type Module struct {
	r          *Runtime
	sha        [32]byte
	role       role
	compiled   wazero.CompiledModule
	resettable bool
	tableBytes int      // of each instance
	globals    []string // export names of the globals to restore

	// The base image: memory and globals after _initialize.
	image    baseImage
	values   []uint64
	clock    int64
	initUsed int64

	mu      sync.Mutex
	idle    []*Instance
	cold    []*Instance // without memory of their own
	users   int         // instances that somebody has
	retired bool        // uninstalled
}

// SHA256 identifies the module: the hash of the bytes that its author built.
func (m *Module) SHA256() [32]byte { return m.sha }

// HasFlows tells whether the module runs flows.
func (m *Module) HasFlows() bool { return m.role.flows }

// HasContracts tells whether the module verifies transactions.
func (m *Module) HasContracts() bool { return m.role.contracts }

// ImageBytes is the size of the base image, and so what an instance has at its start.
func (m *Module) ImageBytes() int { return len(m.image.bytes) }

// takeImage runs _initialize once, on the module's data, and keeps what it leaves.
func (m *Module) takeImage(ctx context.Context, data []meter.Segment) error {
	i, err := m.instantiate(ctx)
	if err != nil {
		return err
	}
	if memory, ok := i.g.mem.Read(0, i.g.mem.Size()); !ok || !meter.Lay(memory, data) {
		i.close(ctx)
		return failed(Rejected, "the module cannot be instantiated: its data do not fit into its memory of %d bytes", i.g.mem.Size())
	}
	i.g.clock = imageClock
	if err := i.g.seed(m.sha); err != nil {
		return fmt.Errorf("seed the base image: %w", err)
	}
	run := func(name string) error {
		_, err := i.initial(ctx, name)
		var e *Error
		if errors.As(err, &e) {
			return failed(e.Kind, "%s: %s", name, e.Detail)
		}
		return err
	}
	err = run(exportInit)
	m.initUsed = i.g.used()
	if err == nil {
		err = run(exportABI)
	}
	if got := uint32(i.stack[0]); err == nil && got != abi {
		err = failed(Rejected, "the module speaks fairlead_abi %d, this host speaks %d", got, abi)
	}
	if err != nil {
		i.close(ctx)
		return err
	}
	mem, _ := i.g.mem.Read(0, i.g.mem.Size())
	m.image.bytes = slices.Clone(mem)
	if canMap && !m.r.cfg.copyImages {
		if m.image.shared, err = newSharedImage(m.image.bytes); err != nil {
			m.r.cfg.Log.Warn("base images are copied, which takes more time and memory", "reason", err)
		}
	}
	m.clock = i.g.clock
	for _, g := range i.globals {
		m.values = append(m.values, g.Get())
	}
	i.close(ctx)
	return nil
}

// instantiate makes an instance. Its memory is not the base image yet, and has not even the module's data where the meter
// took them out.
func (m *Module) instantiate(ctx context.Context) (*Instance, error) {
	var a allocator
	if !m.r.cfg.copyImages {
		ctx = withAllocator(ctx, &a)
	}
	mod, err := m.r.rt.InstantiateModule(ctx, m.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, failed(Rejected, "the module cannot be instantiated: %s", err)
	}
	i := &Instance{m: m, mod: mod, linear: a.made, funcs: map[string]api.Function{}}
	global := func(name string) (api.MutableGlobal, error) {
		g, ok := mod.ExportedGlobal(name).(api.MutableGlobal)
		if !ok {
			return nil, fmt.Errorf("the metered module has no global %s", name)
		}
		return g, nil
	}
	i.g.mem = mod.Memory()
	if i.g.left, err = global(meter.LeftName); err != nil {
		return nil, err
	}
	if i.g.stack, err = global(meter.StackName); err != nil {
		return nil, err
	}
	if i.g.full, err = global(meter.FullName); err != nil {
		return nil, err
	}
	for _, name := range m.globals {
		g, err := global(name)
		if err != nil {
			return nil, err
		}
		i.globals = append(i.globals, g)
	}
	return i, nil
}

// Env is what an instance gets of its own.
type Env struct {
	// Seed is the flow's source of randomness.
	Seed [32]byte
	// Log gets each line that the guest writes, without its line end; nil discards them. It is called while the
	// guest runs, by the goroutine that called Start or Resume.
	Log func(line string)
}

// NewInstance returns an instance in the state of the base image.
func (m *Module) NewInstance(ctx context.Context, env Env) (*Instance, error) {
	if !m.r.enter() {
		return nil, errClosed
	}
	defer m.r.leave()
	if err := m.use(); err != nil {
		return nil, err
	}
	i, err := m.newInstance(ctx, env)
	if err != nil {
		m.unuse()
		return nil, fmt.Errorf("new instance: %w", err)
	}
	return i, nil
}

func (m *Module) newInstance(ctx context.Context, env Env) (*Instance, error) {
	m.mu.Lock()
	var i *Instance
	for _, list := range []*[]*Instance{&m.idle, &m.cold} { // the one that was used last first
		if n := len(*list); n > 0 {
			i, (*list)[n-1] = (*list)[n-1], nil
			*list = (*list)[:n-1]
			break
		}
	}
	m.mu.Unlock()
	if i == nil {
		var err error
		if i, err = m.instantiate(ctx); err != nil {
			return nil, err
		}
		if err := i.reset(); err != nil {
			i.close(ctx)
			return nil, err
		}
	}
	if err := i.g.seed(env.Seed); err != nil {
		i.close(ctx)
		return nil, err
	}
	i.g.log = env.Log
	return i, nil
}

// mostAtOnce is how many instances are cooled, and closed, when another comes back, so that none has to wait for many.
const mostAtOnce = 4

// keep takes an instance that is in the state of the base image, unless there are enough.
func (m *Module) keep(ctx context.Context, i *Instance) bool {
	cfg := m.r.cfg
	most := max(0, cfg.IdleInstances)
	if cfg.IdleInstances > 0 && cfg.ColdInstances > 0 && i.linear != nil && i.linear.shared() != nil {
		most += cfg.ColdInstances
	}
	i.since = time.Now()
	m.mu.Lock()
	if len(m.idle)+len(m.cold) >= most {
		m.mu.Unlock()
		return false
	}
	m.idle = append(m.idle, i)
	cooling := takeOld(&m.idle, cfg.IdleInstances, i.since.Add(-cfg.staysWarm))
	closing := takeOld(&m.cold, 0, i.since.Add(-cfg.staysOpen))
	m.mu.Unlock()
	for _, c := range cooling {
		if err := c.linear.cool(); err != nil {
			m.r.cfg.Log.Warn("cool an instance", "error", err)
			closing = append(closing, c)
			continue
		}
		m.mu.Lock()
		m.cold = append(m.cold, c)
		m.mu.Unlock()
	}
	for _, c := range closing {
		c.close(ctx)
	}
	return true
}

// takeOld takes a few instances out of a list that have been idle since before then, but for so many that stay. The first ones
// have been idle for longest, because the last one is used first.
func takeOld(list *[]*Instance, stay int, then time.Time) []*Instance {
	n := 0
	for n < mostAtOnce && len(*list)-n > stay && !(*list)[n].since.After(then) {
		n++
	}
	old := slices.Clone((*list)[:n])
	*list = slices.Delete(*list, 0, n)
	return old
}
