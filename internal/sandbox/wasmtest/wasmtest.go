package wasmtest

// Value types.
const (
	I32     = 0x7F
	I64     = 0x7E
	F32     = 0x7D
	F64     = 0x7C
	V128    = 0x7B
	FuncRef = 0x70
)

// Module is a module to be. Sections without content are left out.
type Module struct {
	types, imports, funcs, tables, memories, globals, exports, elements, code, data [][]byte
	start                                                                           []byte
	imported                                                                        int
	Custom                                                                          []byte
}

// Uint encodes an unsigned number.
func Uint(v uint64) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// Int encodes a signed number.
func Int(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// Cat joins pieces of code.
func Cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// Op is an instruction with one unsigned immediate.
func Op(op byte, v uint64) []byte { return append([]byte{op}, Uint(v)...) }

// I32Const pushes a number.
func I32Const(v int32) []byte { return append([]byte{0x41}, Int(int64(v))...) }

// I64Const pushes a number.
func I64Const(v int64) []byte { return append([]byte{0x42}, Int(v)...) }

// Name encodes a name.
func Name(s string) []byte { return append(Uint(uint64(len(s))), s...) }

// Type adds a function type.
func (m *Module) Type(params, results []byte) int {
	m.types = append(m.types, Cat([]byte{0x60}, Uint(uint64(len(params))), params, Uint(uint64(len(results))), results))
	return len(m.types) - 1
}

// Import adds an imported function of a type. Imports come before functions.
func (m *Module) Import(module, name string, typ int) int {
	m.imports = append(m.imports, Cat(Name(module), Name(name), []byte{0}, Uint(uint64(typ))))
	m.imported++
	return m.imported - 1
}

// ImportRaw adds an import of any kind: desc is the kind and what follows it.
func (m *Module) ImportRaw(module, name string, desc ...byte) {
	m.imports = append(m.imports, Cat(Name(module), Name(name), desc))
}

// Func adds a function: locals are value types, code lacks the last end. It returns the function's index.
func (m *Module) Func(typ int, locals []byte, code ...[]byte) int {
	m.funcs = append(m.funcs, Uint(uint64(typ)))
	b := Uint(uint64(len(locals)))
	for _, l := range locals {
		b = append(b, 1, l)
	}
	b = append(append(b, Cat(code...)...), 0x0B)
	m.code = append(m.code, append(Uint(uint64(len(b))), b...))
	return m.imported + len(m.funcs) - 1
}

// Memory adds a memory: the limits as they are encoded.
func (m *Module) Memory(limits ...byte) { m.memories = append(m.memories, limits) }

// Table adds a table of functions with a minimum size.
func (m *Module) Table(min uint64) { m.tables = append(m.tables, Cat([]byte{FuncRef, 0}, Uint(min))) }

// Global adds a global.
func (m *Module) Global(typ byte, mutable bool, init []byte) int {
	mut := byte(0)
	if mutable {
		mut = 1
	}
	m.globals = append(m.globals, Cat([]byte{typ, mut}, init, []byte{0x0B}))
	return len(m.globals) - 1
}

// Export adds an export.
func (m *Module) Export(name string, kind byte, index int) {
	m.exports = append(m.exports, Cat(Name(name), []byte{kind}, Uint(uint64(index))))
}

// Elements puts functions into table 0.
func (m *Module) Elements(at int32, funcs ...int) {
	b := Cat([]byte{0}, I32Const(at), []byte{0x0B}, Uint(uint64(len(funcs))))
	for _, f := range funcs {
		b = append(b, Uint(uint64(f))...)
	}
	m.elements = append(m.elements, b)
}

// ElementsRaw adds an element segment as it is encoded.
func (m *Module) ElementsRaw(b []byte) { m.elements = append(m.elements, b) }

// Data puts bytes into the memory.
func (m *Module) Data(at int32, b []byte) {
	m.data = append(m.data, Cat([]byte{0}, I32Const(at), []byte{0x0B}, Uint(uint64(len(b))), b))
}

// Start makes a function the start function.
func (m *Module) Start(index int) { m.start = Uint(uint64(index)) }

// Bytes is the module.
func (m *Module) Bytes() []byte {
	b := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	section := func(id byte, content []byte) {
		b = append(append(append(b, id), Uint(uint64(len(content)))...), content...)
	}
	list := func(id byte, items [][]byte) {
		if len(items) > 0 {
			section(id, append(Uint(uint64(len(items))), Cat(items...)...))
		}
	}
	list(1, m.types)
	list(2, m.imports)
	list(3, m.funcs)
	list(4, m.tables)
	list(5, m.memories)
	list(6, m.globals)
	list(7, m.exports)
	if m.start != nil {
		section(8, m.start)
	}
	list(9, m.elements)
	list(10, m.code)
	list(11, m.data)
	if m.Custom != nil {
		section(0, m.Custom)
	}
	return b
}

// Guest is a module that speaks the guest interface and does nothing, for tests to add to: types 0 to 4 are
// ()→(), ()→i32, i32→i32, (i32,i32)→i64 and i32→().
func Guest(start []byte) *Module {
	m := &Module{}
	m.Type(nil, nil)
	m.Type(nil, []byte{I32})
	m.Type([]byte{I32}, []byte{I32})
	m.Type([]byte{I32, I32}, []byte{I64})
	m.Type([]byte{I32}, nil)
	m.Memory(0, 2)
	m.Export("memory", 2, 0)
	m.Export("_initialize", 0, m.Func(0, nil))
	m.Export("fairlead_abi", 0, m.Func(1, nil, I32Const(1)))
	m.Export("fairlead_alloc", 0, m.Func(2, nil, I32Const(1024)))
	m.Export("fairlead_start", 0, m.Func(3, nil, start))
	m.Export("fairlead_resume", 0, m.Func(3, nil, I64Const(0)))
	return m
}
