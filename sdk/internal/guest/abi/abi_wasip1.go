package abi

import (
	"runtime"
	"runtime/debug"
	"unsafe"
)

// number is the version of the guest interface.
const number = 1

const (
	// heap is what the heap is grown to while the base image is made, so that ordinary steps do not grow the
	// memory and the instance can be used again.
	heap = 8 << 20
	// span is how much of it is asked for at a time: what the runtime keeps a record of.
	span = 8 << 10
	// softLimit makes the garbage collector work harder before the memory grows to its limit of 64 MiB.
	softLimit = 40 << 20
)

// buffers are what the host got from alloc since the last message; given is the last result. They keep the
// collector away from memory that only the host knows of.
var (
	buffers [][]byte
	given   []byte
	// pointers make touchSizes' allocations escape to the heap.
	pointers [][]*byte
)

// The heap is grown as one block first: what is large needs a piece that no record splits.
func init() {
	debug.SetMemoryLimit(softLimit)
	buffers = append(buffers, make([]byte, heap))
	buffers = nil
	runtime.GC()
	touchSizes()
	runtime.GC()
	buffers = make([][]byte, 0, heap/span)
	for range heap / span {
		buffers = append(buffers, make([]byte, span))
	}
	buffers = nil
	runtime.GC()
}

// touchSizes allocates something of each size that the runtime tells apart, with pointers and without. What the runtime keeps of a
// size, and of a span, is made when it is first needed, and never given back: made during a step, it would grow the memory.
func touchSizes() {
	const largest = 32 << 10
	for size := 8; size <= largest; size += max(8, size/16) {
		for n := 0; n < 2*span; n += size {
			buffers = append(buffers, make([]byte, size))
			pointers = append(pointers, make([]*byte, size/8))
		}
	}
	buffers, pointers = nil, nil
}

//go:wasmexport fairlead_abi
func abiNumber() uint32 { return number }

//go:wasmexport fairlead_alloc
func alloc(n uint32) uint32 {
	b := make([]byte, max(n, 1))
	buffers = append(buffers, b)
	return uint32(uintptr(unsafe.Pointer(&b[0])))
}

// Take returns the message that the host put into a buffer from alloc. It is valid until the host's next call.
func Take(ptr, n uint32) []byte {
	for _, b := range buffers {
		if uint32(uintptr(unsafe.Pointer(&b[0]))) == ptr && n <= uint32(len(b)) {
			buffers = nil
			return b[:n]
		}
	}
	panic("fairlead: the host passed a message that is not in a buffer from fairlead_alloc")
}

// Give makes a message the result of an exported function. It stays valid until the next call.
func Give(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	given = b
	return uint64(uintptr(unsafe.Pointer(&b[0])))<<32 | uint64(len(b))
}

//go:wasmimport wasi_snapshot_preview1 random_get
//go:noescape
func randomGet(ptr unsafe.Pointer, n uint32) uint32

// Random fills b from the flow's seed. The language's own generators start from the base image and so repeat in
// every instance; this stream does not.
func Random(b []byte) {
	if len(b) > 0 && randomGet(unsafe.Pointer(&b[0]), uint32(len(b))) != 0 {
		panic("fairlead: the host gives no random bytes")
	}
}
