package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// RelayConfig says what a [Relay] does. Brokers, Group, Handle and DeadLetters must be set.
type RelayConfig struct {
	Brokers []string
	Prefix  string
	// Group is the consumer group; InstanceID as for [Config].
	Group, InstanceID string
	Outside           Outside
	Log               *slog.Logger
	// Build is written into dead letters.
	Build string
	// Handle says what one record becomes. [ErrNotFollowed] leaves the record where it is and stops reading its topic
	// until the next [Relay.Follow]; any other error sends the record to the dead letters. It must depend on the
	// record alone, for it may be called again, and have no effects of its own.
	Handle func(ctx context.Context, in Incoming) ([]Record, error)
	// DeadLetters is the topic of records that Handle refuses.
	DeadLetters string
	// OnStuck is told of a partition that cannot be read on: records after the committed offset are gone. Others go on.
	// nil: it is only logged.
	OnStuck func(topic string, partition int32)
	// TransactionTimeout, SessionTimeout and EndTimeout are as for [Config].
	TransactionTimeout, SessionTimeout, EndTimeout time.Duration
}

// Incoming is a record that a [Relay] reads. It may come from anybody: nothing in it is checked.
type Incoming struct {
	Topic     string // without prefix
	TopicID   [16]byte
	Partition int32
	Offset    int64
	Timestamp time.Time
	Key       []byte
	// Value is nil for a record without one.
	Value   []byte
	Headers []kgo.RecordHeader
}

// ErrNotFollowed tells that nobody wants the records of a topic (any more).
var ErrNotFollowed = errors.New("the topic is not followed")

// Relay reads topics that come and go and turns each of their records into others, exactly once: what a record becomes
// and the offset behind it are one transaction. Its offsets are never reset: a topic that is followed for the first time
// is read from its start, one that comes back from where it was left, and where records are lost the partition stops.
type Relay struct {
	cfg  RelayConfig
	wake chan struct{}

	mu      sync.Mutex
	read    []string // topics to read, sorted
	hold    []string // topics whose place in the group is kept without reading them
	refused map[string]bool

	// over are the records whose output is refused. Only Run uses it.
	over map[Cause]verdict
}

// NewRelay makes a relay that follows nothing yet.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	if len(cfg.Brokers) == 0 || cfg.Group == "" || cfg.Handle == nil || cfg.DeadLetters == "" {
		return nil, errors.New("engine: a relay needs Brokers, Group, Handle and DeadLetters")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	for _, d := range []*time.Duration{&cfg.TransactionTimeout, &cfg.SessionTimeout, &cfg.EndTimeout} {
		if *d == 0 {
			*d = 10 * time.Second
		}
	}
	return &Relay{cfg: cfg, wake: make(chan struct{}, 1), refused: map[string]bool{}, over: map[Cause]verdict{}}, nil
}

