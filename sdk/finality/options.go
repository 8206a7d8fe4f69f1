package finality

import (
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Options change what finality does; the zero value is right for most. Its methods are [Finalise], [Receive] and [Repair]
// with these options.
type Options struct {
	// Visible decides which outputs the virtual node keeps as its states; [ParticipantsKeep] without it.
	Visible func(output ledger.State, mine Mine) bool
	// Spendable is for [Receive] where states are worth something: it refuses a transaction of which the virtual node would keep
	// outputs that its own packages could not consume, as they are installed now. They may be an earlier version than the one that
	// makes them, a later one that does not take its states (compatible_from), or have no such contract.
	Spendable bool
	// MaxTransactions is how many transactions a party takes from another to find out where states come from, 5,000 when it
	// is 0; MaxBytes how long they may be together, 24 MiB when it is 0.
	MaxTransactions, MaxBytes int
	// MaxPackageBytes is how much of packages of code a party takes from another to verify where states come from, 64 MiB when
	// it is 0. The cluster has its own bounds.
	MaxPackageBytes int
	// MaxWindow is how far from now the time window may end of a transaction that another party proposes, 48 hours when it is 0.
	// What ends later is refused before anything of it is looked at: it would have to be asked after as long.
	MaxWindow time.Duration
	// Attempts is how often a notary is asked that does not answer, 5 when it is 0; NotaryTimeout how long one answer is
	// waited for, two minutes when it is 0. Between the attempts it waits for a second, and twice as long each time.
	Attempts      int
	NotaryTimeout time.Duration
	// Sign are ledger keys of the virtual node that sign in [Finalise], beside the signatures that it is given: while it looks
	// up what it needs, which saves the time of a signature.
	Sign []ledger.PublicKey
}

func (o Options) maxTransactions() int { return or(o.MaxTransactions, 5_000) }
func (o Options) maxBytes() int        { return or(o.MaxBytes, 24<<20) }
func (o Options) maxPackageBytes() int { return or(o.MaxPackageBytes, 64<<20) }
func (o Options) attempts() int        { return or(o.Attempts, 5) }

func (o Options) maxWindow() time.Duration     { return or(o.MaxWindow, 48*time.Hour) }
func (o Options) notaryTimeout() time.Duration { return or(o.NotaryTimeout, 2*time.Minute) }

func or[T int | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// Final is a transaction that is final.
type Final struct {
	Transaction *ledger.Transaction
	// Signatures are those of all signatories.
	Signatures []ledger.Signature
	// Notary is the notary's signature.
	Notary ledger.Signature
	// Visible are the outputs that the virtual node keeps.
	Visible []int
}

// ID is the transaction's id.
func (f Final) ID() ledger.Hash { return f.Transaction.ID() }

// Finalise makes a transaction final. Own are signatures of it that the virtual node has made, or has from elsewhere: at
// least one, unless [Options.Sign] has keys. The sessions are those with the other parties, whose flows call [Receive]; there may be none. On the notary's
// signature the transaction is stored as verified here, and sent to all parties. What goes wrong with a session from then on does
// not fail the flow when it ends ([flow.Session.TolerateFailure]): the transaction is final, and that party's repair finds it.
//
// When its contracts or its notary refuse the transaction, the error is flow.ErrInvalidTransaction or [ErrInvalid], and it is
// stored as invalid: it will never be final. Every other error after it was sent to another party is [ErrRefused], when a
// party refuses it, or [ErrUnknown]: it stays unverified, and may become final until its time window has passed. Errors of
// other types come of what could not be asked or was wrong before it was sent.
func Finalise(ctx *flow.Context, tx *ledger.Transaction, own []ledger.Signature, sessions ...*flow.Session) (Final, error) {
	return Options{}.Finalise(ctx, tx, own, sessions...)
}

// Receive is the other party's side of [Finalise]. It looks at where the transaction's states come from, checks all of it,
// and asks check, which may be nil, whether this party agrees: an error refuses the transaction, and the initiator's flow
// fails with its text. When check is asked, the states are proven, and the contracts are not verified yet: this party signs
// nothing that breaks them, but what check itself does outside of the flow may come to nothing.
//
// It signs with those of the virtual node's ledger keys that must sign and have not, and returns when the transaction is
// stored as verified. The errors are those of [Finalise], and [ErrRefused] when this party refuses itself; once its signatures
// may have left, every error but [ErrInvalid] is [ErrUnknown], and [ErrInvalid] is final.
func Receive(ctx *flow.Context, s *flow.Session, check func(*ledger.Resolved) error) (Final, error) {
	return Options{}.Receive(ctx, s, check)
}
