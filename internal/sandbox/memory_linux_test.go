package sandbox

import "testing"

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
	if done, err := l.show(&sharedImage{image: make([]byte, 1<<16)}); done || err != nil {
		t.Errorf("an image was mapped: %v", err)
	}
	l.Free()
}