// Follow sets which topics are read, and of which only the place is held: their offsets do not expire and their records
// wait. It takes effect with the next transaction.
func (r *Relay) Follow(read, hold []string) {
	r.mu.Lock()
	r.read, r.hold = sorted(read), sorted(hold)
	r.hold = slices.DeleteFunc(r.hold, func(t string) bool { return slices.Contains(r.read, t) })
	clear(r.refused)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

// wanted returns the topics to read and to hold.
func (r *Relay) wanted() (read, hold []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hold = slices.Clone(r.hold)
	for _, t := range r.read {
		if r.refused[t] {
			hold = append(hold, t)
			continue
		}
		read = append(read, t)
	}
	return read, hold
}

func (r *Relay) refuse(topic string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused[topic] = true
}

// Run works until ctx ends.
func (r *Relay) Run(ctx context.Context) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		began := time.Now()
		err := r.runClient(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // a clean stop
		}
		if time.Since(began) > time.Minute {
			wait = 50 * time.Millisecond
		}
		r.cfg.Log.Warn("Kafka client is made anew", "group", r.cfg.Group, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// relayRun is one client's life.
type relayRun struct {
	r     *Relay
	cl    *kgo.GroupTransactSession
	admin *kadm.Client
	// following are the topics that the client consumes, held those that are paused, ids what Kafka calls them.
	following, held []string
	ids             map[string][16]byte
	missing         map[string]bool
	looked          time.Time // when missing topics were looked for
	stuck           map[string]map[int32]bool
}

func (r *Relay) runClient(ctx context.Context) error {
	cfg := r.cfg
	txID := cfg.Prefix + cfg.Group + ":" + cfg.InstanceID
	if cfg.InstanceID == "" {
		txID = fmt.Sprintf("%s%s:%d", cfg.Prefix, cfg.Group, time.Now().UnixNano())
	}
	opts := append(clientOpts(cfg.Brokers, cfg.Outside),
		kgo.ClientID("fairlead-relay"),
		kgo.ConsumerGroup(cfg.Prefix+cfg.Group),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()), // where nothing is committed; never where records are lost
		kgo.BlockRebalanceOnPoll(),
		kgo.DisableAutoCommit(),
		kgo.TransactionalID(txID),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, cfg.SessionTimeout/3)),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ProducerBatchMaxBytes(MaxProduceBytes),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordPartitioner(explicitOrKey{kgo.StickyKeyPartitioner(nil)}),
		kgo.RequiredAcks(kgo.AllISRAcks()),
	)
	if cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(cfg.Prefix+cfg.Group+"-"+cfg.InstanceID))
	}
	cl, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer cl.Close()
	run := &relayRun{r: r, cl: cl, admin: kadm.NewClient(cl.Client()), ids: map[string][16]byte{}, missing: map[string]bool{}, stuck: map[string]map[int32]bool{}}
	for ctx.Err() == nil {
		if err := run.once(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// relayPoll is how long a poll may last: then missing topics are looked for again.
const relayPoll = 2 * time.Second

// once follows what is wanted now, and works off one poll.
func (u *relayRun) once(ctx context.Context) error {
	defer u.cl.AllowRebalance()
	if err := u.follow(ctx); err != nil {
		return err
	}
	pollCtx, cancel := context.WithTimeout(ctx, relayPoll)
	defer cancel()
	stop := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-u.r.wake:
			cancel()
		case <-stop:
		}
	})
	fetches := kgo.Fetches(nil)
	if len(u.following) == 0 {
		<-pollCtx.Done()
	} else {
		fetches = u.cl.PollRecords(pollCtx, 1_000)
	}
	close(stop)
	waiting.Wait()
	if err := u.fetchErrors(ctx, fetches); err != nil {
		return err
	}
	if records := fetches.Records(); len(records) > 0 && ctx.Err() == nil {
		return u.transact(ctx, records)
	}
	return nil
}

// follow makes the client consume what is wanted. Topics that do not exist are looked for from time to time.
func (u *relayRun) follow(ctx context.Context) error {
	read, hold := u.r.wanted()
	all := sorted(append(slices.Clone(read), hold...))
	for _, t := range u.following {
		if !slices.Contains(all, t) {
			u.cl.Client().ResumeFetchTopics(u.r.cfg.Prefix + t) // a pause would outlive it
			u.cl.Client().PurgeTopicsFromConsuming(u.r.cfg.Prefix + t)
			u.held = slices.DeleteFunc(u.held, func(h string) bool { return h == t })
			delete(u.ids, t)
			delete(u.stuck, t)
		}
	}
	u.following = slices.DeleteFunc(u.following, func(t string) bool { return !slices.Contains(all, t) })
	var fresh []string
	for _, t := range all {
		if !slices.Contains(u.following, t) && (!u.missing[t] || time.Since(u.looked) > relayPoll) {
			fresh = append(fresh, t)
		}
	}
	if len(fresh) > 0 {
		u.looked = time.Now()
		if err := u.add(ctx, fresh); err != nil {
			return err
		}
	}
	for _, t := range all {
		held, is := slices.Contains(hold, t), slices.Contains(u.held, t)
		switch name := u.r.cfg.Prefix + t; {
		case held && !is:
			u.cl.Client().PauseFetchTopics(name)
		case !held && is:
			u.cl.Client().ResumeFetchTopics(name)
		}
	}
	u.held = hold
	return nil
}

