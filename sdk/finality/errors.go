package finality

import (
	"errors"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// What finality fails with, to be compared with errors.Is. The message says why.
var (
	// ErrInvalid: the notary refuses the transaction, or it is known as invalid here: it will never be final.
	ErrInvalid = &flow.Error{Type: "transaction-refused"}
	// ErrRefused: a party refuses the transaction. It is not final now, and may become so: who has all signatures, which may be
	// that party, can have it notarised until its time window has passed. It stays unverified until then, or until [Repair]
	// finds out. Before that, do not do with other states what it does.
	ErrRefused = &flow.Error{Type: "party-refused"}
	// ErrUnknown: it is not known whether the transaction is final. It stays unverified, and [Repair] finishes it.
	ErrUnknown = &flow.Error{Type: "finality-unknown"}
	// ErrSignature: a signature is wrong, missing, or by a key that need not sign.
	ErrSignature = &flow.Error{Type: "bad-signature"}
	// ErrBackchain: what the transaction's states come from is not shown, not right, or more than is looked at.
	ErrBackchain = travel.ErrRefused
	// ErrNotary: the group has no such notary, or not with this key.
	ErrNotary = &flow.Error{Type: "unknown-notary"}
)

// spentError is [ErrInvalid] as a notary says it, with the states that others have consumed. Whoever cannot show the transactions that
// did, has these states no more, and must not count them, or build other transactions with them.
type spentError struct {
	error
	spent []vault.Consumed
}

// Unwrap is the [ErrInvalid].
func (e *spentError) Unwrap() error { return e.error }

// spentOf are the states that others have consumed, as an error says.
func spentOf(err error) []vault.Consumed {
	if e := (*spentError)(nil); errors.As(err, &e) {
		return e.spent
	}
	return nil
}

func failed(kind *flow.Error, format string, args ...any) error {
	return flow.Errorf(kind.Type, format, args...)
}

// reasonOf is an error's text for the other side, of a length that fits.
func reasonOf(err error) string {
	const most = 4000
	text := err.Error()
	for i := range text {
		if i > most {
			return text[:i] + "…"
		}
	}
	return text
}

// classOf says what an error means for the transaction: whether who tells of it gives the transaction up.
func classOf(err error) class {
	for _, fatal := range []*flow.Error{ErrInvalid, ErrRefused, ErrSignature, ErrBackchain, ErrNotary, flow.ErrBadMessage, flow.ErrInvalidTransaction} {
		if errors.Is(err, fatal) {
			return classFatal
		}
	}
	return classUnknown
}
