package engine

import (
	"fmt"
	"slices"
	"sort"

	"github.com/lovoo/goka"
)

// Callback processes one record. Everything that it does through ctx happens together with the commit of the
// record's offset, or not at all. What its error means is said by [Poison], [Retry] and [Fatal]; any other error
// dead-letters the record, as Poison does.
//
// msg is what the codec of the edge decoded; it is nil for a record without a value.
type Callback func(ctx Context, msg any) error

// Typed makes a Callback of a function that takes a message of one type. A message of another type, or none, is
// dead-lettered.
func Typed[T any](f func(ctx Context, msg T) error) Callback {
	return func(ctx Context, msg any) error {
		m, ok := msg.(T)
		if !ok {
			var want T
			return Poison("message is a %T, this topic carries %T", msg, want)
		}
		return f(ctx, m)
	}
}

// Goka makes a Callback of an ordinary goka callback, so that an existing processor can move over unchanged. Its
// calls of Fail, and its panics, dead-letter the record instead of stopping the processor.
func Goka(cb goka.ProcessCallback) Callback {
	return func(ctx Context, msg any) error {
		cb(ctx, msg)
		return nil
	}
}

// EdgeKind says how a group is joined to a topic.
type EdgeKind string

// The kinds of edges. Table, Loop, Store, Rows and DeadLetters are the group's own topics.
const (
	EdgeInput  EdgeKind = "input"
	EdgeOutput EdgeKind = "output"
	EdgeJoin   EdgeKind = "join"
	EdgeLookup EdgeKind = "lookup"
	EdgeReads  EdgeKind = "reads"
	EdgeInbox  EdgeKind = "inbox"
	// EdgeDynamic stands for topics that are known only at run time; its Topic is the name of their class.
	EdgeDynamic     EdgeKind = "dynamic output"
	EdgeTable       EdgeKind = "table"
	EdgeLoop        EdgeKind = "loop"
	EdgeStore       EdgeKind = "store"
	EdgeRows        EdgeKind = "rows"
	EdgeDeadLetters EdgeKind = "dead letters"
)

// EdgeInfo describes one edge, for catalogues and pictures.
type EdgeInfo struct {
	Kind  EdgeKind
	Topic string
	// Type is the message name of the edge's codec, empty when the codec does not tell it.
	Type string
}

// Codec is goka's: how a message becomes bytes and back. A codec that also has TypeName tells the engine what to
// write into header fl-type. A codec that also has DecodeAs can decode by that header (for topics with several
// message types).
type Codec = goka.Codec

// TypeNamer is implemented by codecs that know the name of a message's type.
type TypeNamer interface {
	// TypeName returns the full name of the message's type; msg is nil when the codec itself is asked.
	TypeName(msg any) string
}

// edge is an edge that goka does not know; goka.DefineGroup passes over it.
type edge struct {
	kind  EdgeKind
	name  string
	codec Codec
	cb    Callback
	hooks *Hooks
	batch *batchDef
	dead  DeadLetterFunc
	// allowed is that of EmitsDynamic.
	allowed func(topic string) bool
}

func (e *edge) String() string { return fmt.Sprintf("%s %s", e.kind, e.name) }
func (e *edge) Topic() string  { return e.name }
func (e *edge) Codec() Codec   { return e.codec }

const (
	edgeHooks EdgeKind = "hooks"
	edgeParks EdgeKind = "parks"
	edgeDead  EdgeKind = "on dead letter"
)

// DeadLetterFunc is told of a record that goes to the dead letters, in the transaction that puts it there: what it
// writes and emits through ctx commits with it. msg is nil when the record could not be decoded, and when processes died
// with the record in hand: it is not decoded again. It may be called for a record that was not run any more (reasons
// "kills its process" and "output refused"); joins and lookups are then not at hand. When it fails, its own effects are
// dropped and logged; so they are when Kafka refuses them. The record is dead-lettered all the same.
type DeadLetterFunc func(ctx Context, msg any, reason string, cause error) error

// OnDeadLetter lets a group react to its dead letters: whoever waits for the record's outcome must hear of it.
func OnDeadLetter(f DeadLetterFunc) goka.Edge { return &edge{kind: edgeDead, dead: f} }

// ParkKeys makes a dead-lettered record park its key: later records of the key wait, in order, until an operator
// redrives the dead letter (see [Redrive]). Without it, later records go on as if it had never been.
func ParkKeys() goka.Edge { return &edge{kind: edgeParks} }

// Input is an input stream whose callback runs inside the guard. It is goka.Input with a callback that returns an
// error.
func Input(topic goka.Stream, codec Codec, cb Callback) goka.Edge {
	return &edge{kind: EdgeInput, name: string(topic), codec: codec, cb: cb}
}

// Loop is the group's loop topic: where Loopback and due timers arrive.
func Loop(codec Codec, cb Callback) goka.Edge {
	return &edge{kind: EdgeLoop, codec: codec, cb: cb}
}