// add begins to consume the topics that exist.
func (u *relayRun) add(ctx context.Context, topics []string) error {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = u.r.cfg.Prefix + t
	}
	ctx, cancel := context.WithTimeout(ctx, u.r.cfg.EndTimeout)
	defer cancel()
	meta, err := u.admin.Metadata(ctx, names...)
	if err != nil {
		return fmt.Errorf("look for topics: %w", err)
	}
	for i, t := range topics {
		found := meta.Topics[names[i]]
		if found.Err != nil || len(found.Partitions) == 0 {
			if !u.missing[t] {
				u.r.cfg.Log.Error("a topic to follow does not exist: run 'fairlead topics plan', then 'fairlead topics apply'", "group", u.r.cfg.Group, "topic", t, "error", found.Err)
			}
			u.missing[t] = true
			continue
		}
		delete(u.missing, t)
		u.ids[t] = found.ID
		u.following = append(u.following, t)
		u.cl.Client().AddConsumeTopics(names[i])
	}
	return nil
}

func (u *relayRun) fetchErrors(ctx context.Context, fetches kgo.Fetches) error {
	var out error
	fetches.EachError(func(name string, p int32, err error) {
		topic := name[min(len(u.r.cfg.Prefix), len(name)):]
		var loss *kgo.ErrDataLoss
		switch {
		case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.As(err, &loss), errors.Is(err, kerr.OffsetOutOfRange):
			if u.stuck[topic][p] {
				return
			}
			if u.stuck[topic] == nil {
				u.stuck[topic] = map[int32]bool{}
			}
			u.stuck[topic][p] = true
			u.cl.Client().PauseFetchPartitions(map[string][]int32{name: {p}})
			u.r.cfg.Log.Error("records after the committed offset are gone: the partition is not read on; move the group with 'fairlead group seek' after you know what was lost",
				"group", u.r.cfg.Group, "topic", topic, "partition", p, "error", err)
			if u.r.cfg.OnStuck != nil {
				u.r.cfg.OnStuck(topic, p)
			}
		case kerr.IsRetriable(err):
		default:
			out = fmt.Errorf("fetch %s/%d: %w", topic, p, err)
		}
	})
	return out
}

// transact turns records into others, in one transaction.
func (u *relayRun) transact(ctx context.Context, records []*kgo.Record) error {
	if err := u.cl.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	var failed atomic.Pointer[refusedOutput]
	now := time.Now().UnixMicro()
	try := kgo.TryCommit
	for _, rec := range records {
		in := u.incoming(rec)
		over, isOver := u.r.over[Cause{in.Topic, in.Partition, in.Offset}]
		out, err := []Record(nil), over.cause
		if !isOver {
			out, err = u.handle(ctx, in)
		}
		if errors.Is(err, ErrNotFollowed) || ctx.Err() != nil {
			u.r.refuse(in.Topic) // polled again when it is followed again
			try = kgo.TryAbort
			break
		}
		var become []*kgo.Record
		for i := 0; i < len(out) && err == nil; i++ {
			var r *kgo.Record
			r, err = encoded(u.r.cfg.Prefix, out[i])
			become = append(become, r)
		}
		if err != nil {
			become = []*kgo.Record{u.dead(rec, in, err, over)}
		}
		for _, r := range become {
			u.produce(ctx, r, in, now, &failed)
		}
	}
	endCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.r.cfg.EndTimeout)
	defer cancel()
	if try == kgo.TryCommit {
		if err := u.cl.Client().Flush(endCtx); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
		if failed.Load() != nil {
			try = kgo.TryAbort
		}
	}
	if _, err := u.cl.End(endCtx, try); err != nil {
		return fmt.Errorf("end transaction: %w", err)
	}
	f := failed.Load()
	switch {
	case f == nil:
		for _, rec := range records {
			delete(u.r.over, Cause{rec.Topic[len(u.r.cfg.Prefix):], rec.Partition, rec.Offset})
		}
		return nil
	case refusesRecord(f.err):
		// It would be refused each time, and everything behind it would wait: it goes to the dead letters instead.
		u.r.cfg.Log.Warn("a record's output is refused", "group", u.r.cfg.Group, "cause", f.cause.String(), "error", f.err)
		over := u.r.over[f.cause]
		if over.cause != nil {
			over.refusals++
		} else {
			over.cause = f.err
		}
		u.r.over[f.cause] = over
		return nil // polled again
	default:
		return f.err // the client is made anew after a while
	}
}

