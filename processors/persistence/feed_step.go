package persistence

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/rows"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// Route is where a virtual node's change feed goes.
type Route struct {
	Topic  string
	Format cpiv1.ChannelFormat
	// Missing tells why the topic cannot be written; the changes wait.
	Missing error
}

// Routes returns where the feed of a virtual node goes: to its channels that its package declares as FEED. hold is set
// when one of them is inactive and its changes are to be kept until it is not.
func Routes(v *vnodev1.VirtualNode, cpi *cpiv1.Cpi) (routes []Route, hold bool) {
	format := map[string]cpiv1.ChannelFormat{}
	for _, cpk := range cpi.GetCpks() {
		for _, c := range cpk.GetChannels() {
			if c.GetKind() == cpiv1.ChannelKind_CHANNEL_KIND_FEED {
				format[c.GetName()] = c.GetFormat()
			}
		}
	}
	for _, r := range v.GetChannels() {
		f, ok := format[r.GetChannel()]
		switch {
		case !ok:
		case r.GetActive():
			routes = append(routes, Route{Topic: r.GetTopic(), Format: f})
		case !r.GetIgnoreWhenInactive():
			hold = true
		}
	}
	return routes, hold
}

// FeedRules are the settings that decide.
type FeedRules struct {
	SweepEveryUs int64
	Page         int
}

// Looked tells what an outbox holds behind the last change that was emitted.
type Looked struct {
	Vnode   string
	Changes Changes
	Routes  []Route
	Hold    bool
	// Resumed: the feed stood still before, and what was told then may not have left the outbox.
	Resumed bool
	NowUs   int64
	Rules   FeedRules
}

// FeedEffect is one thing that a step of the feed asks for.
type FeedEffect interface{ feedEffect() }

// EmitChange writes a change to a topic.
type EmitChange struct {
	Route  Route
	Key    string
	Change *feedv1.Change
}

// ConfirmLater has the changes deleted once this transaction has committed, and looks for more.
type ConfirmLater struct {
	UpTo uint64
	More bool
}

// SetSweep sets the timer of the next sweep.
type SetSweep struct{ AtUs int64 }

// FeedNote counts changes, for metrics.
type FeedNote struct {
	What FeedOutcome
	N    int
}

// Report tells operators of something that they must know.
type Report struct{ ID, Message string }

func (EmitChange) feedEffect()   {}
func (ConfirmLater) feedEffect() {}
func (SetSweep) feedEffect()     {}
func (FeedNote) feedEffect()     {}
func (Report) feedEffect()       {}

// FeedOutcome names what became of changes, for metrics.
type FeedOutcome string

// The outcomes.
const (
	FeedEmitted FeedOutcome = "emitted"
	// FeedDropped: no channel is to be told.
	FeedDropped FeedOutcome = "dropped"
	// FeedHeld: they wait, because a channel is inactive or its topic missing.
	FeedHeld FeedOutcome = "held"
	// FeedGap: the outbox goes on with a number that is not the next.
	FeedGap FeedOutcome = "gap"
	// FeedStripped: it was told without its columns or its payload, which are too large.
	FeedStripped FeedOutcome = "stripped"
)

// FeedStep decides what is emitted. It is pure: the same arguments have the same result. A state that is nil is that
// of a virtual node that was never heard of.
func FeedStep(s *persistencev1.FeedState, e Looked) (*persistencev1.FeedState, []FeedEffect) {
	next := &persistencev1.FeedState{}
	if s != nil {
		next = proto.Clone(s).(*persistencev1.FeedState)
	}
	var effects []FeedEffect
	if next.GetSweepAtUs() <= e.NowUs {
		next.SweepAtUs = e.NowUs + e.Rules.SweepEveryUs
		effects = append(effects, SetSweep{next.SweepAtUs})
	}
	if e.Changes.Last < next.GetEmitted() {
		return next, append(effects, Report{IDBehind,
			fmt.Sprintf("virtual node %s: its database counts %d changes, but %d were told", e.Vnode, e.Changes.Last, next.GetEmitted())})
	}
	if e.held() && e.Changes.Last > next.GetEmitted() {
		return next, append(effects, e.hold(next)...)
	}
	if len(e.Changes.Rows) == 0 {
		if e.Resumed && next.GetEmitted() > 0 {
			effects = append(effects, ConfirmLater{next.GetEmitted(), next.GetEmitted() < e.Changes.Last})
		}
		return next, effects
	}
	told, written := 0, 0
	for _, c := range e.Changes.Rows {
		change, key, size, stripped := e.change(c)
		if written += size * len(e.Routes); told > 0 && written > maxStepBytes {
			break // the rest follows when these are confirmed
		}
		told++
		if stripped {
			effects = append(effects, FeedNote{FeedStripped, 1}, Report{IDStripped, stripReport(change)})
		}
		if c.Number != next.GetEmitted()+1 {
			effects = append(effects, FeedNote{FeedGap, 1},
				Report{IDGap, fmt.Sprintf("virtual node %s: change %d follows on %d", e.Vnode, c.Number, next.GetEmitted())})
		}
		next.Emitted = c.Number
		if c.Number > next.GetTokens() { // while channels had to wait, tokens were told already
			next.Tokens = c.Number
			if t := e.tokenOf(c); t != nil {
				effects = append(effects, *t)
				written += proto.Size(t.Change) + roomForHeaders
			}
		}
		for _, r := range e.Routes {
			effects = append(effects, EmitChange{r, key, change})
		}
	}
	what := FeedEmitted
	if len(e.Routes) == 0 {
		what = FeedDropped
	}
	return next, append(effects, FeedNote{what, told}, ConfirmLater{next.GetEmitted(), next.GetEmitted() < e.Changes.Last})
}

