package channels

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// place is a Kafka with fairlead's topics and those of one virtual node's channels.
type place struct {
	prefix, vnode           string
	inbound, deals, changes string
	topicID                 [16]byte
	client                  *kgo.Client
	adm                     *kadm.Client
	admin                   *kafkaadmin.Admin
}

func newPlace(ctx context.Context, brokers []string, prefix, vnode string) (*place, error) {
	admin, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: brokers, Prefix: prefix})
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		admin.Close()
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	p := &place{
		prefix: prefix, vnode: vnode, client: client, adm: kadm.NewClient(client), admin: admin,
		inbound: "ext." + vnode + ".orders.send", deals: "ext." + vnode + ".deals.receive", changes: "ext." + vnode + ".changes.feed",
	}
	meta, err := p.adm.Metadata(ctx, prefix+p.inbound)
	if err == nil {
		err = meta.Topics[prefix+p.inbound].Err
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("find topic %s: %w", p.inbound, err)
	}
	p.topicID = meta.Topics[prefix+p.inbound].ID
	return p, nil
}

func (p *place) close() {
	p.client.Close()
	p.admin.Close()
}

// RequestKey is the key of flow.status of the flow that a record has started, as the page on channels has it.
func RequestKey(f Found, at Place) string {
	b := binary.BigEndian.AppendUint32(f.TopicID[:], uint32(at.Partition))
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(at.Offset)))
	return "ext-" + hex.EncodeToString(sum[:16]) + "-" + f.Vnode
}

// undone writes orders in a transaction that is undone.
func (p *place) undone(ctx context.Context, brokers []string, n int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID(p.prefix+"outside"))
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	for i := range n {
		r := &kgo.Record{Topic: p.prefix + p.inbound, Key: fmt.Appendf(nil, "undone %d", i), Value: []byte(`{"item":"nothing","quantity":1}`)}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			return fmt.Errorf("write in a transaction: %w", err)
		}
	}
	return cl.EndTransaction(ctx, kgo.TryAbort)
}

// inputs are the topics that each group must have read to their ends.
func (p *place) inputs() map[string][]string {
	return map[string][]string{
		topics.FlowMapperChannels:   {p.inbound},
		topics.FlowMapperGroup:      {topics.FlowMapperStart, topics.LoopTopic(topics.FlowMapperGroup)},
		topics.FlowGroup:            {topics.FlowEvents, topics.FlowRepliesPersistence, topics.LoopTopic(topics.FlowGroup)},
		topics.PersistenceGroup:     {topics.PersistenceRequests},
		topics.PersistenceFeedGroup: {topics.PersistenceDrain},
	}
}

// lag counts the committed records that the groups have not processed.
func (p *place) lag(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	for group, names := range p.inputs() {
		committed, err := p.adm.FetchOffsets(ctx, p.prefix+group)
		if err == nil {
			err = committed.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("ask for the offsets of group %s: %w", group, err)
		}
		spans, err := p.admin.Spans(ctx, kafkaadmin.Range{Topics: names})
		if err != nil {
			return nil, err
		}
		for i, s := range spans {
			if o, ok := committed.Lookup(p.prefix+s.Topic, s.Partition); ok {
				spans[i].From = max(s.From, o.At)
			}
		}
		err = p.admin.ReadSpans(ctx, spans, func(r kafkaadmin.Record) error { out[group+" of "+r.Topic]++; return nil })
		if err != nil {
			return nil, fmt.Errorf("read what group %s has not: %w", group, err)
		}
	}
	return out, nil
}

// open counts the partitions with an open transaction.
func (p *place) open(ctx context.Context) (int, error) {
	names := []string{p.prefix + p.inbound, p.prefix + p.deals, p.prefix + p.changes}
	for _, t := range topics.All() {
		names = append(names, p.prefix+t.Name)
	}
	ends, err := p.adm.ListEndOffsets(ctx, names...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the ends of all topics: %w", err)
	}
	stable, err := p.adm.ListCommittedOffsets(ctx, names...)
	if err == nil {
		err = stable.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the stable ends of all topics: %w", err)
	}
	n := 0
	ends.Each(func(o kadm.ListedOffset) {
		if s, ok := stable.Lookup(o.Topic, o.Partition); !ok || s.Offset < o.Offset {
			n++
		}
	})
	return n, nil
}

