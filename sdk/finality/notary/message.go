package notary

import (
	"bytes"
	"fmt"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/canonical"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Protocol is what notaries that do not verify contracts speak.
const Protocol = "fairlead.notary.nonvalidating"

// Version is the version of the messages, which is that of the protocol.
const Version = 1

// MaxRequest and MaxAnswer are how long messages may be, bytes.
const (
	MaxRequest = 4 << 20
	MaxAnswer  = 2 << 20
)

// Mode says what is asked.
type Mode uint32

// The modes.
const (
	// Write has the notary decide, for ever.
	Write Mode = iota + 1
	// Read asks what it has decided, and changes nothing.
	Read
)

// Request asks a notary about a transaction.
type Request struct {
	Mode Mode
	// Filtered is the transaction; it shows what ledger.ForNotary says.
	Filtered *ledger.Filtered
}

// Class says what an answer means for the transaction.
type Class uint32

// The classes.
const (
	// Signed: the transaction is final, and the answer has the notary's signature.
	Signed Class = iota + 1
	// Fatal: it will never be final.
	Fatal
	// Unknown: nothing is decided yet.
	Unknown
	// General: the notary could not tell; it may when it is asked again.
	General
)

// Answer is what a notary says of a transaction.
type Answer struct {
	// Transaction is the transaction's id.
	Transaction ledger.Hash
	Class       Class
	// Signature is the notary's, for Signed.
	Signature ledger.Signature
	// Result is how the notary's memory answered; 0 when it was not asked, or had no answer.
	Result flow.UniquenessResult
	// Reason is for people; empty for Signed.
	Reason string
	// Unknown are states that nobody has made, Conflicts those that others have consumed, with the transactions that have.
	Unknown   []ledger.StateRef
	Conflicts []Conflict
}

// Conflict is a state and the transaction that has consumed it.
type Conflict struct {
	State      ledger.StateRef
	ConsumedBy ledger.Hash
}

// Encode returns the canonical encoding.
func (r Request) Encode() []byte {
	var w canonical.Writer
	w.Uint(1, Version)
	w.Uint(2, uint64(r.Mode))
	w.Blob(3, r.Filtered.Encode())
	return w.Bytes()
}

// bad is the error of a message that cannot be read.
func bad(what string, err error) error {
	return flow.Errorf(flow.ErrBadMessage.Type, "%s: %s", what, err)
}

// DecodeRequest reads a request. Whatever is not one is a flow.ErrBadMessage.
func DecodeRequest(b []byte) (Request, error) {
	if len(b) > MaxRequest {
		return Request{}, bad("the request to the notary", fmt.Errorf("it has %d bytes, at most %d are allowed", len(b), MaxRequest))
	}
	r := canonical.NewReader(b)
	version, mode, filtered := r.Uint32(1), Mode(r.Uint32(2)), r.Blob(3)
	err := r.End()
	switch {
	case err != nil:
	case version != Version:
		err = fmt.Errorf("version %d is not known here, %d is", version, Version)
	case mode != Write && mode != Read:
		err = fmt.Errorf("mode %d is not known here", mode)
	default:
		var f *ledger.Filtered
		if f, err = ledger.DecodeFiltered(filtered); err == nil {
			return Request{mode, f}, nil
		}
	}
	return Request{}, bad("the request to the notary", err)
}

// Encode returns the canonical encoding.
func (a Answer) Encode() []byte {
	var w canonical.Writer
	w.Uint(1, Version)
	w.Blob(2, a.Transaction[:])
	w.Uint(3, uint64(a.Class))
	if a.Class == Signed {
		w.Blob(4, a.Signature.Encode())
	}
	w.Uint(5, uint64(a.Result))
	w.Text(6, a.Reason)
	for _, ref := range a.Unknown {
		w.Message(7, func(w *canonical.Writer) { putRef(w, ref) })
	}
	for _, c := range a.Conflicts {
		w.Message(8, func(w *canonical.Writer) {
			w.Message(1, func(w *canonical.Writer) { putRef(w, c.State) })
			w.Blob(2, c.ConsumedBy[:])
		})
	}
	return w.Bytes()
}

func putRef(w *canonical.Writer, r ledger.StateRef) {
	w.Blob(1, r.Transaction[:])
	w.Uint(2, uint64(r.Index))
}

func takeRef(r *canonical.Reader) ledger.StateRef {
	return ledger.StateRef{Transaction: takeHash(r, 1), Index: r.Uint32(2)}
}

// takeHash reads a hash. One of another length is read as zero, which is found when the bytes are compared with those
// written anew.
func takeHash(r *canonical.Reader, field int) (h ledger.Hash) {
	if b := r.Blob(field); len(b) == len(h) {
		copy(h[:], b)
	}
	return h
}

// DecodeAnswer reads an answer. Whatever is not one is a flow.ErrBadMessage. Whether the signature is right is not looked
// at: see [Answer.Check].
func DecodeAnswer(b []byte) (Answer, error) {
	const what = "the notary's answer"
	if len(b) > MaxAnswer {
		return Answer{}, bad(what, fmt.Errorf("it has %d bytes, at most %d are allowed", len(b), MaxAnswer))
	}
	r := canonical.NewReader(b)
	var a Answer
	version := r.Uint32(1)
	a.Transaction, a.Class = takeHash(r, 2), Class(r.Uint32(3))
	signature := r.Blob(4)
	a.Result, a.Reason = flow.UniquenessResult(r.Uint32(5)), r.Text(6)
	r.Messages(7, func(r *canonical.Reader) { a.Unknown = append(a.Unknown, takeRef(r)) })
	r.Messages(8, func(r *canonical.Reader) {
		var c Conflict
		r.Message(1, func(r *canonical.Reader) { c.State = takeRef(r) })
		c.ConsumedBy = takeHash(r, 2)
		a.Conflicts = append(a.Conflicts, c)
	})
	if err := r.End(); err != nil {
		return Answer{}, bad(what, err)
	}
	if version != Version {
		return Answer{}, bad(what, fmt.Errorf("version %d is not known here, %d is", version, Version))
	}
	if a.Class < Signed || a.Class > General || a.Result < 0 || a.Result > flow.Malformed {
		return Answer{}, bad(what, fmt.Errorf("class %d or result %d is not known here", a.Class, a.Result))
	}
	if a.Class == Signed {
		var err error
		if a.Signature, err = ledger.DecodeSignature(signature); err != nil {
			return Answer{}, bad(what, err)
		}
	}
	if !bytes.Equal(a.Encode(), b) {
		return Answer{}, bad(what, fmt.Errorf("%w: a part has another length or place", canonical.ErrNotCanonical))
	}
	return a, nil
}

// Check checks that the answer is one about the transaction, and that a signature is a right one of it by the key of its
// notary. Every error says why.
func (a Answer) Check(id ledger.Hash, notary ledger.Notary) error {
	switch {
	case a.Transaction != id:
		return fmt.Errorf("it is about transaction %s, asked was %s", a.Transaction, id)
	case a.Class != Signed:
		return nil
	}
	return CheckSignature(a.Signature, id, notary)
}

// CheckSignature checks that a signature is one of the transaction by the key of its notary.
func CheckSignature(s ledger.Signature, id ledger.Hash, notary ledger.Notary) error {
	if !bytes.Equal(s.By, notary.Key) {
		return fmt.Errorf("the signature of transaction %s is by key %s, its notary %s has key %s", id, ledger.KeyID(s.By), notary.Name, ledger.KeyID(notary.Key))
	}
	return s.Verify(id)
}
