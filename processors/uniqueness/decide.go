package uniqueness

import (
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

// nanos are the nanoseconds of a microsecond.
const nanos = 1000

// Request asks whether a transaction may be accepted.
type Request struct {
	Tx ledger.Hash
	// Originator is the X.500 name of the member that asks, for the record.
	Originator         string
	Inputs, References []ledger.StateRef
	// Outputs is how many states the transaction makes.
	Outputs uint32
	Window  ledger.TimeWindow
	// Read asks only what is remembered.
	Read bool
}

// Kind is how a request is answered.
type Kind int

// The answers. All but Malformed, TooEarly and NotSeen are remembered when they answer a request that writes.
const (
	Accepted Kind = iota + 1
	InputUnknown
	ReferenceUnknown
	InputConflict
	ReferenceConflict
	OutOfWindow
	// TooEarly answers reading requests before the window's lower bound: a later request may still be accepted.
	TooEarly
	// NotSeen answers reading requests for transactions that nothing is remembered of.
	NotSeen
	Malformed
)

// String is the answer's name.
func (k Kind) String() string {
	names := [...]string{"", "accepted", "input unknown", "reference unknown", "input conflict", "reference conflict", "out of window", "too early", "not seen", "malformed"}
	if k <= 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return names[k]
}

// Conflict is a state and the transaction that has consumed it.
type Conflict struct {
	State ledger.StateRef
	By    ledger.Hash
}

// Answer is what a request gets.
type Answer struct {
	Kind Kind
	// TimeNs is when it was decided, nanoseconds since 1970: for Accepted the commit time.
	TimeNs int64
	// Unknown are the states that nobody made, for InputUnknown and ReferenceUnknown, in the request's order.
	Unknown []ledger.StateRef
	// Conflicts are the states that others have consumed, for InputConflict and ReferenceConflict, in the request's order.
	Conflicts []Conflict
	// Window is the request's, for OutOfWindow and TooEarly.
	Window ledger.TimeWindow
	// Text says what is wrong, for Malformed.
	Text string
}

// Record is what is remembered of a transaction.
type Record struct {
	Answer Answer
	// Outputs is how many states an accepted transaction has made.
	Outputs uint32
	// ExpiryUs is the end of its time window.
	ExpiryUs   int64
	Originator string
}

// Memory is what was remembered before.
type Memory interface {
	// Tx returns what is remembered of a transaction.
	Tx(id ledger.Hash) (Record, bool)
	// Spender returns the transaction that has consumed a state.
	Spender(state ledger.StateRef) (ledger.Hash, bool)
}

// Effects are what is to be remembered of a decision; the zero value is nothing.
type Effects struct {
	// Record is the transaction's row, nil for none.
	Record *Record
	// Spent are the states that the transaction has consumed.
	Spent []ledger.StateRef
}

// Decide answers a request. NowNs must be greater for each request than for the one before; its whole microseconds are what
// is held against the time window.
func Decide(m Memory, r Request, nowNs int64) (Answer, Effects) {
	if text := malformed(r); text != "" {
		return Answer{Kind: Malformed, TimeNs: nowNs, Text: text}, Effects{}
	}
	if before, ok := m.Tx(r.Tx); ok {
		return before.Answer, Effects{}
	}
	if r.Read {
		return read(r, nowNs), Effects{}
	}
	a := check(m, r, nowNs)
	a.TimeNs = nowNs
	record := &Record{Answer: a, ExpiryUs: r.Window.UntilUs, Originator: r.Originator}
	if a.Kind != Accepted {
		return a, Effects{Record: record}
	}
	record.Outputs = r.Outputs
	return a, Effects{Record: record, Spent: r.Inputs}
}

// malformed tells why a request cannot be one of a transaction; empty when it can.
func malformed(r Request) string {
	if r.Tx == (ledger.Hash{}) {
		return "it has no transaction id"
	}
	if r.Window.UntilUs <= 0 {
		return "the time window has no upper bound"
	}
	if len(r.Inputs)+len(r.References) <= fewStates && !anyTwice(r.Inputs, r.References) {
		return ""
	}
	seen := make(map[ledger.StateRef]string, len(r.Inputs)+len(r.References))
	for _, list := range []struct {
		what   string
		states []ledger.StateRef
	}{{"input", r.Inputs}, {"reference", r.References}} {
		for _, s := range list.states {
			switch before := seen[s]; {
			case before == list.what:
				return fmt.Sprintf("state %s is there twice as %s", s, list.what)
			case before != "":
				return fmt.Sprintf("state %s is both %s and %s", s, before, list.what)
			}
			seen[s] = list.what
		}
	}
	return ""
}

// fewStates is up to how many states are compared one with another, which is cheaper than to remember them.
const fewStates = 8

// anyTwice tells whether a state is there twice.
func anyTwice(inputs, references []ledger.StateRef) bool {
	for i := range inputs {
		if slices.Contains(inputs[:i], inputs[i]) {
			return true
		}
	}
	for i := range references {
		if slices.Contains(inputs, references[i]) || slices.Contains(references[:i], references[i]) {
			return true
		}
	}
	return false
}

func read(r Request, nowNs int64) Answer {
	kind, nowUs := NotSeen, nowNs/nanos
	switch {
	case nowUs < r.Window.FromUs:
		kind = TooEarly
	case nowUs >= r.Window.UntilUs:
		kind = OutOfWindow
	}
	a := Answer{Kind: kind, TimeNs: nowNs}
	if kind != NotSeen {
		a.Window = r.Window
	}
	return a
}

func check(m Memory, r Request, nowNs int64) Answer {
	for _, c := range []struct {
		kind   Kind
		states []ledger.StateRef
	}{{InputUnknown, r.Inputs}, {ReferenceUnknown, r.References}} {
		var unknown []ledger.StateRef
		for _, s := range c.states {
			if !exists(m, s) {
				unknown = append(unknown, s)
			}
		}
		if len(unknown) > 0 {
			return Answer{Kind: c.kind, Unknown: unknown}
		}
	}
	for _, c := range []struct {
		kind   Kind
		states []ledger.StateRef
	}{{InputConflict, r.Inputs}, {ReferenceConflict, r.References}} {
		var conflicts []Conflict
		for _, s := range c.states {
			if by, spent := m.Spender(s); spent && by != r.Tx {
				conflicts = append(conflicts, Conflict{s, by})
			}
		}
		if len(conflicts) > 0 {
			return Answer{Kind: c.kind, Conflicts: conflicts}
		}
	}
	if nowUs := nowNs / nanos; nowUs < r.Window.FromUs || nowUs >= r.Window.UntilUs {
		return Answer{Kind: OutOfWindow, Window: r.Window}
	}
	return Answer{Kind: Accepted}
}

// exists tells whether an accepted transaction has made a state.
func exists(m Memory, s ledger.StateRef) bool {
	tx, ok := m.Tx(s.Transaction)
	return ok && tx.Answer.Kind == Accepted && s.Index < tx.Outputs
}
