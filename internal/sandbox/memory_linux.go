package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canMap tells that base images can be mapped.
const canMap = true

// sharedImage is a base image as a file in memory.
type sharedImage struct {
	file  *os.File
	image []byte
	habit habit
}

// page is the size of what is shared or changed as a whole. A machine with larger pages only forgets less well.
const page = 4096

// habit is which pages all flows of a module change. They are put back by copying, which is cheaper than to forget
// them and to fault them in again for the next flow. Whatever it holds, a reset gives the base image.
type habit struct {
	mu      sync.Mutex
	looked  int
	changed []uint8 // for each page, in how many of the instances looked at it was changed
	spans   atomic.Pointer[[]span]
}

// span is a range of pages as offsets in the memory.
type span struct{ from, to int }

const (
	// habitLooks is how many instances are looked at.
	habitLooks = 4
	// habitMax bounds what is copied at each reset, bytes.
	habitMax = 1 << 20
)

// look compares an instance that is about to be reset with the image.
func (h *habit) look(mem, image []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.looked == habitLooks {
		return
	}
	if h.changed == nil {
		h.changed = make([]uint8, len(image)/page)
	}
	for i := range h.changed {
		if !bytes.Equal(mem[i*page:(i+1)*page], image[i*page:(i+1)*page]) {
			h.changed[i]++
		}
	}
	if h.looked++; h.looked < habitLooks {
		return
	}
	spans := []span{}
	total := 0
	for i, n := range h.changed {
		if n < habitLooks || total >= habitMax {
			continue
		}
		total += page
		if last := len(spans) - 1; last >= 0 && spans[last].to == i*page {
			spans[last].to += page
			continue
		}
		spans = append(spans, span{i * page, (i + 1) * page})
	}
	h.changed = nil
	h.spans.Store(&spans)
}

// newSharedImage makes the file. Where the machine refuses it, images are copied.
func newSharedImage(image []byte) (*sharedImage, error) {
	fd, err := unix.MemfdCreate("fairlead-image", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	s := &sharedImage{file: os.NewFile(uintptr(fd), "fairlead-image"), image: image}
	if err := s.fill(); err != nil {
		_ = s.file.Close() // the first error tells more
		return nil, err
	}
	return s, nil
}

// fill writes what is not zero, so that the rest takes no memory.
func (s *sharedImage) fill() error {
	if err := s.file.Truncate(int64(len(s.image))); err != nil {
		return fmt.Errorf("size a file in memory: %w", err)
	}
	for at := 0; at < len(s.image); at += page {
		part := s.image[at:min(at+page, len(s.image))]
		if allZero(part) {
			continue
		}
		if _, err := s.file.WriteAt(part, int64(at)); err != nil {
			return fmt.Errorf("write a file in memory: %w", err)
		}
	}
	return nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (s *sharedImage) close() error { return s.file.Close() }

// linear is one instance's memory: a range of addresses as large as the memory may become. Pages that were never
// touched take no memory.
type linear struct {
	base   []byte
	max    uint64
	mapped bool
	shown  *sharedImage // what base shows; nil before it shows one
}

// newLinear reserves the addresses. Where there are none left, or strict accounting of memory forbids it, the memory
// is the garbage collector's, and is copied when it grows.
func newLinear(max uint64) *linear {
	b, err := unix.Mmap(-1, 0, int(max), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return &linear{max: max}
	}
	return &linear{base: b, max: max, mapped: true}
}

// Reallocate implements experimental.LinearMemory. Mapped memory never moves.
func (l *linear) Reallocate(size uint64) []byte {
	if size > l.max {
		return nil
	}
	if !l.mapped && size > uint64(len(l.base)) {
		l.base = append(l.base, make([]byte, size-uint64(len(l.base)))...)
	}
	return l.base[:size:size]
}

// Free implements experimental.LinearMemory.
func (l *linear) Free() {
	if l.mapped && l.base != nil {
		_ = unix.Munmap(l.base) // fails only for what is not mapped
		l.base = nil
	}
}

// shared is the image that the memory shows; nil before it shows one.
func (l *linear) shared() *sharedImage { return l.shown }

// show makes the memory read as the image, by mapping it or by forgetting what was changed since.
func (l *linear) show(s *sharedImage) (bool, error) {
	if !l.mapped || len(l.base) < len(s.image) {
		return false, nil
	}
	if l.shown == s {
		return true, l.forget(s)
	}
	_, err := unix.MmapPtr(int(s.file.Fd()), 0, unsafe.Pointer(&l.base[0]), uintptr(len(s.image)), //nolint:gosec // the memory is this process's own mapping
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return false, fmt.Errorf("map the base image: %w", err)
	}
	l.shown = s
	return true, nil
}

// forget drops what was changed since the image was shown, but for the pages that are changed each time.
func (l *linear) forget(s *sharedImage) error {
	spans := s.habit.spans.Load()
	if spans == nil {
		s.habit.look(l.base, s.image)
		spans = &[]span{}
	}
	drop := func(from, to int) error {
		if from == to {
			return nil
		}
		if err := unix.Madvise(l.base[from:to], unix.MADV_DONTNEED); err != nil {
			return fmt.Errorf("forget changed pages: %w", err)
		}
		return nil
	}
	at := 0
	for _, p := range *spans {
		if err := drop(at, p.from); err != nil {
			return err
		}
		copy(l.base[p.from:p.to], s.image[p.from:p.to])
		at = p.to
	}
	return drop(at, len(s.image))
}

// cool gives back the memory that is the instance's own; it reads as the image afterwards. It is an error that it shows none.
func (l *linear) cool() error {
	if l.shown == nil {
		return errors.New("the memory shows no image")
	}
	if err := unix.Madvise(l.base[:len(l.shown.image)], unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("forget changed pages: %w", err)
	}
	return nil
}

// pageMap is the kernel's account of this process's pages, opened once. Bits of its entries say whether a page is
// there and whether it is a file's.
type pageMap struct {
	once sync.Once
	file *os.File
}

const (
	pagePresent = 1 << 63
	pageSwapped = 1 << 62
	pageOfFile  = 1 << 61
)

// own counts the bytes of pages that belong to this memory alone; false where the kernel does not tell.
func (p *pageMap) own(l *linear, size int) (int, bool) {
	p.once.Do(func() { p.file, _ = os.Open("/proc/self/pagemap") }) // nil where it cannot be opened
	if p.file == nil || size == 0 || os.Getpagesize() != page {
		return 0, false
	}
	entries := make([]byte, size/page*8)
	at := int64(uintptr(unsafe.Pointer(&l.base[0])) / page * 8) //nolint:gosec // only the address is used
	if _, err := p.file.ReadAt(entries, at); err != nil {
		return 0, false
	}
	n := 0
	for ; len(entries) > 0; entries = entries[8:] {
		if e := le.Uint64(entries); e&(pagePresent|pageSwapped) != 0 && e&pageOfFile == 0 {
			n += page
		}
	}
	return n, true
}

func (p *pageMap) close() error {
	p.once.Do(func() {})
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}
