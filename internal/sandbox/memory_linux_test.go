package sandbox

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestMemoryWithoutMapping is for machines that do not let us reserve addresses.
func TestMemoryWithoutMapping(t *testing.T) {
	l := newLinear(1 << 62)
	if l.mapped {
		t.Fatal("a quarter of all addresses was reserved")
	}
	b := l.Reallocate(1 << 16)
	if len(b) != 1<<16 {
		t.Fatalf("%d bytes", len(b))
	}
	b[5] = 7
	if b = l.Reallocate(3 << 16); len(b) != 3<<16 || b[5] != 7 || b[2<<16] != 0 {
		t.Errorf("after growing: %d bytes, %d, %d", len(b), b[5], b[2<<16])
	}
	if l.Reallocate(1<<62+1) != nil {
		t.Error("the memory grew over its limit")
	}
	if done, err := l.show(&sharedImage{image: make([]byte, 1<<16)}, &pageMap{}); done || err != nil {
		t.Errorf("an image was mapped: %v", err)
	}
	l.Free()
}

// TestPutBack has memories changed in many ways, one after another, and back to the image each time: in few pages, in more than
// are kept, in none, and where the kernel's account of pages is missing or lies.
func TestPutBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	image := make([]byte, 4*mostKept)
	for n := range len(image) / page / 2 { // every other page is zero
		for at := range page {
			image[2*n*page+at] = byte(rnd.Uint32())
		}
	}
	var truth, none pageMap
	truth.once.Do(truth.open)
	none.once.Do(func() {})
	defer func() {
		if err := truth.close(); err != nil {
			t.Error(err)
		}
	}()
	if truth.file == nil {
		t.Fatal("this kernel has no account of pages")
	}
	for name, pages := range map[string]*pageMap{"with the account": &truth, "without": &none} {
		s, err := newSharedImage(image)
		if err != nil {
			t.Fatal(err)
		}
		l := newLinear(uint64(len(image)))
		if done, err := l.show(s, pages); err != nil || !done {
			t.Fatal(done, err)
		}
		mostOwn := 0
		for round := range 40 {
			writes := []int{0, 1, 5, 50, 3 * mostKept / page}[round%5]
			for range writes {
				at := rnd.IntN(len(image))
				_ = l.base[rnd.IntN(len(image))] // a page that is read first is mapped when it is written
				l.base[at] = ^l.base[at]
			}
			if done, err := l.show(s, pages); err != nil || !done {
				t.Fatal(done, err)
			}
			if own, ok := truth.own(l, len(image)); ok {
				mostOwn = max(mostOwn, own)
			}
			if !bytes.Equal(l.base[:len(image)], image) {
				t.Fatalf("%s, round %d: after %d writes it is not the image", name, round, writes)
			}
		}
		if (mostOwn > 0) != (pages == &truth) || mostOwn > mostKept {
			t.Errorf("%s: %d bytes were kept, at most %d", name, mostOwn, mostKept)
		}
		l.Free()
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}
