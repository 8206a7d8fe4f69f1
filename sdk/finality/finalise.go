package finality

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// initiator is what [Finalise] works with.
type initiator struct {
	Options
	ctx     *flow.Context
	tx      *ledger.Transaction
	signing *signing
	parties []*counterparty
	visible []int

	notary   service
	question question
	proofs   []*ledger.Filtered     // of what the transaction consumes and looks at
	signed   []vault.SignedFiltered // the same with signatures, when the notary's kind needs no backchain
	sources  []signedTransaction    // what it comes from, as far as it is sent with the proposal
	talk     *flow.Pending[*flow.Session]
}

// counterparty is another party, as the initiator sees it.
type counterparty struct {
	s       *flow.Session
	reply   *flow.Pending[[]byte]
	archive archive
	fresh   []ledger.Signature // what it signed
	done    bool
}

// Finalise is [Finalise] with options.
func (o Options) Finalise(ctx *flow.Context, tx *ledger.Transaction, own []ledger.Signature, sessions ...*flow.Session) (Final, error) {
	p := &initiator{Options: o, ctx: ctx, tx: tx, signing: newSigning(ctx, tx)}
	for _, s := range sessions {
		p.parties = append(p.parties, &counterparty{s: s, archive: archiveOf(tx, o.maxTransactions())})
	}
	if err := p.prepare(own); err != nil {
		return Final{}, p.abandon(err, false)
	}
	if err := p.propose(); err != nil {
		return Final{}, p.undecided(p.abandon(err, errors.Is(err, flow.ErrInvalidTransaction)))
	}
	if err := p.collect(); err != nil {
		return Final{}, p.undecided(p.abandon(err, false))
	}
	signature, err := p.notarise()
	if err != nil {
		return Final{}, p.undecided(p.abandon(err, errors.Is(err, ErrInvalid)))
	}
	f, err := p.distribute(signature)
	if err == nil {
		for _, s := range sessions {
			s.TolerateFailure()
		}
	}
	return f, err
}

// prepare checks the own signatures, makes those that are wanted, and finds out what is needed.
func (p *initiator) prepare(own []ledger.Signature) error {
	if len(own)+len(p.Sign) == 0 {
		return failed(ErrSignature, "transaction %s has no signature of whoever finalises it", p.tx.ID())
	}
	if err := storable(p.tx); err != nil {
		return err
	}
	if _, err := p.signing.add("this party", own); err != nil {
		return err
	}
	var err error
	if p.question, err = ask(p.tx, notary.Write); err != nil {
		return err
	}
	// Both are answered at once, and the notary's kind says what else is needed.
	members, keys := flow.MembersCall(p.question.notary.Name), keysCall(p.tx)
	if err := flow.All(p.ctx, members, keys); err != nil {
		return err
	}
	if p.notary, err = serviceOf(p.question.notary, members.Value()); err != nil {
		return err
	}
	p.visible = p.Options.visible(p.tx, ownedOf(keys.Value()))
	var signs []*flow.Pending[[]ledger.Signature]
	var calls []flow.Call
	for _, k := range p.Sign {
		s := vault.SignCall(k, p.tx.ID())
		signs, calls = append(signs, s), append(calls, s)
	}
	if err := p.origin(calls); err != nil {
		return err
	}
	for _, s := range signs {
		if err := s.Err(); err != nil {
			return err
		}
		if err := p.signing.own(s.Value()); err != nil {
			return err
		}
	}
	return nil
}

// mostSources is how many transactions a proposal brings along that the proposed one comes from, sourcesBytes how long they
// may be together.
const (
	mostSources  = 4
	sourcesBytes = 128 << 10
)

// origin reads from the vault what proves the states that the transaction consumes and looks at, beside other calls. Where
// parties need the backchain, a few transactions are read whole, to be sent with the proposal: a party that does not know them
// need not ask, which is as long as all of its other work.
func (p *initiator) origin(beside []flow.Call) error {
	needed, ids := needs(p.tx), p.tx.Dependencies()
	proofs := map[ledger.Hash][]*ledger.Filtered{}
	if p.notary.backchain && len(p.parties) > 0 && len(ids) <= mostSources {
		finds := make([]*flow.Pending[vault.Found], len(ids))
		for i, id := range ids {
			finds[i] = vault.FindCall(id, vault.Verified)
			beside = append(beside, finds[i])
		}
		_ = flow.All(p.ctx, beside...) // each call has its error
		beside = nil
		size, room := 0, min(sourcesBytes, maxMessage/2-len(p.tx.Encode()))
		for i, id := range ids {
			found := finds[i].Value().Transaction
			if found == nil {
				continue // it may be here in parts, or be too large for an answer beside others
			}
			f, err := found.Source(needed[id]...)
			if err != nil {
				continue // it makes no such state; the search for proofs says so
			}
			proofs[id] = []*ledger.Filtered{f}
			if size += len(found.Encode()); size <= room {
				p.sources = append(p.sources, signedTransaction{found, finds[i].Value().Signatures})
			}
		}
	}
	var left []ledger.StateRef
	for _, r := range dependencies(p.tx) {
		if proofs[r.Transaction] == nil {
			left = append(left, r)
		}
	}
	finds := proofsCalls(left)
	if err := flow.All(p.ctx, with(finds, beside...)...); err != nil {
		return err
	}
	found := foundBy(finds)
	if !p.notary.backchain {
		p.signed = found
	}
	for id, some := range byTransaction(found) {
		proofs[id] = some
	}
	var err error
	p.proofs, err = shown(p.tx, proofs)
	return err
}

