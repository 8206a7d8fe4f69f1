package meter

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	wt "github.com/fairleadio/fairlead/internal/sandbox/wasmtest"
)

// machine is a runtime whose function "more" stops the guest.
func machine(t testing.TB) wazero.Runtime {
	t.Helper()
	return machineOf(t, wazero.NewRuntimeConfigInterpreter())
}

func machineOf(t testing.TB, cfg wazero.RuntimeConfig) wazero.Runtime {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), cfg.WithMemoryLimitPages(64).
		WithCoreFeatures(features))
	t.Cleanup(func() { _ = r.Close(context.WithoutCancel(t.Context())) })
	_, err := r.NewHostModuleBuilder(ModuleName).NewFunctionBuilder().WithFunc(func() { panic(errStopped) }).
		Export(MoreName).Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const features = api.CoreFeaturesV2 &^ api.CoreFeatureSIMD

var errStopped = errors.New("no instructions left")

// runMetered instantiates an instrumented module with a budget.
func runMetered(t testing.TB, r wazero.Runtime, m *Module, budget int64) api.Module {
	t.Helper()
	mod, err := r.InstantiateWithConfig(t.Context(), m.Wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		t.Fatalf("the instrumented module does not instantiate: %v", err)
	}
	if !lay(mod, m.Data) {
		t.Fatal("the data do not fit into the memory")
	}
	mod.ExportedGlobal(LeftName).(api.MutableGlobal).Set(uint64(budget))
	return mod
}

// lay writes the data that an instrumented module had.
func lay(mod api.Module, data []Segment) bool {
	if len(data) == 0 {
		return true
	}
	memory, ok := mod.Memory().Read(0, mod.Memory().Size())
	return ok && Lay(memory, data)
}

func left(mod api.Module) int64 { return int64(mod.ExportedGlobal(LeftName).Get()) }

