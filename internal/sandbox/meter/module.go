package meter

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Names of what Instrument adds. A module that uses them itself is refused.
const (
	// ModuleName and MoreName name the imported function, without parameters and results, that is called when
	// fewer than zero instructions are left.
	ModuleName = "fairlead_meter"
	MoreName   = "more"

	reserved = "fairlead_meter."
	// LeftName is the exported global of instructions left.
	LeftName = reserved + "left"
	// StackName is the exported global of stack in use, bytes by estimate.
	StackName = reserved + "stack"
	// FullName is the exported global that is 1 once memory could not grow.
	FullName = reserved + "full"
)

// Error says why a module is refused.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

func refuse(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// ValType is a WebAssembly value type, as its byte in the binary format.
type ValType byte

// Value types that fairlead runs.
const (
	I32       ValType = 0x7F
	I64       ValType = 0x7E
	F32       ValType = 0x7D
	F64       ValType = 0x7C
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6F
)

func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return "type " + strconv.Itoa(int(t))
}

// FuncType is a function's parameters and results.
type FuncType struct{ Params, Results []ValType }

// String writes the type as (i32, i32) i64.
func (t FuncType) String() string {
	list := func(ts []ValType) string {
		s := make([]string, len(ts))
		for i, t := range ts {
			s[i] = t.String()
		}
		return strings.Join(s, ", ")
	}
	s := "(" + list(t.Params) + ")"
	if len(t.Results) > 0 {
		s += " " + list(t.Results)
	}
	return s
}

// Import is a function that a module needs from its host.
type Import struct {
	Module, Name string
	Type         FuncType
}

// Kind is what an export is.
type Kind byte

// Kinds of exports.
const (
	KindFunc   Kind = 0
	KindTable  Kind = 1
	KindMemory Kind = 2
	KindGlobal Kind = 3
)

// Export is something that a module offers. Type is set for functions.
type Export struct {
	Name string
	Kind Kind
	Type FuncType
}

// Module is an instrumented module.
type Module struct {
	// Wasm is the module with the meter. It has no data where that is in Data.
	Wasm []byte
	// Data is to be laid into the memory of an instance, with [Lay], before anything of the module runs. The bytes are part
	// of the author's module.
	Data []Segment
	// Imports and Exports are those of the author's module.
	Imports []Import
	Exports []Export
	// MemoryPages is the memory at the start, pages of 64 KiB.
	MemoryPages uint32
	// TableBytes is what the tables of an instance take, beside its memory.
	TableBytes int
	// Complexity estimates what compiling the module costs, Largest what its most expensive function does.
	Complexity, Largest int64
	// Globals are the export names of the mutable globals that the module itself has.
	Globals []string
	// Resettable tells that memory and Globals are all of an instance's state: no instruction changes a table,
	// drops a segment, or keeps a reference in a global.
	Resettable bool
}

// module is what is known of a module while it is read.
type module struct {
	types      []FuncType
	imports    []Import
	funcs      []uint32 // type of each function of the module's own
	globals    []global
	exports    []Export
	exportIdx  []uint32
	tables     uint32
	entries    uint32 // of tables and passive element segments
	memories   int
	pages      uint32
	size       int64 // bytes of the module
	complexity int64 // of the functions so far
	largest    int64 // of one of them
	changing   bool  // has instructions that change tables or drop segments

	appended []FuncType // types that the instrumentation needs
	moreType uint32
}

type global struct {
	typ     ValType
	mutable bool
	raw     []byte
}

func (m *module) funcCount() uint32 { return uint32(len(m.imports) + len(m.funcs)) }

func (m *module) typeOf(fn uint32) FuncType {
	if int(fn) < len(m.imports) {
		return m.imports[fn].Type
	}
	return m.types[m.funcs[int(fn)-len(m.imports)]]
}

// shifted is a function's index after the meter's import took the place behind the module's imports.
func (m *module) shifted(fn uint32) uint32 {
	if int(fn) >= len(m.imports) {
		return fn + 1
	}
	return fn
}

// typeIndex finds a type or appends it.
func (m *module) typeIndex(t FuncType) uint32 {
	same := func(a, b []ValType) bool { return string(valBytes(a)) == string(valBytes(b)) }
	for i, u := range m.types {
		if same(t.Params, u.Params) && same(t.Results, u.Results) {
			return uint32(i)
		}
	}
	for i, u := range m.appended {
		if same(t.Params, u.Params) && same(t.Results, u.Results) {
			return uint32(len(m.types) + i)
		}
	}
	m.appended = append(m.appended, t)
	return uint32(len(m.types) + len(m.appended) - 1)
}

func valBytes(ts []ValType) []byte {
	b := make([]byte, len(ts))
	for i, t := range ts {
		b[i] = byte(t)
	}
	return b
}

// Section ids of the binary format.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	sections
)

// order is the place of each section in a module.
var order = [sections]int{
	secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secGlobal: 6, secExport: 7, secStart: 8,
	secElement: 9, secDataCount: 10, secCode: 11, secData: 12,
}

var header = []byte{0, 'a', 's', 'm', 1, 0, 0, 0}

