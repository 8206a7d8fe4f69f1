package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sort"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// gokaGroup is the session as a sarama consumer group.
type gokaGroup struct{ *session }

func (g *gokaGroup) Errors() <-chan error      { return nil }
func (g *gokaGroup) Close() error              { return nil }
func (g *gokaGroup) Pause(map[string][]int32)  {}
func (g *gokaGroup) Resume(map[string][]int32) {}
func (g *gokaGroup) PauseAll()                 {}
func (g *gokaGroup) ResumeAll()                {}

var _ sarama.ConsumerGroup = (*gokaGroup)(nil)

// gokaProducer is the session as goka's producer.
type gokaProducer struct{ *session }

func (*gokaProducer) Close() error { return nil }

var _ goka.Producer = (*gokaProducer)(nil)

// topicManager checks and never creates.
type topicManager struct {
	e *Engine
	s *session
}

func (t *topicManager) check(topic string, partitions int) error {
	top, err := t.e.describe(context.Background())
	if err != nil {
		return err
	}
	if n := top.topics[topic].partitions; int(n) != partitions {
		return fmt.Errorf("topic %s has %d partitions, %d are needed", topic, n, partitions)
	}
	return nil
}

func (t *topicManager) EnsureTableExists(topic string, n int) error  { return t.check(topic, n) }
func (t *topicManager) EnsureStreamExists(topic string, n int) error { return t.check(topic, n) }
func (t *topicManager) EnsureTopicExists(topic string, n, _ int, _ map[string]string) error {
	return t.check(topic, n)
}

func (t *topicManager) Partitions(topic string) ([]int32, error) {
	top, err := t.e.describe(context.Background())
	if err != nil {
		return nil, err
	}
	var out []int32
	for p := range top.topics[topic].partitions {
		out = append(out, p)
	}
	return out, nil
}

// GetOffset answers goka's questions about a table's bounds. The group table is complete when goka asks, so its end
// is where local storage stands; for joins and lookups it is the last stable offset.
func (t *topicManager) GetOffset(topic string, partition int32, which int64) (int64, error) {
	if t.s.e.graph.table != nil && topic == TableTopic(t.e.graph.group) {
		if which == sarama.OffsetOldest {
			return 0, nil
		}
		if p := t.s.parts[partition]; p != nil {
			return p.table.position, nil
		}
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.e.cfg.EndTimeout)
	defer cancel()
	list := t.e.admin.ListCommittedOffsets
	if which == sarama.OffsetOldest {
		list = t.e.admin.ListStartOffsets
	}
	got, err := list(ctx, t.e.cfg.Prefix+topic)
	if err != nil {
		return 0, fmt.Errorf("read bounds of %s: %w", topic, err)
	}
	o, ok := got.Lookup(t.e.cfg.Prefix+topic, partition)
	if !ok || o.Err != nil {
		return 0, fmt.Errorf("read bounds of %s/%d: %w", topic, partition, o.Err)
	}
	return o.Offset, nil
}

func (*topicManager) Close() error { return nil }

// gokaLogger keeps goka's own messages at debug level: what an operator must know, the engine says itself.
type gokaLogger struct{ log *slog.Logger }

func (l gokaLogger) Print(v ...any)            { l.log.Debug("goka", "message", fmt.Sprint(v...)) }
func (l gokaLogger) Println(v ...any)          { l.log.Debug("goka", "message", fmt.Sprint(v...)) }
func (l gokaLogger) Printf(f string, v ...any) { l.log.Debug("goka", "message", fmt.Sprintf(f, v...)) }

// storage returns what goka reads and writes a table's partition through.
func (s *session) storage(topic string, partition int32) (storage.Storage, error) {
	if s.e.graph.table != nil && topic == TableTopic(s.e.graph.group) {
		p := s.parts[partition]
		if p == nil {
			return nil, fmt.Errorf("table %s/%d is not assigned", topic, partition)
		}
		return &tableStorage{log: p.table}, nil
	}
	return newCopiedStorage(s.e, s.n, topic, partition)
}

// tableStorage is the group table's partition: goka writes into the running transaction.
type tableStorage struct{ log *changelog }

func (t *tableStorage) Open() error          { return nil }
func (t *tableStorage) Close() error         { return nil }
func (t *tableStorage) MarkRecovered() error { return nil }

func (t *tableStorage) Has(key string) (bool, error)   { return t.log.get(key) != nil, nil }
func (t *tableStorage) Get(key string) ([]byte, error) { return t.log.get(key), nil }
func (t *tableStorage) Set(key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	t.log.put(key, value)
	return nil
}

func (t *tableStorage) Delete(key string) error {
	t.log.put(key, nil)
	return nil
}

// GetOffset is the offset of the last applied record; goka goes on behind it.
func (t *tableStorage) GetOffset(int64) (int64, error) { return t.log.position - 1, nil }

// SetOffset has nothing to do: the offset is stored with the batch that the commit applies.
func (t *tableStorage) SetOffset(int64) error { return nil }

func (t *tableStorage) Iterator() (storage.Iterator, error) { return t.IteratorWithRange(nil, nil) }

func (t *tableStorage) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	it := &listIterator{at: -1}
	for k, v := range t.log.scan("") {
		if string(k) >= string(start) && (limit == nil || string(k) < string(limit)) {
			it.keys, it.values = append(it.keys, k), append(it.values, v)
		}
	}
	return it, nil
}

// listIterator iterates over a snapshot.
type listIterator struct {
	keys, values [][]byte
	at           int
}

func (l *listIterator) Next() bool             { l.at++; return l.at < len(l.keys) }
func (l *listIterator) Err() error             { return nil }
func (l *listIterator) Key() []byte            { return l.keys[l.at] }
func (l *listIterator) Value() ([]byte, error) { return l.values[l.at], nil }
func (l *listIterator) Release()               {}
func (l *listIterator) Seek(key []byte) bool {
	l.at = sort.Search(len(l.keys), func(i int) bool { return string(l.keys[i]) >= string(key) }) - 1
	return l.at+1 < len(l.keys)
}
