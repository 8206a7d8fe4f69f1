package canonical

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Wire types of Protobuf.
const (
	varint = 0
	length = 2
)

// Writer writes fields; the caller does so in ascending order of their numbers.
type Writer struct{ out []byte }

// Sized returns a writer with room for so many bytes; more may be written.
func Sized(n int) Writer { return Writer{make([]byte, 0, n)} }

// Bytes returns what was written.
func (w *Writer) Bytes() []byte { return w.out }

func (w *Writer) varint(v uint64) {
	for v >= 0x80 {
		w.out = append(w.out, byte(v)|0x80)
		v >>= 7
	}
	w.out = append(w.out, byte(v))
}

// Uint writes a number that is not 0.
func (w *Writer) Uint(field int, v uint64) {
	if v == 0 {
		return
	}
	w.varint(uint64(field)<<3 | varint)
	w.varint(v)
}

// Int writes a number that is not 0, of Protobuf's int64.
func (w *Writer) Int(field int, v int64) { w.Uint(field, uint64(v)) }

// Text writes text that is not empty.
func (w *Writer) Text(field int, v string) {
	if v != "" {
		w.Item(field, []byte(v))
	}
}

// Blob writes bytes that are not empty.
func (w *Writer) Blob(field int, v []byte) {
	if len(v) > 0 {
		w.Item(field, v)
	}
}

// Item writes an element of a repeated field, also an empty one; Message one that is a message.
func (w *Writer) Item(field int, v []byte) {
	w.varint(uint64(field)<<3 | length)
	w.varint(uint64(len(v)))
	w.out = append(w.out, v...)
}

// Message writes a message, also an empty one.
func (w *Writer) Message(field int, put func(*Writer)) {
	w.varint(uint64(field)<<3 | length)
	w.out = append(w.out, 0) // the length of most messages has one byte
	from := len(w.out)
	put(w)
	n := uint64(len(w.out) - from)
	if n < 0x80 {
		w.out[from-1] = byte(n)
		return
	}
	more := 0
	for rest := n >> 7; rest > 0; rest >>= 7 {
		more++
	}
	w.out = append(w.out, make([]byte, more)...)
	copy(w.out[from+more:], w.out[from:from+int(n)])
	binary.PutUvarint(w.out[from-1:], n)
}

// ErrNotCanonical is what every error of a [Reader] is.
var ErrNotCanonical = errors.New("the encoding is not canonical")

// Reader reads fields in ascending order of their numbers. Its first error stays; End tells it. It reads the messages within
// a message itself: what is called with one of those uses no other reader of the same bytes.
type Reader struct {
	in  []byte
	err error
}

// NewReader reads b, of which what is read is a part: nothing is copied but text.
func NewReader(b []byte) *Reader { return &Reader{in: b} }

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrNotCanonical}, args...)...)
	}
	r.in = nil
}

// varint reads a number, of which there is one shortest form of at most ten bytes.
func (r *Reader) varint() uint64 {
	var v uint64
	for i := range r.in {
		b := r.in[i]
		if i == 9 && b > 1 {
			break
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b == 0 && i > 0 {
				r.fail("a number is longer than it must be")
				return 0
			}
			r.in = r.in[i+1:]
			return v
		}
		if i == 9 {
			break
		}
	}
	r.fail("a number does not end")
	return 0
}

// at tells whether the next field has this number and takes its tag then.
func (r *Reader) at(field, typ int) bool {
	if r.err != nil || len(r.in) == 0 {
		return false
	}
	before := r.in
	tag := r.varint()
	if r.err != nil || tag != uint64(field)<<3|uint64(typ) {
		if r.err == nil {
			r.in = before
		}
		return false
	}
	return true
}

func (r *Reader) item() []byte {
	n := r.varint()
	if n > uint64(len(r.in)) {
		r.fail("%d bytes are announced and %d are there", n, len(r.in))
		return nil
	}
	b := r.in[:n:n]
	r.in = r.in[n:]
	return b
}

// Uint reads a number; 0 when the field is not there.
func (r *Reader) Uint(field int) uint64 {
	if !r.at(field, varint) {
		return 0
	}
	v := r.varint()
	if v == 0 {
		r.fail("field %d has its default value", field)
	}
	return v
}

// Uint32 reads a number of at most 32 bits.
func (r *Reader) Uint32(field int) uint32 {
	v := r.Uint(field)
	if v > 1<<32-1 {
		r.fail("field %d is %d, which needs more than 32 bits", field, v)
		return 0
	}
	return uint32(v)
}

// Int reads a number; 0 when the field is not there.
func (r *Reader) Int(field int) int64 { return int64(r.Uint(field)) }

// Blob reads bytes; nil when the field is not there.
func (r *Reader) Blob(field int) []byte {
	if !r.at(field, length) {
		return nil
	}
	b := r.item()
	if len(b) == 0 {
		r.fail("field %d has its default value", field)
	}
	return b
}

// Text reads UTF-8; empty when the field is not there.
func (r *Reader) Text(field int) string {
	b := r.Blob(field)
	if !utf8.Valid(b) {
		r.fail("field %d is not UTF-8", field)
		return ""
	}
	return string(b)
}

// Items calls f with each element of a repeated field.
func (r *Reader) Items(field int, f func([]byte)) {
	for r.at(field, length) {
		if b := r.item(); r.err == nil {
			f(b)
		}
	}
}

// Messages calls f with a reader of each element of a repeated field of messages; f need not call End.
func (r *Reader) Messages(field int, f func(*Reader)) {
	r.Items(field, func(b []byte) { r.within(field, b, f) })
}

// Message calls f with a reader of a message and tells whether the field is there.
func (r *Reader) Message(field int, f func(*Reader)) bool {
	if !r.at(field, length) {
		return false
	}
	if b := r.item(); r.err == nil {
		r.within(field, b, f)
	}
	return true
}

func (r *Reader) within(field int, b []byte, f func(*Reader)) {
	rest := r.in
	r.in = b
	f(r)
	if err := r.End(); err != nil {
		r.in, r.err = nil, fmt.Errorf("field %d: %w", field, err)
		return
	}
	r.in = rest
}

// End returns the first error; what is left unread is one: an unknown field, or one that is out of order.
func (r *Reader) End() error {
	if r.err == nil && len(r.in) > 0 {
		tag := r.varint()
		if r.err == nil {
			r.fail("field %d is unknown, out of order or there twice", tag>>3)
		}
	}
	return r.err
}
