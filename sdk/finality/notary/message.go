package notary

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/canonical"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// The protocols, by what a notary does.
const (
	// Protocol is what notaries that do not verify contracts speak.
	Protocol = "fairlead.notary.nonvalidating"
	// VerifyingProtocol is what notaries that verify contracts speak.
	VerifyingProtocol = "fairlead.notary.contractverifying"
)

// Version is the version of the messages, which is that of both protocols.
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

// Request asks a notary about a transaction. It has one of Filtered and Whole.
type Request struct {
	Mode Mode
	// Filtered is the transaction; it shows what ledger.ForNotary says. It is all that a notary sees that does not verify,
	// and what any notary is shown that is only asked what it has decided.
	Filtered *ledger.Filtered
	// Whole is the transaction for a notary that verifies it before it decides.
	Whole *Whole
}

// Whole is a transaction with all that a notary needs to verify it.
type Whole struct {
	Transaction *ledger.Transaction
	// Signatures are those of all signatories.
	Signatures []ledger.Signature
	// Proofs prove the states that the transaction consumes and looks at: one of each transaction that made some.
	Proofs []Proof
}

// Proof is parts of a transaction that is final.
type Proof struct {
	// Filtered shows what ledger.Transaction.Source says.
	Filtered *ledger.Filtered
	// Signature is the notary's.
	Signature ledger.Signature
}

// ID is the id of the transaction that is asked about.
func (r Request) ID() ledger.Hash {
	if r.Whole != nil {
		return r.Whole.Transaction.ID()
	}
	return r.Filtered.ID()
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
	// Wants: a notary that verifies lacks a package by which it is to do so, and asks for parts of its file. It is sent
	// [Given], and answers again.
	Wants
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
	// Reason is for people; empty for Signed and Wants.
	Reason string
	// Unknown are states that nobody has made, Conflicts those that others have consumed, with the transactions that have.
	Unknown   []ledger.StateRef
	Conflicts []Conflict
	// Wanted is what is asked for, for Wants.
	Wanted travel.Parts
}

// Given gives a notary parts of a package that it has asked for.
type Given struct {
	// Transaction is the transaction's id.
	Transaction ledger.Hash
	Parts       travel.Parts
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
	if r.Filtered != nil {
		w.Blob(3, r.Filtered.Encode())
	}
	if r.Whole != nil {
		w.Message(4, r.Whole.put)
	}
	return w.Bytes()
}

func (o *Whole) put(w *canonical.Writer) {
	w.Blob(1, o.Transaction.Encode())
	for _, s := range o.Signatures {
		w.Item(2, s.Encode())
	}
	for _, p := range o.Proofs {
		w.Message(3, func(w *canonical.Writer) {
			w.Blob(1, p.Filtered.Encode())
			w.Blob(2, p.Signature.Encode())
		})
	}
}

