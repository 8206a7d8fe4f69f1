package meter

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	wt "github.com/fairleadio/fairlead/internal/sandbox/wasmtest"
)

// FuzzInstrument checks that no bytes crash Instrument, that it repeats itself, and that it makes a valid module
// of a valid one and never of an invalid one.
func FuzzInstrument(f *testing.F) {
	for _, c := range refused() {
		f.Add(c.wasm)
	}
	f.Add(wt.Guest(wt.I64Const(0)).Bytes())
	m := &wt.Module{}
	m.Type([]byte{wt.I32}, []byte{wt.I32})
	m.Memory(0, 1)
	m.Table(2)
	m.Data(5, []byte("data"))
	m.Elements(0, 0)
	m.Global(wt.F64, true, append([]byte{0x44}, make([]byte, 8)...))
	m.Export("f", 0, m.Func(0, []byte{wt.F32},
		wt.Op(0x20, 0), []byte{0x04, wt.I32}, wt.I32Const(1), []byte{0x40, 0, 0x05}, wt.I32Const(3), []byte{0x0B},
		[]byte{0x03, wt.I32}, wt.Op(0x20, 0), wt.Op(0x0D, 0), wt.I32Const(2), []byte{0x0B, 0x6D}))
	f.Add(m.Bytes())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		out, err := Instrument(wasm)
		if err != nil {
			return
		}
		again, err := Instrument(wasm)
		if err != nil || !bytes.Equal(out.Wasm, again.Wasm) {
			t.Fatalf("a second time gave something else: %v", err)
		}
		r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(64).WithCoreFeatures(features))
		defer func() { _ = r.Close(t.Context()) }()
		_, errPlain := r.CompileModule(t.Context(), wasm)
		if errPlain != nil && strings.Contains(errPlain.Error(), "custom section") {
			return // which Instrument leaves out
		}
		_, errMetered := r.CompileModule(t.Context(), out.Wasm)
		if (errPlain == nil) != (errMetered == nil) {
			t.Fatalf("plain: %v; instrumented: %v", errPlain, errMetered)
		}
	})
}
