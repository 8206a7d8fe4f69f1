package meter

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// specCommand is a line of a script of the WebAssembly specification's test suite, as wast2json writes it.
type specCommand struct {
	Type       string     `json:"type"`
	Line       int        `json:"line"`
	Filename   string     `json:"filename"`
	Name       string     `json:"name"`
	ModuleType string     `json:"module_type"`
	Text       string     `json:"text"`
	Action     specAction `json:"action"`
}

type specAction struct {
	Type   string      `json:"type"`
	Module string      `json:"module"`
	Field  string      `json:"field"`
	Args   []specValue `json:"args"`
}

type specValue struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// suiteDir finds the suite, which wazero's module carries.
func suiteDir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("find wazero's sources: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal/integration_test/spectest/v2/testdata")
}

// specRuntime is a runtime with the functions that the suite's modules import.
func specRuntime(t *testing.T, cfg wazero.RuntimeConfig) wazero.Runtime {
	r := machineOf(t, cfg)
	b := r.NewHostModuleBuilder("spectest")
	for name, params := range map[string][]api.ValueType{
		"print": {}, "print_i32": {api.ValueTypeI32}, "print_i64": {api.ValueTypeI64}, "print_f32": {api.ValueTypeF32},
		"print_f64": {api.ValueTypeF64}, "print_i32_f32": {api.ValueTypeI32, api.ValueTypeF32},
		"print_f64_f64": {api.ValueTypeF64, api.ValueTypeF64},
	} {
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(context.Context, []uint64) {}), params, nil).Export(name)
	}
	if _, err := b.Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSpecificationSuite runs the specification's own tests twice, as they are and instrumented: both must give the
// same results and traps, and nothing that the compiler refuses may become valid by instrumenting it. What is
// instrumented is run by the compiler, what is not by the interpreter, so that these are compared, too.
func TestSpecificationSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(suiteDir(t), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	plain, metered := specRuntime(t, wazero.NewRuntimeConfigInterpreter()), specRuntime(t, wazero.NewRuntimeConfig())
	var s suite
	for _, file := range files {
		if !strings.HasPrefix(filepath.Base(file), "simd") {
			s.script(t, file, plain, metered)
		}
	}
	t.Logf("%d modules ran twice, %d were refused, %d calls compared, %d invalid modules", s.modules, s.refused, s.calls, s.invalid)
	if s.modules < 500 || s.calls < 15_000 || s.invalid < 1500 {
		t.Error("the suite is not as large as it should be")
	}
}

type suite struct{ modules, refused, calls, invalid int }

// pair is a module of the suite, both ways; nil where it cannot run.
type pair struct{ plain, metered api.Module }

func (s *suite) script(t *testing.T, file string, plain, metered wazero.Runtime) {
	var script struct{ Commands []specCommand }
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &script); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var last pair
	named := map[string]pair{}
	for _, c := range script.Commands {
		where := filepath.Base(file) + ":" + strconv.Itoa(c.Line)
		switch c.Type {
		case "module":
			last = s.module(t, where, read(t, file, c.Filename), plain, metered)
			named[c.Name] = last
		case "assert_invalid", "assert_malformed":
			if c.ModuleType == "binary" {
				s.bad(t, where, read(t, file, c.Filename), plain, metered)
			}
		case "assert_return", "assert_trap", "action":
			p := last
			if c.Action.Module != "" {
				p = named[c.Action.Module]
			}
			if p.metered != nil && c.Action.Type == "invoke" {
				s.call(t, where, c.Action, p)
			}
		}
	}
}

func read(t *testing.T, script, name string) []byte {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(script), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *suite) module(t *testing.T, where string, wasm []byte, plain, metered wazero.Runtime) (p pair) {
	out, err := Instrument(wasm)
	var e *Error
	if errors.As(err, &e) {
		for _, reason := range []string{"is not a function", "start section", "SIMD", "bytes are announced", "at most", "table.grow"} {
			if strings.Contains(e.Reason, reason) {
				s.refused++
				return pair{}
			}
		}
		t.Errorf("%s: refused: %v", where, err)
		return pair{}
	}
	cfg := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	var errPlain, errMetered error
	p.plain, errPlain = plain.InstantiateWithConfig(t.Context(), wasm, cfg)
	if p.metered, errMetered = metered.InstantiateWithConfig(t.Context(), out.Wasm, cfg); errMetered == nil && !lay(p.metered, out.Data) {
		errMetered = errors.New("the data do not fit into the memory")
	}
	if (errPlain == nil) != (errMetered == nil) {
		t.Errorf("%s: plain: %v; instrumented: %v", where, errPlain, errMetered)
	}
	if errPlain != nil || errMetered != nil {
		return pair{}
	}
	p.metered.ExportedGlobal(LeftName).(api.MutableGlobal).Set(math.MaxInt64)
	s.modules++
	return p
}

func (s *suite) bad(t *testing.T, where string, wasm []byte, plain, metered wazero.Runtime) {
	s.invalid++
	if _, err := plain.CompileModule(t.Context(), wasm); err == nil {
		return // the compiler is more lenient than the specification
	}
	out, err := Instrument(wasm)
	if err != nil {
		return
	}
	if _, err := metered.CompileModule(t.Context(), out.Wasm); err == nil {
		t.Errorf("%s: invalid, but valid when instrumented", where)
	}
}

func (s *suite) call(t *testing.T, where string, a specAction, p pair) {
	args := make([]uint64, len(a.Args))
	for i, v := range a.Args {
		text, _ := v.Value.(string)
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil { // a null reference
			continue
		}
		args[i] = n
	}
	f := p.plain.ExportedFunction(a.Field)
	want, errPlain := f.Call(t.Context(), args...)
	got, errMetered := p.metered.ExportedFunction(a.Field).Call(t.Context(), args...)
	s.calls++
	if (errPlain == nil) != (errMetered == nil) || errPlain != nil && firstLine(errPlain) != firstLine(errMetered) {
		t.Errorf("%s %s: plain: %v; instrumented: %v", where, a.Field, errPlain, errMetered)
		return
	}
	for i, typ := range f.Definition().ResultTypes() {
		if errPlain == nil && !sameValue(typ, got[i], want[i]) {
			t.Errorf("%s %s: instrumented %x, plain %x", where, a.Field, got, want)
		}
	}
	if errMetered == nil && p.metered.ExportedGlobal(StackName).Get() != 0 {
		t.Errorf("%s %s: the stack was not given back", where, a.Field)
	}
	p.metered.ExportedGlobal(StackName).(api.MutableGlobal).Set(0)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// sameValue compares results: all NaNs are equal, and a function reference is some address.
func sameValue(typ api.ValueType, a, b uint64) bool {
	switch typ {
	case api.ValueTypeF32:
		return uint32(a) == uint32(b) || math.IsNaN(float64(math.Float32frombits(uint32(a)))) && math.IsNaN(float64(math.Float32frombits(uint32(b))))
	case api.ValueTypeF64:
		return a == b || math.IsNaN(math.Float64frombits(a)) && math.IsNaN(math.Float64frombits(b))
	case api.ValueTypeI32:
		return uint32(a) == uint32(b)
	case api.ValueType(FuncRef):
		return (a == 0) == (b == 0)
	}
	return a == b
}
