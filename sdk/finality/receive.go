package finality

import (
	"errors"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// responder is what [Receive] works with.
type responder struct {
	Options
	ctx     *flow.Context
	s       *flow.Session
	tx      *ledger.Transaction
	signing *signing
	others  bool // their signatures follow
	mine    owned
	visible []int
	chain   *backchain
	sources []*ledger.Filtered
	unsaved bool // signatures could not be added in the vault
}

// Receive is [Receive] with options.
func (o Options) Receive(ctx *flow.Context, s *flow.Session, check func(*ledger.Resolved) error) (Final, error) {
	p := &responder{Options: o, ctx: ctx, s: s}
	m, err := p.proposal()
	if err != nil {
		return Final{}, p.refuse(err, nil)
	}
	if err := p.resolve(m); err != nil {
		return Final{}, p.refuse(err, nil)
	}
	left, err := p.chain.verify()
	if err != nil {
		return Final{}, p.refuse(err, nil)
	}
	own, err := p.agree(left, check)
	if err != nil {
		return Final{}, err
	}
	f, err := p.wait(own)
	if err == nil {
		s.TolerateFailure()
	}
	return f, err
}

// refuse tells the initiator why it comes to nothing, and does what else is to be done with it. It returns the error.
func (p *responder) refuse(err error, also []flow.Call) error {
	var theirs *refusedError
	var ours *flow.Error
	if !errors.As(err, &theirs) && p.tx != nil {
		also = append(also, sendCall(p.s, failureOf(p.tx.ID(), err)))
	}
	if errors.As(err, &ours) && (ours.Type == flow.ErrSessionFailed.Type || ours.Type == flow.ErrSessionClosed.Type || ours.Type == flow.ErrSessionTimeout.Type) && len(also) == 1 {
		return err // nobody listens
	}
	if all := flow.All(p.ctx, also...); all != nil {
		p.ctx.Log().Warn("a transaction was refused, and not everything that follows could be done", "reason", all.Error())
	}
	return err
}

// proposal receives the transaction and checks what needs nothing else.
func (p *responder) proposal() (message, error) {
	reply := receiveCall(p.s)
	if err := flow.All(p.ctx, reply); err != nil {
		return message{}, err
	}
	m, err := decodeMessage(reply.Value())
	if err != nil {
		return m, err
	}
	if m, err = taken(p.s, m, m.id, proposal); err != nil {
		return m, err
	}
	p.tx, p.others = m.transactions[0].tx, m.others
	p.signing = newSigning(p.ctx, p.tx)
	if until := windowEnd(p.tx); until.After(p.ctx.Now().Add(p.maxWindow())) {
		return m, failed(ErrRefused, "%s refuses transaction %s: its time window ends at %s, and none is taken here that ends more than %s from now", p.ctx.Identity().X500Name, p.tx.ID(), until.Format(time.RFC3339), p.maxWindow())
	}
	if err := storable(p.tx); err != nil {
		return m, err
	}
	signatures := m.transactions[0].signatures
	if len(signatures) == 0 {
		return m, failed(ErrSignature, "%s has not signed transaction %s itself", p.s.Counterparty(), p.tx.ID())
	}
	_, err = p.signing.add(p.s.Counterparty(), signatures)
	return m, err
}

// resolve finds out whose keys are mine, who the notary is, and what the transaction comes from.
func (p *responder) resolve(m message) error {
	c := p.tx.Content()
	p.chain = &backchain{
		Options: p.Options, ctx: p.ctx, s: p.s, id: p.tx.ID(),
		tx: p.tx, all: map[ledger.Hash]signedTransaction{}, asked: map[ledger.Hash]bool{}, proofs: map[ledger.Hash][]*ledger.Filtered{},
	}
	members, keys := flow.MembersCall(c.Notary.Name), keysCall(p.tx)
	known := lookupOf(p.tx.Dependencies(), dependencies(p.tx))
	itself, installed := vault.StatusesCall(p.tx.ID()), p.installedCall()
	if err := flow.All(p.ctx, append(known.calls(), members, keys, itself, installed)...); err != nil {
		return err
	}
	if itself.Value()[0].Status == vault.Invalid {
		return failed(ErrInvalid, "transaction %s is known as invalid here", p.tx.ID())
	}
	to, err := serviceOf(c.Notary, members.Value())
	if err != nil {
		return err
	}
	p.chain.notary = to
	p.mine = ownedOf(keys.Value())
	p.visible = p.Options.visible(p.tx, p.mine)
	if p.Spendable {
		if err := p.spendable(installed.Value()); err != nil {
			return err
		}
	}
	missing, err := p.chain.take(known)
	if err != nil {
		return err
	}
	if to.backchain {
		if len(m.proofs) > 0 {
			return failed(flow.ErrBadMessage, "%s shows parts of transactions, and notary %s needs all of them", p.s.Counterparty(), c.Notary.Name)
		}
		missing, err = p.chain.brought(p.chain.fresh(missing), m.sources, p.tx.Dependencies())
		if err != nil {
			return err
		}
		return p.chain.fetch(missing)
	}
	if len(m.sources) > 0 {
		return failed(flow.ErrBadMessage, "%s shows whole transactions, and with notary %s parts of them are shown", p.s.Counterparty(), c.Notary.Name)
	}
	return p.takeProofs(m.proofs)
}

// takeProofs checks and stores proofs of what the transaction consumes and looks at: what the notary has verified.
func (p *responder) takeProofs(proofs []signedProof) error {
	needed := needs(p.tx)
	var all []vault.Claim
	for _, proof := range proofs {
		// What is refused anyway is not checked first.
		if n, _, err := proof.filtered.Notary(); err == nil && needed[proof.filtered.ID()] != nil && p.chain.notary.signs(n) && len(all) < len(dependencies(p.tx)) {
			all = append(all, claims(proof.filtered.ID(), notarysAlone(proof, n)...)...)
		}
	}
	checked, err := vault.CheckSignatures(p.ctx, all...)
	if err != nil {
		return err
	}
	var list []vault.SignedFiltered
	for _, proof := range proofs {
		id := proof.filtered.ID()
		if needed[id] == nil {
			return failed(ErrBackchain, "%s shows transaction %s, on which transaction %s does not depend", p.s.Counterparty(), id, p.tx.ID())
		}
		n, err := checkProof(p.s.Counterparty(), proof, p.chain.notary, checked)
		if err != nil {
			return err
		}
		p.chain.proofs[id] = append(p.chain.proofs[id], proof.filtered)
		list = append(list, vault.SignedFiltered{Filtered: proof.filtered, Signatures: notarysAlone(proof, n)})
	}
	return vault.StoreFiltered(p.ctx, list...)
}

// notarysAlone are a proof's signatures by the notary, which were checked; of others nothing is known.
func notarysAlone(p signedProof, n ledger.Notary) (out []ledger.Signature) {
	for _, s := range p.signatures {
		if string(s.By) == string(n.Key) {
			return []ledger.Signature{s}
		}
	}
	return out
}

// agree asks the application, verifies, signs and stores: the signatures are made while the transaction is verified, and
// leave only when it is valid and stored.
func (p *responder) agree(left []flow.Call, check func(*ledger.Resolved) error) ([]ledger.Signature, error) {
	var keys []ledger.PublicKey
	for _, k := range p.signing.missing() {
		if p.mine.has(k) {
			keys = append(keys, k)
		}
	}
	sources, err := p.chain.sources(p.tx)
	if err != nil {
		return nil, p.refuse(err, left)
	}
	resolved, err := ledger.Resolve(p.tx, sources...)
	if err != nil {
		return nil, p.refuse(failed(ErrBackchain, "%s", err), left)
	}
	p.sources = sources
	if check != nil {
		if err := check(resolved); err != nil {
			err = failed(ErrRefused, "%s refuses transaction %s: %s", p.ctx.Identity().X500Name, p.tx.ID(), err)
			// It is not stored as invalid, not even when this party must sign: another flow of the virtual node may have signed it,
			// or may do so later.
			return nil, p.refuse(err, left)
		}
	}
	verify := flow.VerifyCall(p.tx, encodings(sources)...)
	store := vault.StoreCall(p.tx, vault.Unverified, vault.Options{Signatures: p.signing.all, Visible: p.visible})
	calls := append(left, verify, store)
	signs := make([]*flow.Pending[[]ledger.Signature], len(keys))
	for i, k := range keys {
		signs[i] = vault.SignCall(k, p.tx.ID())
		calls = append(calls, signs[i])
	}
	err = flow.All(p.ctx, calls...)
	if p.chain.lacks(verify.Err()) {
		verify, err = p.verifyAgain(verify, calls, sources)
	}
	if verify.Err() == nil && !verify.Value().Valid() {
		return nil, p.refuse(verify.Value().Err(), []flow.Call{vault.StoreCall(p.tx, vault.Invalid, vault.Options{})})
	}
	if err == nil && store.Value().Now == vault.Invalid {
		err = failed(ErrInvalid, "transaction %s is known as invalid here", p.tx.ID())
	}
	if err != nil {
		return nil, p.refuse(err, nil)
	}
	var own []ledger.Signature
	for _, s := range signs {
		own = append(own, s.Value()...)
	}
	if err := p.signing.own(own); err != nil {
		return nil, p.refuse(err, nil)
	}
	return own, nil
}

// verifyAgain gets the packages that are missing and asks once more. Its error is the first that the calls have then.
func (p *responder) verifyAgain(first *flow.Pending[flow.Verification], calls []flow.Call, sources []*ledger.Filtered) (*flow.Pending[flow.Verification], error) {
	if err := p.chain.fetchPackages(); err != nil {
		return first, err
	}
	verify := flow.VerifyCall(p.tx, encodings(sources)...)
	err := flow.All(p.ctx, verify)
	for _, c := range calls {
		if c != flow.Call(first) && c.Err() != nil {
			return verify, c.Err()
		}
	}
	return verify, err
}

// wait sends the own signatures, takes those of the others, and waits for the notary's.
func (p *responder) wait(own []ledger.Signature) (Final, error) {
	reply, add := receiveCall(p.s), vault.AddSignaturesCall(p.tx.ID(), own...)
	_ = flow.All(p.ctx, add, sendCall(p.s, message{kind: signed, id: p.tx.ID(), signatures: own}), reply)
	// What could not be added is stored with the notary's signature, or tried once more: repair would look for this party's
	// own signature elsewhere, and nobody else is asked for it.
	p.unsaved = add.Err() != nil
	kinds := []kind{final}
	if p.others {
		kinds = []kind{signed, final}
	}
	for {
		m, err := p.hear(reply, kinds...)
		if err != nil {
			return p.unfinished(err)
		}
		last := len(m.signatures)
		if m.kind == final {
			last--
		}
		fresh, err := p.signing.add(p.s.Counterparty(), m.signatures[:last])
		if err != nil {
			return p.unfinished(err)
		}
		if m.kind == final {
			return p.finish(m.signatures[last])
		}
		reply, add, kinds = receiveCall(p.s), vault.AddSignaturesCall(p.tx.ID(), fresh...), []kind{final}
		_ = flow.All(p.ctx, add, reply) // the same
		p.unsaved = p.unsaved || add.Err() != nil
	}
}

// hear takes what the initiator says.
func (p *responder) hear(reply *flow.Pending[[]byte], kinds ...kind) (message, error) {
	b, err := reply.Result()
	if err != nil {
		return message{}, failed(ErrUnknown, "%s did not say what became of transaction %s: %s", p.s.Counterparty(), p.tx.ID(), err)
	}
	return take(p.s, b, p.tx.ID(), kinds...)
}
