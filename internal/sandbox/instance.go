package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/fairleadio/fairlead/internal/sandbox/meter"
)

// Instance is one flow's (or one verification's) module: its memory is the flow's whole state. It is not safe for
// use by several goroutines at once.
type Instance struct {
	m       *Module
	mod     api.Module
	linear  *linear // nil when the runtime allocates the memory
	funcs   map[string]api.Function
	globals []api.MutableGlobal
	g       guest
	stack   [2]uint64
	calls   int
	own     int // bytes of memory that were not shared after the call weighed; 0 when it was not looked up
	weighed int
	broken  bool      // trapped, exited or stopped: its memory means nothing any more
	gone    bool      // released
	since   time.Time // when it became idle
}

// Start runs the flow's first step: start is an encoded fairlead.app.v1.Start. The yield is the caller's to keep.
func (i *Instance) Start(ctx context.Context, nowMicros int64, start []byte) (yield []byte, err error) {
	return i.exchange(ctx, exportStart, nowMicros, start)
}

// Resume runs the next step: resume is an encoded fairlead.app.v1.Resume that answers the last yield. The yield is
// the caller's to keep.
func (i *Instance) Resume(ctx context.Context, nowMicros int64, resume []byte) (yield []byte, err error) {
	return i.exchange(ctx, exportResume, nowMicros, resume)
}

// Verify runs a contract: request is an encoded fairlead.app.v1.VerifyRequest. The verdict is the caller's to keep.
func (i *Instance) Verify(ctx context.Context, nowMicros int64, request []byte) (verdict []byte, err error) {
	return i.exchange(ctx, exportVerify, nowMicros, request)
}

// MemoryBytes is how much memory the instance keeps from other uses. Where base images are mapped that is what the
// flow changed, which is looked up again only after several calls; elsewhere it is the whole linear memory. Its tables
// come on top.
func (i *Instance) MemoryBytes() int { return i.linearBytes() + i.m.tableBytes }

func (i *Instance) linearBytes() int {
	if i.linear == nil || i.linear.shared() == nil || i.gone || !i.m.r.enter() {
		return i.size()
	}
	defer i.m.r.leave()
	if i.own == 0 || i.calls >= i.weighed+ownEvery {
		n, ok := i.m.r.pages.own(i.linear, i.size())
		if !ok {
			return i.size()
		}
		i.own, i.weighed = n, i.calls
	}
	return i.own
}

// ownEvery is after how many calls it is looked up again how much an instance changed.
const ownEvery = 16

// size is the linear memory's.
func (i *Instance) size() int { return int(i.g.mem.Size()) }

// Instructions is how many units of the meter the last call took, of Limits.Instructions.
func (i *Instance) Instructions() int64 { return i.g.used() }

// Release gives the instance back. A healthy one that did not grow is reset and kept for the next flow, others are
// closed. The instance must not be used afterwards.
func (i *Instance) Release(ctx context.Context) {
	if i.gone {
		return
	}
	i.gone = true
	if !i.m.r.enter() { // Close has ended it
		return
	}
	defer i.m.r.leave()
	defer i.m.unuse()
	if i.broken || !i.m.resettable || i.size() != len(i.m.image.bytes) {
		i.close(ctx)
		return
	}
	next := &Instance{m: i.m, mod: i.mod, linear: i.linear, funcs: i.funcs, globals: i.globals}
	next.g.mem, next.g.left, next.g.stack, next.g.full = i.g.mem, i.g.left, i.g.stack, i.g.full
	if next.reset() != nil || !i.m.keep(ctx, next) {
		next.close(ctx)
	}
}

// close gives the memory back.
func (i *Instance) close(ctx context.Context) {
	i.broken = true
	if err := i.mod.Close(ctx); err != nil {
		i.m.r.cfg.Log.Warn("close an instance", "error", err)
	}
}

// reset puts the instance into the state of the base image.
func (i *Instance) reset() error {
	if size := i.size(); size < len(i.m.image.bytes) {
		if _, ok := i.g.mem.Grow(uint32((len(i.m.image.bytes) - size) >> 16)); !ok {
			return fmt.Errorf("grow the memory to the %d bytes of the base image", len(i.m.image.bytes))
		}
	}
	mem, ok := i.g.mem.Read(0, i.g.mem.Size())
	if !ok {
		return errors.New("the memory cannot be read")
	}
	if err := i.m.image.restore(i.linear, mem, &i.m.r.pages); err != nil {
		return err
	}
	for n, g := range i.globals {
		g.Set(i.m.values[n])
	}
	i.g.clock = i.m.clock
	return nil
}

