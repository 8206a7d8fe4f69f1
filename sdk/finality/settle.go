package finality

import (
	"errors"

	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// finish stores the final transaction at a responder.
func (p *responder) finish(signature ledger.Signature) (Final, error) {
	err := p.signing.complete()
	if err == nil {
		var checked *vault.Checked
		if checked, err = vault.CheckSignatures(p.ctx, claims(p.tx.ID(), signature)...); err == nil {
			if wrong := notary.CheckSignature(signature, p.tx.ID(), p.tx.Content().Notary, checked); wrong != nil {
				err = failed(ErrSignature, "%s sent as the notary's: %s", p.s.Counterparty(), wrong)
			}
		}
	}
	if err != nil {
		return p.unfinished(err)
	}
	all := withNotary(p.signing.all, signature)
	if _, _, err := vault.Store(p.ctx, p.tx, vault.Verified, vault.Options{Signatures: all, Visible: p.visible}); err != nil {
		return Final{}, failed(ErrUnknown, "transaction %s is final, and could not be stored here as verified: %s", p.tx.ID(), err)
	}
	return Final{Transaction: p.tx, Signatures: p.signing.all, Notary: signature, Visible: p.visible}, nil
}

// unfinished is how a responder ends that has signed and does not get the notary's signature. When the initiator says that
// the transaction will never be final, the notary is asked: an initiator that lies would otherwise have a final transaction
// counted as invalid here. Whatever else the initiator says or leaves out, it has this party's signature and can have the
// transaction notarised until its window has passed: the error is [ErrUnknown], or an application would do again what may
// still happen.
func (p *responder) unfinished(err error) (Final, error) {
	var told *refusedError
	if errors.As(err, &told) && told.class == classFatal {
		v := verdict{tx: p.tx, signing: p.signing, verified: true}
		v.settle(p.ctx, p.Options)
		switch {
		case v.store != nil:
			err = failed(ErrUnknown, "%s; and it could not be settled here: %s", err, v.store)
		case v.status == vault.Verified:
			return Final{Transaction: p.tx, Signatures: p.signing.all, Notary: v.signature, Visible: p.visible}, nil
		case v.status == vault.Invalid:
			return Final{}, failed(ErrInvalid, "%s", err)
		default:
			err = failed(ErrUnknown, "%s; but its notary has not refused it: %s", err, v.reason)
		}
	}
	if p.unsaved {
		if again := vault.AddSignatures(p.ctx, p.tx.ID(), p.signing.all...); again != nil {
			p.ctx.Log().Warn("the signatures of an open transaction are not in the vault", "transaction", p.tx.ID().String(), "reason", again.Error())
		}
	}
	if errors.Is(err, ErrUnknown) {
		return Final{}, err
	}
	return Final{}, failed(ErrUnknown, "it is not known what becomes of transaction %s, which this party has agreed to: %s", p.tx.ID(), err)
}

// verdict is what becomes of an unverified transaction when its notary is asked.
type verdict struct {
	tx      *ledger.Transaction
	signing *signing
	// verified: the contracts were verified already.
	verified bool

	// status is Verified, Invalid, or Unverified when nothing is known; it is stored unless store is an error.
	status    vault.Status
	signature ledger.Signature
	reason    error // why it is not verified
	store     error
}

// settle asks the notary what it has decided, and stores the transaction as verified or invalid when that follows.
func (v *verdict) settle(ctx *flow.Context, o Options) {
	v.status = vault.Unverified
	if v.reason = v.ask(ctx, o); v.reason == nil {
		v.reason = v.signing.gather(ctx, o)
	}
	var o2 vault.Options
	switch {
	case v.reason == nil:
		v.status, o2.Signatures = vault.Verified, withNotary(v.signing.all, v.signature)
	case errors.Is(v.reason, ErrInvalid), errors.Is(v.reason, flow.ErrInvalidTransaction):
		v.status, o2.Consumed = vault.Invalid, spentOf(v.reason)
	default:
		return
	}
	_, _, v.store = vault.Store(ctx, v.tx, v.status, o2)
}

// ask asks the notary, and verifies the contracts unless that was done: a transaction is stored before they are verified.
func (v *verdict) ask(ctx *flow.Context, o Options) error {
	q, err := ask(v.tx, notary.Read)
	if err != nil {
		return err
	}
	members := flow.MembersCall(q.notary.Name)
	var found []*flow.Pending[vault.Proofs]
	if !v.verified {
		found = proofsCalls(dependencies(v.tx))
	}
	if err := flow.All(ctx, with(found, members)...); err != nil {
		return err
	}
	to, err := serviceOf(q.notary, members.Value())
	if err != nil {
		return err
	}
	var calls []flow.Call
	var verify *flow.Pending[flow.Verification]
	var unproven error // what it consumes; the notary may still have refused it
	if !v.verified {
		var proofs []*ledger.Filtered
		if proofs, unproven = shown(v.tx, byTransaction(foundBy(found))); unproven == nil {
			verify = flow.VerifyCall(v.tx, encodings(proofs)...)
			calls = []flow.Call{verify}
		}
	}
	once := o
	once.Attempts = 1
	v.signature, err = once.notarise(ctx, to, q, nil, calls)
	switch {
	case errors.Is(err, ErrInvalid):
		return err
	case unproven != nil:
		return unproven
	case verify == nil:
		return err
	}
	verification, wrong := verify.Result()
	if wrong == nil {
		wrong = verification.Err()
	}
	if wrong != nil {
		return wrong
	}
	return err
}
