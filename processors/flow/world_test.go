package flow_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lovoo/goka"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// epoch is when the test worlds begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// view is a view in memory.
type view map[string]any

func (v view) Get(key string) (any, bool) {
	m, ok := v[key]
	return m, ok
}

func (v view) All() iter.Seq2[string, any] { return maps.All(v) }

// constant is a source of seeds that repeats itself, so that two worlds can be compared.
type constant struct{}

func (constant) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

// record is what waits to be processed.
type record struct {
	topic, key string
	msg        proto.Message
	headers    map[string]string
}

// committed is what Kafka holds of one partition: every test of a crash or an abort goes back to it.
type committed struct {
	table  map[string][]byte
	store  map[string][]byte
	inbox  map[string][]byte
	timers map[string]int64 // key and name → due
	due    map[string]proto.Message
	loop   []record
	out    []record
}

func emptyState() committed {
	return committed{table: map[string][]byte{}, store: map[string][]byte{}, inbox: map[string][]byte{}, timers: map[string]int64{}, due: map[string]proto.Message{}}
}

func (c committed) clone() committed {
	return committed{
		table: maps.Clone(c.table), store: maps.Clone(c.store), inbox: maps.Clone(c.inbox), timers: maps.Clone(c.timers), due: maps.Clone(c.due),
		loop: slices.Clone(c.loop), out: slices.Clone(c.out),
	}
}

// world is one partition of the group, with everything around the worker in memory.
type world struct {
	cfg       flow.Config
	sandbox   *fakeSandbox // nil in a world with the real one
	runtime   flow.Sandbox
	worker    *flow.Worker
	hooks     map[string]engine.Callback
	vnodes    view
	directory *flow.Directory
	net       *network // nil in worlds where nobody talks
	cpis      view
	chunks    view
	log       *bytes.Buffer
	state     committed
	nowUs     int64
	offset    int64
	names     map[string]string // flow id → client request id
	retries   []record          // what the engine's retry store holds
	still     bool              // the clock stands: records are processed in one transaction

}

func newWorld(cfg flow.Config) *world {
	s := newFakeSandbox()
	w := worldWith(cfg, s)
	w.sandbox = s
	return w
}

func worldWith(cfg flow.Config, runtime flow.Sandbox) *world {
	w := &world{
		cfg: cfg, runtime: runtime, vnodes: view{}, cpis: view{}, chunks: view{}, log: &bytes.Buffer{},
		state: emptyState(), directory: flow.NewDirectory(),
		nowUs: epoch, names: map[string]string{},
	}
	w.boot()
	return w
}

// boot starts a process: nothing of the last one's memory is left.
func (w *world) boot() {
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	var err error
	w.worker, err = flow.NewWorker(w.cfg, flow.Deps{
		VirtualNodes: w.vnodes, Packages: w.cpis, Chunks: w.chunks, Directory: w.directory, Sandbox: w.runtime, Random: constant{}, Log: log,
	})
	if err != nil {
		panic(err)
	}
	w.hooks = flow.Callbacks(w.worker)
}

// crash kills the process and starts another.
func (w *world) crash() {
	w.worker.Close()
	if w.sandbox != nil {
		clear(w.sandbox.modules)
	}
	w.boot()
}

// install publishes a package whose only flow runs a program.
func (w *world) install(class, program string) {
	sha := sha256.Sum256([]byte(program))
	half := len(program) / 2
	w.chunks[fmt.Sprintf("%x/%08d", sha, 0)] = &cpiv1.Chunk{Sha256: sha[:], Part: 0, Parts: 2, Data: []byte(program[:half])}
	w.chunks[fmt.Sprintf("%x/%08d", sha, 1)] = &cpiv1.Chunk{Sha256: sha[:], Part: 1, Parts: 2, Data: []byte(program[half:])}
	cpi, _ := w.cpis["CPI"].(*cpiv1.Cpi)
	if cpi == nil {
		cpi = &cpiv1.Cpi{Name: "app", Version: "1", Checksum: "CPI"}
	} else {
		cpi = proto.Clone(cpi).(*cpiv1.Cpi)
	}
	cpi.Modules = slices.DeleteFunc(cpi.Modules, func(m *cpiv1.Module) bool { return m.GetName() == class })
	cpi.Modules = append(cpi.Modules, &cpiv1.Module{
		Name: class, Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, Sha256: sha[:], SizeBytes: uint64(len(program)), Chunks: 2,
		Flows: []*cpiv1.FlowClass{{Name: class, Startable: class != "responder", Protocol: protocolOf(class), ProtocolVersions: versionsOf(class)}},
	})
	cpi.Cpks = []*cpiv1.Cpk{{Channels: []*cpiv1.ChannelDeclaration{
		{Name: "deals", Kind: cpiv1.ChannelKind_CHANNEL_KIND_SEND}, {Name: "bids", Kind: cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE},
	}}}
	if strings.HasPrefix(class, "contracts") {
		cpi.Modules[len(cpi.Modules)-1].Contracts = []string{"C"}
		cpi.Cpks = append(cpi.Cpks, &cpiv1.Cpk{Name: "pay", Version: "1.2", FileSha256: sha[:], ModuleSha256S: [][]byte{sha[:]}})
		if strings.HasSuffix(class, "signed") {
			cpi.Cpks[1].SignerSummaryHash = "SHA-256:" + strings.Repeat("AB", 32)
		}
	}
	if strings.Contains(program, "verify ") { // with the package of the transactions that are verified
		c := anyTransaction().Content().Metadata.Packages[0]
		cpi.Modules[len(cpi.Modules)-1].Contracts = []string{"C"}
		cpi.Cpks = append(cpi.Cpks, &cpiv1.Cpk{Name: c.Name, Version: c.Version, FileSha256: c.Checksum[:], SignerSummaryHash: "SHA-256:" + c.Signer.String(), ModuleSha256S: [][]byte{sha[:]}})
	}
	w.cpis["CPI"] = cpi
	for _, name := range []string{"Alice", "Bob"} {
		w.host(name)
	}
}

