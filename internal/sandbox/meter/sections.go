package meter

import (
	"strings"
)

// read takes in everything but code, elements and data.
func (m *module) read(secs [sections]*reader) error {
	steps := []struct {
		id   int
		read func(*reader)
	}{
		{secType, m.readTypes}, {secImport, m.readImports}, {secFunction, m.readFunctions}, {secTable, m.readTables},
		{secMemory, m.readMemories}, {secGlobal, m.readGlobals}, {secExport, m.readExports},
	}
	for _, s := range steps {
		r := secs[s.id]
		if r == nil {
			continue
		}
		s.read(r)
		if err := finished(r); err != nil {
			return err
		}
	}
	if secs[secStart] != nil {
		return refuse("the module has a start section: export the function as _initialize instead, so that it runs metered")
	}
	return nil
}

func finished(r *reader) error {
	if r.err == nil && r.off != len(r.b) {
		r.fail("%d bytes too many in the section", len(r.b)-r.off)
	}
	return r.err
}

func (r *reader) valType() ValType {
	t := ValType(r.byte())
	switch t {
	case I32, I64, F32, F64, FuncRef, ExternRef:
		return t
	case 0x7B:
		r.fail("the module uses SIMD, which fairlead does not run")
	default:
		if r.err == nil {
			r.off--
			r.fail("unknown value type 0x%02x", byte(t))
		}
	}
	return 0
}

func (r *reader) valTypes() []ValType {
	n := r.count("types")
	if n > maxParams {
		r.fail("%d parameters or results, at most %d are allowed", n, maxParams)
		return nil
	}
	ts := make([]ValType, 0, n)
	for range n {
		ts = append(ts, r.valType())
	}
	return ts
}

func (r *reader) limited(n uint32, max uint32, what string) uint32 {
	if r.err == nil && n > max {
		r.fail("%d %s, at most %d are allowed", n, what, max)
		return 0
	}
	return n
}

func (m *module) readTypes(r *reader) {
	n := r.limited(r.count("types"), maxTypes, "types")
	for range n {
		if c := r.byte(); c != 0x60 {
			r.fail("type 0x%02x is not a function: the module uses garbage-collected types, which fairlead does not run", c)
			return
		}
		m.types = append(m.types, FuncType{Params: r.valTypes(), Results: r.valTypes()})
		if r.err != nil {
			return
		}
	}
}

func (m *module) typeRef(r *reader) FuncType {
	i := r.u32()
	if r.err == nil && int64(i) >= int64(len(m.types)) {
		r.fail("there is no type %d", i)
	}
	if r.err != nil {
		return FuncType{}
	}
	return m.types[i]
}

func (m *module) readImports(r *reader) {
	n := r.limited(r.count("imports"), maxFunctions, "imports")
	for range n {
		im := Import{Module: r.name(), Name: r.name()}
		if kind := r.byte(); kind != byte(KindFunc) {
			r.fail("import %s.%s is not a function: memories, tables and globals must be the module's own", im.Module, im.Name)
			return
		}
		im.Type = m.typeRef(r)
		if r.err != nil {
			return
		}
		if im.Module == ModuleName {
			r.fail("import module %s is reserved for the meter", ModuleName)
			return
		}
		m.imports = append(m.imports, im)
	}
}

func (m *module) readFunctions(r *reader) {
	n := r.limited(r.count("functions"), maxFunctions, "functions")
	for range n {
		i := r.u32()
		if r.err == nil && int64(i) >= int64(len(m.types)) {
			r.fail("there is no type %d", i)
		}
		if r.err != nil {
			return
		}
		m.funcs = append(m.funcs, i)
	}
}

func (r *reader) limits(what string) (min, max uint32, has bool) {
	switch flags := r.byte(); flags {
	case 0:
		return r.u32(), 0, false
	case 1:
		return r.u32(), r.u32(), true
	case 2, 3:
		r.fail("the %s is shared between threads, which fairlead does not run", what)
	default:
		r.fail("the %s has 64-bit addresses or unknown flags 0x%02x, which fairlead does not run", what, flags)
	}
	return 0, 0, false
}

func (r *reader) refType() {
	if t := r.valType(); t != FuncRef && t != ExternRef {
		r.fail("%s is not a reference type", t)
	}
}

func (m *module) readTables(r *reader) {
	n := r.limited(r.count("tables"), maxTables, "tables")
	for range n {
		r.refType()
		min, _, _ := r.limits("table")
		m.takeEntries(r, min, "table entries")
	}
	m.tables = n
}

// takeEntries counts what every instance keeps for tables, all of them together.
func (m *module) takeEntries(r *reader, n uint32, what string) {
	if r.err == nil && n > maxEntries-m.entries {
		r.fail("%d %s and %d before them, together at most %d are allowed", n, what, m.entries, maxEntries)
		return
	}
	m.entries += n
}

func (m *module) readMemories(r *reader) {
	n := r.count("memories")
	if n > 1 {
		r.fail("the module has %d memories, fairlead runs modules with one", n)
		return
	}
	for range n {
		m.pages, _, _ = r.limits("memory")
		m.memories++
	}
}

func (m *module) readGlobals(r *reader) {
	n := r.limited(r.count("globals"), maxGlobals, "globals")
	for range n {
		from := r.off
		g := global{typ: r.valType()}
		switch mut := r.byte(); mut {
		case 0, 1:
			g.mutable = mut == 1
		default:
			r.fail("unknown flags 0x%02x of a global", mut)
		}
		at := r.off
		expr := m.constant(r)
		if r.err != nil {
			return
		}
		g.raw = append(append([]byte(nil), r.b[from:at]...), expr...)
		m.globals = append(m.globals, g)
	}
}

