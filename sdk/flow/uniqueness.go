package flow

import (
	"math"
	"time"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// StateRef names a state: the id of the transaction that made it (a ledger.Hash) and which of its outputs it is.
type StateRef struct {
	Transaction [32]byte
	Index       uint32
}

// Uniqueness is what a notary's memory is asked of a transaction.
type Uniqueness struct {
	// Transaction is its id, a ledger.Hash.
	Transaction [32]byte
	// Inputs are the states that it consumes, References those that it only looks at. None may be there twice.
	Inputs, References []StateRef
	// Outputs is how many states it makes.
	Outputs int
	// From and Until are its time window, from ≤ now < until, to the microsecond. From may be zero, Until must be set.
	From, Until time.Time
	// Originator is the X.500 name of the member that asks, for the record.
	Originator string
}

// UniquenessResult is how a notary's memory answers.
type UniquenessResult int32

// The results. Those of CheckUniqueness are final, but for Malformed: asked again, the same transaction gets the same.
const (
	Accepted UniquenessResult = iota + 1
	InputUnknown
	ReferenceUnknown
	InputConflict
	ReferenceConflict
	OutOfWindow
	// TooEarly is an answer of ReadUniqueness: the window has not begun, and the transaction may still be accepted.
	TooEarly
	// NotSeen is an answer of ReadUniqueness: nothing is remembered of the transaction.
	NotSeen
	// Malformed: it cannot be a transaction; nothing is remembered.
	Malformed
)

// UniquenessAnswer is what a notary's memory says of a transaction.
type UniquenessAnswer struct {
	Result UniquenessResult
	// At is when it was decided, to the nanosecond: the commit time of what was accepted. No two decisions of a notary have
	// the same.
	At time.Time
	// Unknown are all the states that nobody has made, for InputUnknown and ReferenceUnknown.
	Unknown []StateRef
	// Conflicts are all the states that others have consumed, for InputConflict and ReferenceConflict.
	Conflicts []UniquenessConflict
	// From and Until are the window that was asked for, for OutOfWindow and TooEarly.
	From, Until time.Time
	// Text says what is wrong, for Malformed.
	Text string
}

// UniquenessConflict is a state and the transaction that has consumed it.
type UniquenessConflict struct {
	State      StateRef
	ConsumedBy [32]byte
}

// Modes of the request.
const checkUniqueness, readUniqueness = 1, 2

// CheckUniqueness has the notary that the flow's virtual node is decide, for ever, whether a transaction may consume its
// inputs. The error is "not-a-notary" in other virtual nodes; a refusal is an answer.
func (c *Context) CheckUniqueness(u Uniqueness) (UniquenessAnswer, error) {
	return do(c, CheckUniquenessCall(u))
}

// ReadUniqueness tells what the notary has decided of a transaction, and changes nothing.
func (c *Context) ReadUniqueness(u Uniqueness) (UniquenessAnswer, error) {
	return do(c, ReadUniquenessCall(u))
}

// CheckUniquenessCall is [Context.CheckUniqueness] as a call.
func CheckUniquenessCall(u Uniqueness) *Pending[UniquenessAnswer] {
	return askUniqueness(checkUniqueness, u)
}

// ReadUniquenessCall is [Context.ReadUniqueness] as a call.
func ReadUniquenessCall(u Uniqueness) *Pending[UniquenessAnswer] {
	return askUniqueness(readUniqueness, u)
}

func askUniqueness(mode int32, u Uniqueness) *Pending[UniquenessAnswer] {
	if u.Outputs < 0 || u.Outputs > math.MaxInt32 {
		return failed[UniquenessAnswer](Errorf(ErrInvalidArgument.Type, "Outputs is %d; a transaction makes 0 to %d states", u.Outputs, math.MaxInt32))
	}
	o := &wire.CheckUniqueness{
		Mode: mode, Transaction: u.Transaction[:], Inputs: wireRefs(u.Inputs), References: wireRefs(u.References), Outputs: int32(u.Outputs),
		Window: &wire.TimeWindow{FromUS: microsecond(u.From), UntilUS: microsecond(u.Until)}, Originator: u.Originator,
	}
	return pending(o, func(_ *Context, result []byte, into *UniquenessAnswer) error {
		var r wire.UniquenessAnswer
		if err := receive(result, &r); err != nil {
			return err
		}
		*into = UniquenessAnswer{Result: UniquenessResult(r.Result), At: time.Unix(0, r.DecidedAtNS).UTC(), Text: r.Text}
		if r.Window != nil {
			into.From, into.Until = timeAt(r.Window.FromUS), timeAt(r.Window.UntilUS)
		}
		for i := range r.Unknown {
			into.Unknown = append(into.Unknown, stateRef(&r.Unknown[i]))
		}
		for _, c := range r.Conflicts {
			conflict := UniquenessConflict{State: stateRef(c.State)}
			copy(conflict.ConsumedBy[:], c.ConsumedBy)
			into.Conflicts = append(into.Conflicts, conflict)
		}
		return nil
	})
}

// microsecond is a time as windows have it: 0 for none.
func microsecond(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeAt(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func wireRefs(all []StateRef) []wire.StateRef {
	out := make([]wire.StateRef, len(all))
	for i := range all {
		out[i] = wire.StateRef{Transaction: all[i].Transaction[:], Index: all[i].Index}
	}
	return out
}

func stateRef(r *wire.StateRef) (s StateRef) {
	if r != nil {
		copy(s.Transaction[:], r.Transaction)
		s.Index = r.Index
	}
	return s
}