func byTransaction(all []vault.SignedFiltered) map[ledger.Hash][]*ledger.Filtered {
	out := map[ledger.Hash][]*ledger.Filtered{}
	for _, f := range all {
		out[f.Filtered.ID()] = append(out[f.Filtered.ID()], f.Filtered)
	}
	return out
}

// propose verifies and stores the transaction, sends it to all parties and waits for what each says first. All of that goes
// together: the parties verify for themselves, and nothing is notarised before all of it is known.
func (p *initiator) propose() error {
	m := message{kind: proposal, id: p.tx.ID(), transactions: []signedTransaction{{p.tx, p.signing.all}}, others: len(p.parties) > 1, sources: p.sources}
	var shown []*ledger.Filtered
	for _, f := range p.signed {
		m.proofs, shown = append(m.proofs, signedProof{f.Filtered, f.Signatures}), append(shown, f.Filtered)
	}
	for _, c := range p.parties {
		c.archive.code.Add(travel.Named(p.tx, shown...)...)
		c.archive.gave(p.sources)
	}
	verify := flow.VerifyCall(p.tx, encodings(p.proofs)...)
	store := vault.StoreCall(p.tx, vault.Unverified, vault.Options{Signatures: p.signing.all, Visible: p.visible})
	p.talk = p.open(p.notary)
	calls := []flow.Call{verify, store, p.talk}
	encoded := m.encode()
	for _, c := range p.parties {
		c.reply = receiveCall(c.s)
		calls = append(calls, flow.SendBytesCall(c.s, encoded), c.reply)
	}
	_ = flow.All(p.ctx, calls...) // each call has its error
	stored, err := store.Result()
	if err != nil {
		return err
	}
	if stored.Now == vault.Invalid {
		return failed(ErrInvalid, "transaction %s is known as invalid here", p.tx.ID())
	}
	verdict, err := verify.Result()
	if err == nil {
		err = verdict.Err()
	}
	return err
}

// collect answers what the parties ask for, until each has signed or one has not.
func (p *initiator) collect() error {
	for {
		var asking []*counterparty
		var wants []message
		for _, c := range p.parties {
			if c.done {
				continue
			}
			m, err := p.hear(c)
			if err != nil {
				return err
			}
			if m.kind != signed {
				asking, wants = append(asking, c), append(wants, m)
			}
		}
		if len(asking) == 0 {
			return p.signing.complete()
		}
		if err := p.give(asking, wants); err != nil {
			return err
		}
	}
}

// hear takes what a party says: its signatures, which transactions it asks for, or which package.
func (p *initiator) hear(c *counterparty) (message, error) {
	b, err := c.reply.Result()
	if err != nil {
		return message{}, failed(ErrUnknown, "%s did not answer to transaction %s: %s", c.s.Counterparty(), p.tx.ID(), err)
	}
	m, err := take(c.s, b, p.tx.ID(), wanted, packageWanted, signed)
	if err != nil {
		return m, err
	}
	switch m.kind {
	case packageWanted: // what it may have is looked at when it is given
	case wanted:
		if !p.notary.backchain {
			return m, failed(flow.ErrBadMessage, "%s asks for a backchain, which notary %s does not need", c.s.Counterparty(), p.question.notary.Name)
		}
		err = c.archive.open(c.s.Counterparty(), m.ids)
	default:
		c.done = true
		c.fresh, err = p.signing.add(c.s.Counterparty(), m.signatures)
	}
	return m, err
}

