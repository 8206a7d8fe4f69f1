//go:build synctests

package sim

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/tidwall/btree"

	"github.com/fairleadio/fairlead/engine"
)

var errDead = errors.New("the process is dead")

// disk is what a process leaves behind. open gives it to a process; crash takes it from a process that died, which
// can no longer write to it, and loses the newest writes when power is out.
type disk interface {
	open(before func() bool) (engine.DB, error)
	// crash takes the disk from the process that has it. power: the newest writes may be lost, as draw says.
	crash(power bool, draw *rng)
	// close ends what a dead process left running.
	close() error
}

// rows is a snapshot of a database.
type rows struct{ btree.Map[string, []byte] }

// memoryDisk is an ordered map that remembers its last states.
type memoryDisk struct {
	mu     sync.Mutex
	now    *btree.Map[string, []byte]
	recent []*btree.Map[string, []byte]
	owner  *memoryDB
}

func newMemoryDisk() *memoryDisk { return &memoryDisk{now: new(btree.Map[string, []byte])} }

// memoryDB is one process's hold on a memoryDisk.
type memoryDB struct {
	d      *memoryDisk
	before func() bool
	dead   bool
}

func (d *memoryDisk) open(before func() bool) (engine.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner != nil {
		return nil, errors.New("the disk is in use")
	}
	d.owner = &memoryDB{d: d, before: before}
	return d.owner, nil
}

func (d *memoryDisk) crash(power bool, draw *rng) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner != nil {
		d.owner.dead = true
		d.owner = nil
	}
	if lost := draw.intn(len(d.recent) + 1); power && lost > 0 {
		d.now = d.recent[len(d.recent)-lost]
	}
	d.recent = nil
}

func (d *memoryDisk) close() error { return nil }

func (m *memoryDB) Get(key []byte) ([]byte, error) {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	if m.dead {
		return nil, errDead
	}
	v, ok := m.d.now.Get(string(key))
	if !ok {
		return nil, nil
	}
	return append([]byte{}, v...), nil
}

func (m *memoryDB) Scan(low, high []byte, f func(key, value []byte) bool) error {
	m.d.mu.Lock()
	if m.dead {
		m.d.mu.Unlock()
		return errDead
	}
	at := m.d.now.Copy()
	m.d.mu.Unlock()
	at.Ascend(string(low), func(k string, v []byte) bool {
		return (high == nil || k < string(high)) && f([]byte(k), v)
	})
	return nil
}

func (m *memoryDB) Apply(b *engine.Writes) error {
	if !m.before() {
		return errDead
	}
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	if m.dead {
		return errDead
	}
	m.d.recent = append(m.d.recent, m.d.now.Copy())
	if len(m.d.recent) > 16 {
		m.d.recent = m.d.recent[1:]
	}
	for _, op := range b.Ops {
		switch {
		case op.High != nil:
			var gone []string
			m.d.now.Ascend(string(op.Key), func(k string, _ []byte) bool {
				if k >= string(op.High) {
					return false
				}
				gone = append(gone, k)
				return true
			})
			for _, k := range gone {
				m.d.now.Delete(k)
			}
		case op.Value == nil:
			m.d.now.Delete(string(op.Key))
		default:
			m.d.now.Set(string(op.Key), append([]byte{}, op.Value...))
		}
	}
	return nil
}

func (m *memoryDB) Close() error {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	if m.d.owner == m {
		m.d.owner = nil
	}
	m.dead = true
	return nil
}

// pebbleDisk is the product's own database on a file system that can crash.
type pebbleDisk struct {
	mu    sync.Mutex
	fs    *vfs.MemFS
	owner *pebbleDB
	// left are databases of dead processes; they end when their process has.
	left []engine.DB
}

func newPebbleDisk() *pebbleDisk { return &pebbleDisk{fs: vfs.NewCrashableMem()} }

type pebbleDB struct {
	engine.DB
	d      *pebbleDisk
	before func() bool
	mu     sync.Mutex
	dead   bool
}

func (d *pebbleDisk) open(before func() bool) (engine.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner != nil {
		return nil, errors.New("the disk is in use")
	}
	db, err := engine.OpenPebbleFS("db", d.fs)
	if err != nil {
		return nil, err
	}
	d.owner = &pebbleDB{DB: db, d: d, before: before}
	return d.owner, nil
}

func (d *pebbleDisk) crash(power bool, draw *rng) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner == nil {
		return
	}
	d.owner.mu.Lock()
	d.owner.dead = true
	d.owner.mu.Unlock()
	d.left = append(d.left, d.owner.DB)
	d.owner = nil
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: draw.std()}
	if power {
		cfg.UnsyncedDataPercent = draw.intn(100)
	}
	d.fs = d.fs.CrashClone(cfg)
}

func (d *pebbleDisk) close() error {
	d.mu.Lock()
	left := d.left
	d.left = nil
	d.mu.Unlock()
	var errs []error
	for _, db := range left {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

func (p *pebbleDB) alive() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return errDead
	}
	return nil
}

func (p *pebbleDB) Get(key []byte) ([]byte, error) {
	if err := p.alive(); err != nil {
		return nil, err
	}
	return p.DB.Get(key)
}

func (p *pebbleDB) Scan(low, high []byte, f func(key, value []byte) bool) error {
	if err := p.alive(); err != nil {
		return err
	}
	return p.DB.Scan(low, high, f)
}

func (p *pebbleDB) Apply(b *engine.Writes) error {
	if !p.before() {
		return errDead
	}
	if err := p.alive(); err != nil {
		return err
	}
	return p.DB.Apply(b)
}

// GetSorted and Stage are the faster ways of the product's database.
func (p *pebbleDB) GetSorted(keys [][]byte, take func(i int, value []byte)) error {
	if err := p.alive(); err != nil {
		return err
	}
	return p.DB.(interface {
		GetSorted(keys [][]byte, take func(i int, value []byte)) error
	}).GetSorted(keys, take)
}

func (p *pebbleDB) Stage(w *engine.Writes) (apply func(more *engine.Writes) error, drop func(), err error) {
	if err := p.alive(); err != nil {
		return nil, nil, err
	}
	write, drop, err := p.DB.(interface {
		Stage(w *engine.Writes) (apply func(more *engine.Writes) error, drop func(), err error)
	}).Stage(w)
	if err != nil {
		return nil, nil, err
	}
	return func(more *engine.Writes) error {
		if !p.before() {
			drop()
			return errDead
		}
		if err := p.alive(); err != nil {
			drop()
			return err
		}
		return write(more)
	}, drop, nil
}

func (p *pebbleDB) Close() error {
	p.d.mu.Lock()
	if p.d.owner == p {
		p.d.owner = nil
	}
	p.d.mu.Unlock()
	p.mu.Lock()
	dead := p.dead
	p.dead = true
	p.mu.Unlock()
	if dead {
		return nil // its disk was taken; it is closed with the rest of it
	}
	return p.DB.Close()
}

// snapshot reads all of a disk that no process has.
func snapshot(d disk) (*rows, error) {
	db, err := d.open(func() bool { return true })
	if err != nil {
		return nil, fmt.Errorf("read disk: %w", err)
	}
	out := &rows{}
	if err := db.Scan(nil, nil, func(k, v []byte) bool {
		out.Set(string(k), append([]byte{}, v...))
		return true
	}); err != nil {
		return nil, err
	}
	return out, db.Close()
}
