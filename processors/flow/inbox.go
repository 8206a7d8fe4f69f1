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

// unread is what is to be read of a session: up to n messages, the first numbered next. Arriving, if not zero, is the
// number of one that the event itself brings.
type unread struct {
	session        string
	next, arriving uint32
	n              int
}

// read returns messages that can be read one behind the other, in order, and what is left of room. From the first on
// for which there is no room they are told but not loaded: there may be more than fits into memory.
func (b *inbox) read(u unread, room int) (out []Message, left int, err error) {
	for next := u.next; len(out) < u.n; next++ {
		key, err := b.key(u.session, next)
		if err != nil {
			return nil, room, err
		}
		row, changed := b.changed[key]
		raw := []byte(nil)
		if !changed {
			raw = b.store.Get([]byte(key))
		}
		switch {
		case raw == nil && row == nil && next == u.arriving:
			continue
		case raw == nil && row == nil:
			return out, room, nil
		case row != nil:
			room -= len(row.GetPayload())
		case room >= len(raw):
			row = &flowv1.InboxRow{}
			if err := proto.Unmarshal(raw, row); err != nil {
				return nil, room, fmt.Errorf("flow %s: inbox row %x: %w", b.flow, key, err)
			}
			room -= len(raw)
		default:
			room = 0
		}
		out = append(out, Message{next, row})
	}
	return out, room, nil
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

// wanted tells the messages that an event may read: those that the flow waits for, or now asks for.
func wanted(head *flowv1.Checkpoint, e Event) []unread {
	var out []unread
	add := func(session string) {
		at := slices.IndexFunc(out, func(u unread) bool { return u.session == session })
		s := sessionOf(head, session)
		switch {
		case at >= 0:
			out[at].n++
		case s != nil: // else the flow will be told
			out = append(out, unread{session: session, next: s.GetRead() + 1, n: 1})
		}
	}
	for _, w := range head.GetWaiting() {
		if w.GetOperation() == opReceive {
			add(w.GetSessionId())
		}
	}
	switch e := e.(type) {
	case Yielded:
		for _, a := range e.Yield.Asked {
			if r := a.Request.GetReceive(); r != nil {
				add(r.GetSessionId())
			}
		}
	case Arrived:
		for i := range out {
			if out[i].session == e.Event.GetSessionId() {
				out[i].arriving = e.Event.GetSequence()
			}
		}
	}
	return out
}

// stocked adds to an event the messages that it may read.
func (t *turn) stocked(e Event) (Event, error) {
	in := Inbox{}
	room := t.state.Rules.MaxAnswers
	if _, ok := e.(Yielded); !ok { // which begins a step
		room -= min(room, int(t.state.Head.GetAnsweredBytes()))
	}
	for _, u := range wanted(t.state.Head, e) {
		messages, left, err := t.inbox.read(u, room)
		if err != nil {
			return nil, err
		}
		in[u.session], room = messages, left
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
