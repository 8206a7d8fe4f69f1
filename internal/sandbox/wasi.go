package sandbox

import (
	"context"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/fairleadio/fairlead/internal/sandbox/meter"
)

const wasiModule = "wasi_snapshot_preview1"

// Error numbers of wasi_snapshot_preview1.
const (
	errnoSuccess = 0
	errnoBadf    = 8
	errnoFault   = 21
	errnoInval   = 28
	errnoNosys   = 52
)

// hostFunc is an imported function: the arguments are taken from, and its result put onto, the stack.
type hostFunc func(ctx context.Context, g *guest, stack []uint64) uint32

// wasi is what guests may import. Types are written with one letter for each parameter: i for i32, I for i64; all
// return an i32 but proc_exit.
type wasi struct {
	params string
	call   hostFunc
}

// wasiFunctions returns the functions of wasi_snapshot_preview1. Those with an effect are the eleven of the guest
// interface. The rest exist because languages link them whether or not they are called (Go's standard library
// looks for preopened directories at its start, its crypto packages know how to read /dev/urandom): they answer
// that there is no such file, or that the function is not there, and touch nothing.
func wasiFunctions() map[string]wasi {
	fns := map[string]wasi{
		"args_get":          {"ii", success},
		"args_sizes_get":    {"ii", noneOfNone},
		"environ_get":       {"ii", success},
		"environ_sizes_get": {"ii", noneOfNone},
		"clock_time_get":    {"iIi", clockTimeGet},
		"random_get":        {"ii", randomGet},
		"fd_write":          {"iiii", fdWrite},
		"fd_fdstat_get":     {"ii", fdFdstatGet},
		"poll_oneoff":       {"iiii", pollOneoff},
		"sched_yield":       {"", success},
		"proc_exit":         {"i", procExit},
	}
	noFile := map[string]string{
		"fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i", "fd_fdstat_set_flags": "ii",
		"fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii", "fd_filestat_set_size": "iI",
		"fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_prestat_get": "ii", "fd_prestat_dir_name": "iii",
		"fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi", "fd_renumber": "ii", "fd_seek": "iIii",
		"fd_sync": "i", "fd_tell": "ii", "sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii",
		"sock_shutdown": "ii",
	}
	noFunction := map[string]string{
		"clock_res_get": "ii", "path_create_directory": "iii", "path_filestat_get": "iiiii",
		"path_filestat_set_times": "iiiiIIi", "path_link": "iiiiiii", "path_open": "iiiiiIIii",
		"path_readlink": "iiiiii", "path_remove_directory": "iii", "path_rename": "iiiiii", "path_symlink": "iiiii",
		"path_unlink_file": "iii", "proc_raise": "i",
	}
	for name, params := range noFile {
		fns[name] = wasi{params, answer(errnoBadf)}
	}
	for name, params := range noFunction {
		fns[name] = wasi{params, answer(errnoNosys)}
	}
	return fns
}

// checkImports refuses what the host does not offer.
func checkImports(imports []meter.Import) error {
	fns := wasiFunctions()
	for _, im := range imports {
		if im.Module != wasiModule {
			return failed(Rejected, "import %s.%s: a module may import from %s only", im.Module, im.Name, wasiModule)
		}
		f, ok := fns[im.Name]
		if !ok {
			return failed(Rejected, "import %s.%s: there is no such function", im.Module, im.Name)
		}
		want := meter.FuncType{Results: []meter.ValType{meter.I32}}
		for _, p := range f.params {
			if p == 'I' {
				want.Params = append(want.Params, meter.I64)
			} else {
				want.Params = append(want.Params, meter.I32)
			}
		}
		if im.Name == "proc_exit" {
			want.Results = nil
		}
		if !slices.Equal(im.Type.Params, want.Params) || !slices.Equal(im.Type.Results, want.Results) {
			return failed(Rejected, "import %s.%s has type %s, not %s", im.Module, im.Name, im.Type, want)
		}
	}
	return nil
}

// instantiateHost puts the host's modules into a runtime.
func instantiateHost(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(wasiModule)
	for name, f := range wasiFunctions() {
		params := make([]api.ValueType, len(f.params))
		for i, p := range f.params {
			params[i] = api.ValueTypeI32
			if p == 'I' {
				params[i] = api.ValueTypeI64
			}
		}
		results := []api.ValueType{api.ValueTypeI32}
		if name == "proc_exit" {
			results = nil
		}
		call := f.call
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, stack []uint64) {
			g := guestOf(ctx)
			g.charge(0)
			if errno := call(ctx, g, stack); len(results) > 0 {
				stack[0] = uint64(errno)
			}
		}), params, results).Export(name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("instantiate %s: %w", wasiModule, err)
	}
	_, err := r.NewHostModuleBuilder(meter.ModuleName).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(ctx context.Context, stack []uint64) { guestOf(ctx).more(ctx, stack) }), nil, nil).
		Export(meter.MoreName).Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("instantiate %s: %w", meter.ModuleName, err)
	}
	return nil
}