// held tells whether the channels have to wait.
func (e Looked) held() bool {
	return e.Hold || slices.ContainsFunc(e.Routes, func(r Route) bool { return r.Missing != nil })
}

// after is behind which change the outbox is read.
func (e Looked) after(s *persistencev1.FeedState) uint64 {
	if e.held() {
		return max(s.GetEmitted(), s.GetTokens())
	}
	return s.GetEmitted()
}

// maxStepBytes bounds what one step writes, well below what the engine lets it.
const maxStepBytes = engine.MaxTransactionBytes * 3 / 4

// change makes the record of a captured change, its key (the table and the row's primary key, or what changed on the
// ledger), and a bound of the size of both. What is too large for a record is told without the row's columns or the state's
// payload, or even without the row's primary key: a feed that stands still would be worse.
func (e Looked) change(c CapturedChange) (change *feedv1.Change, key string, size int, stripped bool) {
	if c.Ledger != nil {
		change, key = ledgerChange(c.Ledger)
	} else {
		shape, _ := rows.ParseShape(c.Shape)
		row := &feedv1.RowChange{Table: shape.Table, Operation: feedv1.RowOperation(c.Operation), Key: c.Key, Row: c.Columns}
		change, key = &feedv1.Change{Change: &feedv1.Change_Row{Row: row}}, shape.Table+" "+string(c.Key)
	} // both were read before
	change.Vnode, change.Number, change.CommittedAtUs, change.FlowId = e.Vnode, c.Number, c.CommittedAtUs, c.FlowID
	most := min(engine.MaxRecordBytes, maxStepBytes/max(1, len(e.Routes))) - roomForHeaders
	if size = e.size(change, key, most); size > most && strip(change) {
		stripped = true
		size = e.size(change, key, most)
	}
	if row := change.GetRow(); row != nil && size > most {
		row.Key, key, stripped = []byte("{}"), row.GetTable()+" {}", true
		size = e.size(change, key, most)
	}
	return change, key, size, stripped
}

// strip takes away what a change can be told without, and tells whether there was anything.
func strip(c *feedv1.Change) bool {
	if row := c.GetRow(); len(row.GetRow()) > 0 {
		row.Row = nil
		return true
	}
	if state := c.GetState(); len(state.GetPayload()) > 0 {
		state.Payload = nil
		return true
	}
	return false
}

// stripReport says of a change that it was stripped.
func stripReport(c *feedv1.Change) string {
	if state := c.GetState(); state != nil {
		return fmt.Sprintf("virtual node %s: change %d of state %s is told without its payload: it is too large", c.GetVnode(), c.GetNumber(), stateRef(state.GetRef()))
	}
	return fmt.Sprintf("virtual node %s: change %d of table %s is told without its columns: it is too large", c.GetVnode(), c.GetNumber(), c.GetRow().GetTable())
}

// roomForHeaders is left of a record for what the engine adds.
const roomForHeaders = 16 << 10

// size is how much the largest record of a change has. It is measured only when a bound is not good enough.
func (e Looked) size(c *feedv1.Change, key string, most int) int {
	const escaped = 6 // bytes that one byte of text may become in JSON
	if bound := len(key) + escaped*proto.Size(c) + roomForHeaders; bound <= most {
		return bound
	}
	largest := 0
	for _, r := range e.Routes {
		record, _ := newFeedRecord(c, r.Format)
		b, err := feedCodec{}.Encode(record)
		if err != nil {
			continue // emitting it will say so
		}
		largest = max(largest, len(b))
	}
	return len(key) + largest
}

// ledgerChange reads a change of the ledger; its key is empty when it is none that this version knows.
func ledgerChange(encoded []byte) (*feedv1.Change, string) {
	out := &feedv1.Change{}
	if proto.Unmarshal(encoded, out) != nil {
		return out, ""
	}
	switch x := out.GetChange().(type) {
	case *feedv1.Change_State:
		return out, "state " + stateRef(x.State.GetRef())
	case *feedv1.Change_Transaction:
		return out, "transaction " + hashText(x.Transaction.GetId())
	default:
		return out, ""
	}
}

// hashText is an id of the ledger as people write it.
func hashText(b []byte) string { return "SHA-256:" + strings.ToUpper(hex.EncodeToString(b)) }

// stateRef is a reference of the ledger as people write it.
func stateRef(r *ledgerv1.StateRef) string {
	return fmt.Sprintf("%s:%d", hashText(r.GetTransaction()), r.GetIndex())
}
