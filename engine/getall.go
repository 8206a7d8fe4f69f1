package engine

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// GetAll is Get of many keys of a store, in their order: nil for those that are not there. What must be read from storage is
// read side by side, so that a batch which needs thousands of rows does not wait for each of them in turn.
func GetAll(store PartitionStore, keys [][]byte) [][]byte {
	out := make([][]byte, len(keys))
	bound, ok := store.(boundStore)
	if !ok {
		for i, k := range keys {
			out[i] = store.Get(k)
		}
		return out
	}
	for i, v := range bound.log.lookAll(keys) {
		out[i] = bytes.Clone(v)
	}
	return out
}

// fewReads is how many keys a goroutine reads at least: for fewer it costs more than it saves.
const fewReads = 64

// lookAll is look of many keys.
func (c *changelog) lookAll(keys [][]byte) [][]byte {
	out := make([][]byte, len(keys))
	var left []int // those that only storage can tell of
	for i, k := range keys {
		if v, ok := c.overlay.Get(string(k)); ok {
			out[i] = v
		} else if v, ok := c.cache.get(string(k)); ok {
			out[i] = v
		} else {
			left = append(left, i)
		}
	}
	slices.SortFunc(left, func(a, b int) int { return bytes.Compare(keys[a], keys[b]) })
	var wg sync.WaitGroup
	side := min(runtime.GOMAXPROCS(0), (len(left)+fewReads-1)/fewReads)
	errs := make([]error, side)
	for n := range side {
		part := left[len(left)*n/side : len(left)*(n+1)/side]
		wg.Go(func() {
			defer func() {
				if r := recover(); r != nil { // a panic in a goroutine of its own would end the process
					errs[n] = fmt.Errorf("read local storage: %v", r)
				}
			}()
			errs[n] = c.read(keys, part, out)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			err = fmt.Errorf("read %s/%d: %w", c.topic, c.partition, err)
			c.fault(err)
			panic(storageFault{err})
		}
	}
	for _, i := range left {
		if out[i] != nil {
			c.cache.put(string(keys[i]), out[i])
		}
	}
	return out
}

// sortedGetter is a [DB] that reads many keys, in their order, for less than one after the other.
type sortedGetter interface {
	// GetSorted calls take with the place of each key that is there and a copy of its value.
	GetSorted(keys [][]byte, take func(i int, value []byte)) error
}

// read gets the keys at some places from storage; they are sorted.
func (c *changelog) read(keys [][]byte, at []int, out [][]byte) error {
	db, ok := c.db.(sortedGetter)
	if !ok {
		for _, i := range at {
			var err error
			if out[i], err = c.db.Get(c.dataKey(string(keys[i]))); err != nil {
				return err
			}
		}
		return nil
	}
	whole := make([][]byte, len(at))
	for n, i := range at {
		whole[n] = c.dataKey(string(keys[i]))
	}
	return db.GetSorted(whole, func(n int, value []byte) { out[at[n]] = value })
}
