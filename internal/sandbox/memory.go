package sandbox

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero/experimental"
)

// baseImage is an instance's memory after _initialize, from which every instance starts. There are two ways to
// start: by copying it, everywhere; or by mapping it, on Linux, where an instance shares the pages that it does not
// change with all others, so that it costs the pages that it changed and not its size, and goes back to the image
// by putting those back.
type baseImage struct {
	bytes  []byte
	shared *sharedImage // nil when the image can only be copied
}

// allocator gives each instance of a module its memory.
type allocator struct {
	made *linear // what Allocate made last
}

// withAllocator lets an instantiation take its memory from a.
func withAllocator(ctx context.Context, a *allocator) context.Context {
	if !canMap {
		return ctx
	}
	return experimental.WithMemoryAllocator(ctx, a)
}

// Allocate implements experimental.MemoryAllocator.
func (a *allocator) Allocate(_, max uint64) experimental.LinearMemory {
	a.made = newLinear(max)
	return a.made
}

// restore puts the base image into an instance's memory, which has the image's size.
func (b *baseImage) restore(l *linear, mem []byte, pages *pageMap) error {
	if len(mem) != len(b.bytes) {
		return errors.New("the memory is not of the base image's size")
	}
	if b.shared != nil && l != nil {
		done, err := l.show(b.shared, pages)
		if done || err != nil {
			return err
		}
	}
	copy(mem, b.bytes)
	return nil
}