func instrument(t testing.TB, m *wt.Module) *Module {
	t.Helper()
	out, err := Instrument(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCostIsWhatIsExecuted(t *testing.T) {
	r := machine(t)
	m := &wt.Module{}
	m.Type([]byte{wt.I32}, []byte{wt.I32})
	// Counts its argument down to zero: per round get, const, sub, tee, br_if; then const.
	m.Export("f", 0, m.Func(0, nil,
		[]byte{0x03, 0x40}, wt.Op(0x20, 0), wt.I32Const(1), []byte{0x6B}, wt.Op(0x22, 0), wt.Op(0x0D, 0), []byte{0x0B},
		wt.I32Const(7)))
	out := instrument(t, m)
	cost := func(n int32) int64 {
		mod := runMetered(t, r, out, 1_000_000)
		res, err := mod.ExportedFunction("f").Call(t.Context(), api.EncodeI32(n))
		if err != nil || res[0] != 7 {
			t.Fatalf("f(%d) = %v, %v", n, res, err)
		}
		return 1_000_000 - left(mod)
	}
	if one, ten := cost(1), cost(10); ten-one != 9*5 || one != 1+5+1 {
		t.Errorf("1 round costs %d, 10 cost %d; want 7 and 52", one, ten)
	}
	mod := runMetered(t, r, out, 100)
	if _, err := mod.ExportedFunction("f").Call(t.Context(), api.EncodeI32(1000)); !errors.Is(err, errStopped) {
		t.Errorf("over budget: %v", err)
	}
	if l := left(mod); l >= 0 || l < -10 {
		t.Errorf("stopped with %d left, want just below zero", l)
	}
}

func TestBulkOperationsCostTheirSize(t *testing.T) {
	r := machine(t)
	m := &wt.Module{}
	m.Type([]byte{wt.I32}, []byte{wt.I32})
	m.Memory(0, 16)
	n := wt.Op(0x20, 0)
	m.Export("fill", 0, m.Func(0, nil, wt.I32Const(0), wt.I32Const(1), n, []byte{0xFC, 11, 0}, wt.I32Const(0)))
	m.Export("copy", 0, m.Func(0, nil, wt.I32Const(0), wt.I32Const(8), n, []byte{0xFC, 10, 0, 0}, wt.I32Const(0)))
	m.Export("grow", 0, m.Func(0, nil, n, []byte{0x40, 0}))
	out := instrument(t, m)
	for _, c := range []struct {
		f          string
		n          int32
		atLeast    int64
		wantResult int32
		full       uint64
	}{
		{"fill", 80_000, 10_000, 0, 0},
		{"copy", 80_000, 10_000, 0, 0},
		{"grow", 3, 3 * costPage, 16, 0},
		{"grow", 100, 0, -1, 1},
		{"grow", -1, 0, -1, 1},
	} {
		mod := runMetered(t, r, out, 1_000_000)
		res, err := mod.ExportedFunction(c.f).Call(t.Context(), api.EncodeI32(c.n))
		if err != nil || int32(res[0]) != c.wantResult {
			t.Errorf("%s(%d) = %v, %v; want %d", c.f, c.n, res, err, c.wantResult)
		}
		if used := 1_000_000 - left(mod); used < c.atLeast || used > c.atLeast+50 {
			t.Errorf("%s(%d) costs %d, want about %d", c.f, c.n, used, c.atLeast)
		}
		if full := mod.ExportedGlobal(FullName).Get(); full != c.full {
			t.Errorf("%s(%d): full is %d, want %d", c.f, c.n, full, c.full)
		}
	}
	mod := runMetered(t, r, out, 1000)
	if _, err := mod.ExportedFunction("fill").Call(t.Context(), api.EncodeI32(80_000)); !errors.Is(err, errStopped) {
		t.Errorf("a fill over budget: %v", err)
	}
}

func TestRecursionEndsAtTheSameCall(t *testing.T) {
	r := machineOf(t, wazero.NewRuntimeConfig()) // the interpreter has a limit of its own
	m := &wt.Module{}
	m.Type(nil, nil)
	depth := m.Global(wt.I32, true, wt.I32Const(0))
	m.Export("f", 0, m.Func(0, nil, wt.Op(0x23, uint64(depth)), wt.I32Const(1), []byte{0x6A}, wt.Op(0x24, uint64(depth)), wt.Op(0x10, 0)))
	out := instrument(t, m)
	mod := runMetered(t, r, out, math.MaxInt32)
	if _, err := mod.ExportedFunction("f").Call(t.Context()); err == nil {
		t.Fatal("an endless recursion ended well")
	}
	if got, limit := mod.ExportedGlobal(StackName).Get(), uint64(StackLimit); got <= limit || got > limit+1000 {
		t.Errorf("the stack was %d, want just over %d", got, limit)
	}
	if out.Globals[0] != globalName(0) {
		t.Fatalf("globals %v", out.Globals)
	}
	calls := mod.ExportedGlobal(out.Globals[0]).Get()
	if want := uint64(StackLimit / (frameBase + 6*frameInstr)); calls != want {
		t.Errorf("%d calls, want %d", calls, want)
	}
}

func TestStackIsGivenBackOnEveryWayOut(t *testing.T) {
	r := machine(t)
	m := &wt.Module{}
	m.Type(nil, nil)
	two := m.Type([]byte{wt.I32}, []byte{wt.I32, wt.I32})
	leaf := m.Func(0, nil)
	call := wt.Op(0x10, uint64(leaf))
	// Returns from within nested blocks, by br to the function, by br_table, or by falling off the end.
	m.Export("f", 0, m.Func(two, nil, call,
		[]byte{0x02, 0x40, 0x03, 0x40},
		wt.Op(0x20, 0), []byte{0x45, 0x04, 0x40}, wt.I32Const(1), wt.I32Const(2), []byte{0x0F, 0x0B}, // 0: return
		wt.Op(0x20, 0), wt.I32Const(1), []byte{0x46, 0x04, 0x40}, wt.I32Const(3), wt.I32Const(4), wt.Op(0x0C, 3), []byte{0x0B}, // 1: br
		wt.Op(0x20, 0), wt.I32Const(2), []byte{0x46, 0x04, 0x40}, wt.I32Const(5), wt.I32Const(6), wt.I32Const(0), []byte{0x0E, 1, 3, 3, 0x0B}, // 2: br_table
		[]byte{0x0B, 0x0B}, wt.I32Const(7), wt.I32Const(8)))
	mod := runMetered(t, r, instrument(t, m), 1_000_000)
	for arg, want := range [][]uint64{{1, 2}, {3, 4}, {5, 6}, {7, 8}} {
		got, err := mod.ExportedFunction("f").Call(t.Context(), uint64(arg))
		if err != nil || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("f(%d) = %v, %v; want %v", arg, got, err, want)
		}
		if s := mod.ExportedGlobal(StackName).Get(); s != 0 {
			t.Errorf("after f(%d) the stack in use is %d, want 0", arg, s)
		}
	}
}

func TestNaNsAreCanonical(t *testing.T) {
	r := machine(t)
	m := &wt.Module{}
	m.Type([]byte{wt.I64, wt.I64}, []byte{wt.I64})
	m.Type([]byte{wt.I32, wt.I32}, []byte{wt.I32})
	m.Export("f64", 0, m.Func(0, nil, wt.Op(0x20, 0), []byte{0xBF}, wt.Op(0x20, 1), []byte{0xBF, 0xA3, 0xBD}))
	m.Export("f32", 0, m.Func(1, nil, wt.Op(0x20, 0), []byte{0xBE}, wt.Op(0x20, 1), []byte{0xBE, 0x95, 0xBC}))
	mod := runMetered(t, r, instrument(t, m), 1_000_000)
	payload := uint64(0xFFF8_0000_1234_5678)
	for _, c := range [][3]uint64{
		{0, 0, 0x7FF8_0000_0000_0000},
		{payload, math.Float64bits(1), 0x7FF8_0000_0000_0000},
		{math.Float64bits(6), math.Float64bits(3), math.Float64bits(2)},
		{math.Float64bits(1), 0, math.Float64bits(math.Inf(1))},
	} {
		if got, err := mod.ExportedFunction("f64").Call(t.Context(), c[0], c[1]); err != nil || got[0] != c[2] {
			t.Errorf("f64 %x / %x = %x, %v; want %x", c[0], c[1], got, err, c[2])
		}
	}
	for _, c := range [][3]uint64{{0, 0, 0x7FC0_0000}, {0xFFC0_1234, 0x3F80_0000, 0x7FC0_0000}} {
		if got, err := mod.ExportedFunction("f32").Call(t.Context(), c[0], c[1]); err != nil || got[0] != c[2] {
			t.Errorf("f32 %x / %x = %x, %v; want %x", c[0], c[1], got, err, c[2])
		}
	}
}

// TestDataAreLaid holds the memory that is laid to that of the author's module, for segments that ascend, jump back,
// overlap and lie in each other's gaps.
func TestDataAreLaid(t *testing.T) {
	type segment struct {
		at    int32
		bytes []byte
	}
	cases := [][]segment{{{1000, []byte("kept")}, {900, []byte("b")}, {1100, []byte("c")}, {2<<16 - 1, []byte("x")}, {2 << 16, nil}}}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var one []segment
		for range 1 + rnd.IntN(40) {
			b := make([]byte, 1+rnd.IntN(100))
			for i := range b {
				b[i] = byte(1 + rnd.IntN(255))
			}
			one = append(one, segment{rnd.Int32N(2<<16 - 100), b})
		}
		cases = append(cases, one)
	}
	r := machine(t)
	for n, segments := range cases {
		m := &wt.Module{}
		m.Type([]byte{wt.I32}, []byte{wt.I32})
		m.Memory(0, 2)
		m.Export("memory", 2, 0)
		for _, s := range segments {
			m.Data(s.at, s.bytes)
		}
		out := instrument(t, m)
		if len(out.Data) != len(segments) {
			t.Fatalf("case %d: %d segments, want %d", n, len(out.Data), len(segments))
		}
		plain, err := r.InstantiateWithConfig(t.Context(), m.Bytes(), wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Fatal(err)
		}
		want, _ := plain.Memory().Read(0, 2<<16)
		got, _ := runMetered(t, r, out, 0).Memory().Read(0, 2<<16)
		if !bytes.Equal(got, want) {
			t.Errorf("case %d: memory differs", n)
		}
	}
}

