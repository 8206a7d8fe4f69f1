package persistence

import (
	"encoding/hex"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

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
	if len(e.Changes.Rows) == 0 {
		return next, effects
	}
	for _, r := range e.Routes {
		if r.Missing != nil {
			return next, append(effects, FeedNote{FeedHeld, len(e.Changes.Rows)},
				Report{IDFeedTopic, fmt.Sprintf("virtual node %s: topic %s of its change feed: %v", e.Vnode, r.Topic, r.Missing)})
		}
	}
	if e.Hold {
		return next, append(effects, FeedNote{FeedHeld, len(e.Changes.Rows)})
	}
	for _, c := range e.Changes.Rows {
		if c.Number != next.GetEmitted()+1 {
			effects = append(effects, FeedNote{FeedGap, 1},
				Report{IDGap, fmt.Sprintf("virtual node %s: change %d follows on %d", e.Vnode, c.Number, next.GetEmitted())})
		}
		next.Emitted = c.Number
		change, key := e.change(c)
		for _, r := range e.Routes {
			effects = append(effects, EmitChange{r, key, change})
		}
	}
	what := FeedEmitted
	if len(e.Routes) == 0 {
		what = FeedDropped
	}
	return next, append(effects, FeedNote{what, len(e.Changes.Rows)}, ConfirmLater{next.GetEmitted(), next.GetEmitted() < e.Changes.Last})
}

// change makes the record of a captured change, and its key: the table and the row's primary key, or what changed on the
// ledger.
func (e Looked) change(c CapturedChange) (*feedv1.Change, string) {
	out, key := &feedv1.Change{}, ""
	if c.Ledger != nil {
		out, key = ledgerChange(c.Ledger) // both were read before
	} else {
		shape, _ := rows.ParseShape(c.Shape)
		out.Change = &feedv1.Change_Row{Row: &feedv1.RowChange{Table: shape.Table, Operation: feedv1.RowOperation(c.Operation), Key: c.Key, Row: c.Columns}}
		key = shape.Table + " " + string(c.Key)
	}
	out.Vnode, out.Number, out.CommittedAtUs, out.FlowId = e.Vnode, c.Number, c.CommittedAtUs, c.FlowID
	return out, key
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
