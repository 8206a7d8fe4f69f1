package finality

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/canonical"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// messageVersion is the version of the messages. Each message has it, for the session's protocol is the application's.
const messageVersion = 1

// maxMessage is how long a message may be, bytes.
const maxMessage = 8 << 20

// batch is how many transactions of a backchain are asked for at once.
const batch = 10

// kind says what a message is.
type kind uint32

const (
	// proposal: initiator to responder, the transaction with signatures, and some of what it comes from.
	proposal kind = iota + 1
	// wanted: responder to initiator, ids of transactions that it comes from.
	wanted
	// given: initiator to responder, these transactions, in the order asked.
	given
	// signed: responder to initiator its signatures, and initiator to responder those of the others.
	signed
	// final: initiator to responder, the signatures of the other parties and, last, the notary's.
	final
	// failure: either way, it comes to nothing.
	failure
	// asked: of [SignaturesProtocol], which signatures are there; answered by signed.
	asked
	// packageWanted: responder to initiator, parts of a package from some part on.
	packageWanted
	// packageGiven: initiator to responder, these parts.
	packageGiven
)

// String is the message's name.
func (k kind) String() string {
	names := [...]string{"nothing", "proposal", "wanted", "given", "signed", "final", "failure", "asked", "package wanted", "package given"}
	if int(k) >= len(names) {
		return fmt.Sprintf("kind %d", uint32(k))
	}
	return names[k]
}

// class says what a failure means.
type class uint32

const (
	// classFatal: who says so has given the transaction up. That it will never be final is for its notary to say.
	classFatal class = iota + 1
	// classUnknown: it may be final or become so.
	classUnknown
)

// message is what the parties send each other. Which fields a kind has is in [message.fits]; all have the id of the
// transaction that finality is about.
type message struct {
	kind kind
	id   ledger.Hash
	// transactions: one in a proposal, those asked for in given.
	transactions []signedTransaction
	// others says in a proposal that the signatures of other parties follow once all have signed.
	others bool
	// proofs are in a proposal what shows the states that the transaction consumes and looks at, when the notary's kind
	// needs no backchain.
	proofs []signedProof
	// sources are in a proposal transactions that it depends on, with all their signatures, when the notary's kind needs a
	// backchain.
	sources []signedTransaction
	ids     []ledger.Hash
	// signatures are in signed those that the other side has not seen, in final these and the notary's, which is the last.
	signatures []ledger.Signature
	class      class
	reason     string
	// code is what the last two kinds are about.
	code travel.Parts
}

// signedTransaction is a transaction with signatures.
type signedTransaction struct {
	tx         *ledger.Transaction
	signatures []ledger.Signature
}

// signedProof is a proof of parts of a transaction, with its notary's signature among others.
type signedProof struct {
	filtered   *ledger.Filtered
	signatures []ledger.Signature
}

// usualMessage is room for most messages, bytes.
const usualMessage = 4 << 10

// encode returns the canonical encoding.
func (m message) encode() []byte {
	w := canonical.Sized(usualMessage)
	w.Uint(1, messageVersion)
	w.Uint(2, uint64(m.kind))
	w.Blob(3, m.id[:])
	putTransactions(&w, 4, m.transactions)
	if m.others {
		w.Uint(5, 1)
	}
	for _, p := range m.proofs {
		w.Message(6, func(w *canonical.Writer) {
			w.Blob(1, p.filtered.Encode())
			putSignatures(w, 2, p.signatures)
		})
	}
	for _, id := range m.ids {
		w.Item(7, id[:])
	}
	putSignatures(&w, 8, m.signatures)
	w.Uint(9, uint64(m.class))
	w.Text(10, m.reason)
	putTransactions(&w, 11, m.sources)
	if m.kind == packageWanted || m.kind == packageGiven {
		m.code.Put(&w, 12)
	}
	return w.Bytes()
}

