package flow

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// inbox is the part of the store "inbox" that a turn works on. A message that comes and is read within one event never
// reaches the store.
type inbox struct {
	store engine.PartitionStore
	flow  identity.UUID
	// changed has rows that differ from the store's, nil for one that is gone.
	changed map[string]*flowv1.InboxRow
}

func newInbox(ctx engine.Context, flow identity.UUID) *inbox {
	return &inbox{store: ctx.Store(topics.FlowInboxStore), flow: flow, changed: map[string]*flowv1.InboxRow{}}
}

// inboxKeyLength is flow id, session id, sequence number.
const inboxKeyLength = 16 + 16 + 4

func (b *inbox) prefix(session string) ([]byte, error) {
	id, err := identity.ParseUUID(session)
	if err != nil {
		return nil, fmt.Errorf("flow %s: inbox: %w", b.flow, err)
	}
	return append(append(make([]byte, 0, inboxKeyLength), b.flow[:]...), id[:]...), nil
}

func (b *inbox) key(session string, sequence uint32) (string, error) {
	prefix, err := b.prefix(session)
	return string(binary.BigEndian.AppendUint32(prefix, sequence)), err
}

func (b *inbox) keep(session string, m Message) error {
	key, err := b.key(session, m.Sequence)
	b.changed[key] = m.Row
	return err
}

func (b *inbox) drop(session string, sequence uint32) error {
	key, err := b.key(session, sequence)
	b.changed[key] = nil
	return err
}

// dropAll empties a session.
func (b *inbox) dropAll(session string) error {
	prefix, err := b.prefix(session)
	if err != nil {
		return err
	}
	for key := range b.changed {
		if key[:len(prefix)] == string(prefix) {
			b.changed[key] = nil
		}
	}
	for key := range b.store.Scan(prefix) {
		b.changed[string(key)] = nil
	}
	return nil
}

// read returns up to n messages of a session, in order.
func (b *inbox) read(session string, n int) ([]Message, error) {
	prefix, err := b.prefix(session)
	if err != nil {
		return nil, err
	}
	var out []Message
	add := func(key string, row *flowv1.InboxRow) {
		if len(key) == inboxKeyLength && row != nil {
			out = append(out, Message{binary.BigEndian.Uint32([]byte(key[inboxKeyLength-4:])), row})
		}
	}
	for key, row := range b.changed {
		if key[:len(prefix)] == string(prefix) {
			add(key, row)
		}
	}
	stored := 0
	for key, raw := range b.store.Scan(prefix) {
		if _, ok := b.changed[string(key)]; ok {
			continue
		}
		if stored++; stored > n {
			break
		}
		row := &flowv1.InboxRow{}
		if err := proto.Unmarshal(raw, row); err != nil {
			return nil, fmt.Errorf("flow %s: inbox row %x: %w", b.flow, key, err)
		}
		add(string(key), row)
	}
	slices.SortFunc(out, func(a, b Message) int { return int(int64(a.Sequence) - int64(b.Sequence)) })
	return out[:min(n, len(out))], nil
}

// save writes what changed.
func (b *inbox) save() error {
	for _, key := range sortedKeys(b.changed) {
		row := b.changed[key]
		if row == nil {
			if b.store.Get([]byte(key)) != nil {
				b.store.Delete([]byte(key))
			}
			continue
		}
		raw, err := schemas.Marshal(row)
		if err != nil {
			return engine.Poison("flow: inbox: %w", err)
		}
		b.store.Set([]byte(key), raw)
	}
	clear(b.changed)
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// wanted counts, by session, the messages that an event may read: those that the flow waits for, or now asks for.
func wanted(head *flowv1.Checkpoint, e Event) map[string]int {
	out := map[string]int{}
	for _, w := range head.GetWaiting() {
		if w.GetOperation() == opReceive {
			out[w.GetSessionId()]++
		}
	}
	if y, ok := e.(Yielded); ok {
		for _, a := range y.Yield.Asked {
			if r := a.Request.GetReceive(); r != nil {
				out[r.GetSessionId()]++
			}
		}
	}
	return out
}

// stocked adds to an event the messages that it may read.
func (t *turn) stocked(e Event) (Event, error) {
	in := Inbox{}
	for session, n := range wanted(t.state.Head, e) {
		if sessionOf(t.state.Head, session) == nil {
			continue // the flow will be told
		}
		messages, err := t.inbox.read(session, n)
		if err != nil {
			return nil, err
		}
		in[session] = messages
	}
	switch e := e.(type) {
	case Yielded:
		e.Inbox = in
		return e, nil
	case Arrived:
		e.Inbox = in
		return e, nil
	case Commanded:
		e.Inbox = in
		return e, nil
	default:
		return e, nil
	}
}
