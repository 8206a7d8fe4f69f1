package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginepb"
)

// guard is the callback that goka sees.
func (g *Graph) guard(in inputDef) goka.ProcessCallback {
	return func(gctx goka.Context, _ any) {
		c, ok := gctx.(*plainContext)
		if !ok {
			gctx.Fail(errors.New("engine: this graph was made by engine.Define and runs only through engine.New"))
			return
		}
		c.p.handle(c.gokaContext, in)
	}
}

// recordContext is the Context of one run of one record: it collects what the callback does.
type recordContext struct {
	gokaContext // joins, lookups, the Go context
	p           *partition
	in          inputDef
	src         source

	out      []*kgo.Record
	undo     []undo // what was written into the overlays, by this run alone
	bytes    int
	onSettle []func()
	decoding bool
	// An item of a batch may be settled, and sent, before that has ended; early are those that may, nil afterwards.
	early         *earlyItems
	settled, sent bool
	// value caches the decoded row of the table.
	value       any
	valueLoaded bool
}

// failure leaves a callback: the engine's own way of failing a record from a method without error result.
type failure struct{ err error }

// call decodes the message and runs the callback; every way out becomes an error. The callback of a batch comes later.
func (rc *recordContext) call() (msg any, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r.err
		case storageFault:
			err = Fatal(r.err)
		default:
			err = newPanicError(r)
		}
	}()
	if rc.in.cb == nil && rc.in.batch == nil {
		return nil, Poison("group %s has no callback for topic %s", rc.p.s.e.graph.group, rc.src.Topic)
	}
	if rc.src.hasValue {
		rc.decoding = true
		if msg, err = rc.in.codec.Decode(rc.src.value); err != nil {
			return nil, Poison("decode record: %w", err)
		}
		rc.decoding = false
	}
	if rc.in.batch != nil {
		return msg, rc.in.batch.check(msg)
	}
	return msg, rc.in.cb(rc, msg)
}

// settle makes what the callback did part of the transaction.
func (rc *recordContext) settle() {
	rc.undo = nil
	for _, r := range rc.out {
		rc.p.s.produce(r, rc.p, rc.src.Cause)
	}
	for _, f := range rc.onSettle {
		f()
	}
}

// dropAll takes back what the callback did.
func (rc *recordContext) dropAll() {
	for i := len(rc.undo) - 1; i >= 0; i-- {
		rc.undo[i].do()
	}
	rc.undo, rc.out, rc.onSettle = nil, nil, nil
}

func (rc *recordContext) fail(err error) { panic(failure{err}) }

// Fail gives the record up: it goes to the dead letters. Unlike goka's, it does not stop the processor.
func (rc *recordContext) Fail(err error) { rc.fail(&poisonError{err}) }

// DeferCommit cannot be offered: a transaction holds everything that was read before it ends.
func (rc *recordContext) DeferCommit() func(error) {
	rc.Fail(errors.New("DeferCommit is not available in a transaction; use Batch, or a request and a reply topic"))
	return nil
}

// Context is goka's; a record that is not run has none, and takes the engine's.
func (rc *recordContext) Context() context.Context {
	if rc.gokaContext == nil {
		return rc.p.s.produceCtx
	}
	return rc.gokaContext.Context()
}

// Group is the group's name.
func (rc *recordContext) Group() goka.Group { return rc.p.s.e.graph.group }

func (rc *recordContext) Topic() goka.Stream   { return goka.Stream(rc.src.Topic) }
func (rc *recordContext) Key() string          { return string(rc.src.key) }
func (rc *recordContext) Partition() int32     { return rc.src.Partition }
func (rc *recordContext) Offset() int64        { return rc.src.Offset }
func (rc *recordContext) Timestamp() time.Time { return rc.src.timestamp }
func (rc *recordContext) Cause() Cause         { return rc.src.Cause }
func (rc *recordContext) Now() time.Time       { return time.UnixMicro(rc.p.now).UTC() }
func (rc *recordContext) TopicID() [16]byte    { return rc.p.s.topicID(rc.src.Topic) }

func (rc *recordContext) Headers() goka.Headers {
	h := make(goka.Headers, len(rc.src.headers))
	for _, x := range rc.src.headers {
		if x.Key != HeaderPartition { // whoever wrote the record must not choose where others go
			h[x.Key] = x.Value
		}
	}
	return h
}

func (rc *recordContext) Header(name string) string { return rc.src.header(name) }

func (rc *recordContext) Store(name string) PartitionStore {
	l, ok := rc.p.stores[name]
	if !ok {
		rc.Fail(fmt.Errorf("store %q is not declared; add engine.Store(%q) to the group", name, name))
	}
	return boundStore{l, rc}
}