func TestDataOutsideOfMemory(t *testing.T) {
	memory := make([]byte, 8)
	for _, s := range []Segment{{8, []byte{1}}, {9, nil}, {7, []byte{1, 2}}, {1<<32 - 1, []byte{1}}} {
		if Lay(memory, []Segment{s}) {
			t.Errorf("%d bytes at %d fit into 8", len(s.Bytes), s.At)
		}
	}
}

// refused are modules that Instrument must not let through, with a word of the reason.
func refused() map[string]struct {
	wasm []byte
	want string
} {
	type entry = struct {
		wasm []byte
		want string
	}
	code := func(typ func(m *wt.Module), body ...[]byte) []byte {
		m := &wt.Module{}
		m.Type(nil, nil)
		m.Memory(0, 1)
		m.Global(wt.I32, true, wt.I32Const(0))
		if typ != nil {
			typ(m)
		}
		m.Func(0, []byte{wt.I32}, body...)
		return m.Bytes()
	}
	with := func(f func(m *wt.Module)) []byte {
		m := &wt.Module{}
		m.Type(nil, nil)
		f(m)
		return m.Bytes()
	}
	return map[string]entry{
		"empty":                      {nil, "not a WebAssembly"},
		"elf":                        {[]byte("\x7fELF000000000000"), "not a WebAssembly"},
		"component":                  {[]byte{0, 'a', 's', 'm', 0x0d, 0, 1, 0}, "not a WebAssembly"},
		"simd code":                  {code(nil, []byte{0xFD, 0x0C}, make([]byte, 16), []byte{0x1A}), "SIMD"},
		"simd local":                 {with(func(m *wt.Module) { m.Func(0, []byte{wt.V128}) }), "SIMD"},
		"simd type":                  {with(func(m *wt.Module) { m.Type([]byte{wt.V128}, nil) }), "SIMD"},
		"threads code":               {code(nil, []byte{0xFE, 0x03, 0x00}), "threads"},
		"shared memory":              {with(func(m *wt.Module) { m.Memory(3, 1, 1) }), "threads"},
		"memory64":                   {with(func(m *wt.Module) { m.Memory(4, 1) }), "64-bit"},
		"two memories":               {with(func(m *wt.Module) { m.Memory(0, 1); m.Memory(0, 1) }), "2 memories"},
		"exceptions":                 {code(nil, []byte{0x08, 0x00}), "exception"},
		"gc code":                    {code(nil, []byte{0xFB, 0x00}), "garbage"},
		"tail call":                  {code(nil, []byte{0x12, 0x00}), "tail calls"},
		"unknown instruction":        {code(nil, []byte{0xFF}), "unknown instruction"},
		"imported memory":            {with(func(m *wt.Module) { m.ImportRaw("a", "b", 2, 0, 1) }), "a.b is not a function"},
		"imported global":            {with(func(m *wt.Module) { m.ImportRaw("a", "b", 3, wt.I32, 0) }), "a.b is not a function"},
		"the meter's import":         {with(func(m *wt.Module) { m.Import(ModuleName, MoreName, 0) }), "reserved"},
		"the meter's export":         {with(func(m *wt.Module) { m.Export(LeftName, 0, m.Func(0, nil)) }), "reserved"},
		"start section":              {with(func(m *wt.Module) { m.Start(m.Func(0, nil)) }), "_initialize"},
		"the meter's global":         {code(nil, wt.I64Const(1<<40), wt.Op(0x24, 1)), "no global 1"},
		"the meter's local":          {code(nil, wt.Op(0x20, 1), []byte{0x1A}), "no local 1"},
		"the meter's import's index": {code(nil, wt.Op(0x10, 1)), "no function 1"},
		"the meter's block":          {code(nil, wt.Op(0x10, 0), wt.Op(0x0C, 1)), "no block 1"},
		"the meter's type":           {code(nil, []byte{0x02, 0x01, 0x0B}), "no type 1"},
		"trailing section bytes":     {append((&wt.Module{}).Bytes(), 1, 2, 0, 0), "too many"},
		"section twice":              {append((&wt.Module{}).Bytes(), 1, 1, 0, 1, 1, 0), "out of order"},
		"section cut off":            {append((&wt.Module{}).Bytes(), 1, 9, 0), "announced"},
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range refused() {
		_, err := Instrument(c.wasm)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Reason, c.want) {
			t.Errorf("%s: %v; want a refusal with %q", name, err, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	big := &wt.Module{}
	big.Type(nil, nil)
	big.Func(0, bytes.Repeat([]byte{wt.I32}, maxLocals+1))
	deep := &wt.Module{}
	deep.Type(nil, nil)
	deep.Func(0, nil, bytes.Repeat([]byte{0x02, 0x40}, maxNesting), bytes.Repeat([]byte{0x0B}, maxNesting))
	table := &wt.Module{}
	table.Table(maxEntries + 1)
	tables := &wt.Module{}
	tables.Table(maxEntries - 1)
	tables.Table(2)
	passive := &wt.Module{}
	passive.Type(nil, nil)
	passive.Func(0, nil)
	passive.Table(maxEntries - 1)
	passive.ElementsRaw([]byte{1, 0, 2, 0, 0})
	grow := &wt.Module{}
	grow.Type(nil, nil)
	grow.Table(1)
	grow.Func(0, nil, []byte{0xD0, 0x70}, wt.I32Const(60_000_000), []byte{0xFC, 15, 0, 0x1A})
	for name, m := range map[string]*wt.Module{
		"locals": big, "nested deeper": deep, "table entries": table, "2 table entries and 131071 before": tables,
		"2 elements and 131071 before": passive, "table.grow": grow,
	} {
		if _, err := Instrument(m.Bytes()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Instrument(make([]byte, maxModule+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("size: %v", err)
	}
}

func TestInstancesThatCannotBeReset(t *testing.T) {
	for name, f := range map[string]func(m *wt.Module){
		"table.set": func(m *wt.Module) { m.Func(0, nil, wt.I32Const(0), []byte{0xD0, 0x70, 0x26, 0x00}) },
		"table.fill": func(m *wt.Module) {
			m.Func(0, nil, wt.I32Const(0), []byte{0xD0, 0x70}, wt.I32Const(0), []byte{0xFC, 17, 0})
		},
		"mutable funcref": func(m *wt.Module) { m.Global(wt.FuncRef, true, []byte{0xD0, 0x70}) },
	} {
		m := &wt.Module{}
		m.Type(nil, nil)
		m.Table(1)
		if out := instrument(t, m); !out.Resettable {
			t.Fatal("a module without changes cannot be reset")
		}
		f(m)
		out := instrument(t, m)
		if out.Resettable {
			t.Errorf("%s: can be reset", name)
		}
		runMetered(t, machine(t), out, 0)
	}
}
