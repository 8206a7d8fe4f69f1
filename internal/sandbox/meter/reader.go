package meter

import (
	"fmt"
	"unicode/utf8"
)

// reader walks over bytes of a module. The first error sticks and everything after it yields zeros, so that
// callers check once where they would otherwise allocate or loop.
type reader struct {
	b    []byte
	off  int
	base int // place of b[0] in the module, for messages
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = refuse("at byte %d: %s", r.base+r.off, fmt.Sprintf(format, args...))
	}
}

func (r *reader) done() bool { return r.err != nil || r.off >= len(r.b) }

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.off >= len(r.b) {
		r.fail("unexpected end")
		return 0
	}
	c := r.b[r.off]
	r.off++
	return c
}

func (r *reader) bytes(n uint32) []byte {
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(len(r.b)-r.off) {
		r.fail("%d bytes are announced, %d are left", n, len(r.b)-r.off)
		return nil
	}
	b := r.b[r.off : r.off+int(n)]
	r.off += int(n)
	return b
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			if v > 0xffffffff {
				r.fail("number over 32 bits")
				return 0
			}
			return uint32(v)
		}
	}
	r.fail("number over 32 bits")
	return 0
}

// count reads the length of a vector whose items take at least one byte each.
func (r *reader) count(what string) uint32 {
	n := r.u32()
	if r.err == nil && uint64(n) > uint64(len(r.b)-r.off) {
		r.fail("%d %s are announced in %d bytes", n, what, len(r.b)-r.off)
		return 0
	}
	return n
}

// skipSigned passes over a signed LEB128 of at most max bytes. Its value is the compiler's to check.
func (r *reader) skipSigned(max int) {
	for range max {
		if r.byte()&0x80 == 0 {
			return
		}
	}
	r.fail("number too long")
}

// s33 reads a signed LEB128 of at most 33 bits.
func (r *reader) s33() int64 {
	var v int64
	for shift := 0; shift < 35; {
		c := r.byte()
		v |= int64(c&0x7f) << shift
		shift += 7
		if c&0x80 == 0 {
			if c&0x40 != 0 {
				v |= -1 << shift
			}
			if v < -1<<32 || v >= 1<<32 {
				break
			}
			return v
		}
	}
	r.fail("number too long")
	return 0
}

func (r *reader) name() string {
	b := r.bytes(r.u32())
	if r.err == nil && !utf8.Valid(b) {
		r.fail("name is not UTF-8")
		return ""
	}
	return string(b)
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte {
	return append(appendU32(b, uint32(len(s))), s...)
}
