package flows

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// place is a Kafka with fairlead's topics.
type place struct {
	prefix string
	client *kgo.Client
	adm    *kadm.Client
	admin  *kafkaadmin.Admin
}

func newPlace(brokers []string, prefix string) (*place, error) {
	admin, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: brokers, Prefix: prefix})
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		admin.Close()
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	return &place{prefix: prefix, client: client, adm: kadm.NewClient(client), admin: admin}, nil
}

func (p *place) close() {
	p.client.Close()
	p.admin.Close()
}

// facts are the topics that virtual nodes, applications and users are published on.
var facts = []string{
	topics.RBACPermission, topics.RBACRole, topics.RBACCredential, topics.RBACUser, topics.CpiChunks, topics.CpiInfo, topics.VirtualNodeInfo,
}

// take copies the facts of another cluster, in the order in which they were published.
func (p *place) take(ctx context.Context, from *kafkaadmin.Admin) error {
	return from.Read(ctx, kafkaadmin.Range{Topics: facts}, func(r kafkaadmin.Record) error {
		rec := &kgo.Record{Topic: p.prefix + r.Topic, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
		}
		if err := p.client.ProduceSync(ctx, rec).FirstErr(); err != nil {
			return fmt.Errorf("publish %s on %s: %w", r.Key, r.Topic, err)
		}
		return nil
	})
}

// inputs are the topics that each group must have read to their ends.
func inputs() map[string][]string {
	out := map[string][]string{topics.FlowMapperGroup: {topics.FlowMapperStart}, topics.FlowGroup: {topics.FlowEvents, topics.FlowCommands}}
	for group := range out {
		out[group] = append(out[group], topics.LoopTopic(group))
	}
	return out
}

// lag counts the committed records that the groups have not processed.
func (p *place) lag(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	for group, names := range inputs() {
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
	var names []string
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

// each decodes every committed record of a topic; msg is nil for a deletion.
func each[T any, P interface {
	*T
	proto.Message
}](ctx context.Context, p *place, topic string, f func(r kafkaadmin.Record, msg P) error) error {
	return p.admin.Read(ctx, kafkaadmin.Range{Topics: []string{topic}}, func(r kafkaadmin.Record) error {
		var msg P
		if r.Value != nil {
			msg = P(new(T))
			if err := proto.Unmarshal(r.Value, msg); err != nil {
				return fmt.Errorf("%s/%d/%d: %w", topic, r.Partition, r.Offset, err)
			}
		}
		return f(r, msg)
	})
}

// admission reads the mapper's counts: flows that run, and that wait for a place.
func (p *place) admission(ctx context.Context) (running, waiting uint64, err error) {
	totals := map[string]*flowv1.AdmissionTotal{}
	topic := topics.StoreTopic(topics.FlowMapperGroup, topics.FlowMapperAdmissionStore)
	err = p.admin.Read(ctx, kafkaadmin.Range{Topics: []string{topic}}, func(r kafkaadmin.Record) error {
		if len(r.Key) == 0 || r.Key[0] != 't' {
			return nil
		}
		delete(totals, string(r.Key))
		if r.Value == nil {
			return nil
		}
		t := &flowv1.AdmissionTotal{}
		totals[string(r.Key)] = t
		return proto.Unmarshal(r.Value, t)
	})
	for _, t := range totals {
		running, waiting = running+t.GetRunning(), waiting+t.GetWaiting()
	}
	return running, waiting, err
}

// collect reads everything that a run left behind, but for what only REST tells.
func (p *place) collect(ctx context.Context) (Found, error) {
	f := Found{
		Statuses: map[string][]*flowv1.FlowStatus{}, Started: map[string][]string{}, Journals: map[string][]Row{},
		Heads: map[string]*flowv1.Checkpoint{}, Histories: map[string][]Step{}, Listed: map[string]int{},
	}
	rows := map[string]*flowv1.JournalRow{}
	errs := []error{
		each(ctx, p, topics.FlowStatus, func(r kafkaadmin.Record, s *flowv1.FlowStatus) error {
			f.Statuses[string(r.Key)] = append(f.Statuses[string(r.Key)], s)
			return nil
		}),
		each(ctx, p, topics.FlowEvents, func(r kafkaadmin.Record, e *flowv1.FlowEvent) error {
			if started := e.GetStarted(); started != nil {
				start := started.GetStart()
				f.Started[string(r.Key)] = append(f.Started[string(r.Key)], start.GetClientRequestId()+"-"+start.GetVnode())
			}
			return nil
		}),
		each(ctx, p, topics.TableTopic(topics.FlowGroup), func(r kafkaadmin.Record, c *flowv1.Checkpoint) error {
			if f.Heads[string(r.Key)] = c; c == nil {
				delete(f.Heads, string(r.Key))
			}
			return nil
		}),
		each(ctx, p, topics.StoreTopic(topics.FlowGroup, topics.FlowJournalStore), func(r kafkaadmin.Record, row *flowv1.JournalRow) error {
			if rows[string(r.Key)] = row; row == nil {
				delete(rows, string(r.Key))
			}
			return nil
		}),
	}
	for key, row := range rows {
		if err := f.addRow([]byte(key), row); err != nil {
			errs = append(errs, err)
		}
	}
	for _, j := range f.Journals {
		slices.SortFunc(j, func(a, b Row) int {
			return slices.Compare([]uint32{a.Attempt, a.Step, a.Ordinal}, []uint32{b.Attempt, b.Step, b.Ordinal})
		})
	}
	for group := range inputs() {
		topic := topics.DeadLetterTopic(group)
		errs = append(errs, p.admin.Read(ctx, kafkaadmin.Range{Topics: []string{topic}}, func(r kafkaadmin.Record) error {
			f.Dead = append(f.Dead, fmt.Sprintf("%s: %s: %s", topic, r.Header(engine.HeaderDLQSource), r.Header(engine.HeaderDLQReason)))
			return nil
		}))
	}
	var err error
	f.Running, f.Waiting, err = p.admission(ctx)
	errs = append(errs, err)
	f.Lag, err = p.lag(ctx)
	errs = append(errs, err)
	return f, errors.Join(errs...)
}

// Layout of a journal's key: flow id, attempt, step and ordinal.
const (
	keyFlow  = 16
	keyBytes = keyFlow + 3*4
)

func (f *Found) addRow(key []byte, row *flowv1.JournalRow) error {
	if len(key) != keyBytes {
		return fmt.Errorf("a journal's key has %d bytes, %d are right", len(key), keyBytes)
	}
	flow, err := identity.UUIDFromBytes(key[:keyFlow])
	if err != nil {
		return fmt.Errorf("a journal's key: %w", err)
	}
	f.Journals[flow.String()] = append(f.Journals[flow.String()], Row{
		binary.BigEndian.Uint32(key[keyFlow:]), binary.BigEndian.Uint32(key[keyFlow+4:]), binary.BigEndian.Uint32(key[keyFlow+8:]), row,
	})
	return nil
}
