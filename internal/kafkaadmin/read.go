package kafkaadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Record is a committed record.
type Record struct {
	// Topic is without the prefix.
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time
	Key       []byte
	// Value is nil for a tombstone.
	Value   []byte
	Headers []Header
}

// Header is one header of a record.
type Header struct{ Name, Value string }

// Header returns the last header of a name, empty when absent.
func (r Record) Header(name string) string {
	for _, h := range slices.Backward(r.Headers) {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// Point is a place in every partition of a topic. The zero value is the log's start.
type Point struct {
	kind   pointKind
	offset int64
	at     time.Time
}

type pointKind int

const (
	pointStart pointKind = iota
	pointEnd
	pointOffset
	pointBeforeEnd
	pointTime
)

// Start is the log's start, End its end as of the call, At the same offset in every partition, BeforeEnd so many
// committed records before the end of each partition (where a range begins), Since the first record at or after a time.
func Start() Point                        { return Point{} }
func End() Point                          { return Point{kind: pointEnd} }
func At(offset int64) Point               { return Point{kind: pointOffset, offset: offset} }
func BeforeEnd(n int64) Point             { return Point{kind: pointBeforeEnd, offset: n} }
func Since(t time.Time) Point             { return Point{kind: pointTime, at: t} }
func (p Point) IsEnd() bool               { return p.kind == pointEnd }
func (p Point) LastN() (n int64, ok bool) { return p.offset, p.kind == pointBeforeEnd }

// Range is what [Admin.Read] reads: committed records from From on, before To.
type Range struct {
	// Topics are without the prefix.
	Topics []string
	// Partitions restricts the partitions by topic; a topic that is absent is read whole.
	Partitions map[string][]int32
	From       Point
	// To is the log's end when nil.
	To *Point
}

// ErrStop ends [Admin.Read] and [Admin.Follow] without an error when a callback returns it.
var ErrStop = errors.New("stop")

// Span is the exact offsets of one partition: from From on, before To.
type Span struct {
	Topic     string
	Partition int32
	From, To  int64
	// NotBefore leaves out older records: Kafka finds offsets by the times of transaction markers too.
	NotBefore time.Time
}

// Spans finds the exact offsets of a range as of now. A topic that does not exist is kerr.UnknownTopicOrPartition.
func (a *Admin) Spans(ctx context.Context, r Range) ([]Span, error) {
	var names []string
	for _, t := range r.Topics {
		names = append(names, a.prefix+t)
	}
	starts, err := a.offsets(ctx, a.adm.ListStartOffsets, names)
	if err != nil {
		return nil, err
	}
	ends, err := a.offsets(ctx, a.adm.ListCommittedOffsets, names)
	if err != nil {
		return nil, err
	}
	to := End()
	if r.To != nil {
		to = *r.To
	}
	from, err := a.resolve(ctx, r.From, names, starts, ends)
	if err != nil {
		return nil, err
	}
	until, err := a.resolve(ctx, to, names, starts, ends)
	if err != nil {
		return nil, err
	}
	var spans []Span
	for _, name := range names {
		topic := strings.TrimPrefix(name, a.prefix)
		for p := range ends[name] {
			if only, ok := r.Partitions[topic]; ok && !slices.Contains(only, p) {
				continue
			}
			spans = append(spans, Span{
				Topic: topic, Partition: p, NotBefore: r.From.at,
				From: max(from[name][p].Offset, starts[name][p].Offset), To: min(until[name][p].Offset, ends[name][p].Offset),
			})
		}
	}
	slices.SortFunc(spans, func(x, y Span) int {
		if c := strings.Compare(x.Topic, y.Topic); c != 0 {
			return c
		}
		return int(x.Partition - y.Partition)
	})
	if n, ok := r.From.LastN(); ok {
		for i := range spans {
			if err := a.reach(ctx, &spans[i], n, starts[a.prefix+spans[i].Topic][spans[i].Partition].Offset); err != nil {
				return nil, err
			}
		}
	}
	return spans, nil
}

// reach moves the beginning of a span back until it holds n committed records, or the log begins: the markers of
// transactions, what was aborted and what compaction removed have offsets, too.
func (a *Admin) reach(ctx context.Context, s *Span, n, start int64) error {
	if n <= 0 {
		return nil
	}
	for width := n; ; width *= 2 {
		s.From = max(start, s.To-width)
		var last []int64 // the offsets of the last n records
		err := a.ReadSpans(ctx, []Span{*s}, func(r Record) error {
			if last = append(last, r.Offset); int64(len(last)) > n {
				last = last[1:]
			}
			return nil
		})
		if err != nil {
			return err
		}
		if int64(len(last)) == n {
			s.From = last[0]
			return nil
		}
		if s.From == start {
			return nil
		}
	}
}

func (a *Admin) offsets(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), names []string) (kadm.ListedOffsets, error) {
	got, err := list(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("look up offsets: %w", err)
	}
	for _, name := range names {
		// For a topic that it does not know, kadm has one partition, -1, with the error.
		if _, unknown := got[name][-1]; unknown || len(got[name]) == 0 {
			return nil, fmt.Errorf("topic %s does not exist on this cluster: %w", name, kerr.UnknownTopicOrPartition)
		}
		for _, o := range got[name] {
			if o.Err != nil {
				return nil, fmt.Errorf("look up offsets of %s/%d: %w", name, o.Partition, o.Err)
			}
		}
	}
	return got, nil
}

func (a *Admin) resolve(ctx context.Context, p Point, names []string, starts, ends kadm.ListedOffsets) (kadm.ListedOffsets, error) {
	var base kadm.ListedOffsets
	move := func(o int64) int64 { return o }
	switch p.kind {
	case pointStart:
		base = starts
	case pointEnd:
		base = ends
	case pointOffset:
		base, move = ends, func(int64) int64 { return p.offset }
	case pointBeforeEnd:
		base, move = ends, func(o int64) int64 { return o - p.offset }
	case pointTime:
		at := func(ctx context.Context, names ...string) (kadm.ListedOffsets, error) {
			return a.adm.ListOffsetsAfterMilli(ctx, p.at.UnixMilli(), names...)
		}
		listed, err := a.offsets(ctx, at, names)
		if err != nil {
			return nil, err
		}
		base = listed // the end where nothing is that young
	}
	out := kadm.ListedOffsets{}
	for t, ps := range base {
		out[t] = map[int32]kadm.ListedOffset{}
		for n, o := range ps {
			o.Offset = move(o.Offset)
			out[t][n] = o
		}
	}
	return out, nil
}

// Read calls f for every committed record of a range that exists at the call, in the order of their times, in each
// partition in the order of the log. It does not wait for new records.
func (a *Admin) Read(ctx context.Context, r Range, f func(Record) error) error {
	spans, err := a.Spans(ctx, r)
	if err != nil {
		return err
	}
	return a.ReadSpans(ctx, spans, f)
}

// ReadSpans is [Admin.Read] of exact offsets.
func (a *Admin) ReadSpans(ctx context.Context, spans []Span, f func(Record) error) error {
	var cursors []*cursor
	for _, s := range spans {
		if s.From < s.To {
			cursors = append(cursors, &cursor{a: a, span: s})
		}
	}
	if err := locate(ctx, a, cursors...); err != nil {
		return err
	}
	for {
		var next *cursor
		for _, c := range cursors {
			if err := c.fill(ctx); err != nil {
				return err
			}
			if len(c.buffer) > 0 && (next == nil || c.buffer[0].Timestamp.Before(next.buffer[0].Timestamp)) {
				next = c
			}
		}
		if next == nil {
			return nil
		}
		r := next.buffer[0]
		next.buffer = next.buffer[1:]
		if err := f(a.record(r)); errors.Is(err, ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (a *Admin) record(r *kgo.Record) Record {
	out := Record{
		Topic: strings.TrimPrefix(r.Topic, a.prefix), Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp,
		Key: r.Key, Value: r.Value,
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, Header{h.Key, string(h.Value)})
	}
	return out
}

// cursor reads one span by fetch requests of its own: unlike a consumer it knows its position after control records
// and after the empty batches that compaction leaves, so it always ends.
type cursor struct {
	a      *Admin
	span   Span
	buffer []*kgo.Record
	// Where the partition is led, as last asked.
	id            [16]byte
	leader, epoch int32
}

// locate asks where the cursors' partitions are led.
func locate(ctx context.Context, a *Admin, cursors ...*cursor) error {
	var names []string
	for _, c := range cursors {
		if name := a.prefix + c.span.Topic; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	meta, err := a.adm.Metadata(fresh(ctx), names...)
	if err != nil {
		return fmt.Errorf("ask the cluster for its topics: %w", err)
	}
	for _, c := range cursors {
		t := meta.Topics[a.prefix+c.span.Topic]
		p := t.Partitions[c.span.Partition]
		c.id, c.leader, c.epoch = t.ID, p.Leader, p.LeaderEpoch
	}
	return nil
}

// Sizes and times of one fetch.
const (
	fetchBytes  = 1 << 20
	fetchMaxMs  = 500
	fetchRetry  = 100 * time.Millisecond
	readCommits = 1
)

// fill fetches until there is a record or the span is read.
func (c *cursor) fill(ctx context.Context) error {
	for len(c.buffer) == 0 && c.span.From < c.span.To {
		fp, next, err := c.fetch(ctx)
		if errors.Is(err, kerr.OffsetOutOfRange) && fp.LogStartOffset > c.span.From {
			c.span.From = fp.LogStartOffset // retention was faster
			continue
		}
		if err != nil && !kerr.IsRetriable(err) {
			return fmt.Errorf("read %s/%d at %d: %w", c.span.Topic, c.span.Partition, c.span.From, err)
		}
		if err != nil {
			if err := wait(ctx, fetchRetry); err != nil {
				return fmt.Errorf("read %s/%d at %d: %w", c.span.Topic, c.span.Partition, c.span.From, err)
			}
			if err := locate(ctx, c.a, c); err != nil {
				return err
			}
			continue
		}
		for _, r := range fp.Records {
			if r.Offset < c.span.To && !r.Timestamp.Before(c.span.NotBefore) {
				c.buffer = append(c.buffer, r)
			}
		}
		c.span.From = max(c.span.From, next)
	}
	return ctx.Err()
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (c *cursor) fetch(ctx context.Context) (kgo.FetchPartition, int64, error) {
	topic := c.a.prefix + c.span.Topic
	if c.leader < 0 {
		return kgo.FetchPartition{}, 0, kerr.LeaderNotAvailable
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel = fetchMaxMs, 1, fetchBytes, readCommits
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, c.id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.CurrentLeaderEpoch, p.PartitionMaxBytes = c.span.Partition, c.span.From, c.epoch, fetchBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	raw, err := c.a.client.Broker(int(c.leader)).RetriableRequest(ctx, req)
	if err != nil {
		return kgo.FetchPartition{}, 0, err
	}
	resp, ok := raw.(*kmsg.FetchResponse)
	if !ok {
		return kgo.FetchPartition{}, 0, fmt.Errorf("the broker answered a fetch with a %T", raw)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return kgo.FetchPartition{}, 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return kgo.FetchPartition{}, 0, kerr.UnknownServerError
	}
	opts := kgo.ProcessFetchPartitionOpts{Offset: c.span.From, Topic: topic, Partition: c.span.Partition, IsolationLevel: kgo.ReadCommitted()}
	fp, next := kgo.ProcessFetchPartition(opts, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return fp, next, fp.Err
}

// Follow calls f for every committed record from the spans' ends on, as they arrive, until ctx ends or f returns an
// error.
func (a *Admin) Follow(ctx context.Context, spans []Span, f func(Record) error) error {
	at := map[string]map[int32]kgo.Offset{}
	for _, s := range spans {
		name := a.prefix + s.Topic
		if at[name] == nil {
			at[name] = map[int32]kgo.Offset{}
		}
		at[name][s.Partition] = kgo.NewOffset().At(s.To)
	}
	opts := append(append([]kgo.Opt{}, a.opts...), kgo.ConsumePartitions(at), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("make Kafka client: %w", err)
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			if !kerr.IsRetriable(e.Err) {
				return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		for _, r := range fetches.Records() {
			if err := f(a.record(r)); errors.Is(err, ErrStop) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
}
