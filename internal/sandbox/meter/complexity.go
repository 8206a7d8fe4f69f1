package meter

// Limits of what a module costs its compiler, which knows none: loops, branches, locals and operands multiply there. The
// unit is what a pair of branches costs, some 35 ns on one core; see [complexity.cost]. At the bound of one function the
// worst shapes that are known take about a second and 100 MB; the largest function of a Go guest has 7,000,000, and a
// whole one 90 for each byte.
const (
	maxComplexity      = 25_000_000 // of one function
	complexityPerByte  = 200        // of a module, and once maxComplexity on top
	maxLoopNesting     = 64
	complexityOfValues = 150 // of a branch, for each value that is alive at it
	complexityOfLoops  = 5   // of a loop, for each pair of values that is alive at it
)

// complexity measures one function.
type complexity struct {
	edges  int64 // branches and blocks: edges of the control flow graph
	points int64 // places where control may go two ways: how deep a dominator tree can be
	alive  int64 // values alive at each of edges, together
	loops  int64 // squares of the values alive at each loop, together
}

// at counts edges between which so many values are alive.
func (c *complexity) at(edges, points, values int64) {
	c.edges += edges
	c.points += points
	c.alive += edges * (1 + values)
}

func (c *complexity) loop(values int64) {
	c.at(2, 2, values) // the second is the meter's look
	c.loops += values * values
}

// cost is an estimate of what compiling takes, fitted to the worst shapes of each kind: chains of branches (dominators are
// found by walking up the tree), values that differ on many ways to one place (each is moved on each way), and loops
// that hand values round (redundant ones are eliminated one by one). Its parts cannot overflow: a function's bytes and
// locals are bounded.
func (c *complexity) cost() int64 {
	return c.edges*c.points + complexityOfValues*c.alive + complexityOfLoops*c.loops
}

// pushes is how many values an instruction leaves more on the stack than it takes, where its opcode alone says so.
func pushes(op byte) int64 {
	switch {
	case op == opLocalGet, op == opGlobalGet, op == opMemorySize, op >= opI32Const && op <= opF64Const, op == opRefNull, op == opRefFunc:
		return 1
	case op == opDrop, op == opLocalSet, op == opGlobalSet, op == opBrIf, op == opBrTable, op == opIf, op == opCallIndirect:
		return -1
	case op == opSelect, op == opSelectTyped, op == opTableSet, op >= 0x36 && op <= 0x3E:
		return -2
	case op == 0x45, op == 0x50, op >= 0x67 && op <= 0x69, op >= 0x79 && op <= 0x7B, op >= 0x8B && op <= 0x91, op >= 0x99 && op <= 0x9F:
		return 0 // tests and operations with one operand
	case op >= 0x46 && op <= 0xA6:
		return -1
	}
	return 0
}

// pushesPrefixed is the same for the instructions behind 0xFC.
func pushesPrefixed(sub uint32) int64 {
	switch {
	case sub <= 7, sub == 9, sub == 13: // conversions, drops of segments
		return 0
	case sub == 16: // table.size
		return 1
	}
	return -3
}

// pushed keeps count of the stack. Behind a branch the stack is what code that is never reached makes of it: the count
// does not go below the block's.
func (w *rewriter) pushed(n int64) {
	w.height += n
	if len(w.frames) > 0 {
		w.height = max(w.height, w.frames[len(w.frames)-1].height)
	}
}

func (w *rewriter) called(t FuncType) { w.pushed(int64(len(t.Results)) - int64(len(t.Params))) }

// unreachable tells that what follows in the block is not reached.
func (w *rewriter) unreachable() { w.height = w.frames[len(w.frames)-1].height }

// values is how many values are alive.
func (w *rewriter) values() int64 { return int64(w.locals) + w.height }

// measured refuses a function, or all so far, that would cost the compiler too much.
func (w *rewriter) measured(t FuncType) {
	w.complexity.at(2, 1, int64(w.locals)+int64(len(t.Results)))
	cost := w.complexity.cost()
	if cost > maxComplexity {
		w.r.fail("a function is too large to be compiled in good time (complexity %d, at most %d is allowed): its branches times its locals and operands, or its branches times each other, are too many; split it", cost, maxComplexity)
		return
	}
	w.m.complexity += cost
	w.m.largest = max(w.m.largest, cost)
	if limit := maxComplexity + complexityPerByte*w.m.size; w.m.complexity > limit {
		w.r.fail("the functions so far are too much to be compiled in good time (complexity %d together, at most %d is allowed for a module of %d bytes): split those with many branches and locals", w.m.complexity, limit, w.m.size)
	}
}
