package bank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// place is one run's bank on one cluster.
type place struct {
	brokers []string
	prefix  string
	client  *kgo.Client
	admin   *kadm.Client
}

func newPlace(brokers []string, prefix string) (*place, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.ProduceRequestTimeout(3*time.Second), kgo.RequestTimeoutOverhead(2*time.Second), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	return &place{brokers, prefix, cl, kadm.NewClient(cl)}, nil
}

func (b *place) close() { b.client.Close() }

// createTopics makes what the group needs. Changelogs are compacted soon and often, so that recovery meets holes.
func (b *place) createTopics(ctx context.Context, partitions int32, replication int16) error {
	compacted := map[string]*string{
		"cleanup.policy": kadm.StringPtr("compact"), "segment.ms": kadm.StringPtr("5000"),
		"min.cleanable.dirty.ratio": kadm.StringPtr("0.01"), "delete.retention.ms": kadm.StringPtr("604800000"),
	}
	for _, e := range Graph(nil).Edges() {
		config := map[string]*string{"max.message.bytes": kadm.StringPtr(strconv.Itoa(engine.MaxProduceBytes))}
		switch e.Kind {
		case engine.EdgeTable, engine.EdgeStore, engine.EdgeRows:
			for k, v := range compacted {
				config[k] = v
			}
		default:
		}
		r, err := b.admin.CreateTopic(ctx, partitions, replication, config, b.prefix+e.Topic)
		if err = errors.Join(err, r.Err); err != nil {
			return fmt.Errorf("create topic %s: %w", e.Topic, err)
		}
	}
	return b.known(ctx)
}

// known waits until every broker knows every topic: a broker that does not yet says that they do not exist.
func (b *place) known(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	for _, e := range Graph(nil).Edges() {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(b.prefix + e.Topic)
		req.Topics = append(req.Topics, t)
	}
	return kafkatest.Until(ctx, 50*time.Millisecond, func() (bool, error) {
		for _, broker := range b.client.DiscoveredBrokers() {
			resp, err := broker.RetriableRequest(ctx, req)
			if err != nil {
				return false, nil //nolint:nilerr // asked again: it is on its way up
			}
			for _, t := range resp.(*kmsg.MetadataResponse).Topics {
				if t.ErrorCode != 0 || len(t.Partitions) == 0 {
					return false, nil
				}
			}
		}
		return true, nil
	})
}

// settled waits until no transaction is open in any of the run's topics: the last stable offset is the end.
func (b *place) settled(ctx context.Context) error {
	var topics []string
	for _, e := range Graph(nil).Edges() {
		topics = append(topics, b.prefix+e.Topic)
	}
	return kafkatest.Until(ctx, 100*time.Millisecond, func() (bool, error) {
		ends, err := b.admin.ListEndOffsets(ctx, topics...)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return false, nil //nolint:nilerr // asked again: a broker may be on its way back
		}
		stable, err := b.admin.ListCommittedOffsets(ctx, topics...)
		if err == nil {
			err = stable.Error()
		}
		if err != nil {
			return false, nil //nolint:nilerr // as above
		}
		open := false
		ends.Each(func(o kadm.ListedOffset) {
			s, ok := stable.Lookup(o.Topic, o.Partition)
			open = open || !ok || s.Offset < o.Offset
		})
		return !open, nil
	})
}

// position says where the group stands: its members, and how far each partition is read and decided.
func (b *place) position(ctx context.Context) string {
	var out strings.Builder
	groups, err := b.admin.DescribeGroups(ctx, b.prefix+Group)
	fmt.Fprintf(&out, "group: %v\n", errors.Join(err, groups.Error()))
	for _, g := range groups.Sorted() {
		fmt.Fprintf(&out, "group %s: %s, error %v\n", g.Group, g.State, g.Err)
		for _, m := range g.Members {
			assigned, _ := m.Assigned.AsConsumer()
			fmt.Fprintf(&out, "  member %s (%s): %+v\n", m.MemberID, m.ClientID, assigned)
		}
	}
	committed, err := b.admin.FetchOffsets(ctx, b.prefix+Group)
	fmt.Fprintf(&out, "offsets: %v\n", err)
	var topics []string
	for _, e := range Graph(nil).Edges() {
		topics = append(topics, b.prefix+e.Topic)
	}
	ends, err1 := b.admin.ListEndOffsets(ctx, topics...)
	stable, err2 := b.admin.ListCommittedOffsets(ctx, topics...)
	fmt.Fprintf(&out, "ends: %v\n", errors.Join(err1, err2))
	for _, o := range ends.Offsets().Sorted() {
		s, _ := stable.Lookup(o.Topic, o.Partition)
		c, _ := committed.Lookup(o.Topic, o.Partition)
		fmt.Fprintf(&out, "  %s/%d: end %d, stable %d, read by the group %d %s\n", o.Topic, o.Partition, o.At, s.Offset, c.At, c.Metadata)
	}
	return out.String()
}