// protocolOf is the protocol that a class answers: those that are called responder answer "chat".
func protocolOf(class string) string {
	if strings.HasPrefix(class, "responder") {
		return "chat"
	}
	return ""
}

func versionsOf(class string) []uint32 {
	if strings.HasPrefix(class, "responder") {
		return []uint32{1, 2}
	}
	return nil
}

// host makes a virtual node.
func (w *world) host(name string) {
	holder := holderOf(name)
	if w.vnodes[holder.ShortHash()] == nil {
		w.vnodes[holder.ShortHash()] = &vnodev1.VirtualNode{
			Identity:  &vnodev1.HoldingIdentity{X500Name: holder.Name.String(), GroupId: holder.GroupID},
			ShortHash: holder.ShortHash(), CpiChecksum: "CPI",
			FlowStart:     vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE,
			FlowOperation: vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE,
		}
		w.directory.VirtualNode(holder.ShortHash(), w.vnodes[holder.ShortHash()])
	}
}

func (w *world) holder() identity.Holding { return holderOf("Alice") }

func holderOf(name string) identity.Holding {
	h, err := identity.NewHolding("O="+name+", L=London, C=GB", "group")
	if err != nil {
		panic(err)
	}
	return h
}

// flowID finds a flow by its client request id.
func (w *world) flowID(request string) string {
	for id, r := range w.names {
		if r == request {
			return id
		}
	}
	return request
}

// start is the next record of flow.events.
func (w *world) start(class, request, body string) ([]string, error) {
	w.offset++
	id := identity.FlowID([16]byte{7}, 0, w.offset)
	w.names[id.String()] = request
	h := w.holder()
	return w.deliver(record{topic: topics.FlowEvents, key: id.String(), msg: &flowv1.FlowEvent{Event: &flowv1.FlowEvent_Started{Started: &flowv1.Started{
		Start: &flowv1.StartFlow{
			Identity: &vnodev1.HoldingIdentity{X500Name: h.Name.String(), GroupId: h.GroupID},
			Vnode:    h.ShortHash(), ClientRequestId: request, FlowClass: class, RequestBody: []byte(body),
			InitiatedBy: "admin", CreatedAtUs: w.nowUs, Initiator: flowv1.Initiator_INITIATOR_RPC,
		},
		FlowId: id[:], StartedAtUs: w.nowUs,
	}}}})
}

// deliver processes one record in a transaction of its own, and says what a reader of the topics then sees. The clock
// moves by a microsecond, as the engine's does.
func (w *world) deliver(r record) ([]string, error) {
	if !w.still {
		w.nowUs++
	}
	before := len(w.state.out)
	next := w.state.clone()
	c := &fakeContext{w: w, r: r, s: &next}
	err := w.hooks[r.topic](c, r.msg)
	if err != nil {
		w.drop(r.key)
		var retry *engine.RetryError
		if errors.As(err, &retry) {
			w.retries = append(w.retries, r)
			return []string{"retry: " + w.readable(retry.Err.Error())}, nil
		}
		return nil, err
	}
	timers := changedTimers(w.state.timers, next.timers)
	w.state = next
	var seen []string
	for _, o := range w.state.out[before:] {
		seen = append(seen, w.readable(o.topic+" "+describeRecord(o)))
	}
	for _, t := range timers {
		seen = append(seen, w.readable(t))
	}
	for _, l := range w.state.loop {
		seen = append(seen, "loop "+describe(l.msg))
	}
	return seen, nil
}

