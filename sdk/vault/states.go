package vault

import (
	"encoding/json"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// State is a state and where it is from.
type State struct {
	Ref   ledger.StateRef
	State ledger.State
	// Notary is that of the transaction that made the state.
	Notary ledger.Notary

	// What follows is set for states that the virtual node keeps.

	// Number is that of the change that made it: it grows in the order in which changes were committed.
	Number uint64
	// CreatedAt is when it became known here; ConsumedAt when it became known that it is consumed, zero while it is not.
	CreatedAt, ConsumedAt time.Time
	// ConsumedBy is the transaction that consumed it, zero while none has.
	ConsumedBy ledger.Hash
}

// Page says which part of a result is asked for.
type Page struct {
	// Limit is how many states there are at most: 1,000 when it is 0, 10,000 at the most.
	Limit int
	// After is States.Next of the page before; empty for the first.
	After []byte
}

// States is a part of a result. All pages together have each state that was there when the first was read, once, as long
// as it fulfils the condition until it is come to, and none that was made later.
type States struct {
	States []State
	// Next is where the next page begins; empty when this is the last.
	Next []byte
}

// Unconsumed reads the states of a type that are not consumed, all versions of it, in the order in which they became known.
func Unconsumed(ctx *flow.Context, typ string, page Page) (States, error) {
	return do(ctx, UnconsumedCall(typ, page))
}

// UnconsumedCall is [Unconsumed] as a call.
func UnconsumedCall(typ string, page Page) *flow.Pending[States] {
	return call(&wire.FindUnconsumedStates{Type: typ, Limit: count(page.Limit), After: page.After}, statePage)
}

// Query runs a query of states that the package declares, in the same order. Parameters are a struct or map with a member
// for each declared parameter, nil for a query without.
func Query(ctx *flow.Context, name string, parameters any, page Page) (States, error) {
	return do(ctx, QueryCall(name, parameters, page))
}

// QueryCall is [Query] as a call.
func QueryCall(name string, parameters any, page Page) *flow.Pending[States] {
	o := &wire.QueryStates{Query: name, Limit: count(page.Limit), After: page.After}
	if parameters != nil {
		b, err := json.Marshal(parameters)
		if err != nil {
			return flow.EndedCall(States{}, flow.Errorf(flow.ErrInvalidRow.Type, "query %s: the parameters cannot be written as JSON: %s", name, err))
		}
		o.Parameters = b
	}
	return call(o, statePage)
}

// Resolve reads states by reference, in the order asked: of verified transactions, and what proofs show. One that cannot be
// resolved is flow.ErrNotFound.
func Resolve(ctx *flow.Context, refs ...ledger.StateRef) ([]State, error) {
	return do(ctx, ResolveCall(refs...))
}

// ResolveCall is [Resolve] as a call.
func ResolveCall(refs ...ledger.StateRef) *flow.Pending[[]State] {
	if len(refs) == 0 {
		return flow.EndedCall[[]State](nil, nil)
	}
	return call(&wire.ResolveStates{Refs: wireRefs(refs)}, func(r *wire.ResolvedStates) ([]State, error) { return states(r.States) })
}

func statePage(r *wire.StatePage) (s States, err error) {
	s.Next = r.Next
	s.States, err = states(r.States)
	return s, err
}

func states(all []wire.LedgerState) (out []State, err error) {
	for i := range all {
		s, err := state(&all[i])
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func state(w *wire.LedgerState) (s State, err error) {
	if s.Ref, err = stateRef(w.Ref); err != nil {
		return s, err
	}
	if s.State, err = ledger.DecodeState(w.Info, w.Output); err == nil {
		s.Notary, err = ledger.DecodeNotary(w.Notary)
	}
	if err != nil {
		return State{}, unreadable("state "+s.Ref.String(), err)
	}
	s.Number, s.CreatedAt, s.ConsumedAt = w.Number, timeAt(w.CreatedAtUS), timeAt(w.ConsumedAtUS)
	if len(w.ConsumedBy) > 0 {
		if s.ConsumedBy, err = hash(w.ConsumedBy); err != nil {
			return State{}, err
		}
	}
	return s, nil
}
