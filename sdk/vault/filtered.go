package vault

import (
	"crypto/sha256"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// SignedFiltered is a proof of parts of a verified transaction, with its signatures.
type SignedFiltered struct {
	Filtered *ledger.Filtered
	// Signatures are right ones of the transaction, its notary's among them.
	Signatures []ledger.Signature
}

// StoreFiltered stores proofs of verified transactions. They must show the notary, and of outputs both components. What they
// show can be resolved from then on. Whether the notary signed is the caller's to check. A transaction that is known to be
// invalid is [ErrIllegalStatus]; nothing is stored then.
func StoreFiltered(ctx *flow.Context, list ...SignedFiltered) error {
	_, err := do(ctx, StoreFilteredCall(list...))
	return err
}

// StoreFilteredCall is [StoreFiltered] as a call.
func StoreFilteredCall(list ...SignedFiltered) *flow.Action {
	if len(list) == 0 {
		return flow.EndedCall(struct{}{}, nil)
	}
	o := &wire.PersistFilteredTransactions{}
	for _, f := range list {
		o.Transactions = append(o.Transactions, wire.SignedFiltered{Filtered: f.Filtered.Encode(), Signatures: encoded(f.Signatures)})
	}
	return action(o)
}

// Proofs are what [FindFiltered] finds.
type Proofs struct {
	// Found are in the order in which the references first name their transactions; there are several of one transaction
	// when no single one shows all.
	Found []SignedFiltered
	// Missing are states that nothing here proves.
	Missing []ledger.StateRef
}

// FindFiltered reads proofs that show states, of verified transactions: those that were stored, and those that are made of
// transactions that the virtual node has. The references may be of at most 200 transactions.
func FindFiltered(ctx *flow.Context, refs ...ledger.StateRef) (found []SignedFiltered, missing []ledger.StateRef, err error) {
	p, err := do(ctx, FindFilteredCall(refs...))
	return p.Found, p.Missing, err
}

// FindFilteredCall is [FindFiltered] as a call.
func FindFilteredCall(refs ...ledger.StateRef) *flow.Pending[Proofs] {
	if len(refs) == 0 {
		return flow.EndedCall(Proofs{}, nil)
	}
	return call(&wire.FindFilteredTransactions{Refs: wireRefs(refs)}, func(r *wire.FoundFilteredTransactions) (p Proofs, err error) {
		for _, t := range r.Transactions {
			f, err := ledger.DecodeFiltered(t.Filtered)
			if err != nil {
				return Proofs{}, unreadable("a proof", err)
			}
			all, err := signatures(t.Signatures)
			if err != nil {
				return Proofs{}, err
			}
			p.Found = append(p.Found, SignedFiltered{f, all})
		}
		for i := range r.Missing {
			ref, err := stateRef(&r.Missing[i])
			if err != nil {
				return Proofs{}, err
			}
			p.Missing = append(p.Missing, ref)
		}
		return p, nil
	})
}

// GroupParameters are parameters of the group as its manager signed them.
type GroupParameters struct {
	Parameters []byte
	// SignedBy is the manager's key as SubjectPublicKeyInfo, DER.
	SignedBy  ledger.PublicKey
	Signature []byte
	// Scheme is the signature's, such as EdDSA or SHA256withECDSA.
	Scheme string
}

// Hash names the parameters; transactions carry it in their metadata.
func (g GroupParameters) Hash() ledger.Hash { return sha256.Sum256(g.Parameters) }

// StoreGroupParameters stores parameters under their hash, unless they are there. Whether the signature is right, and the
// manager's, is the caller's to check.
func StoreGroupParameters(ctx *flow.Context, g GroupParameters) error {
	_, err := do(ctx, StoreGroupParametersCall(g))
	return err
}

// StoreGroupParametersCall is [StoreGroupParameters] as a call.
func StoreGroupParametersCall(g GroupParameters) *flow.Action {
	return action(&wire.PersistGroupParameters{Parameters: &wire.SignedGroupParameters{Parameters: g.Parameters, SignedBy: g.SignedBy, Signature: g.Signature, Scheme: g.Scheme}})
}

// FindGroupParameters reads the parameters with a hash. Parameters that are not there are flow.ErrNotFound.
func FindGroupParameters(ctx *flow.Context, hash ledger.Hash) (GroupParameters, error) {
	return do(ctx, FindGroupParametersCall(hash))
}

// FindGroupParametersCall is [FindGroupParameters] as a call.
func FindGroupParametersCall(hash ledger.Hash) *flow.Pending[GroupParameters] {
	return call(&wire.FindGroupParameters{Hash: hash[:]}, func(r *wire.SignedGroupParameters) (GroupParameters, error) {
		g := GroupParameters{Parameters: r.Parameters, SignedBy: r.SignedBy, Signature: r.Signature, Scheme: r.Scheme}
		switch {
		case len(g.Parameters) == 0:
			return GroupParameters{}, flow.Errorf(flow.ErrNotFound.Type, "group parameters %s are not in the vault", hash)
		case g.Hash() != hash:
			return GroupParameters{}, flow.Errorf("protocol", "group parameters %s were asked for and %s answered", hash, g.Hash())
		}
		return g, nil
	})
}