// Store is a partition-local, ordered key-value store of the group, written through to the compacted topic
// <group>-store-<name>. Any number of keys can be written for each record.
func Store(name string) goka.Edge { return &edge{kind: EdgeStore, name: name} }

// Reads declares that the worker around the group keeps a [View] of a compacted topic.
func Reads(topic goka.Table, codec Codec) goka.Edge {
	return &edge{kind: EdgeReads, name: string(topic), codec: codec}
}

// Emits declares that the worker around the group writes a topic through a [Producer].
func Emits(topic goka.Stream, codec Codec) goka.Edge {
	return &edge{kind: EdgeOutput, name: string(topic), codec: codec}
}

// Receives declares that the worker around the group has an [Inbox] on a reply topic.
func Receives(topic goka.Stream, codec Codec) goka.Edge {
	return &edge{kind: EdgeInbox, name: string(topic), codec: codec}
}

// Hooks tell a worker what the log does not keep of its in-memory state. They are called from the goroutine that
// runs the partition's callbacks, or while no callback runs.
type Hooks struct {
	// OnDrop: the effects of a callback for this key were dropped (it failed, or its record goes to the retry
	// store or the dead letters).
	OnDrop func(partition int32, key string)
	// OnAbort: the running transaction of this partition was aborted; all that its callbacks did is undone.
	OnAbort func(partition int32)
	// OnAssign: the partition is this process's from here on; its table and stores are complete.
	OnAssign func(partition int32)
	// OnRevoke: the partition is no longer this process's.
	OnRevoke func(partition int32)
}

// WithHooks adds hooks to a group.
func WithHooks(h Hooks) goka.Edge { return &edge{kind: edgeHooks, hooks: &h} }

type inputDef struct {
	codec Codec
	cb    Callback
	batch *batchDef
}

// Graph is a processor group: goka's graph and what goka lacks.
type Graph struct {
	group   goka.Group
	gg      *goka.GroupGraph
	inputs  map[string]inputDef
	outputs map[string]Codec
	loop    *inputDef
	table   Codec
	stores  []string
	edges   []EdgeInfo
	hooks   []Hooks
	guarded bool
	parks   bool
	dead    DeadLetterFunc
	dynamic *edge
	err     error
}

// looksUp tells whether a topic is a lookup's.
func (g *Graph) looksUp(topic string) bool {
	return slices.ContainsFunc(g.edges, func(e EdgeInfo) bool { return e.Kind == EdgeLookup && e.Topic == topic })
}

// LoopTopic, TableTopic, StoreTopic, RowsTopic and DeadLetterTopic name a group's own topics.
func LoopTopic(g goka.Group) string               { return string(g) + "-loop" }
func TableTopic(g goka.Group) string              { return string(g) + "-table" }
func StoreTopic(g goka.Group, name string) string { return string(g) + "-store-" + name }
func RowsTopic(g goka.Group) string               { return string(g) + "-engine" }
func DeadLetterTopic(g goka.Group) string         { return string(g) + ".dlq" }