// constant reads a constant expression and returns it with function indexes shifted.
func (m *module) constant(r *reader) []byte {
	from := r.off
	switch op := r.byte(); op {
	case opI32Const:
		r.skipSigned(5)
	case opI64Const:
		r.skipSigned(10)
	case opF32Const:
		r.bytes(4)
	case opF64Const:
		r.bytes(8)
	case opRefNull:
		r.refType()
	case opRefFunc:
		fn := m.funcRef(r)
		if end := r.byte(); end != opEnd {
			r.fail("a constant expression has more than one instruction")
		}
		return append(appendU32([]byte{opRefFunc}, m.shifted(fn)), opEnd)
	default:
		r.fail("instruction 0x%02x is not allowed in a constant expression", op)
	}
	if end := r.byte(); end != opEnd {
		r.fail("a constant expression has more than one instruction")
	}
	if r.err != nil {
		return nil
	}
	return r.b[from:r.off]
}

func (m *module) funcRef(r *reader) uint32 {
	fn := r.u32()
	if r.err == nil && fn >= m.funcCount() {
		r.fail("there is no function %d", fn)
	}
	return fn
}

func (m *module) readExports(r *reader) {
	n := r.limited(r.count("exports"), maxExports, "exports")
	for range n {
		e := Export{Name: r.name(), Kind: Kind(r.byte())}
		i := r.u32()
		if r.err != nil {
			return
		}
		if strings.HasPrefix(e.Name, reserved) {
			r.fail("export name %q is reserved for the meter", e.Name)
			return
		}
		ok := false
		switch e.Kind {
		case KindFunc:
			ok = i < m.funcCount()
			if ok {
				e.Type = m.typeOf(i)
			}
		case KindTable:
			ok = i < m.tables
		case KindMemory:
			ok = int64(i) < int64(m.memories)
		case KindGlobal:
			ok = int64(i) < int64(len(m.globals))
		}
		if !ok {
			r.fail("export %q names something that is not there", e.Name)
			return
		}
		m.exports = append(m.exports, e)
		m.exportIdx = append(m.exportIdx, i)
	}
}

// elements reads the element section and returns it with function indexes shifted.
func (m *module) elements(r *reader) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	n := r.limited(r.count("element segments"), maxSegments, "element segments")
	out := appendU32(nil, n)
	for range n {
		flags := r.u32()
		if flags > 7 {
			r.fail("unknown flags %d of an element segment", flags)
		}
		if r.err != nil {
			return nil, r.err
		}
		out = appendU32(out, flags)
		active, explicit, expressions := flags&1 == 0, flags&2 != 0, flags&4 != 0
		if active {
			if explicit {
				out = appendU32(out, r.u32())
			}
			out = append(out, m.constant(r)...)
		}
		if flags&3 != 0 {
			if expressions {
				at := r.off
				r.refType()
				out = append(out, r.b[min(at, len(r.b)):r.off]...)
			} else {
				if kind := r.byte(); kind != 0 {
					r.fail("unknown element kind %d", kind)
				}
				out = append(out, 0)
			}
		}
		items := r.limited(r.count("elements"), maxEntries, "elements")
		if flags&3 == 1 { // passive: each instance has a copy
			m.takeEntries(r, items, "elements")
		}
		out = appendU32(out, items)
		for range items {
			if expressions {
				out = append(out, m.constant(r)...)
			} else {
				out = appendU32(out, m.shifted(m.funcRef(r)))
			}
			if r.err != nil {
				return nil, r.err
			}
		}
	}
	return out, finished(r)
}

// Segment is an active data segment: what memory holds from an offset on when an instance begins.
type Segment struct {
	At    uint64
	Bytes []byte
}

// data reads the data section. Where all segments are active and at constant offsets, and nothing else can refer to one,
// which a data count section would announce, they are returned in place of the section: an instance that is to show a base
// image need not copy megabytes first.
func (m *module) data(r *reader, counted bool) (section []byte, laid []Segment, err error) {
	if r == nil {
		return nil, nil, nil
	}
	n := r.limited(r.count("data segments"), maxSegments, "data segments")
	layable := !counted && m.memories > 0
	for range n {
		flags := r.u32()
		if flags > 2 {
			r.fail("unknown flags %d of a data segment", flags)
		}
		if flags == 2 && r.u32() != 0 {
			r.fail("a data segment is for a second memory, fairlead runs modules with one")
		}
		at, fixed := uint64(0), false
		if flags != 1 {
			expr := m.constant(r)
			if r.err == nil && expr[0] == opI32Const {
				v := (&reader{b: expr[1:]}).s33()
				if v != int64(int32(v)) {
					r.fail("number over 32 bits")
				}
				at, fixed = uint64(uint32(v)), true
			}
		}
		b := r.bytes(r.u32())
		if r.err != nil {
			return nil, nil, r.err
		}
		layable = layable && fixed
		laid = append(laid, Segment{at, b})
	}
	if err := finished(r); err != nil || !layable {
		return r.b, nil, err
	}
	return nil, laid, nil
}

// Lay writes segments into the memory of a new instance, as its instantiation would have. It tells whether they fit.
func Lay(memory []byte, segments []Segment) bool {
	for _, s := range segments {
		if s.At+uint64(len(s.Bytes)) > uint64(len(memory)) {
			return false
		}
		copy(memory[s.At:], s.Bytes)
	}
	return true
}

func checkDataCount(r *reader) error {
	if r == nil {
		return nil
	}
	r.u32()
	return finished(r)
}
