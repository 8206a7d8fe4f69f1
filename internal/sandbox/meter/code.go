package meter

// rewriter puts the meter into one function.
type rewriter struct {
	m      *module
	r      *reader
	out    []byte // code before the piece that is being read
	piece  []byte // the straight-line piece that is being read
	cost   int64  // of the piece
	check  bool   // look at the instructions left when the piece begins
	frames []frame
	locals uint32 // parameters and declared locals
	instrs int64
	calls  bool

	complexity complexity
	height     int64 // values on the operand stack
	nested     int   // loops that are open

	// scratch locals of the meter's own, declared when first needed
	groups           []byte
	groupCount, next uint32
	n, got, f32, f64 uint32
	hasN, hasGot     bool
	hasF32, hasF64   bool
}

// frame is an open block.
type frame struct {
	op       byte
	targeted bool
	height   int64    // of the operand stack below the block's own
	typ      FuncType // of the block
}

// code reads the code section and returns it metered.
func (m *module) code(r *reader) ([]byte, error) {
	if r == nil {
		if len(m.funcs) > 0 {
			return nil, refuse("%d functions have no code", len(m.funcs))
		}
		return nil, nil
	}
	n := r.count("function bodies")
	if r.err == nil && int64(n) != int64(len(m.funcs)) {
		return nil, refuse("%d functions have %d bodies", len(m.funcs), n)
	}
	out := appendU32(make([]byte, 0, len(r.b)+len(r.b)/2), n)
	for i := range m.funcs {
		size := r.limited(r.u32(), maxBody, "bytes of one function")
		at := r.base + r.off
		b := r.bytes(size)
		if r.err != nil {
			return nil, r.err
		}
		w := rewriter{m: m, r: &reader{b: b, base: at}}
		code, err := w.function(m.types[m.funcs[i]])
		if err != nil {
			return nil, err
		}
		out = appendU32(out, uint32(len(code)))
		out = append(out, code...)
	}
	return out, finished(r)
}

