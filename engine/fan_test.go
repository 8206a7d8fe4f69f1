package engine

import "testing"

// TestFan has records for which much is written: batches shrink at once, and grow again by steps when it is over.
func TestFan(t *testing.T) {
	var f fan
	if n := f.limit(); n != MaxTransactionRecords {
		t.Errorf("%d before anything is known", n)
	}
	f.learn(5000, 20_000, 5<<20)
	if n := f.limit(); n != 10_000 {
		t.Errorf("%d where 4 are written for each", n)
	}
	f.learn(10, 10_000, 1<<20)
	if n := f.limit(); n != 40 {
		t.Errorf("%d where 1,000 are written for each", n)
	}
	f.learn(0, 1_000_000, 1<<30)
	if n := f.limit(); n != 40 {
		t.Errorf("%d after a transaction of timers", n)
	}
	f.learn(40, 40, 4000)
	if n := f.limit(); n != 80 {
		t.Errorf("%d after one that wrote little", n)
	}
	f.learn(1, 1, 256<<20)
	if n := f.limit(); n != 1 {
		t.Errorf("%d where each writes more than a transaction should", n)
	}
}
