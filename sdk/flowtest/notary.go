package flowtest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// stateName names a state, stateOf gives its name.
type stateName struct {
	transaction string
	index       uint32
}

func stateOf(s wire.StateRef) stateName { return stateName{string(s.Transaction), s.Index} }

// notary is what a member remembers that is a notary: by the rules of the platform's uniqueness worker.
type notary struct {
	answers map[string]*wire.UniquenessAnswer // by transaction
	outputs map[string]uint32                 // of accepted ones
	spent   map[stateName]string
	// last is the last decision's time.
	last int64
}

// Results, as the guest interface has them.
const (
	accepted = iota + 1
	inputUnknown
	referenceUnknown
	inputConflict
	referenceConflict
	outOfWindow
	tooEarly
	notSeen
	malformed
)

func (m *Member) checkUniqueness(o *wire.CheckUniqueness) wire.Answer {
	if !slices.ContainsFunc(m.keys, func(k key) bool { return k.Category == "NOTARY" }) {
		return fault(flow.ErrNotNotary.Type, fmt.Sprintf("%s is not a notary: give it a key of category NOTARY", m.Name()))
	}
	if m.notary == nil {
		m.notary = &notary{answers: map[string]*wire.UniquenessAnswer{}, outputs: map[string]uint32{}, spent: map[stateName]string{}}
	}
	return wire.Result(m.notary.decide(o, m.net.now.UnixMicro()))
}

func (n *notary) decide(o *wire.CheckUniqueness, nowUs int64) *wire.UniquenessAnswer {
	n.last = max(n.last+1, nowUs*1000)
	window := wire.TimeWindow{}
	if o.Window != nil {
		window = *o.Window
	}
	a := &wire.UniquenessAnswer{Transaction: o.Transaction, DecidedAtNS: n.last}
	if a.Text = wrong(o, window); a.Text != "" {
		a.Result = malformed
		return a
	}
	id := string(o.Transaction)
	if before := n.answers[id]; before != nil {
		return before
	}
	early, late := nowUs < window.FromUS, nowUs >= window.UntilUS
	if o.Mode == 2 {
		a.Result = notSeen
		switch {
		case early:
			a.Result, a.Window = tooEarly, &window
		case late:
			a.Result, a.Window = outOfWindow, &window
		}
		return a
	}
	n.answers[id] = a
	for _, c := range []struct {
		result int32
		states []wire.StateRef
	}{{inputUnknown, o.Inputs}, {referenceUnknown, o.References}} {
		for _, s := range c.states {
			if s.Index >= n.outputs[string(s.Transaction)] {
				a.Result, a.Unknown = c.result, append(a.Unknown, s)
			}
		}
		if a.Result != 0 {
			return a
		}
	}
	for _, c := range []struct {
		result int32
		states []wire.StateRef
	}{{inputConflict, o.Inputs}, {referenceConflict, o.References}} {
		for _, s := range c.states {
			if by, ok := n.spent[stateOf(s)]; ok {
				a.Result, a.Conflicts = c.result, append(a.Conflicts, wire.UniquenessConflict{State: &s, ConsumedBy: []byte(by)})
			}
		}
		if a.Result != 0 {
			return a
		}
	}
	if early || late {
		a.Result, a.Window = outOfWindow, &window
		return a
	}
	a.Result = accepted
	n.outputs[id] = uint32(o.Outputs)
	for _, s := range o.Inputs {
		n.spent[stateOf(s)] = id
	}
	return a
}

// wrong tells why a request cannot be one of a transaction, empty when it can.
func wrong(o *wire.CheckUniqueness, window wire.TimeWindow) string {
	switch {
	case bytes.Equal(o.Transaction, make([]byte, 32)):
		return "it has no transaction id"
	case window.UntilUS <= 0:
		return "the time window has no upper bound"
	}
	seen := map[stateName]bool{}
	for _, s := range slices.Concat(o.Inputs, o.References) {
		if seen[stateOf(s)] {
			return fmt.Sprintf("state %X:%d is there twice", s.Transaction, s.Index)
		}
		seen[stateOf(s)] = true
	}
	return ""
}