func putTransactions(w *canonical.Writer, field int, all []signedTransaction) {
	for _, t := range all {
		w.Message(field, func(w *canonical.Writer) {
			w.Blob(1, t.tx.Encode())
			putSignatures(w, 2, t.signatures)
		})
	}
}

func putSignatures(w *canonical.Writer, field int, all []ledger.Signature) {
	for _, s := range all {
		w.Item(field, s.Encode())
	}
}

// decodeMessage reads a message. Whatever is not one is a flow.ErrBadMessage.
func decodeMessage(b []byte) (message, error) {
	m, err := readMessage(b)
	if err != nil {
		return message{}, flow.Errorf(flow.ErrBadMessage.Type, "a message of finality: %s", err)
	}
	return m, nil
}

func readMessage(b []byte) (message, error) {
	var m message
	if len(b) > maxMessage {
		return m, fmt.Errorf("it has %d bytes, at most %d are allowed", len(b), maxMessage)
	}
	r := canonical.NewReader(b)
	var wrong error
	note := func(err error) {
		if wrong == nil {
			wrong = err
		}
	}
	version := r.Uint32(1)
	m.kind, m.id = kind(r.Uint32(2)), takeHash(r.Blob(3))
	takeTransactions := func(field int, into *[]signedTransaction) {
		r.Messages(field, func(r *canonical.Reader) {
			if wrong != nil {
				return
			}
			encoded := r.Blob(1)
			signatures := takeSignatures(r, 2, note)
			if wrong != nil || len(*into) == batch {
				note(fmt.Errorf("it has more than %d transactions", batch))
				return
			}
			tx, err := ledger.Decode(encoded)
			note(err)
			*into = append(*into, signedTransaction{tx, signatures})
		})
	}
	takeTransactions(4, &m.transactions)
	m.others = r.Uint32(5) == 1
	r.Messages(6, func(r *canonical.Reader) {
		if wrong != nil {
			return
		}
		encoded := r.Blob(1)
		signatures := takeSignatures(r, 2, note)
		if wrong != nil || len(m.proofs) == maxProofs {
			note(fmt.Errorf("it has more than %d proofs", maxProofs))
			return
		}
		f, err := ledger.DecodeFiltered(encoded)
		note(err)
		m.proofs = append(m.proofs, signedProof{f, signatures})
	})
	r.Items(7, func(b []byte) {
		if len(m.ids) <= batch { // one more tells that there are too many
			m.ids = append(m.ids, takeHash(b))
		}
	})
	if len(m.ids) > batch {
		note(fmt.Errorf("it asks for more than %d transactions", batch))
	}
	m.signatures = takeSignatures(r, 8, note)
	m.class, m.reason = class(r.Uint32(9)), r.Text(10)
	takeTransactions(11, &m.sources)
	m.code = travel.Take(r, 12, note)
	if err := r.End(); err != nil {
		return message{}, err
	}
	if version != messageVersion {
		return message{}, fmt.Errorf("version %d is not known here, %d is", version, messageVersion)
	}
	if wrong == nil {
		wrong = m.fits()
	}
	if wrong != nil {
		return message{}, wrong
	}
	if !bytes.Equal(m.encode(), b) {
		return message{}, fmt.Errorf("%w: a part has another length or place", canonical.ErrNotCanonical)
	}
	return m, nil
}

// maxProofs is how many transactions a proposal may show parts of; maxSignatures how many signatures a message may have for
// one transaction.
const (
	maxProofs     = 10_000
	maxSignatures = 10_000
)

func takeHash(b []byte) (h ledger.Hash) {
	if len(b) == len(h) {
		copy(h[:], b)
	}
	return h
}

func takeSignatures(r *canonical.Reader, field int, note func(error)) (out []ledger.Signature) {
	var wrong error // what follows the first is not read: a message may have millions
	r.Items(field, func(b []byte) {
		switch {
		case wrong != nil:
		case len(out) == maxSignatures:
			wrong = fmt.Errorf("it has more than %d signatures", maxSignatures)
		default:
			var s ledger.Signature
			s, wrong = ledger.DecodeSignature(b)
			out = append(out, s)
		}
	})
	if wrong != nil {
		note(wrong)
	}
	return out
}

