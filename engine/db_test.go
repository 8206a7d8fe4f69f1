package engine

import (
	"crypto/rand"
	"fmt"
	"testing"
)

// What was read from files is found in memory the next time, also while the tables in memory are full.
func TestReadsAreCached(t *testing.T) {
	opened, err := OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	db := opened.(*pebbleDB)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	key := func(n int) []byte { return rowKeyOf(uint32(n)) }
	const total, perBatch = 100_000, 1_000
	for n := 0; n < total; n += perBatch {
		b := &Writes{}
		for i := range perBatch {
			v := make([]byte, 1_000) // more than the tables in memory hold, all together
			if _, err := rand.Read(v); err != nil {
				t.Fatal(err)
			}
			b.Set(key(2*(n+i)), v)
		}
		if err := db.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (hits, misses int64) {
		before := db.db.Metrics().BlockCache
		for n := range 2_000 {
			v, err := db.Get(key(n)) // every other is not there
			if err != nil || (v == nil) != (n%2 == 1) {
				t.Fatalf("key %d: %d bytes, %v", n, len(v), err)
			}
		}
		after := db.db.Metrics().BlockCache
		return after.Hits - before.Hits, after.Misses - before.Misses
	}
	read()
	if hits, misses := read(); hits == 0 || misses > hits/10 {
		t.Errorf("of what was read before, %d blocks were found in memory and %d not", hits, misses)
	}
}

func rowKeyOf(n uint32) []byte {
	return []byte{'k', byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// Many keys in order are what each alone is, and what was staged is there when it is applied, together with what came later, and
// not when it is dropped.
func TestPebbleSortedAndStaged(t *testing.T) {
	db, err := OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	p := db.(*pebbleDB)
	key := func(n int) []byte { return fmt.Appendf(nil, "k%04d", n) }
	rows, more := &Writes{}, &Writes{}
	for n := 0; n < 1000; n += 2 {
		rows.Set(key(n), fmt.Appendf(nil, "v%d", n))
	}
	rows.Set(key(3), nil)
	rows.Delete(key(4))
	more.Set([]byte("position"), []byte("7"))
	found := func() map[int]string {
		out := map[int]string{}
		keys := [][]byte{key(1)[:3]} // a prefix of others
		for n := range 1000 {
			keys = append(keys, key(n))
		}
		keys = append(keys, []byte("position"))
		if err := p.GetSorted(keys, func(i int, v []byte) { out[i-1] = string(v) }); err != nil {
			t.Fatal(err)
		}
		for i, k := range keys {
			v, err := db.Get(k)
			if got, ok := out[i-1]; err != nil || (v != nil) != ok || string(v) != got {
				t.Fatalf("%s is %q alone and %q, %v among others: %v", k, v, got, ok, err)
			}
		}
		return out
	}
	_, drop, err := p.Stage(rows)
	if err != nil {
		t.Fatal(err)
	}
	if got := found(); len(got) != 0 {
		t.Errorf("%v is there before it is applied", got)
	}
	drop()
	apply, _, err := p.Stage(rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := apply(more); err != nil {
		t.Fatal(err)
	}
	if got := found(); len(got) != 501 || got[998] != "v998" || got[3] != "" || got[1000] != "7" {
		t.Errorf("%d rows: %q %q %q", len(got), got[998], got[3], got[1000])
	}
}