func answer(errno uint32) hostFunc {
	return func(context.Context, *guest, []uint64) uint32 { return errno }
}

func success(context.Context, *guest, []uint64) uint32 { return errnoSuccess }

// noneOfNone answers args_sizes_get and environ_sizes_get.
func noneOfNone(_ context.Context, g *guest, stack []uint64) uint32 {
	if !g.mem.WriteUint32Le(uint32(stack[0]), 0) || !g.mem.WriteUint32Le(uint32(stack[1]), 0) {
		return errnoFault
	}
	return errnoSuccess
}

func clockTimeGet(_ context.Context, g *guest, stack []uint64) uint32 {
	if uint32(stack[0]) > 3 {
		return errnoInval
	}
	if !g.mem.WriteUint64Le(uint32(stack[2]), g.now()) {
		return errnoFault
	}
	return errnoSuccess
}

func randomGet(_ context.Context, g *guest, stack []uint64) uint32 {
	n := uint32(stack[1])
	b, ok := g.mem.Read(uint32(stack[0]), n)
	if !ok {
		return errnoFault
	}
	g.charge(n)
	clear(b)
	g.random.XORKeyStream(b, b)
	return errnoSuccess
}

func fdWrite(_ context.Context, g *guest, stack []uint64) uint32 {
	fd, iovs, count, result := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if fd != 1 && fd != 2 {
		return errnoBadf
	}
	if count > 1024 {
		return errnoInval
	}
	total := uint32(0)
	for i := range count {
		iov, ok := g.mem.Read(iovs+8*i, 8)
		if !ok {
			return errnoFault
		}
		b, ok := g.mem.Read(le.Uint32(iov), le.Uint32(iov[4:]))
		if !ok || uint64(total)+uint64(len(b)) > 1<<31 {
			return errnoFault
		}
		g.charge(uint32(len(b)))
		g.write(fd, b)
		total += uint32(len(b))
	}
	if !g.mem.WriteUint32Le(result, total) {
		return errnoFault
	}
	return errnoSuccess
}

// fdFdstatGet says that 0, 1 and 2 are character devices that can be appended to.
func fdFdstatGet(_ context.Context, g *guest, stack []uint64) uint32 {
	if uint32(stack[0]) > 2 {
		return errnoBadf
	}
	b, ok := g.mem.Read(uint32(stack[1]), 24)
	if !ok {
		return errnoFault
	}
	clear(b)
	b[0] = 2                  // character device
	b[2] = 1                  // append
	le.PutUint64(b[8:], 1<<6) // right to write
	return errnoSuccess
}

// pollOneoff sleeps: the clock moves on to the first of the times waited for. Files are never ready.
func pollOneoff(_ context.Context, g *guest, stack []uint64) uint32 {
	in, out, count, result := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if count == 0 || count > 1024 {
		return errnoInval
	}
	subs, ok := g.mem.Read(in, 48*count)
	if !ok {
		return errnoFault
	}
	g.charge(48 * count)
	// An event for the earliest time, and one for each file that cannot be waited for.
	first, wait := -1, uint64(0)
	var events []byte
	for i := range int(count) {
		s := subs[48*i : 48*i+48]
		if s[8] != 0 {
			events = appendEvent(events, s, errnoBadf)
			continue
		}
		timeout := le.Uint64(s[24:])
		if le.Uint16(s[40:])&1 != 0 { // a time, not a duration
			timeout -= min(timeout, uint64(g.clock))
		}
		if first < 0 || timeout < wait {
			first, wait = i, timeout
		}
	}
	if events == nil {
		g.sleep(wait)
		events = appendEvent(nil, subs[48*first:48*first+48], errnoSuccess)
	}
	if !g.mem.Write(out, events) || !g.mem.WriteUint32Le(result, uint32(len(events)/32)) {
		return errnoFault
	}
	return errnoSuccess
}

func appendEvent(b, sub []byte, errno uint16) []byte {
	e := make([]byte, 32)
	copy(e, sub[:8])
	le.PutUint16(e[8:], errno)
	e[10] = sub[8]
	return append(b, e...)
}

func procExit(_ context.Context, g *guest, stack []uint64) uint32 {
	g.halt(exited(uint32(stack[0]), g.lastWord))
	return 0
}
