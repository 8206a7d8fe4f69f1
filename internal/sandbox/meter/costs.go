package meter

// The meter's costs belong to fairlead_abi 1 and to the ledger version of a contract: changing one of them changes
// what a running flow is allowed, on every cluster, and so needs a new number there. One unit is one ordinary
// instruction.
const (
	costOrdinary = 1
	costCall     = 4
	costDivide   = 8
	costTable    = 2
	// Of growing the memory by one page of 64 KiB, which the host clears.
	costPage = 4096
	// Bulk operations on memory: one unit for so many bytes, as a shift.
	bulkShift = 3
	// One unit for so many locals, which a call clears, as a shift.
	localShift = 2
)

// The stack that one call takes by our estimate, bytes. Compilers differ in what a call really takes, with an upper
// bound of some 8 bytes for every value that is alive at the same time. Measured by these costs, a small function can
// call itself some 14,000 times and one of 3,000 instructions some 2,000 times, and even a function made to
// be large does not reach the 50 MB at which the runtime itself would stop.
const (
	frameBase  = 512
	frameLocal = 8
	frameInstr = 1
)

// StackLimit is the estimated stack, bytes, that nested calls may take.
const StackLimit = 8 << 20

// Limits of a module's parts. They bound what compiling and instantiating costs; ordinary programs stay far below.
const (
	maxModule    = 32 << 20 // bytes
	maxTypes     = 20_000
	maxFunctions = 200_000
	maxGlobals   = 1_000
	maxExports   = 1_000
	maxTables    = 16
	maxEntries   = 1 << 17 // of all tables and passive element segments: each instance has them, beside its memory
	maxSegments  = 200_000
	maxParams    = 256
	maxBody      = 2 << 20 // bytes
	maxLocals    = 4_096
	maxNesting   = 16_384
	maxTargets   = 65_536 // of one br_table
)

type shape uint8

// Shapes of the bytes that follow an opcode.
const (
	shapeNone shape = iota
	shapeBlock
	shapeLabel
	shapeLabels
	shapeFunc
	shapeIndirect
	shapeLocal
	shapeGlobal
	shapeTable
	shapeMemory
	shapeZero
	shapeI32
	shapeI64
	shapeF32
	shapeF64
	shapeTypes
	shapeRefType
	shapePrefix
	shapeRefused
)

// shapeOf says how an opcode's immediates are read; shapeRefused is the default for what fairlead does not run.
func shapeOf(op byte) shape {
	switch {
	case op == opUnreachable, op == opNop, op == opElse, op == opEnd, op == opReturn, op == opDrop, op == opSelect,
		op >= 0x45 && op <= 0xC4, op == opRefIsNull:
		return shapeNone
	case op == opBlock, op == opLoop, op == opIf:
		return shapeBlock
	case op == opBr, op == opBrIf:
		return shapeLabel
	case op == opBrTable:
		return shapeLabels
	case op == opCall, op == opRefFunc:
		return shapeFunc
	case op == opCallIndirect:
		return shapeIndirect
	case op == opSelectTyped:
		return shapeTypes
	case op >= opLocalGet && op <= opLocalTee:
		return shapeLocal
	case op == opGlobalGet, op == opGlobalSet:
		return shapeGlobal
	case op == opTableGet, op == opTableSet:
		return shapeTable
	case op >= 0x28 && op <= 0x3E:
		return shapeMemory
	case op == opMemorySize, op == opMemoryGrow:
		return shapeZero
	case op == opI32Const:
		return shapeI32
	case op == opI64Const:
		return shapeI64
	case op == opF32Const:
		return shapeF32
	case op == opF64Const:
		return shapeF64
	case op == opRefNull:
		return shapeRefType
	case op == opPrefix:
		return shapePrefix
	}
	return shapeRefused
}

// costOf is the fixed cost of an opcode. What only marks structure is free.
func costOf(op byte) int64 {
	switch op {
	case opNop, opBlock, opLoop, opElse, opEnd:
		return 0
	case opCall, opCallIndirect:
		return costCall
	case opBrTable, opTableGet, opTableSet:
		return costTable
	case 0x6D, 0x6E, 0x6F, 0x70, 0x7F, 0x80, 0x81, 0x82, // integer division and remainder
		0x91, 0x95, 0x9F, 0xA3: // float square root and division
		return costDivide
	}
	return costOrdinary
}

// makesNaN tells whether an opcode's result can be a NaN whose bits the specification leaves open, and whether it
// is 64 bits wide.
func makesNaN(op byte) (nan, wide bool) {
	switch {
	case op >= 0x8D && op <= 0x97, op == 0xB6:
		return true, false
	case op >= 0x9B && op <= 0xA5, op == 0xBB:
		return true, true
	}
	return false, false
}

// refusedReason says what an opcode belongs to, for the message.
func refusedReason(op byte) string {
	switch op {
	case 0x06, 0x07, 0x08, 0x09, 0x0A, 0x18, 0x19, 0x1F:
		return "exception handling"
	case 0x12, 0x13:
		return "tail calls"
	case 0x14, 0x15, 0xD3, 0xD4, 0xD5, 0xD6:
		return "typed function references"
	case 0xFB:
		return "garbage-collected types"
	case 0xFD:
		return "SIMD"
	case 0xFE:
		return "threads"
	}
	return "an unknown instruction"
}

const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0B
	opBr           = 0x0C
	opBrIf         = 0x0D
	opBrTable      = 0x0E
	opReturn       = 0x0F
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1A
	opSelect       = 0x1B
	opSelectTyped  = 0x1C
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opMemorySize   = 0x3F
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eq        = 0x46
	opI32GtU       = 0x4B
	opI64LtS       = 0x53
	opF32Eq        = 0x5B
	opF64Eq        = 0x61
	opI32Add       = 0x6A
	opI32Sub       = 0x6B
	opI32ShrU      = 0x76
	opI64Sub       = 0x7D
	opI64Mul       = 0x7E
	opI64ExtendU   = 0xAD
	opRefNull      = 0xD0
	opRefIsNull    = 0xD1
	opRefFunc      = 0xD2
	opPrefix       = 0xFC

	blockEmpty = 0x40
)