// fits tells whether a message has the fields of its kind, and no others.
func (m message) fits() error {
	var right bool
	transactions := len(m.transactions)
	bare := transactions == 0 && !m.others && len(m.proofs)+len(m.sources) == 0
	noFailure := m.class == 0 && m.reason == ""
	switch m.kind {
	case proposal:
		right = transactions == 1 && m.transactions[0].tx.ID() == m.id && len(m.ids)+len(m.signatures) == 0 && noFailure
	case wanted:
		right = bare && len(m.ids) > 0 && len(m.signatures) == 0 && noFailure
	case given:
		right = transactions > 0 && !m.others && len(m.proofs)+len(m.sources)+len(m.ids)+len(m.signatures) == 0 && noFailure
	case asked:
		right = bare && len(m.ids)+len(m.signatures) == 0 && noFailure
	case signed:
		right = bare && len(m.ids) == 0 && noFailure
	case final:
		right = bare && len(m.ids) == 0 && len(m.signatures) > 0 && noFailure
	case packageWanted:
		right = bare && len(m.ids)+len(m.signatures) == 0 && noFailure && m.code.Asks()
	case packageGiven:
		right = bare && len(m.ids)+len(m.signatures) == 0 && noFailure && m.code.Gives()
	case failure:
		right = bare && len(m.ids)+len(m.signatures) == 0 && (m.class == classFatal || m.class == classUnknown) && utf8.ValidString(m.reason)
	default:
		return fmt.Errorf("%s is not known here", m.kind)
	}
	if !right {
		return fmt.Errorf("a %s has other parts", m.kind)
	}
	return nil
}

// take decodes a message of the other side, which must be of one of some kinds and about the transaction. A failure is an
// error that says so; it is one of [refusedError].
func take(s *flow.Session, b []byte, id ledger.Hash, kinds ...kind) (message, error) {
	m, err := decodeMessage(b)
	if err != nil {
		return m, flow.Errorf(flow.ErrBadMessage.Type, "%s: %s", s.Counterparty(), err)
	}
	return taken(s, m, id, kinds...)
}

// taken is take of a message that is decoded.
func taken(s *flow.Session, m message, id ledger.Hash, kinds ...kind) (message, error) {
	if m.id != id {
		return message{}, flow.Errorf(flow.ErrBadMessage.Type, "%s sent a %s about transaction %s, this is about %s", s.Counterparty(), m.kind, m.id, id)
	}
	if m.kind == failure {
		return message{}, &refusedError{s.Counterparty(), m.class, m.reason}
	}
	for _, k := range kinds {
		if m.kind == k {
			return m, nil
		}
	}
	return message{}, flow.Errorf(flow.ErrBadMessage.Type, "%s sent a %s, which has no place here", s.Counterparty(), m.kind)
}

// refusedError is a failure that the other side sent.
type refusedError struct {
	by     string
	class  class
	reason string
}

func (e *refusedError) Error() string { return e.by + ": " + e.reason }

// Unwrap makes it one of the package's errors.
func (e *refusedError) Unwrap() error {
	if e.class == classFatal {
		return ErrRefused
	}
	return ErrUnknown
}

// sendCall sends a message.
func sendCall(s *flow.Session, m message) *flow.Action { return flow.SendBytesCall(s, m.encode()) }

// receiveCall receives one.
func receiveCall(s *flow.Session) *flow.Pending[[]byte] {
	return flow.ReceiveAtMostCall(s, maxMessage)
}

// failureOf tells the other side why it comes to nothing.
func failureOf(id ledger.Hash, err error) message {
	return message{kind: failure, id: id, class: classOf(err), reason: reasonOf(err)}
}