// Define declares a group from this package's edges and goka's own (Output, Join, Lookup, Persist; and Input and
// Loop, whose callbacks then run unguarded). At least one input is needed, and at most one table and one loop. A
// wrong definition is told by [New].
func Define(group goka.Group, edges ...goka.Edge) *Graph {
	g := &Graph{group: group, inputs: map[string]inputDef{}, outputs: map[string]Codec{}, guarded: true}
	var plain []goka.Edge
	for _, e := range edges {
		own, ok := e.(*edge)
		if !ok {
			plain = append(plain, e)
			continue
		}
		switch own.kind {
		case EdgeInput:
			if _, twice := g.inputs[own.name]; twice || own.name == "" {
				g.err = fmt.Errorf("group %s: input topic %q is empty or declared twice", group, own.name)
				continue
			}
			g.inputs[own.name] = inputDef{own.codec, own.cb, own.batch}
			g.add(EdgeInput, own.name, own.codec)
		case EdgeLoop:
			if g.loop != nil {
				g.err = fmt.Errorf("group %s: more than one loop", group)
			}
			g.loop = &inputDef{codec: own.codec, cb: own.cb}
		case EdgeStore:
			if own.name == "" || slices.Contains(g.stores, own.name) {
				g.err = fmt.Errorf("group %s: store name %q is empty or declared twice", group, own.name)
				continue
			}
			g.stores = append(g.stores, own.name)
		case edgeParks:
			g.parks = true
		case edgeDead:
			if g.dead != nil {
				g.err = fmt.Errorf("group %s: more than one OnDeadLetter", group)
			}
			g.dead = own.dead
		case EdgeDynamic:
			if g.dynamic != nil || own.allowed == nil || own.codec == nil {
				g.err = fmt.Errorf("group %s: more than one EmitsDynamic, or one without codec or function", group)
				continue
			}
			g.dynamic = own
			g.add(EdgeDynamic, own.name, own.codec)
		case edgeHooks:
			g.hooks = append(g.hooks, *own.hooks)
		default:
			g.add(own.kind, own.name, own.codec)
		}
	}
	sort.Strings(g.stores)
	probe := goka.DefineGroup(group, plain...)
	if len(probe.InputStreams()) > 0 || probe.LoopStream() != nil {
		if len(g.inputs) > 0 || g.loop != nil {
			g.err = fmt.Errorf("group %s mixes goka.Input or goka.Loop with engine.Input or engine.Loop; use one kind", group)
		}
		g.guarded = false
	}
	for _, e := range probe.OutputStreams() {
		g.outputs[e.Topic()] = e.Codec()
		g.add(EdgeOutput, e.Topic(), e.Codec())
	}
	for _, e := range probe.JointTables() {
		g.add(EdgeJoin, e.Topic(), e.Codec())
	}
	for _, e := range probe.LookupTables() {
		g.add(EdgeLookup, e.Topic(), e.Codec())
	}
	if t := probe.GroupTable(); t != nil {
		g.table = t.Codec()
		g.add(EdgeTable, t.Topic(), t.Codec())
	}
	if g.guarded {
		g.gg = g.guardedGraph(probe)
	} else {
		g.gg = probe
		for _, e := range probe.InputStreams() {
			g.add(EdgeInput, e.Topic(), e.Codec())
		}
	}
	if g.guarded || probe.LoopStream() != nil {
		var c Codec
		if g.loop != nil {
			c = g.loop.codec
		}
		g.add(EdgeLoop, LoopTopic(group), c)
	}
	for _, s := range g.stores {
		g.add(EdgeStore, StoreTopic(group, s), nil)
	}
	g.add(EdgeRows, RowsTopic(group), nil)
	g.add(EdgeDeadLetters, DeadLetterTopic(group), nil)
	return g
}

// FromGoka takes a graph that was written for goka, as it is. Its callbacks run unguarded: a record that panics
// costs an abort and some restarts before it is dead-lettered.
func FromGoka(gg *goka.GroupGraph) *Graph { return Define(gg.Group(), gg.AllEdges()...) }

func (g *Graph) add(kind EdgeKind, topic string, c Codec) {
	info := EdgeInfo{Kind: kind, Topic: topic}
	if n, ok := c.(TypeNamer); ok {
		info.Type = n.TypeName(nil)
	}
	g.edges = append(g.edges, info)
}

// Group returns the group's name, which is also its Kafka consumer group (behind the prefix).
func (g *Graph) Group() goka.Group { return g.group }

// Edges returns every topic that the group is joined to, sorted by kind and name.
func (g *Graph) Edges() []EdgeInfo {
	out := slices.Clone(g.edges)
	slices.SortFunc(out, func(a, b EdgeInfo) int {
		if a.Kind != b.Kind {
			if a.Kind < b.Kind {
				return -1
			}
			return 1
		}
		if a.Topic < b.Topic {
			return -1
		}
		return 1
	})
	return out
}

// Err returns what is wrong with the definition, nil if nothing is.
func (g *Graph) Err() error {
	if g.err != nil {
		return g.err
	}
	if err := g.gg.Validate(); err != nil {
		return fmt.Errorf("group %s: %w", g.group, err)
	}
	return nil
}

// guardedGraph builds the graph that goka sees: bytes in, bytes out, the guard around every callback.
func (g *Graph) guardedGraph(probe *goka.GroupGraph) *goka.GroupGraph {
	var edges []goka.Edge
	for topic, in := range g.inputs {
		edges = append(edges, goka.Input(goka.Stream(topic), bytesCodec{}, g.guard(in)))
	}
	loop := inputDef{}
	if g.loop != nil {
		loop = *g.loop
	}
	edges = append(edges, goka.Loop(bytesCodec{}, g.guard(loop)))
	for _, e := range probe.OutputStreams() {
		edges = append(edges, goka.Output(goka.Stream(e.Topic()), bytesCodec{}))
	}
	edges = append(edges, goka.Output(goka.Stream(DeadLetterTopic(g.group)), bytesCodec{}))
	for _, e := range probe.JointTables() {
		edges = append(edges, e)
	}
	for _, e := range probe.LookupTables() {
		edges = append(edges, e)
	}
	if g.table != nil {
		edges = append(edges, goka.Persist(bytesCodec{}))
	}
	return goka.DefineGroup(g.group, edges...)
}

// bytesCodec hands bytes through, so that goka never decodes outside the guard and never fails.
type bytesCodec struct{}

func (bytesCodec) Encode(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("engine: %T where bytes are expected", v)
	}
	return b, nil
}

func (bytesCodec) Decode(b []byte) (any, error) { return b, nil }
