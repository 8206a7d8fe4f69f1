package meter

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// dataSection writes active segments with constant offsets, as a data section's body.
func dataSection(segments [][2]any) []byte {
	out := appendU32(nil, uint32(len(segments)))
	for _, s := range segments {
		at, b := s[0].(int), s[1].([]byte)
		out = appendS64(append(out, 0, opI32Const), int64(at))
		out = appendU32(append(out, opEnd), uint32(len(b)))
		out = append(out, b...)
	}
	return out
}

// lay returns what memory holds after a data section was laid into it.
func lay(t *testing.T, section []byte, size int) []byte {
	t.Helper()
	memory := make([]byte, size)
	r := &reader{b: section}
	for range r.u32() {
		if r.u32() != 0 || r.bytes(1)[0] != opI32Const {
			t.Fatal("not an active segment with a constant offset")
		}
		at := r.s33()
		r.bytes(1)
		copy(memory[at:], r.bytes(r.u32()))
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	return memory
}

// TestJoinedDataIsTheSameMemory holds joining to what it must not change, for segments that ascend, jump back, overlap
// and lie in each other's gaps.
func TestJoinedDataIsTheSameMemory(t *testing.T) {
	const size = 1 << 16
	cases := [][][2]any{{{1000, []byte("kept")}, {900, []byte("b")}, {1100, []byte("c")}}}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var one [][2]any
		at := rnd.IntN(size / 2)
		for range 1 + rnd.IntN(40) {
			if at += rnd.IntN(600); rnd.IntN(6) == 0 {
				at = rnd.IntN(size - 200)
			}
			at = min(at, size-200)
			b := make([]byte, 1+rnd.IntN(100))
			for i := range b {
				b[i] = byte(1 + rnd.IntN(255))
			}
			one = append(one, [2]any{at, b})
			at += len(b)
		}
		cases = append(cases, one)
	}
	fewer := 0
	for i, c := range cases {
		raw := dataSection(c)
		joined, err := (&module{}).data(&reader{b: bytes.Clone(raw)}, false)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(lay(t, raw, size), lay(t, joined, size)) {
			t.Errorf("case %d: memory differs", i)
		}
		if len(joined) > 0 && joined[0] < raw[0] {
			fewer++
		}
	}
	if fewer == 0 {
		t.Error("nothing was joined, so nothing was tried")
	}
}
