package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canMap tells that base images can be mapped.
const canMap = true

// sharedImage is a base image as a file in memory.
type sharedImage struct {
	file  *os.File
	image []byte
}

// page is the size of what is shared or changed as a whole. A machine with larger pages only forgets less well.
const page = 4096

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

// show makes the memory read as the image, by mapping it or by putting back what was changed since.
func (l *linear) show(s *sharedImage, pages *pageMap) (bool, error) {
	if !l.mapped || len(l.base) < len(s.image) {
		return false, nil
	}
	if l.shown == s {
		return true, l.putBack(pages)
	}
	_, err := unix.MmapPtr(int(s.file.Fd()), 0, unsafe.Pointer(&l.base[0]), uintptr(len(s.image)), //nolint:gosec // the memory is this process's own mapping
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return false, fmt.Errorf("map the base image: %w", err)
	}
	l.shown = s
	return true, nil
}

// mostKept bounds the memory of an instance's own that it keeps for its next flow, bytes. Most flows of a module change the
// same pages: to copy a page of the image over one is much cheaper than to give it back, which the machine's other
// processors must be told, and to fault it in again, which needs a page and copies it too.
const mostKept = 1 << 20

// putBack makes the memory read as the image again.
func (l *linear) putBack(pages *pageMap) error {
	pages.once.Do(pages.open)
	image := l.shown.image
	buf, entries := pages.entries(l, len(image))
	defer pages.done(buf)
	n := ownBytes(entries)
	// A flow that changed no page at all is not to be believed.
	if n == 0 || n > mostKept {
		return l.cool()
	}
	for at := 0; len(entries) > 0; at, entries = at+page, entries[8:] {
		if ownPage(entries) {
			copy(l.base[at:at+page], image[at:])
		}
	}
	return nil
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
	file *os.File // nil where it cannot be opened, or does not tell the truth
	bufs sync.Pool
	log  *slog.Logger // nil discards
}

const (
	pagePresent = 1 << 63
	pageSwapped = 1 << 62
	pageOfFile  = 1 << 61
)

// ownPage tells whether the first of some entries is of a page that is this process's alone.
func ownPage(entries []byte) bool {
	e := le.Uint64(entries)
	return e&(pagePresent|pageSwapped) != 0 && e&pageOfFile == 0
}

// ownBytes is how much memory the pages have that are this process's alone.
func ownBytes(entries []byte) (n int) {
	for ; len(entries) > 0; entries = entries[8:] {
		if ownPage(entries) {
			n += page
		}
	}
	return n
}

// open opens the account, and tries it: there are systems that have such a file and know less.
func (p *pageMap) open() {
	file, err := os.Open("/proc/self/pagemap")
	if err == nil {
		if p.file = file; !p.tried() {
			p.file = nil
			_ = file.Close() // it was only read
			err = errors.New("it does not tell which pages were changed")
		}
	}
	if err != nil && p.log != nil {
		p.log.Warn("instances forget the pages that they changed instead of putting them back, which takes more time", "account", "/proc/self/pagemap", "reason", err)
	}
}

// tried looks at memory of which one page was changed, one read and one not touched.
func (p *pageMap) tried() bool {
	image := make([]byte, 3*page)
	for i := range image {
		image[i] = 1
	}
	s, err := newSharedImage(image)
	if err != nil {
		return false
	}
	defer func() { _ = s.close() }() // nothing of it is needed any more
	l := newLinear(uint64(len(image)))
	if !l.mapped {
		return false
	}
	defer l.Free()
	if done, err := l.show(s, p); err != nil || !done {
		return false
	}
	l.base[0]++
	l.base[0] += l.base[page]
	buf, entries := p.entries(l, len(image))
	defer p.done(buf)
	return entries != nil && ownPage(entries) && !ownPage(entries[8:]) && !ownPage(entries[16:])
}

// entries reads a memory's entries, eight bytes for each page; nil where the kernel does not tell. The buffer is given back with
// done.
func (p *pageMap) entries(l *linear, size int) (buf *[]byte, entries []byte) {
	if p.file == nil || size == 0 || size%page != 0 || os.Getpagesize() != page {
		return nil, nil
	}
	buf, ok := p.bufs.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	*buf = slices.Grow((*buf)[:0], size/page*8)
	entries = (*buf)[:size/page*8]
	at := int64(uintptr(unsafe.Pointer(&l.base[0])) / page * 8) //nolint:gosec // only the address is used
	if _, err := p.file.ReadAt(entries, at); err != nil {
		return buf, nil
	}
	return buf, entries
}

func (p *pageMap) done(buf *[]byte) {
	if buf != nil {
		p.bufs.Put(buf)
	}
}

// own counts the bytes of pages that belong to this memory alone; false where the kernel does not tell.
func (p *pageMap) own(l *linear, size int) (int, bool) {
	p.once.Do(p.open)
	buf, entries := p.entries(l, size)
	defer p.done(buf)
	return ownBytes(entries), entries != nil
}

func (p *pageMap) close() error {
	p.once.Do(func() {})
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}