func (rc *recordContext) Value() any {
	rc.needTable()
	if !rc.valueLoaded {
		rc.valueLoaded = true
		if raw := rc.p.table.get(string(rc.src.key)); raw != nil {
			v, err := rc.p.s.e.graph.table.Decode(raw)
			if err != nil {
				rc.Fail(fmt.Errorf("decode table row %q: %w", rc.src.key, err))
			}
			rc.value = v
		}
	}
	return rc.value
}

func (rc *recordContext) SetValue(value any, options ...goka.ContextOption) {
	rc.needTable()
	if value == nil {
		rc.Fail(errors.New("nil is no table value; use Delete"))
	}
	raw, err := rc.p.s.e.graph.table.Encode(value)
	if err != nil {
		rc.Fail(fmt.Errorf("encode table row %q: %w", rc.src.key, err))
	}
	if raw == nil {
		raw = []byte{}
	}
	rc.write(rc.p.table, rc.src.key, raw, typeName(rc.p.s.e.graph.table, value), options)
	rc.value, rc.valueLoaded = value, true
}

func (rc *recordContext) Delete(options ...goka.ContextOption) {
	rc.needTable()
	rc.write(rc.p.table, rc.src.key, nil, "", options)
	rc.value, rc.valueLoaded = nil, true
}

// needTable refuses the table where there is none to use.
func (rc *recordContext) needTable() {
	if rc.p.table == nil {
		rc.Fail(errors.New("the group has no table; add goka.Persist to it"))
	}
	if rc.in.batch != nil {
		rc.Fail(errors.New("a batch has no table row of its own; use a store"))
	}
}

// write puts a row into a changelog and its record among the outputs; key and value are theirs from then on.
func (rc *recordContext) write(l *changelog, key, value []byte, typ string, options []goka.ContextOption) {
	rec := &kgo.Record{Topic: l.topic, Partition: rc.p.id, Key: key, Value: value, Headers: make([]kgo.RecordHeader, 0, 4)}
	if typ != "" {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: HeaderType, Value: []byte(typ)})
	}
	applyHeaders(rec, options)
	rec.Partition = rc.p.id // a row is its partition's, whatever headers are handed on
	rc.add(rec)
	rc.undo = append(rc.undo, l.put(string(key), value))
}

func (rc *recordContext) Emit(topic goka.Stream, key string, value any, options ...goka.ContextOption) {
	rc.emitTo(topic, key, value, func(rec *kgo.Record) { applyHeaders(rec, options) })
}

// emitTo emits to a topic that the group has; stamp adds what the caller wants of the record besides.
func (rc *recordContext) emitTo(topic goka.Stream, key string, value any, stamp func(rec *kgo.Record)) {
	g := rc.p.s.e.graph
	codec, ok := g.outputs[string(topic)]
	switch {
	case ok:
	case g.dynamic != nil:
		if err := rc.canEmit(string(topic)); err != nil {
			rc.Fail(fmt.Errorf("emit to a dynamic topic: %w", err))
		}
		codec = g.dynamic.codec
	default:
		rc.Fail(fmt.Errorf("topic %q is not an output of the group; add goka.Output to it", topic))
	}
	rc.emit(string(topic), key, value, codec, stamp)
}

// EmitTo is Emit to a partition (-1: by the key), with headers of the caller's. Goka's own options are functions of a type that
// it does not export: to read them costs more than a small record.
func EmitTo(ctx Context, topic goka.Stream, partition int32, key string, value any, headers ...kgo.RecordHeader) {
	rc, ok := ctx.(*recordContext)
	if !ok {
		options := make([]goka.ContextOption, 0, len(headers)+1)
		for _, h := range headers {
			options = append(options, WithHeaders(goka.Headers{h.Key: h.Value}))
		}
		if partition >= 0 {
			options = append(options, ToPartition(partition))
		}
		ctx.Emit(topic, key, value, options...)
		return
	}
	rc.emitTo(topic, key, value, func(rec *kgo.Record) {
		addHeaders(rec, headers)
		if partition >= 0 {
			rec.Partition = partition
		}
	})
}

func (rc *recordContext) Loopback(key string, value any, options ...goka.ContextOption) {
	if rc.p.s.e.graph.loop == nil {
		rc.Fail(errors.New("the group has no loop; add engine.Loop to it"))
	}
	rc.emit(LoopTopic(rc.p.s.e.graph.group), key, value, rc.p.s.e.graph.loop.codec, func(rec *kgo.Record) { applyHeaders(rec, options) })
}

