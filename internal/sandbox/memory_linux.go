package sandbox

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canMap tells that base images can be mapped.
const canMap = true

// sharedImage is a base image as a file in memory.
type sharedImage struct {
	file *os.File
	size int
}

// newSharedImage makes the file. Where the machine refuses it, images are copied.
func newSharedImage(image []byte) (*sharedImage, error) {
	fd, err := unix.MemfdCreate("fairlead-image", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	s := &sharedImage{file: os.NewFile(uintptr(fd), "fairlead-image"), size: len(image)}
	if err := s.fill(image); err != nil {
		_ = s.file.Close() // the first error tells more
		return nil, err
	}
	return s, nil
}

// fill writes what is not zero, so that the rest takes no memory.
func (s *sharedImage) fill(image []byte) error {
	if err := s.file.Truncate(int64(len(image))); err != nil {
		return fmt.Errorf("size a file in memory: %w", err)
	}
	const page = 4096
	for at := 0; at < len(image); at += page {
		part := image[at:min(at+page, len(image))]
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
	base  []byte
	shown *sharedImage
}

// newLinear reserves the addresses. When there are none left the memory has no room at all, and the instantiation
// fails by it.
func newLinear(max uint64) *linear {
	b, err := unix.Mmap(-1, 0, int(max), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return &linear{}
	}
	return &linear{base: b}
}

// Reallocate implements experimental.LinearMemory. The memory never moves.
func (l *linear) Reallocate(size uint64) []byte {
	if size > uint64(len(l.base)) {
		return nil
	}
	return l.base[:size:size]
}

// Free implements experimental.LinearMemory.
func (l *linear) Free() {
	if l.base != nil {
		_ = unix.Munmap(l.base) // fails only for what is not mapped
		l.base = nil
	}
}

// show makes the memory read as the image, by mapping it or by forgetting what was changed since.
func (l *linear) show(s *sharedImage) (bool, error) {
	if len(l.base) < s.size {
		return false, nil
	}
	if l.shown == s {
		if err := unix.Madvise(l.base[:s.size], unix.MADV_DONTNEED); err != nil {
			return false, fmt.Errorf("forget changed pages: %w", err)
		}
		return true, nil
	}
	_, err := unix.MmapPtr(int(s.file.Fd()), 0, unsafe.Pointer(&l.base[0]), uintptr(s.size),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return false, fmt.Errorf("map the base image: %w", err)
	}
	l.shown = s
	return true, nil
}