// count counts the committed records of a topic.
func (p *place) count(ctx context.Context, topic string) (n int, err error) {
	err = p.admin.Read(ctx, kafkaadmin.Range{Topics: []string{topic}}, func(kafkaadmin.Record) error { n++; return nil })
	return n, err
}

// collect reads everything that a run left behind, but for what the plain consumers saw.
func (p *place) collect(ctx context.Context) (Found, error) {
	f := Found{
		Vnode: p.vnode, Inbound: p.inbound, TopicID: p.topicID,
		Orders: map[string][]Place{}, Statuses: map[string][]*flowv1.FlowStatus{}, Started: map[string][]string{},
	}
	read := func(topic string, take func(r kafkaadmin.Record) error) error {
		return p.admin.Read(ctx, kafkaadmin.Range{Topics: []string{topic}}, take)
	}
	errs := []error{
		read(p.inbound, func(r kafkaadmin.Record) error {
			f.Orders[string(r.Key)] = append(f.Orders[string(r.Key)], Place{r.Partition, r.Offset})
			return nil
		}),
		read(topics.FlowStatus, func(r kafkaadmin.Record) error {
			s := &flowv1.FlowStatus{}
			f.Statuses[string(r.Key)] = append(f.Statuses[string(r.Key)], s)
			return proto.Unmarshal(r.Value, s)
		}),
		read(topics.FlowEvents, func(r kafkaadmin.Record) error {
			e := &flowv1.FlowEvent{}
			if err := proto.Unmarshal(r.Value, e); err != nil {
				return err
			}
			if start := e.GetStarted().GetStart(); start != nil {
				f.Started[string(r.Key)] = append(f.Started[string(r.Key)], start.GetClientRequestId()+"-"+start.GetVnode())
			}
			return nil
		}),
	}
	for _, group := range slices.Sorted(maps.Keys(p.inputs())) {
		topic := topics.DeadLetterTopic(group)
		errs = append(errs, read(topic, func(r kafkaadmin.Record) error {
			f.Dead = append(f.Dead, Dead{topic, r.Header(engine.HeaderDLQSource), r.Header(engine.HeaderDLQReason), r.Header(engine.HeaderDLQError), r.Value})
			return nil
		}))
	}
	var err error
	f.DealsThere, err = p.count(ctx, p.deals)
	errs = append(errs, err)
	f.ChangesThere, err = p.count(ctx, p.changes)
	errs = append(errs, err)
	f.Lag, err = p.lag(ctx)
	return f, errors.Join(append(errs, err)...)
}

// endings follows flow.status while the run goes on.
type endings struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	seen  map[string]bool
	last  time.Time
	pause time.Duration
	err   error
}

func (p *place) follow(ctx context.Context) (*endings, error) {
	spans, err := p.admin.Spans(ctx, kafkaadmin.Range{Topics: []string{topics.FlowStatus}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e := &endings{cancel: cancel, done: make(chan struct{}), seen: map[string]bool{}}
	go func() {
		defer close(e.done)
		err := p.admin.Follow(ctx, spans, e.add)
		e.mu.Lock()
		defer e.mu.Unlock()
		if ctx.Err() == nil {
			e.err = fmt.Errorf("follow flow.status: %w", err)
		}
	}()
	return e, nil
}

func (e *endings) add(r kafkaadmin.Record) error {
	s := &flowv1.FlowStatus{}
	if err := proto.Unmarshal(r.Value, s); err != nil {
		return fmt.Errorf("read a status: %w", err)
	}
	if !Ended(s.GetState()) {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen[string(r.Key)] = true
	now := time.Now()
	if !e.last.IsZero() {
		e.pause = max(e.pause, now.Sub(e.last))
	}
	e.last = now
	return nil
}

// count tells how many flows have ended, when the last did, and the longest time without an end.
func (e *endings) count() (n int, last time.Time, pause time.Duration, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.seen), e.last, e.pause, e.err
}

func (e *endings) stop() {
	e.cancel()
	<-e.done
}
