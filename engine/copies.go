package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/lovoo/goka/storage"
)

// copiedStorage is the local copy of a joined or looked-up table, which another group writes. Like a changelog's, it
// says of which topic it is the copy: one that was deleted and made again begins anew.
type copiedStorage struct {
	e         *Engine
	topic     string
	partition int32
	prefix    []byte
	// of is the topic as it was when goka began to read it. Only the goroutine that reads it uses it.
	of storedPosition
}

// newCopiedStorage makes the copy of one reader. goka reads a looked-up table once for each of its processors, of which
// each session has one: they must not write over each other, so each session has a copy of its own. A joined partition is
// read by the session that has it in hand.
func newCopiedStorage(e *Engine, session int, topic string, partition int32) (*copiedStorage, error) {
	name := "copy/" + e.cfg.Prefix + string(e.graph.group) + "/"
	if e.graph.looksUp(topic) {
		name += strconv.Itoa(session) + "/"
	}
	name += e.cfg.Prefix + topic
	return &copiedStorage{e: e, topic: topic, partition: partition, prefix: storagePrefix(name, partition)}, nil
}

func (c *copiedStorage) key(k string) []byte {
	return append(append(append([]byte{}, c.prefix...), 'd'), k...)
}

func (c *copiedStorage) offsetKey() []byte { return append(append([]byte{}, c.prefix...), 'm') }

func (c *copiedStorage) Open() error          { return nil }
func (c *copiedStorage) Close() error         { return nil }
func (c *copiedStorage) MarkRecovered() error { return nil }

func (c *copiedStorage) Has(key string) (bool, error) {
	v, err := c.Get(key)
	return v != nil, err
}

func (c *copiedStorage) Get(key string) ([]byte, error) { return c.e.cfg.DB.Get(c.key(key)) }

func (c *copiedStorage) Set(key string, value []byte) error {
	b := &Writes{}
	b.Set(c.key(key), value)
	return c.e.cfg.DB.Apply(b)
}

func (c *copiedStorage) Delete(key string) error {
	if key == skipKey {
		return nil
	}
	b := &Writes{}
	b.Delete(c.key(key))
	return c.e.cfg.DB.Apply(b)
}

// GetOffset is what goka asks for each time that it begins to read the topic: the offset of the last record in the copy.
// A copy that cannot be gone on with is wiped.
func (c *copiedStorage) GetOffset(def int64) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.e.cfg.EndTimeout)
	defer cancel()
	cluster, id, err := c.e.identify(ctx, c.topic)
	if err != nil {
		return def, err
	}
	ends, err := c.e.admin.ListEndOffsets(ctx, c.e.cfg.Prefix+c.topic)
	if err != nil {
		return def, fmt.Errorf("read the end of %s: %w", c.topic, err)
	}
	end, ok := ends.Lookup(c.e.cfg.Prefix+c.topic, c.partition)
	if !ok || end.Err != nil {
		return def, fmt.Errorf("read the end of %s/%d: %w", c.topic, c.partition, end.Err)
	}
	m, ok, err := loadPosition(c.e.cfg.DB, c.offsetKey())
	if err != nil {
		return def, fmt.Errorf("read position of the copy of %s/%d: %w", c.topic, c.partition, err)
	}
	c.of = storedPosition{Cluster: cluster, TopicID: id[:]}
	if ok && m.usable(cluster, id, end.Offset, c.e.cfg.DeleteRetention, c.e.cfg.Outside.wall()) {
		return m.Position - 1, nil
	}
	b := &Writes{}
	b.DeleteRange(c.prefix, prefixEnd(c.prefix))
	if err := c.e.cfg.DB.Apply(b); err != nil {
		return def, fmt.Errorf("wipe the copy of %s/%d: %w", c.topic, c.partition, err)
	}
	return def, nil
}

func (c *copiedStorage) SetOffset(offset int64) error {
	m := c.of
	m.Position, m.AppliedUS = offset+1, c.e.wall()
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode position of the copy of %s/%d: %w", c.topic, c.partition, err)
	}
	b := &Writes{}
	b.Set(c.offsetKey(), raw)
	return c.e.cfg.DB.Apply(b)
}

// identify returns the ids of the cluster and of a topic.
func (e *Engine) identify(ctx context.Context, topic string) (cluster string, id [16]byte, err error) {
	meta, err := e.admin.Metadata(ctx, e.cfg.Prefix+topic)
	if err != nil {
		return "", id, fmt.Errorf("read id of topic %s: %w", topic, err)
	}
	t, ok := meta.Topics[e.cfg.Prefix+topic]
	if !ok || t.Err != nil {
		return "", id, fmt.Errorf("read id of topic %s: %w", topic, t.Err)
	}
	return meta.Cluster, t.ID, nil
}

func (c *copiedStorage) Iterator() (storage.Iterator, error) { return c.IteratorWithRange(nil, nil) }

func (c *copiedStorage) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	low := c.key(string(start))
	high := prefixEnd(c.key(""))
	if limit != nil {
		high = c.key(string(limit))
	}
	it := &listIterator{at: -1}
	err := c.e.cfg.DB.Scan(low, high, func(k, v []byte) bool {
		it.keys = append(it.keys, append([]byte{}, k[len(c.prefix)+1:]...))
		it.values = append(it.values, append([]byte{}, v...))
		return true
	})
	return it, err
}
