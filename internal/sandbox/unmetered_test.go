package sandbox

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	wt "github.com/fairleadio/fairlead/internal/sandbox/wasmtest"
)

// Unmetered gives an instance of a module as its author built it, to compare with the metered one. The globals of
// the meter are those of a module of their own, and never change.
func Unmetered(ctx context.Context, r *Runtime, wasm []byte) (*Instance, error) {
	m := &wt.Module{}
	m.Export("g", 3, m.Global(wt.I64, true, wt.I64Const(0)))
	cfg := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	globals, err := r.rt.InstantiateWithConfig(ctx, m.Bytes(), cfg)
	if err != nil {
		return nil, err
	}
	mod, err := r.rt.InstantiateWithConfig(ctx, wasm, cfg)
	if err != nil {
		return nil, err
	}
	g := globals.ExportedGlobal("g").(api.MutableGlobal)
	i := &Instance{m: &Module{r: r, role: role{flows: true}}, mod: mod, funcs: map[string]api.Function{}}
	i.g.mem, i.g.left, i.g.stack, i.g.full = mod.Memory(), g, g, g
	i.g.clock = imageClock
	if err := i.g.seed([32]byte{}); err != nil {
		return nil, err
	}
	_, err = i.initial(ctx, exportInit)
	return i, err
}

// StartUnmetered starts a flow in an instance of Unmetered, as often as wanted: the guest refuses a second start,
// so each starts from the first state.
func StartUnmetered(ctx context.Context, i *Instance, start []byte) error {
	mem, _ := i.g.mem.Read(0, i.g.mem.Size())
	if i.m.image.bytes == nil {
		i.m.image.bytes = append([]byte(nil), mem...)
	}
	copy(mem, i.m.image.bytes)
	_, err := i.exchange(ctx, exportStart, 0, start)
	return err
}

// CloseInstance ends an instance of Unmetered.
func CloseInstance(ctx context.Context, i *Instance) { i.close(ctx) }
