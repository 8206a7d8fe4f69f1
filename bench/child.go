package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/topics"
)

// child is this program run as one of the subjects.
type child struct {
	subject, brokers, group, in, out, dir string
}

func (c *child) flags() {
	flag.StringVar(&c.subject, "child", "", "for this program's own use: the subject to be")
	flag.StringVar(&c.brokers, "brokers", "", "for this program's own use")
	flag.StringVar(&c.group, "group", "", "for this program's own use")
	flag.StringVar(&c.in, "in", "", "for this program's own use")
	flag.StringVar(&c.out, "out", "", "for this program's own use")
	flag.StringVar(&c.dir, "dir", "", "for this program's own use")
}

func (c *child) args() []string {
	return []string{"-child", c.subject, "-brokers", c.brokers, "-group", c.group, "-in", c.in, "-out", c.out, "-dir", c.dir}
}

func (c *child) run(ctx context.Context) error {
	switch c.subject {
	case subjectEngine:
		return c.engine(ctx)
	case subjectGoka:
		return c.goka(ctx)
	case subjectBare:
		return c.bare(ctx)
	default:
		return fmt.Errorf("-child: there is no subject %q", c.subject)
	}
}

// raw hands bytes through.
type raw struct{}

func (raw) Encode(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T where bytes are expected", v)
	}
	return b, nil
}

func (raw) Decode(b []byte) (any, error) { return b, nil }

// next returns the counter after this one.
func next(old []byte) []byte {
	n := uint64(0)
	if len(old) == 8 {
		n = binary.BigEndian.Uint64(old)
	}
	return binary.BigEndian.AppendUint64(nil, n+1)
}

func (c *child) graph() *engine.Graph {
	return engine.Define(goka.Group(c.group),
		engine.Input(goka.Stream(c.in), raw{}, func(ctx engine.Context, msg any) error {
			old, _ := ctx.Value().([]byte)
			ctx.SetValue(next(old))
			ctx.Emit(goka.Stream(c.out), ctx.Key(), msg)
			return nil
		}),
		goka.Output(goka.Stream(c.out), raw{}),
		goka.Persist(raw{}),
	)
}

func engineTopics(id string) (plain, compacted []string) {
	c := child{group: id, in: "in", out: "out"}
	for _, e := range c.graph().Edges() {
		switch e.Kind {
		case engine.EdgeLoop, engine.EdgeDeadLetters:
			plain = append(plain, e.Topic)
		case engine.EdgeTable, engine.EdgeStore, engine.EdgeRows:
			compacted = append(compacted, e.Topic)
		default:
		}
	}
	return plain, compacted
}

func (c *child) engine(ctx context.Context) (err error) {
	db, err := engine.OpenPebble(c.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	e, err := engine.New(engine.Config{Brokers: []string{c.brokers}, InstanceID: "bench", DB: db, LeaveOnStop: true}, c.graph())
	if err != nil {
		return err
	}
	return e.Run(ctx)
}

// murmur2 makes goka put table rows where the input's partitioner puts their keys: sarama takes the hash as a signed
// number and makes it positive in its own way, so the sign is taken off before.
type murmur2 struct{ data []byte }

func (m *murmur2) Write(b []byte) (int, error) { m.data = append(m.data, b...); return len(b), nil }
func (m *murmur2) Sum32() uint32               { return topics.Murmur2(m.data) & 0x7fffffff }
func (m *murmur2) Sum(b []byte) []byte         { return binary.BigEndian.AppendUint32(b, m.Sum32()) }
func (m *murmur2) Reset()                      { m.data = m.data[:0] }
func (m *murmur2) Size() int                   { return 4 }
func (m *murmur2) BlockSize() int              { return 4 }

// goka runs stock goka with its defaults, but for what it needs to read from the start and on one broker.
func (c *child) goka(ctx context.Context) error {
	cfg := goka.DefaultConfig()
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	goka.ReplaceGlobalConfig(cfg)
	manager := goka.NewTopicManagerConfig()
	manager.Table.Replication, manager.Stream.Replication = 1, 1
	graph := goka.DefineGroup(goka.Group(c.group),
		goka.Input(goka.Stream(c.in), raw{}, func(ctx goka.Context, msg any) {
			old, _ := ctx.Value().([]byte)
			ctx.SetValue(next(old))
			ctx.Emit(goka.Stream(c.out), ctx.Key(), msg)
		}),
		goka.Output(goka.Stream(c.out), raw{}),
		goka.Persist(raw{}),
	)
	p, err := goka.NewProcessor([]string{c.brokers}, graph,
		goka.WithHasher(func() hash.Hash32 { return &murmur2{} }),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithTopicManagerConfig(manager)),
		goka.WithStorageBuilder(storage.DefaultBuilder(c.dir)))
	if err != nil {
		return fmt.Errorf("make a goka processor: %w", err)
	}
	return p.Run(ctx)
}

func bareTable(id string) string { return id + "-table" }

// bare is the least that does the work exactly once: poll, compute, produce, commit, write to the local table.
func (c *child) bare(ctx context.Context) (err error) {
	db, err := engine.OpenPebble(c.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(c.brokers), kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(c.in),
		kgo.TransactionalID(c.group), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer s.Close()
	for {
		fetches := s.PollRecords(ctx, 20_000)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("poll: %w", err)
		}
		if err := s.Begin(); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		changed := map[string][]byte{}
		var failed error
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			old, ok := changed[string(r.Key)]
			if !ok {
				if old, err = db.Get(r.Key); err != nil {
					return err
				}
			}
			value := next(old)
			changed[string(r.Key)] = value
			promise := func(_ *kgo.Record, err error) {
				if err != nil {
					failed = err
				}
			}
			s.Produce(ctx, &kgo.Record{Topic: bareTable(c.group), Key: r.Key, Value: value}, promise)
			s.Produce(ctx, &kgo.Record{Topic: c.out, Key: r.Key, Value: r.Value}, promise)
		}
		committed, err := s.End(ctx, kgo.TryCommit)
		if err != nil || !committed {
			return fmt.Errorf("commit (%v): %w", committed, errors.Join(err, failed))
		}
		batch := &engine.Writes{}
		for k, v := range changed {
			batch.Set([]byte(k), v)
		}
		if err := db.Apply(batch); err != nil {
			return err
		}
	}
}
