package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginepb"
)

// Kinds of rows in the engine's own store.
const (
	rowTimer   = 't'
	rowRetry   = 'r'
	rowSuspect = 's'
	rowParked  = 'p'
)

// partition is one co-partitioned slice of a group while this session owns it: its table, stores, clock, timers
// and waiting records.
type partition struct {
	id     int32
	s      *session
	logs   []*changelog
	table  *changelog
	stores map[string]*changelog
	rows   *changelog

	clock
	// counted is what the running transaction did, for the metrics.
	counted tally

	timers timerQueue
	// waiting counts the records in the retry store by key.
	waiting map[string]int
	// parked are the keys whose records wait for an operator.
	parked map[string]bool
	// items wait for their batch, unsettled counts them by key, held are records behind them.
	items     []*pendingItem
	unsettled map[string]int
	held      []heldRecord
	// unrun are records of the batch that goka does not get: they go to the dead letters.
	unrun []unrunRecord
	// tail is the position that the next record waiting under a key takes.
	tail map[string]uint64
	// touched says that the running transaction changed timers or waiting, so an abort must load them again.
	touched bool
	// suspects is set while the last owner's death may be a record's doing.
	suspects *suspicion
	// current is the record in hand, for what goka emits itself.
	current Cause
	stamps  stamps
}

// index builds timers and waiting from the rows.
func (p *partition) index() (err error) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(storageFault)
			if !ok {
				panic(r)
			}
			err = f.err
		}
	}()
	p.timers = timerQueue{due: map[string]int64{}}
	p.waiting, p.tail = map[string]int{}, map[string]uint64{}
	p.parked, p.unsettled = map[string]bool{}, map[string]int{}
	for k := range p.rows.scan(string(rowParked)) {
		p.parked[string(k[5:])] = true
	}
	p.touched = false
	for k, v := range p.rows.scan(string(rowTimer)) {
		row := &enginepb.TimerRow{}
		if err := proto.Unmarshal(v, row); err != nil {
			return fmt.Errorf("timer row %x of %s/%d: %w", k, p.rows.topic, p.id, err)
		}
		p.timers.set(string(k), row.DueUs)
	}
	for k, v := range p.rows.scan(string(rowRetry)) {
		row := &enginepb.RetryRow{}
		if err := proto.Unmarshal(v, row); err != nil {
			return fmt.Errorf("retry row %x of %s/%d: %w", k, p.rows.topic, p.id, err)
		}
		key := string(row.Record.Key)
		pos := binary.BigEndian.Uint64(k[len(k)-8:])
		if p.waiting[key]++; p.waiting[key] == 1 && !p.parked[key] {
			p.timers.set(string(k), row.DueUs)
		}
		p.tail[key] = max(p.tail[key], pos+1)
	}
	return nil
}

// commit is called after the transaction has committed.
func (p *partition) commit(b *Writes) error {
	for _, l := range p.logs {
		if err := l.commit(b, p.now, p.s.e.wall()); err != nil {
			return err
		}
	}
	p.clock.commit()
	p.counted.settle(p.s.e.metrics)
	p.touched = false
	return nil
}

// abort is called after the transaction was aborted, or was given up.
func (p *partition) abort() error {
	for _, l := range p.logs {
		l.abort()
	}
	p.clock.abort()
	p.counted = tally{}
	p.items, p.held, p.unrun = nil, nil, nil
	clear(p.unsettled)
	if p.touched {
		return p.index()
	}
	return nil
}

// rowKey is kind, key length, key, and what follows.
func rowKey(kind byte, key, rest string) string {
	b := make([]byte, 0, 5+len(key)+len(rest))
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	return string(append(append(b, key...), rest...))
}

