package engine

import (
	"fmt"
	"testing"
)

// What is asked for again and again stays, what is not goes, and nothing is ever older than what was put last.
func TestCacheForgetsWhatNobodyAsksFor(t *testing.T) {
	var c cache
	value := make([]byte, 1000)
	c.put("hot", []byte("1"))
	c.put("cold", []byte("1"))
	for n := range 3 * cacheLimit / len(value) {
		c.put(fmt.Sprint("k", n), value)
		if v, ok := c.get("hot"); !ok || string(v) != "1" {
			t.Fatalf("after %d others the hot value is %q, %v", n, v, ok)
		}
	}
	if _, ok := c.get("cold"); ok {
		t.Error("the cold value is still there")
	}
	held := 0
	for _, half := range []map[string][]byte{c.young, c.old} {
		for k, v := range half {
			held += len(k) + len(v)
		}
	}
	if held > cacheLimit {
		t.Errorf("it holds %d bytes, more than %d", held, cacheLimit)
	}
}

func TestCacheHasTheNewestValue(t *testing.T) {
	for _, halves := range []int{0, 1} {
		var c cache
		fill := func() {
			for n := range halves * cacheLimit / 2 / 1000 {
				c.put(fmt.Sprint("k", n), make([]byte, 1000))
			}
		}
		c.put("a", []byte("1"))
		fill()
		c.put("a", []byte("2"))
		if v, ok := c.get("a"); !ok || string(v) != "2" {
			t.Errorf("%d: %q, %v", halves, v, ok)
		}
		fill()
		c.forget("a")
		if v, ok := c.get("a"); ok {
			t.Errorf("%d: %q is there after it was forgotten", halves, v)
		}
		c.put("a", []byte("3"))
		fill()
		c.put("a", make([]byte, cacheLimit/16+1))
		if v, ok := c.get("a"); ok {
			t.Errorf("%d: %.10q is there after a value too large to be kept", halves, v)
		}
	}
}