// read calls f with every committed record of a topic, of each partition in order, up to its end.
func (b *place) read(ctx context.Context, topic string, f func(*kgo.Record) error) error {
	ends, err := b.admin.ListEndOffsets(ctx, b.prefix+topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("find the end of %s: %w", topic, err)
	}
	from := map[int32]kgo.Offset{}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition], left[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	if len(left) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{b.prefix + topic: from}), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	defer cl.Close()
	for idle := 0; len(left) > 0; {
		poll, cancel := context.WithTimeout(ctx, 3*time.Second)
		fetches := cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return fmt.Errorf("read %s, partitions %v: %w", topic, left, ctx.Err())
		}
		n := 0
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			n++
			if !r.Attrs.IsControl() {
				if err := f(r); err != nil {
					return fmt.Errorf("%s/%d/%d: %w", topic, r.Partition, r.Offset, err)
				}
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		}
		// Nothing came twice in a row, and nothing is open: what is left was compacted away or aborted.
		if err := fetches.Err(); n > 0 || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			idle = 0
		} else if idle++; idle == 2 {
			return nil
		}
	}
	return nil
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// collect reads everything that a run left behind.
func (b *place) collect(ctx context.Context) (Found, error) {
	f := Found{Table: map[string]Account{}, Store: map[string]Entry{}, Rows: map[string]int{}}
	latest := map[string]int64{}
	fold := func(topic string, each func(key string, value []byte) error) error {
		return b.read(ctx, topic, func(r *kgo.Record) error {
			if now, err := strconv.ParseInt(header(r, engine.HeaderNow), 10, 64); err == nil {
				p := topic + "/" + strconv.Itoa(int(r.Partition))
				if now < latest[p] {
					f.Backwards = append(f.Backwards, fmt.Sprintf("%s/%d", p, r.Offset))
				}
				latest[p] = now
			}
			return each(string(r.Key), r.Value)
		})
	}
	rows := map[string]string{}
	err := errors.Join(
		b.read(ctx, Entries, func(r *kgo.Record) error {
			e := Entry{}
			err := json.Unmarshal(r.Value, &e)
			f.Entries = append(f.Entries, e)
			return err
		}),
		b.read(ctx, engine.DeadLetterTopic(Group), func(r *kgo.Record) error {
			f.Dead = append(f.Dead, DeadLetter{header(r, engine.HeaderDLQSource), header(r, engine.HeaderDLQReason)})
			return nil
		}),
		b.read(ctx, Audits, func(r *kgo.Record) error {
			a := Answer{}
			err := json.Unmarshal(r.Value, &a)
			f.Answers = append(f.Answers, a)
			return err
		}),
		fold(engine.TableTopic(Group), func(key string, value []byte) error {
			a := Account{}
			if value == nil {
				delete(f.Table, key)
				return nil
			}
			err := json.Unmarshal(value, &a)
			f.Table[key] = a
			return err
		}),
		fold(engine.StoreTopic(Group, History), func(key string, value []byte) error {
			e := Entry{}
			if value == nil {
				delete(f.Store, key)
				return nil
			}
			err := json.Unmarshal(value, &e)
			f.Store[key] = e
			return err
		}),
		// Suspects are written outside of transactions: their time says nothing.
		b.read(ctx, engine.RowsTopic(Group), func(r *kgo.Record) error {
			id := strconv.Itoa(int(r.Partition)) + string(r.Key)
			if r.Value == nil {
				delete(rows, id)
			} else {
				rows[id] = string(r.Key[:1])
			}
			return nil
		}),
	)
	for _, kind := range rows {
		f.Rows[kind]++
	}
	return f, err
}