// drop tells the worker that the effects of a record were dropped, as the engine does.
func (w *world) drop(key string) { flow.Drop(w.worker, 0, key) }

// idle processes the loop's records and the timers that are due, until nothing is left.
func (w *world) idle() ([]string, error) {
	var seen []string
	retries := w.retries
	w.retries = nil
	for _, r := range retries {
		s, err := w.deliver(r)
		seen = append(seen, s...)
		if err != nil {
			return seen, err
		}
	}
	for {
		r, ok := w.next()
		if !ok {
			return seen, nil
		}
		s, err := w.deliver(r)
		seen = append(seen, s...)
		if err != nil {
			return seen, err
		}
	}
}

// next takes the next record of the loop, a due timer's included.
func (w *world) next() (record, bool) {
	if len(w.state.loop) > 0 {
		r := w.state.loop[0]
		w.state.loop = slices.Clone(w.state.loop[1:])
		return r, true
	}
	for _, name := range slices.SortedFunc(maps.Keys(w.state.timers), func(a, b string) int {
		if d := w.state.timers[a] - w.state.timers[b]; d != 0 {
			return int(d)
		}
		return strings.Compare(a, b)
	}) {
		if w.state.timers[name] > w.nowUs {
			continue
		}
		key, _, _ := strings.Cut(name, " ")
		r := record{topic: "loop", key: key, msg: w.state.due[name]}
		w.state.timers, w.state.due = maps.Clone(w.state.timers), maps.Clone(w.state.due)
		delete(w.state.timers, name)
		delete(w.state.due, name)
		return r, true
	}
	return record{}, false
}

// nextTimer is when the next timer is due, zero when there is none.
func (w *world) nextTimer() int64 {
	var at int64
	for name, due := range w.state.timers {
		if strings.HasSuffix(name, " forget") {
			continue
		}
		if at == 0 || due < at {
			at = due
		}
	}
	return at
}

func changedTimers(before, after map[string]int64) []string {
	var out []string
	for name, at := range after {
		if before[name] != at {
			_, timer, _ := strings.Cut(name, " ")
			out = append(out, fmt.Sprintf("timer %s at %s", timerText(timer), clock(at)))
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			_, timer, _ := strings.Cut(name, " ")
			out = append(out, "timer "+timerText(timer)+" cancelled")
		}
	}
	slices.Sort(out)
	return out
}

// timerText leaves the id of a session away.
func timerText(name string) string {
	if strings.HasPrefix(name, "session/") {
		return "session"
	}
	return name
}

// clock shows a time as the time since the world began, without the microseconds that transactions take.
func clock(us int64) string {
	return "+" + (time.Duration(us-epoch) * time.Microsecond).Truncate(time.Millisecond).String()
}

// readable replaces ids by names.
func (w *world) readable(s string) string {
	for id, name := range w.names {
		s = strings.ReplaceAll(strings.ReplaceAll(s, id, name), id[:8], name)
	}
	for _, name := range []string{"Alice", "Bob"} {
		s = strings.ReplaceAll(s, holderOf(name).ShortHash(), name)
	}
	return s
}

func describe(m proto.Message) string {
	switch m := m.(type) {
	case *flowv1.FlowStatus:
		s := strings.TrimPrefix(m.GetState().String(), "FLOW_STATE_")
		if len(m.GetResult()) > 0 {
			s += " " + string(m.GetResult())
		}
		if e := m.GetError(); e != nil {
			s += fmt.Sprintf(" %s (%s): %s", e.GetType(), e.GetId(), e.GetMessage())
		}
		if m.GetTerminatedReason() != "" {
			s += " " + m.GetTerminatedReason()
		}
		if m.GetWaitingFor() != "" {
			s += ", waits for " + m.GetWaitingFor()
		}
		if c := m.GetLastCommand(); c.GetRefused() {
			s += ", refused " + c.GetErrorId()
		}
		return s
	case *flowv1.MapperStart:
		return "ended as " + strings.TrimPrefix(m.GetEnded().GetState().String(), "FLOW_STATE_")
	case *auditv1.Entry:
		s := fmt.Sprintf("%s %s by %s: %s, %s", m.GetEntity(), m.GetAction(), m.GetBy(), strings.TrimPrefix(m.GetOutcome().String(), "OUTCOME_"), m.GetDetail())
		if m.GetReason() != "" {
			s += " (" + m.GetReason() + ")"
		}
		return s
	case *flowv1.FlowTimer:
		switch e := m.GetEvent().(type) {
		case *flowv1.FlowTimer_Continue_:
			return fmt.Sprintf("continue %d/%d", e.Continue.GetAttempt(), e.Continue.GetStep())
		case *flowv1.FlowTimer_Due_:
			return fmt.Sprintf("due %d/%d/%d", e.Due.GetAttempt(), e.Due.GetStep(), e.Due.GetOrdinal())
		case *flowv1.FlowTimer_SessionDue_:
			return "session due"
		default:
			return "forget"
		}
	}
	return fmt.Sprintf("%T", m)
}