// handle asks what a record becomes; a panic is the record's.
func (u *relayRun) handle(ctx context.Context, in Incoming) (out []Record, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = newPanicError(r)
		}
	}()
	return u.r.cfg.Handle(ctx, in)
}

func (u *relayRun) incoming(rec *kgo.Record) Incoming {
	topic := rec.Topic[len(u.r.cfg.Prefix):]
	return Incoming{
		Topic: topic, TopicID: u.ids[topic], Partition: rec.Partition, Offset: rec.Offset, Timestamp: rec.Timestamp,
		Key: rec.Key, Value: rec.Value, Headers: rec.Headers,
	}
}

func (u *relayRun) produce(ctx context.Context, r *kgo.Record, in Incoming, now int64, failed *atomic.Pointer[refusedOutput]) {
	cause := Cause{in.Topic, in.Partition, in.Offset}
	var text stamps
	stampHeaders(r, text.nowText(now), text.causeText(cause))
	u.cl.Produce(ctx, r, func(r *kgo.Record, err error) {
		if err != nil && !errors.Is(err, kgo.ErrAborting) {
			failed.CompareAndSwap(nil, &refusedOutput{cause, fmt.Errorf("produce to %s: %w", r.Topic, err)})
		}
	})
}

// refusedOutput is what could not be written, and of which record it came.
type refusedOutput struct {
	cause Cause
	err   error
}

// dead is the dead letter of a record.
func (u *relayRun) dead(rec *kgo.Record, in Incoming, cause error, over verdict) *kgo.Record {
	out := &kgo.Record{Topic: u.r.cfg.Prefix + u.r.cfg.DeadLetters, Partition: -1, Key: rec.Key, Value: rec.Value}
	for _, h := range rec.Headers {
		if len(h.Key) < 3 || h.Key[:3] != "fl-" { // who wrote the record must not speak for the engine
			out.Headers = append(out.Headers, h)
		}
	}
	src := source{Cause: Cause{in.Topic, in.Partition, in.Offset}, key: rec.Key, value: rec.Value, hasValue: rec.Value != nil}
	text := cause.Error()
	if len(text) > MaxReferenceBytes {
		text = text[:MaxReferenceBytes]
	}
	out.Headers = append(out.Headers,
		kgo.RecordHeader{Key: HeaderDLQReason, Value: []byte("poison")}, kgo.RecordHeader{Key: HeaderDLQError, Value: []byte(text)},
		kgo.RecordHeader{Key: HeaderDLQAttempts, Value: []byte("1")}, kgo.RecordHeader{Key: HeaderDLQBuild, Value: []byte(u.r.cfg.Build)},
		kgo.RecordHeader{Key: HeaderDLQSource, Value: []byte(src.String())})
	if recordSize(out) > MaxRecordBytes || over.refusals > 0 {
		byReference(out, src)
	}
	return out
}

// encoded makes a record for the client.
func encoded(prefix string, r Record) (*kgo.Record, error) {
	rec := &kgo.Record{Topic: prefix + r.Topic, Partition: r.Partition, Key: []byte(r.Key)}
	if r.Msg != nil {
		raw, err := r.Codec.Encode(r.Msg)
		if err != nil {
			return nil, fmt.Errorf("encode record for %s: %w", r.Topic, err)
		}
		rec.Value = raw
		if t := typeName(r.Codec, r.Msg); t != "" {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: HeaderType, Value: []byte(t)})
		}
	}
	for _, k := range keys(r.Headers) {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: k, Value: []byte(r.Headers[k])})
	}
	if size := recordSize(rec); size > MaxRecordBytes {
		return nil, &SizeError{"record", r.Topic, size, MaxRecordBytes}
	}
	return rec, nil
}
