package meter

import (
	"bytes"
	"strings"
	"testing"

	wt "github.com/fairleadio/fairlead/internal/sandbox/wasmtest"
)

// MaxComplexity and ComplexityPerByte are the bounds, for the test of real guests.
const (
	MaxComplexity     = maxComplexity
	ComplexityPerByte = complexityPerByte
)

func get(l int) []byte { return wt.Op(0x20, uint64(l)) }

// cascade nests blocks or loops, branches by tables to all of them, and changes a local behind each.
func cascade(kind byte, depth, tables, locals int) *wt.Module {
	var code []byte
	for range depth {
		code = append(code, kind, 0x40)
	}
	for range tables {
		code = append(append(code, 0x02, 0x40), get(0)...)
		code = append(append(code, 0x0E), wt.Uint(uint64(depth))...)
		for i := range depth {
			code = append(code, wt.Uint(uint64(i+1))...)
		}
		code = append(code, 0, 0x0B)
	}
	for i := range depth {
		if locals > 0 {
			code = append(code, wt.Cat(get(1+i%locals), wt.Op(0x21, uint64(1+(i*7+1)%locals)))...)
		}
		code = append(code, 0x0B)
	}
	return oneFunction(locals, code)
}

func oneFunction(locals int, code ...[]byte) *wt.Module {
	m := &wt.Module{}
	m.Type([]byte{wt.I32}, nil)
	m.Func(0, bytes.Repeat([]byte{wt.I32}, locals), code...)
	return m
}

// branches leaves one block in many places, each with other values of the locals.
func branches(n, locals int) *wt.Module {
	code := []byte{0x02, 0x40}
	for i := range n {
		code = append(code, get(0)...)
		if locals > 0 {
			code = append(code, wt.Op(0x22, uint64(1+i%locals))...)
		}
		code = append(code, 0x0D, 0)
	}
	return oneFunction(locals, code, []byte{0x0B})
}

// operands has many values on the stack while it branches.
func operands(values, n int) *wt.Module {
	return oneFunction(0, bytes.Repeat(get(0), values), bytes.Repeat(wt.Cat(get(0), []byte{0x04, 0x40, 0x00, 0x0B}), n), bytes.Repeat([]byte{0x1A}, values))
}

// Small modules that would take a compiler seconds to minutes and gigabytes are refused, and say why.
func TestCompileBombsAreRefused(t *testing.T) {
	several := &wt.Module{}
	several.Type([]byte{wt.I32}, nil)
	chain := wt.Cat([]byte{0x02, 0x40}, bytes.Repeat(wt.Cat(get(0), []byte{0x0D, 0}), 3_000), []byte{0x0B})
	for range 10 {
		several.Func(0, nil, chain)
	}
	for name, c := range map[string]struct {
		m    *wt.Module
		want string
	}{
		"blocks, a table, locals":    {cascade(0x02, 2_000, 1, 2_000), "a function is too large"},
		"blocks and tables":          {cascade(0x02, 200, 400, 0), "a function is too large"},
		"nested loops":               {cascade(0x03, 500, 1, 0), "loops are nested deeper than 64"},
		"loops that hand locals on":  {cascade(0x03, 60, 1, 4_000), "a function is too large"},
		"branches":                   {branches(20_000, 0), "a function is too large"},
		"branches with other locals": {branches(2_000, 400), "a function is too large"},
		"operands":                   {operands(3_000, 3_000), "a function is too large"},
		"all together":               {several, "the functions so far"},
	} {
		_, err := Instrument(c.m.Bytes())
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "at byte ") {
			t.Errorf("%s: %v; want a refusal with %q", name, err, c.want)
		}
	}
	for name, m := range map[string]*wt.Module{
		"blocks": cascade(0x02, 500, 1, 20), "loops": cascade(0x03, 20, 1, 20), "branches": branches(1_000, 20), "operands": operands(1_000, 10),
		"straight": operands(100_000, 0),
	} {
		if _, err := Instrument(m.Bytes()); err != nil {
			t.Errorf("%s, as a program may be: %v", name, err)
		}
	}
}

// The operand stack is counted right: it is as it was where a function began, whatever it has executed.
func TestOperandsAreCounted(t *testing.T) {
	for name, code := range map[string][]byte{
		"arithmetic": wt.Cat(get(0), get(0), []byte{0x6A, 0x45, 0x1A}),
		"if":         wt.Cat(get(0), []byte{0x04, wt.I32}, wt.I32Const(1), []byte{0x05}, wt.I32Const(2), []byte{0x0B, 0x1A}),
		"branch":     wt.Cat([]byte{0x02, wt.I32}, wt.I32Const(1), get(0), []byte{0x0D, 0, 0x0C, 0, 0x6A, 0x1A, 0x1A}, wt.I32Const(1), []byte{0x0B, 0x1A}),
		"return":     wt.Cat([]byte{0x02, 0x40}, get(0), []byte{0x0F, 0x1A, 0x1A, 0x0B}),
		"select":     wt.Cat(get(0), get(0), get(0), []byte{0x1B, 0x1A}),
		"memory":     wt.Cat(get(0), get(0), []byte{0x36, 2, 0}, get(0), []byte{0x28, 2, 0, 0x40, 0, 0x1A, 0x3F, 0, 0x1A}, get(0), get(0), get(0), []byte{0xFC, 11, 0}),
		"call":       wt.Cat(get(0), []byte{0x10, 0}, get(0), get(0), []byte{0x11, 0, 0}),
		"floats":     wt.Cat(get(0), []byte{0xB2, 0x91, 0xFC, 0, 0x1A}, get(0), []byte{0xB7, 0x9F, 0xAA, 0x1A}),
	} {
		w := rewriter{m: &module{types: []FuncType{{Params: []ValType{I32}}}, funcs: []uint32{0}, memories: 1, size: 1 << 20}, r: &reader{b: wt.Cat([]byte{0}, code, []byte{0x0B})}}
		if _, err := w.function(FuncType{Params: []ValType{I32}}); err != nil || w.height != 0 {
			t.Errorf("%s: %d operands at the end, %v", name, w.height, err)
		}
	}
}
