package canonical

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestWhatIsRefused(t *testing.T) {
	read := func(b []byte) (uint64, []byte, string, [][]byte, error) {
		r := NewReader(b)
		n, blob, text := r.Uint(1), r.Blob(2), r.Text(3)
		var items [][]byte
		r.Items(4, func(b []byte) { items = append(items, b) })
		return n, blob, text, items, r.End()
	}
	good := func() []byte {
		var w Writer
		w.Uint(1, math.MaxUint64)
		w.Blob(2, []byte{7})
		w.Text(3, "ä")
		w.Item(4, nil)
		w.Item(4, []byte{1})
		return w.Bytes()
	}()
	n, blob, text, items, err := read(good)
	if err != nil || n != math.MaxUint64 || !bytes.Equal(blob, []byte{7}) || text != "ä" || len(items) != 2 || len(items[0]) != 0 {
		t.Fatalf("%d %x %q %x: %v", n, blob, text, items, err)
	}
	if _, _, _, _, err := read(nil); err != nil {
		t.Errorf("nothing at all: %v", err)
	}
	for name, b := range map[string][]byte{
		"default number":         {0x08, 0x00},
		"default bytes":          {0x12, 0x00},
		"longer than must be":    {0x08, 0x81, 0x00},
		"longer tag":             {0x88, 0x00, 0x01},
		"eleven bytes":           {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"more than 64 bits":      {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
		"no end":                 {0x08, 0x80},
		"out of order":           {0x12, 0x01, 0x07, 0x08, 0x01},
		"twice":                  {0x08, 0x01, 0x08, 0x01},
		"unknown":                {0x28, 0x01},
		"other type":             {0x0a, 0x01, 0x07},
		"shorter than announced": {0x12, 0x02, 0x07},
		"no UTF-8":               {0x1a, 0x01, 0xff},
		"group":                  {0x0b, 0x0c},
		"fixed":                  {0x0d, 1, 2, 3, 4},
		"field 0":                {0x00, 0x01},
	} {
		if _, _, _, _, err := read(b); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLengths holds what a message within is written as to the same bytes written as an item, around the lengths at which
// the length needs a byte more.
func TestLengths(t *testing.T) {
	for _, n := range []int{0, 1, 0x7e, 0x7f, 0x80, 0x81, 0x3ffe, 0x3fff, 0x4000, 0x4001, 0x1fffff, 0x200000} {
		content := bytes.Repeat([]byte{7}, n)
		var flat, deep Writer
		var inner Writer
		inner.Blob(2, content)
		var middle Writer
		middle.Uint(1, 9)
		middle.Item(3, inner.Bytes())
		flat.Uint(1, 1)
		flat.Item(4, middle.Bytes())
		flat.Uint(5, 1)
		deep.Uint(1, 1)
		deep.Message(4, func(w *Writer) {
			w.Uint(1, 9)
			w.Message(3, func(w *Writer) { w.Blob(2, content) })
		})
		deep.Uint(5, 1)
		if !bytes.Equal(flat.Bytes(), deep.Bytes()) {
			t.Fatalf("%d bytes within differ", n)
		}
		r := NewReader(deep.Bytes())
		var got []byte
		var nine uint64
		one := r.Uint(1)
		r.Message(4, func(r *Reader) {
			nine = r.Uint(1)
			r.Messages(3, func(r *Reader) { got = r.Blob(2) })
		})
		if last := r.Uint(5); r.End() != nil || one != 1 || last != 1 || nine != 9 || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes: read %d, %d, %d, %d bytes: %v", n, one, nine, last, len(got), r.End())
		}
	}
}

func TestMessagesWithin(t *testing.T) {
	var w Writer
	w.Message(1, func(w *Writer) { w.Uint(1, 5) })
	w.Message(2, func(*Writer) {})
	r := NewReader(w.Bytes())
	var n uint32
	if !r.Message(1, func(r *Reader) { n = r.Uint32(1) }) || n != 5 {
		t.Errorf("read %d", n)
	}
	seen := 0
	r.Messages(2, func(*Reader) { seen++ })
	if err := r.End(); err != nil || seen != 1 {
		t.Errorf("%d messages: %v", seen, err)
	}
	for name, b := range map[string][]byte{"unknown within": {0x0a, 0x02, 0x10, 0x01}, "33 bits": {0x0a, 0x06, 0x08, 0x80, 0x80, 0x80, 0x80, 0x10}} {
		r := NewReader(b)
		r.Message(1, func(r *Reader) { r.Uint32(1) })
		if err := r.End(); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