// rows reads a flow's journal.
func (w *world) rows(flowID string) (*journal.Journal, error) {
	id, err := identity.ParseUUID(flowID)
	if err != nil {
		return nil, err
	}
	rows := map[journal.Key]*flowv1.JournalRow{}
	for k, raw := range w.state.store {
		key, err := journal.ParseKey([]byte(k))
		if err != nil {
			return nil, err
		}
		if key.Flow != id {
			continue
		}
		rows[key] = &flowv1.JournalRow{}
		if err := proto.Unmarshal(raw, rows[key]); err != nil {
			return nil, err
		}
	}
	return journal.NewJournal(rows), nil
}

func (w *world) head(flowID string) *flowv1.Checkpoint {
	raw, ok := w.state.table[flowID]
	if !ok {
		return nil
	}
	head := &flowv1.Checkpoint{}
	if err := proto.Unmarshal(raw, head); err != nil {
		panic(err)
	}
	return head
}

// gokaContext has another name than its method Context.
type gokaContext = goka.Context

// fakeContext is a transaction over the world. What it does not have, the flow worker must not use.
type fakeContext struct {
	gokaContext
	w *world
	r record
	s *committed
}

func (c *fakeContext) Key() string                  { return c.r.key }
func (c *fakeContext) Partition() int32             { return 0 }
func (c *fakeContext) Context() context.Context     { return context.Background() }
func (c *fakeContext) Now() time.Time               { return time.UnixMicro(c.w.nowUs) }
func (c *fakeContext) Cause() engine.Cause          { return engine.Cause{Topic: c.r.topic} }
func (c *fakeContext) TopicID() [16]byte            { return [16]byte{7} }
func (c *fakeContext) Header(name string) string    { return c.r.headers[name] }
func (c *fakeContext) Topic() goka.Stream           { return goka.Stream(c.r.topic) }
func (c *fakeContext) Delete(...goka.ContextOption) { delete(c.s.table, c.r.key) }

func (c *fakeContext) Value() any {
	raw, ok := c.s.table[c.r.key]
	if !ok {
		return nil
	}
	head := &flowv1.Checkpoint{}
	if err := proto.Unmarshal(raw, head); err != nil {
		panic(err)
	}
	return head
}

func (c *fakeContext) SetValue(v any, _ ...goka.ContextOption) { c.s.table[c.r.key] = encode(v) }

func (c *fakeContext) Emit(topic goka.Stream, key string, v any, options ...goka.ContextOption) {
	r := record{topic: string(topic), key: key, headers: flow.EmittedHeaders(options)}
	switch v := v.(type) {
	case proto.Message:
		r.msg = proto.Clone(v)
	case []byte:
		r.msg = &flowv1.InboxRow{Payload: v}
	}
	c.s.out = append(c.s.out, r)
}

func (c *fakeContext) Loopback(key string, v any, _ ...goka.ContextOption) {
	c.s.loop = append(slices.Clone(c.s.loop), record{topic: "loop", key: key, msg: v.(proto.Message)})
}

func (c *fakeContext) SetTimer(name string, due time.Time, msg any) {
	c.s.timers[c.r.key+" "+name] = due.UnixMicro()
	c.s.due[c.r.key+" "+name] = msg.(proto.Message)
}

func (c *fakeContext) CancelTimer(name string) {
	delete(c.s.timers, c.r.key+" "+name)
	delete(c.s.due, c.r.key+" "+name)
}

func (c *fakeContext) Store(name string) engine.PartitionStore {
	switch name {
	case topics.FlowJournalStore:
		return fakeStore{c.s.store}
	case topics.FlowInboxStore:
		return fakeStore{c.s.inbox}
	default:
		panic("no store " + name)
	}
}

type fakeStore struct{ rows map[string][]byte }

func (s fakeStore) Get(key []byte) []byte { return s.rows[string(key)] }
func (s fakeStore) Set(key, value []byte) { s.rows[string(key)] = bytes.Clone(value) }
func (s fakeStore) Delete(key []byte)     { delete(s.rows, string(key)) }
func (s fakeStore) Scan(prefix []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for _, k := range slices.Sorted(maps.Keys(s.rows)) {
			if strings.HasPrefix(k, string(prefix)) && !yield([]byte(k), s.rows[k]) {
				return
			}
		}
	}
}

func encode(v any) []byte {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(v.(proto.Message))
	if err != nil {
		panic(err)
	}
	return raw
}

func (w *world) ctx() context.Context { return context.Background() }