func (rc *recordContext) emit(topic, key string, value any, codec Codec, stamp func(rec *kgo.Record)) {
	rec := &kgo.Record{Topic: topic, Partition: -1, Key: []byte(key), Headers: make([]kgo.RecordHeader, 0, 4)}
	if value != nil {
		raw, err := codec.Encode(value)
		if err != nil {
			rc.Fail(fmt.Errorf("encode message for topic %s: %w", topic, err))
		}
		if raw == nil {
			raw = []byte{}
		}
		rec.Value = raw
		if typ := typeName(codec, value); typ != "" {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: HeaderType, Value: []byte(typ)})
		}
	}
	if key == "" && rc.p.s.e.graph.isDynamic(topic) {
		rec.Key = nil
	}
	stamp(rec)
	rc.add(rec)
}

func (rc *recordContext) add(rec *kgo.Record) {
	if rc.settled {
		rc.Fail(errors.New("the item was settled before: write first, then settle"))
	}
	if trace := rc.src.header(HeaderTrace); trace != "" && headerOf(rec, HeaderTrace) == "" {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: HeaderTrace, Value: []byte(trace)})
	}
	if !rc.p.s.hasPartition(rc.Context(), rec.Topic, rec.Partition) {
		rc.Fail(fmt.Errorf("topic %s has no partition %d", rec.Topic, rec.Partition))
	}
	size := recordSize(rec)
	if size > MaxRecordBytes {
		rc.fail(&SizeError{"record", rec.Topic, size, MaxRecordBytes})
	}
	rc.bytes += size
	rc.out = append(rc.out, rec)
	if len(rc.out) > MaxTransactionRecords || rc.bytes > MaxTransactionBytes {
		rc.Fail(fmt.Errorf("one record writes more than %d records or %d bytes: do it in several steps", MaxTransactionRecords, MaxTransactionBytes))
	}
}

func (rc *recordContext) SetTimer(name string, due time.Time, msg any) {
	if rc.p.s.e.graph.loop == nil {
		rc.Fail(errors.New("timers need a loop; add engine.Loop to the group"))
	}
	codec := rc.p.s.e.graph.loop.codec
	row := &enginepb.TimerRow{DueUs: due.UnixMicro(), Key: rc.src.key, Name: name, Cause: rc.src.String()}
	if msg != nil {
		raw, err := codec.Encode(msg)
		if err != nil {
			rc.Fail(fmt.Errorf("encode timer %q: %w", name, err))
		}
		row.Payload, row.HasPayload, row.Type = raw, true, typeName(codec, msg)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(row)
	if err != nil {
		rc.Fail(fmt.Errorf("encode timer %q: %w", name, err))
	}
	k := rowKey(rowTimer, string(rc.src.key), name)
	rc.write(rc.p.rows, []byte(k), raw, "", nil)
	rc.p.touched = true
	rc.onSettle = append(rc.onSettle, func() { rc.p.timers.set(k, row.DueUs) })
}

func (rc *recordContext) CancelTimer(name string) {
	k := rowKey(rowTimer, string(rc.src.key), name)
	if rc.p.rows.get(k) == nil {
		return
	}
	rc.write(rc.p.rows, []byte(k), nil, "", nil)
	rc.p.touched = true
	rc.onSettle = append(rc.onSettle, func() { rc.p.timers.cancel(k) })
}

func typeName(c Codec, msg any) string {
	if n, ok := c.(TypeNamer); ok {
		return n.TypeName(msg)
	}
	return ""
}

// applyHeaders adds the headers of goka's context options; fl-partition becomes the record's partition.
func applyHeaders(rec *kgo.Record, options []goka.ContextOption) {
	addHeaders(rec, optionHeaders(options))
}

func addHeaders(rec *kgo.Record, headers []kgo.RecordHeader) {
	for _, h := range headers {
		if h.Key == HeaderPartition {
			if p, err := strconv.ParseInt(string(h.Value), 10, 32); err == nil && p >= 0 {
				rec.Partition = int32(p)
			}
			continue
		}
		if h.Key == HeaderCause || h.Key == HeaderNow || h.Key == headerCommand || strings.HasPrefix(h.Key, "fl-dlq-") {
			continue // the engine's own: headers that are handed on must not speak for it
		}
		rec.Headers = append(rec.Headers, h)
	}
}

func headerOf(rec *kgo.Record, name string) string {
	for _, h := range rec.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// commandOf returns what a record of the loop asks of the engine, empty for any other record: the header means nothing
// elsewhere.
func (e *Engine) commandOf(topic string, headers []kgo.RecordHeader) string {
	if topic != LoopTopic(e.graph.group) {
		return ""
	}
	for _, h := range headers {
		if h.Key == headerCommand {
			return string(h.Value)
		}
	}
	return ""
}

// command is commandOf for a record as it was polled.
func (s *session) command(r *kgo.Record) string { return s.e.commandOf(s.e.strip(r.Topic), r.Headers) }

// recordSize is what counts against the limits: key, value and headers.
func recordSize(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}