// take reads it, until something is not right: a message may have millions of parts.
func (o *Whole) take(r *canonical.Reader) (err error) {
	o.Transaction, err = ledger.Decode(r.Blob(1))
	r.Items(2, func(b []byte) {
		if err == nil {
			var s ledger.Signature
			s, err = ledger.DecodeSignature(b)
			o.Signatures = append(o.Signatures, s)
		}
	})
	r.Messages(3, func(r *canonical.Reader) {
		if err != nil {
			return
		}
		var p Proof
		if p.Filtered, err = ledger.DecodeFiltered(r.Blob(1)); err == nil {
			p.Signature, err = ledger.DecodeSignature(r.Blob(2))
		}
		o.Proofs = append(o.Proofs, p)
	})
	return err
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
	var out Request
	var wrong error
	version := r.Uint32(1)
	out.Mode = Mode(r.Uint32(2))
	filtered := r.Blob(3)
	r.Message(4, func(r *canonical.Reader) {
		out.Whole = &Whole{}
		wrong = out.Whole.take(r)
	})
	err := r.End()
	switch {
	case err != nil:
	case version != Version:
		err = fmt.Errorf("version %d is not known here, %d is", version, Version)
	case out.Mode != Write && out.Mode != Read:
		err = fmt.Errorf("mode %d is not known here", out.Mode)
	case (out.Whole != nil) == (len(filtered) > 0):
		err = errors.New("it shows a transaction either in parts or in whole")
	case out.Whole == nil:
		if out.Filtered, err = ledger.DecodeFiltered(filtered); err == nil {
			return out, nil
		}
	case wrong != nil:
		err = wrong
	case !bytes.Equal(out.Encode(), b):
		err = fmt.Errorf("%w: a part has another length or place", canonical.ErrNotCanonical)
	default:
		return out, nil
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
	if a.Class == Wants {
		w.Message(9, func(w *canonical.Writer) { a.Wanted.Put(w, 1) })
	}
	return w.Bytes()
}

// Encode returns the canonical encoding.
func (g Given) Encode() []byte {
	var w canonical.Writer
	w.Uint(1, Version)
	w.Blob(2, g.Transaction[:])
	w.Message(3, func(w *canonical.Writer) { g.Parts.Put(w, 1) })
	return w.Bytes()
}

// DecodeGiven reads parts of a package. Whatever is not that is a flow.ErrBadMessage.
func DecodeGiven(b []byte) (Given, error) {
	const what = "what is given to the notary"
	if len(b) > MaxRequest {
		return Given{}, bad(what, fmt.Errorf("it has %d bytes, at most %d are allowed", len(b), MaxRequest))
	}
	r := canonical.NewReader(b)
	var wrong error
	version, g := r.Uint32(1), Given{Transaction: takeHash(r, 2)}
	r.Message(3, func(r *canonical.Reader) { g.Parts = travel.Take(r, 1, func(err error) { wrong = err }) })
	err := r.End()
	switch {
	case err != nil:
	case version != Version:
		err = fmt.Errorf("version %d is not known here, %d is", version, Version)
	case wrong != nil:
		err = wrong
	case !g.Parts.Gives():
		err = errors.New("it has other parts of a package than it says, or of another length")
	case !bytes.Equal(g.Encode(), b):
		err = fmt.Errorf("%w: a part has another length or place", canonical.ErrNotCanonical)
	default:
		return g, nil
	}
	return Given{}, bad(what, err)
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
	var wrong error
	r.Message(9, func(r *canonical.Reader) { a.Wanted = travel.Take(r, 1, func(err error) { wrong = err }) })
	if err := r.End(); err != nil {
		return Answer{}, bad(what, err)
	}
	if version != Version {
		return Answer{}, bad(what, fmt.Errorf("version %d is not known here, %d is", version, Version))
	}
	if a.Class < Signed || a.Class > Wants || a.Result < 0 || a.Result > flow.Malformed {
		return Answer{}, bad(what, fmt.Errorf("class %d or result %d is not known here", a.Class, a.Result))
	}
	if a.Class == Signed {
		var err error
		if a.Signature, err = ledger.DecodeSignature(signature); err != nil {
			return Answer{}, bad(what, err)
		}
	}
	if wrong != nil {
		return Answer{}, bad(what, wrong)
	}
	if !a.Wanted.Asks() {
		return Answer{}, bad(what, errors.New("it asks for a package, and gives parts of it"))
	}
	if !bytes.Equal(a.Encode(), b) {
		return Answer{}, bad(what, fmt.Errorf("%w: a part has another length or place", canonical.ErrNotCanonical))
	}
	return a, nil
}

// Check checks that the answer is one about the transaction, and that a signature is a right one of it by the key of its
// notary. Every error says why. Checked has what was found of the signature before; nil for nothing.
func (a Answer) Check(id ledger.Hash, notary ledger.Notary, checked *vault.Checked) error {
	switch {
	case a.Transaction != id:
		return fmt.Errorf("it is about transaction %s, asked was %s", a.Transaction, id)
	case a.Class != Signed:
		return nil
	}
	return CheckSignature(a.Signature, id, notary, checked)
}

// CheckProof checks that parts of a transaction are of one that this notary has signed, with this key. Every error says why.
// Checked has what was found of the signatures before; nil for nothing.
func CheckProof(f *ledger.Filtered, signatures []ledger.Signature, notary ledger.Notary, checked *vault.Checked) error {
	id := f.ID()
	of, _, err := f.Notary()
	if err != nil {
		return fmt.Errorf("transaction %s without its notary: %w", id, err)
	}
	if of.Name != notary.Name || !bytes.Equal(of.Key, notary.Key) {
		return fmt.Errorf("transaction %s, whose notary is %s with key %s, not %s with key %s", id, of.Name, ledger.KeyID(of.Key), notary.Name, ledger.KeyID(notary.Key))
	}
	for _, s := range signatures {
		if bytes.Equal(s.By, notary.Key) {
			if err := checked.Verify(s, id); err != nil {
				return fmt.Errorf("transaction %s with a signature that is not its notary's: %w", id, err)
			}
			return nil
		}
	}
	return fmt.Errorf("transaction %s without its notary's signature", id)
}

// CheckSignature checks that a signature is one of the transaction by the key of its notary. Checked has what was found of the
// signature before; nil for nothing.
func CheckSignature(s ledger.Signature, id ledger.Hash, notary ledger.Notary, checked *vault.Checked) error {
	if !bytes.Equal(s.By, notary.Key) {
		return fmt.Errorf("the signature of transaction %s is by key %s, its notary %s has key %s", id, ledger.KeyID(s.By), notary.Name, ledger.KeyID(notary.Key))
	}
	return checked.Verify(s, id)
}
