package engine

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidwall/btree"
)

// changelog is one partition of a table, store or rows topic: what the topic holds, as far as it was applied, in
// local storage, and over it what the running transaction wrote.
//
// Only the goroutine that runs the partition's callbacks touches the overlay while a batch runs, and only the
// session's loop does between batches; the two hand over through the batch's pending counter.
type changelog struct {
	topic     string
	partition int32
	topicID   [16]byte
	cluster   string
	db        DB
	prefix    []byte
	overlay   btree.Map[string, []byte] // nil: deleted
	// cache holds committed values that were read or written lately, so that a hot key costs no look into storage.
	cache cache
	// position is the offset below which all is applied to local storage; now is the greatest fl-now below it.
	position, now int64
	// acked is the highest offset that the running transaction wrote, -1 for none.
	acked atomic.Int64
	// fault receives an error of local storage; the session stops on it.
	fault func(error)
}

// undo takes one write back.
type undo struct {
	log     *changelog
	key     string
	value   []byte
	existed bool
}

type storedPosition struct {
	Cluster   string `json:"cluster"`
	TopicID   []byte `json:"topic_id"`
	Position  int64  `json:"position"`
	AppliedUS int64  `json:"applied_us"`
	NowUS     int64  `json:"now_us"`
}

// usable tells whether local storage that stands here can be gone on with: it mirrors this very topic, is not ahead of
// it, and is not so old that tombstones may be gone which it has not seen (nor from the future, as far as that: then one
// of the two clocks is wrong, and its age not known).
func (m storedPosition) usable(cluster string, topicID [16]byte, end int64, retention time.Duration, now time.Time) bool {
	return m.Cluster == cluster && string(m.TopicID) == string(topicID[:]) && m.Position <= end &&
		now.Sub(time.UnixMicro(m.AppliedUS)).Abs() < retention/2
}

func newChangelog(db DB, namePrefix, topic string, partition int32, topicID [16]byte, cluster string, fault func(error)) *changelog {
	c := &changelog{topic: topic, partition: partition, topicID: topicID, cluster: cluster, db: db, fault: fault}
	c.prefix = storagePrefix(namePrefix+topic, partition)
	c.acked.Store(-1)
	return c
}

// storagePrefix is where a partition's rows lie in local storage: topic (with the engine's prefix), a zero byte, the
// partition. Data keys
// follow behind 'd', the position under 'm'.
func storagePrefix(topic string, partition int32) []byte {
	p := append([]byte(topic), 0)
	return binary.BigEndian.AppendUint32(p, uint32(partition))
}

func (c *changelog) dataKey(key string) []byte {
	k := make([]byte, 0, len(c.prefix)+1+len(key))
	return append(append(append(k, c.prefix...), 'd'), key...)
}

func (c *changelog) metaKey() []byte {
	return append(append(make([]byte, 0, len(c.prefix)+1), c.prefix...), 'm')
}

// storageFault leaves a callback because the disk failed; the guard turns it into the worker's end.
type storageFault struct{ err error }

// get returns a copy: codecs may hand the bytes on, and whoever gets them may change them.
func (c *changelog) get(key string) []byte { return bytes.Clone(c.look(key)) }

func (c *changelog) look(key string) []byte {
	if v, ok := c.overlay.Get(key); ok {
		return v
	}
	if v, ok := c.cache.get(key); ok {
		return v
	}
	v, err := c.db.Get(c.dataKey(key))
	if err != nil {
		err = fmt.Errorf("read %s/%d: %w", c.topic, c.partition, err)
		c.fault(err)
		panic(storageFault{err})
	}
	if v != nil {
		c.cache.put(key, v)
	}
	return v
}

// put writes into the running transaction's overlay (nil deletes) and returns how to take the write back.
func (c *changelog) put(key string, value []byte) undo {
	prev, existed := c.overlay.Set(key, value)
	return undo{c, key, prev, existed}
}

func (u undo) do() {
	if u.existed {
		u.log.overlay.Set(u.key, u.value)
	} else {
		u.log.overlay.Delete(u.key)
	}
}