// Instrument checks a module and puts the meter in. The error is an [*Error] that says what is refused and where.
func Instrument(wasm []byte) (*Module, error) {
	if len(wasm) > maxModule {
		return nil, refuse("the module has %d bytes, at most %d are allowed", len(wasm), maxModule)
	}
	if !bytes.HasPrefix(wasm, header) {
		return nil, refuse("not a WebAssembly module of version 1")
	}
	secs, err := split(wasm)
	if err != nil {
		return nil, err
	}
	m := &module{size: int64(len(wasm))}
	if err := m.read(secs); err != nil {
		return nil, err
	}
	elements, err := m.elements(secs[secElement])
	if err != nil {
		return nil, err
	}
	m.moreType = m.typeIndex(FuncType{})
	code, err := m.code(secs[secCode])
	if err != nil {
		return nil, err
	}
	data, laid, err := m.data(secs[secData], secs[secDataCount] != nil)
	if err != nil {
		return nil, err
	}
	if err := checkDataCount(secs[secDataCount]); err != nil {
		return nil, err
	}

	res := &Module{Imports: m.imports, Exports: m.exports, MemoryPages: m.pages, TableBytes: int(m.entries) * entryBytes, Complexity: m.complexity, Largest: m.largest, Resettable: !m.changing, Data: laid}
	for i, g := range m.globals {
		if !g.mutable {
			continue
		}
		if g.typ == FuncRef || g.typ == ExternRef {
			res.Resettable = false
			continue
		}
		res.Globals = append(res.Globals, globalName(i))
	}
	out := append(make([]byte, 0, len(wasm)+len(wasm)/4), header...)
	out = appendSection(out, secType, m.typeSection(secs[secType]))
	out = appendSection(out, secImport, m.importSection(secs[secImport]))
	out = appendSection(out, secFunction, body(secs[secFunction]))
	out = appendSection(out, secTable, body(secs[secTable]))
	out = appendSection(out, secMemory, body(secs[secMemory]))
	out = appendSection(out, secGlobal, m.globalSection())
	out = appendSection(out, secExport, m.exportSection())
	out = appendSection(out, secElement, elements)
	out = appendSection(out, secDataCount, body(secs[secDataCount]))
	out = appendSection(out, secCode, code)
	out = appendSection(out, secData, data)
	res.Wasm = out
	return res, nil
}

// entryBytes is what an entry of a table takes in an instance.
const entryBytes = 8

func globalName(i int) string { return reserved + "global." + strconv.Itoa(i) }

func body(r *reader) []byte {
	if r == nil {
		return nil
	}
	return r.b
}

func appendSection(b []byte, id byte, content []byte) []byte {
	if content == nil {
		return b
	}
	b = append(b, id)
	b = appendU32(b, uint32(len(content)))
	return append(b, content...)
}

// split finds the sections. Custom sections carry nothing that is executed and are left out.
func split(wasm []byte) (secs [sections]*reader, err error) {
	r := &reader{b: wasm, off: len(header)}
	last := 0
	for !r.done() {
		id := r.byte()
		n := r.u32()
		at := r.off
		content := r.bytes(n)
		if r.err != nil {
			break
		}
		if id == secCustom {
			c := &reader{b: content, base: at}
			c.name()
			if c.err != nil {
				return secs, c.err
			}
			continue
		}
		if int(id) >= sections {
			if id == 13 {
				return secs, refuse("the module uses exception handling, which fairlead does not run")
			}
			return secs, refuse("at byte %d: unknown section %d", at, id)
		}
		if order[id] <= last {
			return secs, refuse("at byte %d: section %d is out of order or repeated", at, id)
		}
		last = order[id]
		secs[id] = &reader{b: content, base: at}
	}
	return secs, r.err
}

func (m *module) typeSection(r *reader) []byte {
	b := appendU32(nil, uint32(len(m.types)+len(m.appended)))
	if r != nil {
		skip := &reader{b: r.b}
		skip.u32()
		b = append(b, r.b[skip.off:]...)
	}
	for _, t := range m.appended {
		b = append(b, 0x60)
		b = append(appendU32(b, uint32(len(t.Params))), valBytes(t.Params)...)
		b = append(appendU32(b, uint32(len(t.Results))), valBytes(t.Results)...)
	}
	return b
}

func (m *module) importSection(r *reader) []byte {
	b := appendU32(nil, uint32(len(m.imports)+1))
	if r != nil {
		skip := &reader{b: r.b}
		skip.u32()
		b = append(b, r.b[skip.off:]...)
	}
	b = appendName(b, ModuleName)
	b = appendName(b, MoreName)
	b = append(b, byte(KindFunc))
	return appendU32(b, m.moreType)
}

// Indexes of the meter's globals, behind the module's own.
func (m *module) leftGlobal() uint32  { return uint32(len(m.globals)) }
func (m *module) stackGlobal() uint32 { return uint32(len(m.globals)) + 1 }
func (m *module) fullGlobal() uint32  { return uint32(len(m.globals)) + 2 }

func (m *module) globalSection() []byte {
	b := appendU32(nil, uint32(len(m.globals)+3))
	for _, g := range m.globals {
		b = append(b, g.raw...)
	}
	b = append(b, byte(I64), 1, opI64Const, 0, opEnd)
	b = append(b, byte(I32), 1, opI32Const, 0, opEnd)
	return append(b, byte(I32), 1, opI32Const, 0, opEnd)
}

func (m *module) exportSection() []byte {
	n := uint32(0)
	var b []byte
	add := func(name string, kind Kind, index uint32) {
		b = appendName(b, name)
		b = append(b, byte(kind))
		b = appendU32(b, index)
		n++
	}
	for i, e := range m.exports {
		index := m.exportIdx[i]
		if e.Kind == KindFunc {
			index = m.shifted(index)
		}
		add(e.Name, e.Kind, index)
	}
	for i, g := range m.globals {
		if g.mutable && g.typ != FuncRef && g.typ != ExternRef {
			add(globalName(i), KindGlobal, uint32(i))
		}
	}
	add(LeftName, KindGlobal, m.leftGlobal())
	add(StackName, KindGlobal, m.stackGlobal())
	add(FullName, KindGlobal, m.fullGlobal())
	return append(appendU32(nil, n), b...)
}