// exchange passes one message to the guest and takes its result.
func (i *Instance) exchange(ctx context.Context, name string, nowMicros int64, message []byte) ([]byte, error) {
	if !i.m.r.enter() {
		return nil, errClosed
	}
	defer i.m.r.leave()
	limits := i.m.r.cfg.Limits
	switch {
	case i.gone || i.broken:
		return nil, fmt.Errorf("%s: the instance was released or has failed before", name)
	case i.mod.ExportedFunction(name) == nil:
		return nil, fmt.Errorf("%s: the module has no such function", name)
	case len(message) > limits.MaxArgument:
		return nil, failed(ArgumentTooLarge, "%s: %d bytes, at most %d are allowed", name, len(message), limits.MaxArgument)
	}
	i.g.begin(ctx, nowMicros, limits.Instructions, i.m.r.cfg.WallClock)
	ptr, err := i.run(ctx, exportAlloc, uint64(len(message)))
	if err != nil {
		return nil, i.fail(err)
	}
	if !i.g.mem.Write(uint32(ptr), message) {
		return nil, i.fail(failed(BadYield, "%s returned a buffer of %d bytes at %d, outside the memory of %d", exportAlloc, len(message), uint32(ptr), i.g.mem.Size()))
	}
	res, err := i.run(ctx, name, ptr, uint64(len(message)))
	i.g.flush()
	if err != nil {
		return nil, i.fail(err)
	}
	at, n := uint32(res>>32), uint32(res)
	if int64(n) > int64(limits.MaxResult) {
		return nil, i.fail(failed(ResultTooLarge, "the step returned %d bytes, at most %d are allowed: store large data and pass a reference", n, limits.MaxResult))
	}
	yield, ok := i.g.mem.Read(at, n)
	if !ok {
		return nil, i.fail(failed(BadYield, "%s returned %d bytes at %d, outside the memory of %d", name, n, at, i.g.mem.Size()))
	}
	i.calls++
	return bytes.Clone(yield), nil
}

func (i *Instance) fail(err error) error {
	i.broken = true
	return err
}

// initial runs one of the functions that make the base image, for which there is more of everything.
func (i *Instance) initial(ctx context.Context, name string) (uint64, error) {
	cfg := i.m.r.cfg
	i.g.begin(ctx, 0, cfg.Limits.Instructions*initFactor, cfg.WallClock*initFactor)
	return i.run(ctx, name)
}

// run calls an exported function of the guest.
func (i *Instance) run(ctx context.Context, name string, args ...uint64) (uint64, error) {
	f, ok := i.funcs[name]
	if !ok {
		f = i.mod.ExportedFunction(name)
		i.funcs[name] = f
	}
	clear(i.stack[:])
	copy(i.stack[:], args)
	if err := f.CallWithStack(context.WithValue(ctx, guestKey{}, &i.g), i.stack[:]); err != nil {
		return 0, i.diagnose(err)
	}
	return i.stack[0], nil
}

// diagnose says what an abrupt end of the guest was.
func (i *Instance) diagnose(err error) error {
	g := &i.g
	kind := KindOf(g.stop)
	switch {
	case g.stop != nil && kind != Panic && kind != Exit:
		return g.stop
	case g.full.Get() != 0: // what a program does when it gets no memory: it crashes
		return failed(OutOfMemory, "the memory of %d bytes cannot grow as far as asked: at most %d are allowed", g.mem.Size(), int64(i.m.r.cfg.Limits.MemoryPages)<<16)
	case g.stop != nil:
		return g.stop
	case uint32(g.stack.Get()) > meter.StackLimit, strings.Contains(err.Error(), "stack overflow"):
		return failed(OutOfStack, "calls are nested too deep: is there a recursion without end?")
	}
	if line := lastWords(g.lastWord); line != "" {
		return failed(Panic, "%s", line)
	}
	reason, _, _ := strings.Cut(err.Error(), "\n")
	return failed(Trap, "%s", strings.TrimPrefix(reason, "wasm error: "))
}

// exited says what the end by proc_exit was.
func exited(code uint32, lastWord []byte) *Error {
	if line := lastWords(lastWord); line != "" {
		return failed(Panic, "%s", line)
	}
	return failed(Exit, "the module ended itself with status %d; a flow returns instead", code)
}

// lastWords finds what a language's runtime wrote to standard error when its program crashed. Go's then stops with
// a trap or exits, as it finds fit.
func lastWords(stderr []byte) string {
	for line := range strings.Lines(strings.ToValidUTF8(string(stderr), "\uFFFD")) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
