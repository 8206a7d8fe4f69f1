package engine

import (
	"crypto/rand"
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
	const total, perBatch = 60_000, 1_000
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
