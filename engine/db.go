package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// DB is the local storage of a process: an ordered key-value store with atomic batches. It is shared by all engines
// of the process. Losing its newest batches, or all of it, costs time and nothing else.
type DB interface {
	// Get returns a copy of the value, nil when there is no such key.
	Get(key []byte) ([]byte, error)
	// Scan calls f with the pairs from low (included) to high (excluded) in key order, until f returns false. The
	// slices are valid only during the call.
	Scan(low, high []byte, f func(key, value []byte) bool) error
	// Apply writes a batch, all of it or nothing.
	Apply(*Writes) error
	// Close flushes and closes it.
	Close() error
}

// Writes is a list of writes to a [DB], applied in order.
type Writes struct {
	Ops []Op
}

// Op is one write. High set means: delete the range from Key (included) to High (excluded). Otherwise a nil Value
// deletes the key.
type Op struct {
	Key, Value, High []byte
}

// Set writes a pair.
func (b *Writes) Set(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	b.Ops = append(b.Ops, Op{Key: key, Value: value})
}

// Delete removes a key.
func (b *Writes) Delete(key []byte) { b.Ops = append(b.Ops, Op{Key: key}) }

// DeleteRange removes the keys from low (included) to high (excluded).
func (b *Writes) DeleteRange(low, high []byte) { b.Ops = append(b.Ops, Op{Key: low, High: high}) }

type pebbleDB struct{ db *pebble.DB }

// OpenPebble opens (or makes) a database in a directory. One process at a time can hold it.
func OpenPebble(dir string) (DB, error) { return OpenPebbleFS(dir, vfs.Default) }

// OpenMemory opens a database that lives as long as the process.
func OpenMemory() (DB, error) { return OpenPebbleFS("", vfs.NewMem()) }

const (
	memTableBytes, memTables = 32 << 20, 2
	// cacheBytes is at most what blocks that were read take, of all engines of the process together. Pebble takes the memory of
	// its tables in memory out of its cache's, so that is added: with less nothing is ever found in the cache.
	cacheBytes = 48 << 20
	// filterBits is what each key takes in the filters that tell that a file does not have it: a store is asked as often for
	// what is not there as for what is, and without them that costs a look into a file of each level.
	filterBits = 10
	// indexBytes keeps a file's index in one block, so that one read finds a block of data.
	indexBytes = 256 << 10
)

// OpenPebbleFS opens a database on a file system of the caller's: tests crash it there.
func OpenPebbleFS(dir string, fs vfs.FS) (DB, error) {
	options := &pebble.Options{
		FS: fs, Logger: quietLogger{}, MemTableSize: memTableBytes, MemTableStopWritesThreshold: memTables, CacheSize: cacheBytes + memTables*memTableBytes,
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBits)
		options.Levels[i].IndexBlockSize = indexBytes
	}
	db, err := pebble.Open(dir, options)
	if err != nil {
		return nil, fmt.Errorf("open local storage in %q: %w", dir, err)
	}
	return &pebbleDB{db}, nil
}

func (p *pebbleDB) Get(key []byte) ([]byte, error) {
	v, closer, err := p.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read local storage: %w", err)
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, closeReader(closer)
}

// GetSorted implements [sortedGetter]: one iterator that only goes forward finds a key for a third of what a look from the
// top costs, for it stays in the blocks and the files in which it is.
func (p *pebbleDB) GetSorted(keys [][]byte, take func(i int, value []byte)) error {
	it, err := p.db.NewIter(nil)
	if err != nil {
		return fmt.Errorf("read local storage: %w", err)
	}
	for i, k := range keys {
		// A key is its own prefix, so filters are asked as they are by Get.
		if !it.SeekPrefixGE(k) {
			if err := it.Error(); err != nil {
				return errors.Join(fmt.Errorf("read local storage: %w", err), it.Close())
			}
			continue
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(fmt.Errorf("read local storage: %w", err), it.Close())
		}
		if !bytes.Equal(it.Key(), k) {
			continue
		}
		take(i, append(make([]byte, 0, len(v)), v...))
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("read local storage: %w", err)
	}
	return nil
}

func closeReader(c io.Closer) error {
	if err := c.Close(); err != nil {
		return fmt.Errorf("read local storage: %w", err)
	}
	return nil
}

func (p *pebbleDB) Scan(low, high []byte, f func(key, value []byte) bool) error {
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return fmt.Errorf("scan local storage: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(fmt.Errorf("scan local storage: %w", err), it.Close())
		}
		if !f(it.Key(), v) {
			break
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("scan local storage: %w", err)
	}
	return nil
}

func (p *pebbleDB) Apply(b *Writes) error {
	apply, _, err := p.Stage(b)
	if err != nil {
		return err
	}
	return apply(&Writes{})
}

// Stage implements [stager].
func (p *pebbleDB) Stage(w *Writes) (apply func(more *Writes) error, drop func(), err error) {
	const overhead = 16 // of each write
	size := 64
	for _, op := range w.Ops {
		size += len(op.Key) + len(op.Value) + overhead
	}
	pb := p.db.NewBatchWithSize(size)
	drop = func() { _ = pb.Close() } // a committed batch has nothing left to close
	if err := addTo(pb, w); err != nil {
		drop()
		return nil, nil, err
	}
	return func(more *Writes) error {
		defer drop()
		if err := addTo(pb, more); err != nil {
			return err
		}
		// Not synced: after a power loss the offsets in the same batch say how much is missing.
		if err := pb.Commit(pebble.NoSync); err != nil {
			return fmt.Errorf("write local storage: %w", err)
		}
		return nil
	}, drop, nil
}

func addTo(pb *pebble.Batch, w *Writes) error {
	for _, op := range w.Ops {
		var err error
		switch {
		case op.High != nil:
			err = pb.DeleteRange(op.Key, op.High, nil)
		case op.Value == nil:
			err = pb.Delete(op.Key, nil)
		default:
			err = pb.Set(op.Key, op.Value, nil)
		}
		if err != nil {
			return fmt.Errorf("write local storage: %w", err)
		}
	}
	return nil
}

func (p *pebbleDB) Close() error {
	if err := p.db.Close(); err != nil {
		return fmt.Errorf("close local storage: %w", err)
	}
	return nil
}

// prefixEnd returns the first key after all keys with this prefix, nil when there is none.
func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// quietLogger keeps Pebble's routine messages out of the worker's log; its errors come back from the calls.
type quietLogger struct{}

func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Errorf(string, ...any) {}

// Fatalf is called when the storage cannot go on; Pebble expects it not to return.
func (quietLogger) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("local storage: "+format, args...))
}