// scan yields the pairs under prefix, overlay over storage, in key order.
func (c *changelog) scan(prefix string) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		type pair struct {
			key   string
			value []byte
		}
		var over []pair
		c.overlay.Ascend(prefix, func(k string, v []byte) bool {
			if len(k) < len(prefix) || k[:len(prefix)] != prefix {
				return false
			}
			over = append(over, pair{k, v})
			return true
		})
		stopped := false
		emit := func(k, v []byte) bool {
			if !stopped && !yield(k, v) {
				stopped = true
			}
			return !stopped
		}
		low := c.dataKey(prefix)
		err := c.db.Scan(low, prefixEnd(low), func(k, v []byte) bool {
			key := string(k[len(c.prefix)+1:])
			for len(over) > 0 && over[0].key < key {
				o := over[0]
				over = over[1:]
				if o.value != nil && !emit([]byte(o.key), bytes.Clone(o.value)) {
					return false
				}
			}
			if len(over) > 0 && over[0].key == key {
				o := over[0]
				over = over[1:]
				return o.value == nil || emit([]byte(o.key), bytes.Clone(o.value))
			}
			return emit([]byte(key), append([]byte{}, v...))
		})
		if err != nil {
			err = fmt.Errorf("scan %s/%d: %w", c.topic, c.partition, err)
			c.fault(err)
			panic(storageFault{err})
		}
		for _, o := range over {
			if stopped {
				return
			}
			if o.value != nil {
				emit([]byte(o.key), bytes.Clone(o.value))
			}
		}
	}
}

// load reads how far local storage is; -1 when it holds nothing of this topic.
func (c *changelog) load() (storedPosition, bool, error) { return loadPosition(c.db, c.metaKey()) }

func loadPosition(db DB, key []byte) (storedPosition, bool, error) {
	raw, err := db.Get(key)
	if err != nil || raw == nil {
		return storedPosition{}, false, err
	}
	var m storedPosition
	if err := json.Unmarshal(raw, &m); err != nil {
		return storedPosition{}, false, nil //nolint:nilerr // written by something else: the same as nothing
	}
	return m, true, nil
}

// wipe forgets the local copy; it is rebuilt from the topic.
func (c *changelog) wipe() error {
	b := &Writes{}
	b.DeleteRange(c.prefix, prefixEnd(c.prefix))
	c.position, c.now = 0, 0
	c.cache = cache{}
	return c.db.Apply(b)
}

func (c *changelog) addPosition(b *Writes, wallUS int64) error {
	raw, err := json.Marshal(storedPosition{c.cluster, c.topicID[:], c.position, wallUS, c.now})
	if err != nil {
		return fmt.Errorf("encode position of %s/%d: %w", c.topic, c.partition, err)
	}
	b.Set(c.metaKey(), raw)
	return nil
}

// addRows adds what the running transaction wrote.
func (c *changelog) addRows(b *Writes) {
	size := 0
	c.overlay.Scan(func(k string, _ []byte) bool {
		size += len(c.prefix) + 1 + len(k)
		return true
	})
	b.Ops = slices.Grow(b.Ops, c.overlay.Len()+1)
	keys := make([]byte, 0, size)
	c.overlay.Scan(func(k string, v []byte) bool {
		from := len(keys)
		keys = append(append(append(keys, c.prefix...), 'd'), k...)
		if key := keys[from:len(keys):len(keys)]; v == nil {
			b.Delete(key)
		} else {
			b.Set(key, v)
		}
		return true
	})
}

// commit takes the running transaction for committed, and adds how far that is; its rows are there already.
func (c *changelog) commit(b *Writes, now, wall int64) error {
	acked := c.acked.Swap(-1)
	if c.overlay.Len() == 0 && acked < 0 {
		return nil
	}
	c.overlay.Scan(func(k string, v []byte) bool {
		if v == nil {
			c.cache.forget(k)
		} else {
			c.cache.put(k, v)
		}
		return true
	})
	c.overlay.Clear()
	c.position = max(c.position, acked+1)
	c.now = max(c.now, now)
	return c.addPosition(b, wall)
}

// abort forgets what the transaction wrote.
func (c *changelog) abort() {
	c.overlay.Clear()
	c.acked.Store(-1)
}

// boundStore is a [PartitionStore] over a changelog; writes also become records of the transaction.
type boundStore struct {
	log *changelog
	rc  *recordContext
}

func (s boundStore) Get(key []byte) []byte { return s.log.get(string(key)) }

func (s boundStore) Set(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	s.rc.write(s.log, key, value, "", nil)
}

func (s boundStore) Delete(key []byte) {
	if s.log.look(string(key)) != nil {
		s.rc.write(s.log, key, nil, "", nil)
	}
}

func (s boundStore) Scan(prefix []byte) iter.Seq2[[]byte, []byte] { return s.log.scan(string(prefix)) }