// notarise stores the signatures, sends each party those that it has not seen, and asks the notary: all of it together, and
// the transaction is not notarised before the others are sent.
func (p *initiator) notarise() (ledger.Signature, error) {
	var beside []flow.Call
	var collected []ledger.Signature
	for _, c := range p.parties {
		collected = append(collected, c.fresh...)
	}
	if len(collected) > 0 {
		// Should this fail, they are stored with the notary's; without an answer of the notary it is an error below.
		beside = append(beside, vault.AddSignaturesCall(p.tx.ID(), collected...))
	}
	if len(p.parties) > 1 {
		for _, c := range p.parties {
			beside = append(beside, sendCall(c.s, message{kind: signed, id: p.tx.ID(), signatures: p.othersThan(c)}))
		}
	}
	if !p.notary.backchain {
		var err error
		if p.question, err = askToVerify(p.tx, p.signing.all, p.proofs, p.signed); err != nil {
			return ledger.Signature{}, err
		}
	}
	first, err := p.talk.Result()
	if err != nil {
		first = nil // the first attempt opens another
	}
	return p.Options.notarise(p.ctx, p.notary, p.question, first, beside)
}

// othersThan are the signatures that a party has not seen: those of the other parties.
func (p *initiator) othersThan(c *counterparty) (out []ledger.Signature) {
	for _, other := range p.parties {
		if other != c {
			out = append(out, other.fresh...)
		}
	}
	return out
}

// distribute stores the final transaction and sends all signatures to all parties, together: it is final, whatever becomes of
// this virtual node.
func (p *initiator) distribute(signature ledger.Signature) (Final, error) {
	all := withNotary(p.signing.all, signature)
	store := vault.StoreCall(p.tx, vault.Verified, vault.Options{Signatures: all, Visible: p.visible})
	calls := []flow.Call{store}
	var sends []*flow.Action
	for _, c := range p.parties {
		send := sendCall(c.s, message{kind: final, id: p.tx.ID(), signatures: withNotary(p.othersThan(c), signature)})
		sends, calls = append(sends, send), append(calls, send)
	}
	_ = flow.All(p.ctx, calls...) // each call has its error
	for i, send := range sends {
		if err := send.Err(); err != nil {
			// It asks the notary itself, when its repair runs.
			p.ctx.Log().Warn("a party was not told that the transaction is final", "party", p.parties[i].s.Counterparty(), "transaction", p.tx.ID().String(), "reason", err.Error())
		}
	}
	if err := store.Err(); err != nil {
		return Final{}, failed(ErrUnknown, "transaction %s is final, and could not be stored here as verified: %s", p.tx.ID(), err)
	}
	return Final{Transaction: p.tx, Signatures: p.signing.all, Notary: signature, Visible: p.visible}, nil
}

// withNotary are the signatures of all; a notary that is a signatory has one of each.
func withNotary(all []ledger.Signature, notarys ledger.Signature) []ledger.Signature {
	return append(append([]ledger.Signature{}, all...), notarys)
}

// abandon tells the parties that it comes to nothing, and stores the transaction as invalid if it can never be final: when
// its contracts or its notary say so. That a party refuses is not enough: whoever has all signatures can have it notarised.
// It returns the error.
func (p *initiator) abandon(err error, invalid bool) error {
	var calls []flow.Call
	var refused *refusedError
	errors.As(err, &refused)
	for _, c := range p.parties {
		if refused == nil || refused.by != c.s.Counterparty() {
			calls = append(calls, sendCall(c.s, failureOf(p.tx.ID(), err)))
		}
	}
	if invalid {
		calls = append(calls, vault.StoreCall(p.tx, vault.Invalid, vault.Options{Consumed: spentOf(err)}))
	}
	if all := flow.All(p.ctx, calls...); all != nil {
		p.ctx.Log().Warn("a transaction was given up, and not everybody was told, or it is not stored as invalid", "transaction", p.tx.ID().String(), "reason", all.Error())
	}
	return err
}

// undecided is an error after the transaction was sent, as the application gets it. Unless its contracts or its notary refuse
// it, it may become final without this party: whoever was sent it may have all signatures, whatever it says here. The error
// must not read as if it were over, or an application would do again what may still happen.
func (p *initiator) undecided(err error) error {
	if errors.Is(err, ErrInvalid) || errors.Is(err, flow.ErrInvalidTransaction) {
		return err
	}
	if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrUnknown) {
		if len(p.parties) == 0 {
			return err
		}
		err = fmt.Errorf("%w: %w", failed(ErrUnknown, "it is not known what becomes of transaction %s", p.tx.ID()), err)
	}
	return fmt.Errorf("%w; the transaction may become final until %s", err, windowEnd(p.tx).Format(time.RFC3339))
}

// windowEnd is when a notary accepts a transaction no longer.
func windowEnd(tx *ledger.Transaction) time.Time {
	return time.UnixMicro(tx.Content().Window.UntilUs).UTC()
}
