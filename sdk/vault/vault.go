package vault

import (
	"math"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Status is what the virtual node knows of a transaction.
type Status int

// The statuses. Verified and Invalid are final.
const (
	// Absent: it is not there, or only proofs of it.
	Absent Status = iota
	// Unverified: stored, and not notarised as far as is known.
	Unverified
	// Verified: verified and signed by its notary.
	Verified
	// Invalid: it will never be valid.
	Invalid
	// Draft: to be signed later.
	Draft
)

// String is "unverified", "verified", "invalid" or "draft"; empty for a transaction that is absent.
func (s Status) String() string {
	names := [...]string{"", "unverified", "verified", "invalid", "draft"}
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Errors of the ledger's tables, to be compared with errors.Is.
var (
	// ErrIllegalStatus: the transaction cannot get this status from the one that it has.
	ErrIllegalStatus = &flow.Error{Type: "illegal-status"}
	// ErrDoubleSpend: another verified transaction consumes one of the transaction's inputs.
	ErrDoubleSpend = &flow.Error{Type: "double-spend"}
	// ErrTooLarge: what is given or asked for is more than can be stored or handed over at once.
	ErrTooLarge = &flow.Error{Type: "too-large"}
)

// Options say how a transaction is stored.
type Options struct {
	// Signatures are added to those that are there, one for each key. Each must be a right one of the transaction.
	Signatures []ledger.Signature
	// Visible are indexes of the outputs that the virtual node keeps. They are remembered, and become its states when the
	// transaction is verified; others may be added later, none is taken away.
	Visible []int
	// OnlyIfAbsent: nothing happens to a transaction that is there, whatever its status.
	OnlyIfAbsent bool
	// Consumed is for [Invalid]: which of the states that the transaction consumes or looks at others have consumed, as its notary
	// says. Those that are states of the virtual node, and have the same notary, become consumed, unless the consumer is here and may still become verified.
	Consumed []Consumed
}

// Consumed is a state and the transaction that has consumed it.
type Consumed struct {
	Ref ledger.StateRef
	By  ledger.Hash
}

// Stored is what [Store] did: what the transaction had before and what it has now.
type Stored struct{ Before, Now Status }

// Store stores a transaction with a status, or moves the one that is there to it. One that is further keeps its status,
// which is not an error: see now. A verified transaction never becomes invalid, nor the other way: [ErrIllegalStatus]. One
// whose input another verified transaction consumes is not stored as verified: [ErrDoubleSpend].
func Store(ctx *flow.Context, tx *ledger.Transaction, s Status, o Options) (before, now Status, err error) {
	done, err := do(ctx, StoreCall(tx, s, o))
	return done.Before, done.Now, err
}

// StoreCall is [Store] as a call.
func StoreCall(tx *ledger.Transaction, s Status, o Options) *flow.Pending[Stored] {
	visible, err := indexes(o.Visible)
	if err != nil {
		return flow.EndedCall(Stored{}, err)
	}
	var consumed []wire.ConsumedState
	for _, c := range o.Consumed {
		consumed = append(consumed, wire.ConsumedState{Ref: &wire.StateRef{Transaction: c.Ref.Transaction[:], Index: c.Ref.Index}, By: c.By[:]})
	}
	return call(&wire.PersistTransaction{
		Transaction: tx.Encode(), Status: int32(s), Signatures: encoded(o.Signatures), Visible: visible, OnlyIfAbsent: o.OnlyIfAbsent, Consumed: consumed,
	}, func(r *wire.PersistedTransaction) (Stored, error) {
		return Stored{Before: Status(r.Before), Now: Status(r.Status)}, nil
	})
}

// SetStatus moves a transaction that is there, and adds to its visible outputs. Other moves than those that the package's
// documentation names are [ErrIllegalStatus]; a transaction that is not there is flow.ErrNotFound.
func SetStatus(ctx *flow.Context, id ledger.Hash, s Status, visible ...int) error {
	_, err := do(ctx, SetStatusCall(id, s, visible...))
	return err
}

// SetStatusCall is [SetStatus] as a call.
func SetStatusCall(id ledger.Hash, s Status, visible ...int) *flow.Action {
	list, err := indexes(visible)
	if err != nil {
		return flow.EndedCall(struct{}{}, err)
	}
	return action(&wire.UpdateTransactionStatus{ID: id[:], Status: int32(s), Visible: list})
}

// Found is a transaction as the virtual node has it.
type Found struct {
	// Status is its status, also when that is none of those asked for.
	Status Status
	// Transaction is nil when it is not there, or has none of the statuses asked for.
	Transaction *ledger.Transaction
	// Signatures are in the order in which they came.
	Signatures []ledger.Signature
	// Inputs and References are the states that it consumes and looks at, in its order; [FindResolved] alone brings them.
	Inputs, References []State
}

// Find reads a transaction if it has one of the statuses; any status when none is named. One that is not there is no error.
func Find(ctx *flow.Context, id ledger.Hash, statuses ...Status) (Found, error) {
	return do(ctx, FindCall(id, statuses...))
}

// FindCall is [Find] as a call.
func FindCall(id ledger.Hash, statuses ...Status) *flow.Pending[Found] {
	return find(&wire.FindTransaction{ID: id[:]}, id, statuses)
}

// FindResolved reads a transaction with the states that it consumes and looks at. A state that cannot be resolved is
// flow.ErrNotFound.
func FindResolved(ctx *flow.Context, id ledger.Hash) (Found, error) {
	return do(ctx, FindResolvedCall(id))
}

// FindResolvedCall is [FindResolved] as a call.
func FindResolvedCall(id ledger.Hash) *flow.Pending[Found] {
	return find(&wire.FindTransaction{ID: id[:], Resolve: true}, id, nil)
}

func find(o *wire.FindTransaction, id ledger.Hash, statuses []Status) *flow.Pending[Found] {
	for _, s := range statuses {
		o.Statuses = append(o.Statuses, int32(s))
	}
	return call(o, func(r *wire.FoundTransaction) (f Found, err error) {
		f.Status = Status(r.Status)
		if len(r.Transaction) == 0 {
			return f, nil
		}
		tx, err := ledger.Decode(r.Transaction)
		if err == nil && tx.ID() != id {
			err = flow.Errorf("protocol", "it is transaction %s", tx.ID())
		}
		if err != nil {
			return Found{}, unreadable("transaction "+id.String(), err)
		}
		f.Transaction = tx
		if f.Signatures, err = signatures(r.Signatures); err != nil {
			return Found{}, err
		}
		if f.Inputs, err = states(r.Inputs); err != nil {
			return Found{}, err
		}
		if f.References, err = states(r.References); err != nil {
			return Found{}, err
		}
		return f, nil
	})
}

// Known is what is known of a transaction.
type Known struct {
	ID ledger.Hash
	// Status is [Absent] for a transaction that is not there, and for one of which there are only proofs.
	Status Status
	// Filtered tells that only proofs are there, of a transaction that is verified.
	Filtered bool
	// CreatedAt is when it was first stored, to the microsecond, by the database's clock; zero when it is not there.
	CreatedAt time.Time
	// RepairAttempts is how often [CountRepair] was called.
	RepairAttempts int
}

// Statuses tells what is known of transactions, in the order asked; at most 10,000 at once.
func Statuses(ctx *flow.Context, ids ...ledger.Hash) ([]Known, error) {
	return do(ctx, StatusesCall(ids...))
}

// StatusesCall is [Statuses] as a call.
func StatusesCall(ids ...ledger.Hash) *flow.Pending[[]Known] {
	if len(ids) == 0 {
		return flow.EndedCall[[]Known](nil, nil)
	}
	return call(&wire.FindTransactionStatuses{IDs: hashes(ids)}, known)
}

// OfStatus tells which transactions have a status and were first stored at from or later, and before until: those whose
// repair was tried least often first, then the oldest. A zero time is no bound. At most limit are told, 10,000 at the
// most; 100 when it is 0.
func OfStatus(ctx *flow.Context, s Status, from, until time.Time, limit int) ([]Known, error) {
	return do(ctx, OfStatusCall(s, from, until, limit))
}

// OfStatusCall is [OfStatus] as a call.
func OfStatusCall(s Status, from, until time.Time, limit int) *flow.Pending[[]Known] {
	return call(&wire.FindTransactionsOfStatus{Status: int32(s), FromUS: microsecond(from), UntilUS: microsecond(until), Limit: count(limit)}, known)
}

func known(r *wire.TransactionStatuses) (out []Known, err error) {
	for _, t := range r.Transactions {
		k := Known{Status: Status(t.Status), Filtered: t.Filtered, CreatedAt: timeAt(t.CreatedAtUS), RepairAttempts: int(t.RepairAttempts)}
		if k.ID, err = hash(t.ID); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// CountRepair counts a try to repair a transaction and returns how many there were. One that is not there is
// flow.ErrNotFound.
func CountRepair(ctx *flow.Context, id ledger.Hash) (int, error) {
	return do(ctx, CountRepairCall(id))
}

// CountRepairCall is [CountRepair] as a call.
func CountRepairCall(id ledger.Hash) *flow.Pending[int] {
	return call(&wire.IncrementRepairAttempts{ID: id[:]}, func(r *wire.RepairAttempts) (int, error) { return int(r.Attempts), nil })
}

// AddSignatures adds signatures to a transaction, one for each key; each must be a right one of it. A transaction that is
// not there is flow.ErrNotFound.
func AddSignatures(ctx *flow.Context, id ledger.Hash, sigs ...ledger.Signature) error {
	_, err := do(ctx, AddSignaturesCall(id, sigs...))
	return err
}

// AddSignaturesCall is [AddSignatures] as a call.
func AddSignaturesCall(id ledger.Hash, sigs ...ledger.Signature) *flow.Action {
	if len(sigs) == 0 {
		return flow.EndedCall(struct{}{}, nil)
	}
	return action(&wire.PersistSignatures{ID: id[:], Signatures: encoded(sigs)})
}

// indexes are those of outputs, as requests have them.
func indexes(all []int) ([]uint32, error) {
	var out []uint32
	for _, i := range all {
		if i < 0 || i >= ledger.MaxComponents {
			return nil, flow.Errorf(flow.ErrInvalidArgument.Type, "%d is not the index of an output", i)
		}
		out = append(out, uint32(i))
	}
	return out, nil
}

// count is a number of things that are asked for at most.
func count(n int) uint32 { return uint32(min(max(0, n), math.MaxInt32)) }