// function rewrites one body: local declarations and expression.
func (w *rewriter) function(t FuncType) ([]byte, error) {
	r := w.r
	groups := r.count("groups of locals")
	declFrom := r.off
	total := uint64(len(t.Params))
	for range groups {
		total += uint64(r.u32())
		r.valType()
		if r.err == nil && total > maxLocals {
			r.fail("a function has %d locals, at most %d are allowed", total, maxLocals)
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	decls := r.b[declFrom:r.off]
	w.locals, w.next = uint32(total), uint32(total)
	w.frames = append(w.frames, frame{op: opBlock, typ: FuncType{Results: t.Results}})
	w.cost = costOrdinary + int64(total)>>localShift
	w.check = true
	w.out = make([]byte, 0, len(r.b)*2)
	for len(w.frames) > 0 {
		w.instruction()
		if r.err != nil {
			return nil, r.err
		}
	}
	w.flush(false)
	w.measured(t)
	if err := finished(r); err != nil {
		return nil, err
	}

	code := appendU32(make([]byte, 0, len(w.out)+len(decls)+64), groups+w.groupCount)
	code = append(code, decls...)
	code = append(code, w.groups...)
	if !w.calls { // a leaf adds one frame at most: the limit leaves room for it
		return append(code, w.out...), nil
	}
	size := frameBase + frameLocal*int64(total) + frameInstr*w.instrs
	code = w.enter(code, size)
	code = append(code, opBlock)
	switch len(t.Results) {
	case 0:
		code = append(code, blockEmpty)
	case 1:
		code = append(code, byte(t.Results[0]))
	default:
		code = appendS64(code, int64(w.m.typeIndex(FuncType{Results: t.Results})))
	}
	code = append(code, w.out...) // its last end closes the block
	code = w.leave(code, size)
	return append(code, opEnd), nil
}

func (w *rewriter) enter(b []byte, size int64) []byte {
	g := w.m.stackGlobal()
	b = appendU32(append(b, opGlobalGet), g)
	b = appendS64(append(b, opI32Const), size)
	b = appendU32(append(b, opI32Add, opGlobalSet), g)
	b = appendU32(append(b, opGlobalGet), g)
	b = appendS64(append(b, opI32Const), StackLimit)
	return append(b, opI32GtU, opIf, blockEmpty, opUnreachable, opEnd)
}

func (w *rewriter) leave(b []byte, size int64) []byte {
	g := w.m.stackGlobal()
	b = appendU32(append(b, opGlobalGet), g)
	b = appendS64(append(b, opI32Const), size)
	return appendU32(append(b, opI32Sub, opGlobalSet), g)
}

// flush ends the piece: its cost first, then its code.
func (w *rewriter) flush(check bool) {
	if w.cost > 0 {
		w.out = w.charge(w.out, w.cost)
	}
	if w.check {
		w.out = w.look(w.out)
	}
	w.out = append(w.out, w.piece...)
	w.piece, w.cost, w.check = w.piece[:0], 0, check
}

// charge takes a fixed cost.
func (w *rewriter) charge(b []byte, cost int64) []byte {
	g := w.m.leftGlobal()
	b = appendU32(append(b, opGlobalGet), g)
	b = appendS64(append(b, opI64Const), cost)
	return appendU32(append(b, opI64Sub, opGlobalSet), g)
}

// look calls the host when fewer than zero instructions are left.
func (w *rewriter) look(b []byte) []byte {
	b = appendU32(append(b, opGlobalGet), w.m.leftGlobal())
	b = append(b, opI64Const, 0, opI64LtS, opIf, blockEmpty, opCall)
	b = appendU32(b, uint32(len(w.m.imports)))
	return append(b, opEnd)
}

// scratch is a local of the meter's own. Its value never outlives one instruction.
func (w *rewriter) scratch(t ValType, has *bool, index *uint32) uint32 {
	if !*has {
		*has, *index = true, w.next
		w.next++
		w.groupCount++
		w.groups = append(w.groups, 1, byte(t))
	}
	return *index
}

// sized takes what the operation whose operand (an i32 on the stack) says how much there is to do costs, and leaves
// the operand where it was.
func (w *rewriter) sized(shift int32) {
	l := w.scratch(I32, &w.hasN, &w.n)
	w.piece = appendU32(append(w.piece, opLocalSet), l)
	w.piece = w.chargeLocal(w.piece, l, shift, 1)
	w.piece = w.look(w.piece)
	w.complexity.at(2, 1, w.values())
	w.piece = appendU32(append(w.piece, opLocalGet), l)
}

// chargeLocal takes factor for each 1<<shift of a local's value.
func (w *rewriter) chargeLocal(b []byte, l uint32, shift int32, factor int64) []byte {
	b = appendU32(append(b, opGlobalGet), w.m.leftGlobal())
	b = appendU32(append(b, opLocalGet), l)
	if shift > 0 {
		b = appendS64(append(b, opI32Const), int64(shift))
		b = append(b, opI32ShrU)
	}
	b = append(b, opI64ExtendU)
	if factor != 1 {
		b = appendS64(append(b, opI64Const), factor)
		b = append(b, opI64Mul)
	}
	return appendU32(append(b, opI64Sub, opGlobalSet), w.m.leftGlobal())
}

func (w *rewriter) instruction() {
	r := w.r
	from := r.off
	op := r.byte()
	if r.err != nil {
		return
	}
	w.instrs++
	w.cost += costOf(op)
	w.pushed(pushes(op))
	switch shapeOf(op) {
	case shapeNone:
		w.plain(op)
		return
	case shapeBlock:
		w.block(op, from)
		return
	case shapeLabel:
		w.target(r.u32())
		if op == opBr {
			w.unreachable()
		} else {
			w.complexity.points++
		}
		w.copy(from)
		w.flush(false)
		return
	case shapeLabels:
		n := r.limited(r.count("branch targets"), maxTargets, "branch targets")
		for range n {
			w.target(r.u32())
			if r.err != nil {
				return
			}
		}
		w.target(r.u32())
		w.complexity.points++
		w.unreachable()
		w.copy(from)
		w.flush(false)
		return
	case shapeFunc:
		fn := w.m.funcRef(r)
		if op == opCall && r.err == nil {
			w.called(w.m.typeOf(fn))
		}
		w.calls = w.calls || op == opCall
		w.piece = appendU32(append(w.piece, op), w.m.shifted(fn))
		return
	case shapeIndirect:
		w.called(w.m.typeRef(r))
		r.u32()
		w.calls = true
	case shapeLocal:
		if i := r.u32(); r.err == nil && i >= w.locals {
			r.fail("there is no local %d", i)
		}
	case shapeGlobal:
		if i := r.u32(); r.err == nil && int64(i) >= int64(len(w.m.globals)) {
			r.fail("there is no global %d", i)
		}
	case shapeTable:
		r.u32()
		w.m.changing = w.m.changing || op == opTableSet
	case shapeMemory:
		if align := r.u32(); align >= 32 {
			r.fail("alignment %d: the module uses several memories, which fairlead does not run", align)
		}
		r.u32()
	case shapeZero:
		if r.byte() != 0 {
			r.fail("the module uses several memories, which fairlead does not run")
		}
		if op == opMemoryGrow {
			w.grow()
			return
		}
	case shapeI32:
		r.skipSigned(5)
	case shapeI64:
		r.skipSigned(10)
	case shapeF32:
		r.bytes(4)
	case shapeF64:
		r.bytes(8)
	case shapeTypes:
		r.valTypes()
	case shapeRefType:
		r.refType()
	case shapePrefix:
		w.prefixed(from)
		return
	default:
		r.off = from
		r.fail("instruction 0x%02x: the module uses %s, which fairlead does not run", op, refusedReason(op))
		return
	}
	w.copy(from)
}

// copy takes the instruction as it is.
func (w *rewriter) copy(from int) {
	if w.r.err == nil {
		w.piece = append(w.piece, w.r.b[from:w.r.off]...)
	}
}

// plain handles instructions without immediates.
func (w *rewriter) plain(op byte) {
	switch op {
	case opEnd:
		f := w.frames[len(w.frames)-1]
		w.frames = w.frames[:len(w.frames)-1]
		w.height = f.height + int64(len(f.typ.Results))
		if f.op == opLoop {
			w.nested--
		}
		w.piece = append(w.piece, op)
		if f.targeted && f.op != opLoop || f.op == opIf {
			w.flush(false)
		}
		return
	case opElse:
		f := &w.frames[len(w.frames)-1]
		if f.op != opIf {
			w.r.fail("else without if")
			return
		}
		w.height = f.height + int64(len(f.typ.Params))
		w.piece = append(w.piece, op)
		w.flush(false)
		return
	case opReturn:
		// A branch out of the outermost block, behind which the stack is given back.
		w.complexity.at(1, 0, w.values())
		w.unreachable()
		w.piece = appendU32(append(w.piece, opBr), uint32(len(w.frames)-1))
		w.flush(false)
		return
	case opUnreachable:
		w.unreachable()
		w.piece = append(w.piece, op)
		w.flush(false)
		return
	}
	w.piece = append(w.piece, op)
	if nan, wide := makesNaN(op); nan {
		w.canonical(wide)
	}
}

func (w *rewriter) block(op byte, from int) {
	var typ FuncType
	if t := w.r.s33(); w.r.err == nil {
		switch {
		case t >= 0 && t < int64(len(w.m.types)):
			typ = w.m.types[t]
		case t >= 0 && t >= int64(len(w.m.types)):
			w.r.fail("there is no type %d", t)
		case t == -5:
			w.r.fail("the module uses SIMD, which fairlead does not run")
		case t != -0x40: // one result
			typ = FuncType{Results: []ValType{ValType(t & 0x7f)}}
		}
	}
	if len(w.frames) >= maxNesting {
		w.r.fail("blocks are nested deeper than %d", maxNesting)
	}
	w.copy(from)
	w.pushed(-int64(len(typ.Params)))
	below := w.height
	w.pushed(int64(len(typ.Params)))
	w.frames = append(w.frames, frame{op: op, height: below, typ: typ})
	switch op {
	case opLoop:
		w.complexity.loop(w.values())
		if w.nested++; w.nested > maxLoopNesting {
			w.r.fail("loops are nested deeper than %d", maxLoopNesting)
		}
		w.flush(true)
	case opIf:
		w.complexity.at(2, 1, w.values())
		w.flush(false)
	default:
		w.complexity.at(1, 1, w.values())
	}
}

func (w *rewriter) target(label uint32) {
	if w.r.err != nil {
		return
	}
	if int64(label) >= int64(len(w.frames)) {
		w.r.fail("there is no block %d to branch to", label)
		return
	}
	w.frames[len(w.frames)-1-int(label)].targeted = true
	w.complexity.at(1, 0, w.values())
}

// canonical replaces a NaN by the one with only the top bit of its fraction set.
func (w *rewriter) canonical(wide bool) {
	var l uint32
	if wide {
		l = w.scratch(F64, &w.hasF64, &w.f64)
	} else {
		l = w.scratch(F32, &w.hasF32, &w.f32)
	}
	b := appendU32(append(w.piece, opLocalTee), l)
	if wide {
		b = append(b, opF64Const, 0, 0, 0, 0, 0, 0, 0xF8, 0x7F)
	} else {
		b = append(b, opF32Const, 0, 0, 0xC0, 0x7F)
	}
	b = appendU32(append(b, opLocalGet), l)
	b = appendU32(append(b, opLocalGet), l)
	if wide {
		b = append(b, opF64Eq)
	} else {
		b = append(b, opF32Eq)
	}
	w.piece = append(b, opSelect)
}

// grow meters memory.grow: pages that came are paid for, pages that did not are remembered.
func (w *rewriter) grow() {
	w.complexity.at(4, 2, w.values())
	n := w.scratch(I32, &w.hasN, &w.n)
	got := w.scratch(I32, &w.hasGot, &w.got)
	b := appendU32(append(w.piece, opLocalTee), n)
	b = appendU32(append(b, opMemoryGrow, 0, opLocalTee), got)
	b = appendS64(append(b, opI32Const), -1)
	b = append(b, opI32Eq, opIf, blockEmpty, opI32Const, 1)
	b = appendU32(append(b, opGlobalSet), w.m.fullGlobal())
	b = w.chargeLocal(append(b, opElse), n, 0, costPage)
	b = append(w.look(b), opEnd)
	w.piece = appendU32(append(b, opLocalGet), got)
}

// prefixed handles instructions behind 0xFC: saturating conversions and bulk operations.
func (w *rewriter) prefixed(from int) {
	r := w.r
	sub := r.u32()
	w.pushed(pushesPrefixed(sub))
	switch {
	case r.err != nil:
		return
	case sub <= 7:
	case sub == 8: // memory.init
		r.u32()
		w.onlyMemory()
		w.sized(bulkShift)
	case sub == 9, sub == 13: // data.drop, elem.drop
		r.u32()
		w.m.changing = true
	case sub == 10: // memory.copy
		w.onlyMemory()
		w.onlyMemory()
		w.sized(bulkShift)
	case sub == 11: // memory.fill
		w.onlyMemory()
		w.sized(bulkShift)
	case sub == 12, sub == 14: // table.init, table.copy
		r.u32()
		r.u32()
		w.m.changing = true
		w.sized(0)
	case sub == 15: // table.grow: tables are not part of the memory that is limited
		r.off = from
		r.fail("the module uses table.grow, which fairlead does not run: declare the table as large as it becomes")
		return
	case sub == 17: // table.fill
		r.u32()
		w.m.changing = true
		w.sized(0)
	case sub == 16: // table.size
		r.u32()
	default:
		r.off = from
		r.fail("instruction 0xFC %d is unknown", sub)
		return
	}
	w.copy(from)
}

func (w *rewriter) onlyMemory() {
	if w.r.byte() != 0 {
		w.r.fail("the module uses several memories, which fairlead does not run")
	}
}