func position(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// source is a record to run: the one that goka delivers, or one from the retry store.
type source struct {
	Cause
	key       []byte
	value     []byte
	hasValue  bool
	headers   []kgo.RecordHeader
	timestamp time.Time
}

func (r source) toProto() *enginepb.Record {
	out := &enginepb.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, TimestampUs: r.timestamp.UnixMicro(),
		Key: r.key, Value: r.value, HasValue: r.hasValue,
	}
	for _, h := range r.headers {
		out.Headers = append(out.Headers, &enginepb.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

func sourceFromProto(r *enginepb.Record) source {
	s := source{
		Cause: Cause{r.Topic, r.Partition, r.Offset}, key: r.Key, value: r.Value, hasValue: r.HasValue,
		timestamp: time.UnixMicro(r.TimestampUs).UTC(),
	}
	if s.hasValue && s.value == nil {
		s.value = []byte{}
	}
	for _, h := range r.Headers {
		s.headers = append(s.headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return s
}

func (r source) header(name string) string {
	for _, h := range r.headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// handle takes one record from goka. It never fails: whatever happens to the record is part of the transaction, or
// the session was told to abort.
func (p *partition) handle(gctx goka.Context, in inputDef) {
	topic := string(gctx.Topic())
	r := <-p.s.claims[topic][p.id].records
	src := sourceOf(r, Cause{topic, p.id, r.Offset})
	if r.Offset != gctx.Offset() {
		p.s.fail(Fatal(fmt.Errorf("goka hands over %s/%d/%d where %d is next", topic, p.id, gctx.Offset(), r.Offset)))
		return
	}
	defer func() {
		// A disk fault outside a callback's own guard; the session already knows.
		if r := recover(); r != nil {
			if f, ok := r.(storageFault); ok {
				p.s.fail(Fatal(f.err))
				return
			}
			panic(r)
		}
	}()
	p.accept(gctx, in, src)
}

// accept runs a record, or puts it where it has to wait.
func (p *partition) accept(gctx goka.Context, in inputDef, src source) {
	key := string(src.key)
	command := p.s.e.commandOf(src.Topic, src.headers)
	over, refused := p.s.refused.get(src.Cause)
	switch {
	case p.batched(key):
		p.held = append(p.held, heldRecord{gctx, in, src})
	case command == "" && refused && !(over.killer && (p.parked[key] || p.waiting[key] > 0)):
		// Before it is made to wait: a record may be too large for the retry store. One that kills waits its turn all the
		// same, so that a redrive finds it in its place among those of its key.
		p.deadLetterUnrun(gctx, src, over, uint32(p.s.e.cfg.CrashLimit))
	case command == commandRetry:
		p.runWaiting(gctx, key)
	case command == commandRedrive:
		p.redrive(gctx, src)
	case p.parked[key]:
		p.wait(src, &enginepb.RetryRow{Record: src.toProto()}, 0)
	case p.waiting[key] > 0:
		// The loop's own records may exceed the bound: what makes room comes behind them in the loop.
		if p.waiting[key] >= p.s.e.cfg.RetryQueue && src.Topic != LoopTopic(p.s.e.graph.group) {
			p.s.overflow(p, key)
			return
		}
		p.wait(src, &enginepb.RetryRow{Record: src.toProto()}, 0)
	default:
		p.run(gctx, in, src, 0, 0, 0, nil)
	}
}

// heldRecord waits for an unsettled batch item of its key.
type heldRecord struct {
	gctx goka.Context
	in   inputDef
	src  source
}

// unrunRecord is a record that is known to kill its process, of a graph whose callbacks goka calls past the guard.
type unrunRecord struct {
	src  source
	over verdict
}

// outcome of running a record once.
type outcome int

const (
	settled outcome = iota // done, or in the dead letters
	waits                  // to be run again later
	batched                // an item of a batch; its settle is called later
)

// run runs a record's callback in the guard and settles what it did. attempts counts earlier failures; pos is its
// place in the retry store, 0 when it is not there.
func (p *partition) run(gctx goka.Context, in inputDef, src source, attempts uint32, firstFailed int64, pos uint64, settle func(outcome)) outcome {
	rc := &recordContext{gokaContext: gctx, p: p, in: in, src: src}
	msg, err := rc.call()
	if err == nil && in.batch != nil {
		p.enqueue(in, &pendingItem{rc: rc, msg: msg, attempts: attempts, firstFailed: firstFailed, pos: pos, settle: settle})
		return batched
	}
	if err == nil {
		rc.settle()
		return settled
	}
	return p.failed(rc, err, attempts, firstFailed, pos)
}

// failed settles a record whose run failed: back to the retry store, or to the dead letters.
func (p *partition) failed(rc *recordContext, err error, attempts uint32, firstFailed int64, pos uint64) outcome {
	src, gctx := rc.src, rc.gokaContext
	rc.dropAll()
	p.s.e.onDrop(p.id, string(src.key))
	var fatal *fatalError
	if errors.As(err, &fatal) {
		p.s.fail(err)
		return settled
	}
	var retry *RetryError
	if errors.As(err, &retry) {
		attempts++
		if firstFailed == 0 {
			firstFailed = p.now
		}
		if int(attempts) <= p.s.e.cfg.Retries {
			after := retry.After
			if after <= 0 {
				after = p.s.e.backoff(attempts)
			}
			p.wait(src, &enginepb.RetryRow{
				Record: src.toProto(), Attempts: attempts, DueUs: p.now + after.Microseconds(),
				Error: cut(err.Error(), MaxReasonBytes), FirstFailedUs: firstFailed,
			}, pos)
			p.counted.retries++
			return waits
		}
		p.deadLetter(gctx, src, "retries exhausted", err, attempts)
		return settled
	}
	reason := "refused"
	var pan *panicError
	var size *SizeError
	switch {
	case errors.As(err, &pan):
		reason = "panic"
	case errors.As(err, &size):
		reason = "too large"
	case rc.decoding:
		reason = "undecodable"
	}
	p.deadLetter(gctx, src, reason, err, attempts+1)
	return settled
}

func (p *partition) writeRow(key string, m proto.Message) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		p.s.fail(Fatal(fmt.Errorf("encode row of %s/%d: %w", p.rows.topic, p.id, err)))
		return
	}
	p.rows.put(key, raw)
	p.s.produceLog(p.rows, key, raw, p, p.current, nil)
}

func (p *partition) dropRow(key string) {
	p.rows.put(key, nil)
	p.s.produceLog(p.rows, key, nil, p, p.current, nil)
}

// deadLetter writes a record to the group's dead-letter topic, in the transaction that settles it.
func (p *partition) deadLetter(gctx goka.Context, src source, reason string, cause error, attempts uint32) {
	p.giveUp(gctx, src, reason, cause, attempts, verdict{})
}

// deadLetterUnrun does so for a record that is not run any more.
func (p *partition) deadLetterUnrun(gctx goka.Context, src source, over verdict, attempts uint32) {
	p.giveUp(gctx, src, over.reason(), over.cause, attempts, over)
}

func (p *partition) giveUp(gctx goka.Context, src source, reason string, cause error, attempts uint32, over verdict) {
	rec := deadLetterRecord(DeadLetterTopic(p.s.e.graph.group), src, reason, cause, attempts, p.s.e.cfg.Build)
	p.counted.deadLetter(reason)
	p.s.e.cfg.Log.Warn("record dead-lettered", "group", string(p.s.e.graph.group), "topic", src.Topic,
		"partition", src.Partition, "offset", src.Offset, "reason", reason, "error", cut(cause.Error(), 1000))
	// Where the dead letter was refused before, the reaction may be to blame, or the dead-letter topic takes less than this
	// record: then its place has to do, and at last nothing else.
	if over.refusals > 1 && headerOf(rec, headerReference) == "" {
		byReference(rec, src)
	}
	if over.refusals > 2 {
		rec.Key, rec.Value = nil, nil
		rec.Headers = slices.DeleteFunc(rec.Headers, func(h kgo.RecordHeader) bool { return !strings.HasPrefix(h.Key, "fl-dlq-") })
	}
	p.s.produce(rec, p, src.Cause)
	if p.s.e.graph.parks {
		p.park(string(src.key), reason)
	}
	if over.refusals > 0 {
		p.s.e.cfg.Log.Error("nobody is told of a dead letter: what is written with it was refused", "group", string(p.s.e.graph.group),
			"topic", src.Topic, "partition", src.Partition, "offset", src.Offset, "error", cut(cause.Error(), 1000))
		return
	}
	p.tellOfDeadLetter(gctx, src, reason, cause, !over.killer)
}

// tellOfDeadLetter runs the group's own reaction, in a guard of its own.
func (p *partition) tellOfDeadLetter(gctx goka.Context, src source, reason string, cause error, decode bool) {
	react := p.s.e.graph.dead
	if react == nil {
		return
	}
	in, _ := p.s.e.graph.input(src.Topic)
	rc := &recordContext{gokaContext: gctx, p: p, src: src, in: inputDef{codec: bytesCodec{}, cb: func(ctx Context, _ any) error {
		var msg any
		if decode && src.hasValue && in.codec != nil {
			if m, err := in.codec.Decode(src.value); err == nil {
				msg = m
			}
		}
		return react(ctx, msg, reason, cause)
	}}}
	_, err := rc.call()
	if err == nil {
		rc.settle()
		return
	}
	rc.dropAll()
	var fatal *fatalError
	if errors.As(err, &fatal) {
		p.s.fail(err)
		return
	}
	p.s.e.cfg.Log.Error("the reaction to a dead letter failed", "group", string(p.s.e.graph.group), "topic", src.Topic,
		"partition", src.Partition, "offset", src.Offset, "error", cut(err.Error(), 1000))
}

// panicError is a panic of a callback, with its stack.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func newPanicError(v any) error { return &panicError{v, debug.Stack()} }

func deadLetterRecord(topic string, src source, reason string, cause error, attempts uint32, build string) *kgo.Record {
	rec := &kgo.Record{
		Topic: topic, Partition: src.Partition, Key: src.key, Timestamp: src.timestamp,
	}
	if src.hasValue {
		rec.Value = src.value
		if rec.Value == nil {
			rec.Value = []byte{}
		}
	}
	for _, h := range src.headers {
		// Whoever wrote the record must not say where it lay, or what the engine is to do with its dead letter.
		if h.Key != headerCommand && !strings.HasPrefix(h.Key, "fl-dlq-") {
			rec.Headers = append(rec.Headers, h)
		}
	}
	add := func(k, v string) {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: k, Value: []byte(cut(v, MaxReasonBytes))})
	}
	add(HeaderDLQReason, reason)
	add(HeaderDLQError, cause.Error())
	add(HeaderDLQAttempts, strconv.FormatUint(uint64(attempts), 10))
	add(HeaderDLQBuild, build)
	add(HeaderDLQSource, src.String())
	if size := recordSize(rec); size > MaxProduceBytes-64<<10 {
		byReference(rec, src)
	}
	return rec
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n-3] + "..."
}
