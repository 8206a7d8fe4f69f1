package finality

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// signing keeps which signatories of a transaction have signed. Only right signatures come in.
type signing struct {
	ctx *flow.Context
	tx  *ledger.Transaction
	all []ledger.Signature // in the order in which they came
	has map[string]bool    // by key
}

func newSigning(ctx *flow.Context, tx *ledger.Transaction) *signing {
	return &signing{ctx: ctx, tx: tx, has: map[string]bool{}}
}

// add takes signatures of a party. Each must be a right one, by a key that must sign; one that is there already is passed
// over, and those that are new are returned.
func (s *signing) add(from string, signatures []ledger.Signature) ([]ledger.Signature, error) {
	var checked *vault.Checked
	if len(signatures) <= len(s.tx.Content().Signatories) { // or else it is refused without looking at any
		var err error
		if checked, err = vault.CheckSignatures(s.ctx, claims(s.tx.ID(), signatures...)...); err != nil {
			return nil, err
		}
	}
	return s.addChecked(from, signatures, checked.Verify)
}

// own takes signatures that the platform has just made for this flow, and verified.
func (s *signing) own(signatures []ledger.Signature) error {
	_, err := s.addChecked("this party", signatures, func(ledger.Signature, ledger.Hash) error { return nil })
	return err
}

// storable is an error for a transaction that a vault might not take with all of its signatures, the notary's among them, or with
// which states come whose proof it might not take: what is final and stored nowhere would be lost.
func storable(tx *ledger.Transaction) error {
	c := tx.Content()
	for _, k := range append(slices.Clone(c.Signatories), c.Notary.Key) {
		if len(k) > ledger.MaxKey {
			return failed(flow.ErrLimit, "transaction %s is to be signed by key %s of %d bytes; a key has at most %d", tx.ID(), ledger.KeyID(k), len(k), ledger.MaxKey)
		}
	}
	n, signatures := len(tx.Encode()), len(c.Signatories)+1
	if most := ledger.MaxStored - signatures*ledger.MaxSignature; n > most {
		return failed(flow.ErrLimit, "transaction %s has %d bytes; a vault stores at most %d with its signatures, and %d signatures leave room for %d: split it, or keep large data outside of states",
			tx.ID(), n, ledger.MaxStored, signatures, max(0, most))
	}
	tied := map[string][]int{}
	for i, o := range c.Outputs {
		if o.Encumbrance != "" {
			tied[o.Encumbrance] = append(tied[o.Encumbrance], i)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(tied)) {
		outputs := tied[tag]
		proof, err := tx.Source(outputs...)
		if err != nil {
			return fmt.Errorf("prove the outputs of transaction %s with encumbrance %q: %w", tx.ID(), tag, err)
		}
		if n, most := len(proof.Encode()), ledger.MaxStored-ledger.MaxSignature; n > most {
			return failed(flow.ErrLimit, "the proof of the %d outputs of transaction %s with encumbrance %q, which are spent together, has %d bytes; a vault stores at most %d: tie fewer",
				len(outputs), tx.ID(), tag, n, most)
		}
	}
	return nil
}

// claims say that some signatures are of one transaction.
func claims(id ledger.Hash, signatures ...ledger.Signature) []vault.Claim {
	out := make([]vault.Claim, len(signatures))
	for i, s := range signatures {
		out[i] = vault.Claim{Transaction: id, Signature: s}
	}
	return out
}

// addChecked is add, by what was found of the signatures.
func (s *signing) addChecked(from string, signatures []ledger.Signature, verify func(ledger.Signature, ledger.Hash) error) ([]ledger.Signature, error) {
	signatories := s.tx.Content().Signatories
	if len(signatures) > len(signatories) {
		return nil, failed(ErrSignature, "%s sent %d signatures of transaction %s, which %d keys must sign", from, len(signatures), s.tx.ID(), len(signatories))
	}
	var fresh []ledger.Signature
	for _, sig := range signatures {
		if !slices.ContainsFunc(signatories, func(k ledger.PublicKey) bool { return bytes.Equal(k, sig.By) }) {
			return nil, failed(ErrSignature, "%s sent a signature by key %s, which need not sign transaction %s", from, ledger.KeyID(sig.By), s.tx.ID())
		}
		if s.has[string(sig.By)] {
			continue
		}
		if err := verify(sig, s.tx.ID()); err != nil {
			return nil, failed(ErrSignature, "%s sent a signature that is not one of transaction %s: %s", from, s.tx.ID(), err)
		}
		fresh = append(fresh, sig)
		s.has[string(sig.By)] = true
	}
	s.all = append(s.all, fresh...)
	return fresh, nil
}

// missing are the keys that must sign and have not.
func (s *signing) missing() (out []ledger.PublicKey) {
	for _, k := range s.tx.Content().Signatories {
		if !s.has[string(k)] {
			out = append(out, k)
		}
	}
	return out
}

// complete is an error that names a key that has not signed.
func (s *signing) complete() error {
	if m := s.missing(); len(m) > 0 {
		return failed(ErrSignature, "transaction %s lacks the signatures of %d keys that must sign, among them %s", s.tx.ID(), len(m), ledger.KeyID(m[0]))
	}
	return nil
}

// checkFinal checks what another party says of a transaction that is final: that all signatories and the notary have
// signed. It returns no more signatures than these.
func checkFinal(from string, t signedTransaction, checked *vault.Checked) ([]ledger.Signature, error) {
	c := t.tx.Content()
	var notarys *ledger.Signature
	var others []ledger.Signature
	for i, sig := range t.signatures {
		if notarys == nil && bytes.Equal(sig.By, c.Notary.Key) {
			notarys = &t.signatures[i]
			continue
		}
		others = append(others, sig)
	}
	s := newSigning(nil, t.tx)
	_, err := s.addChecked(from, others, checked.Verify)
	if err == nil && notarys != nil && slices.ContainsFunc(c.Signatories, func(k ledger.PublicKey) bool { return bytes.Equal(k, c.Notary.Key) }) {
		_, err = s.addChecked(from, []ledger.Signature{*notarys}, checked.Verify) // a notary that is a signatory signs once
	}
	if err == nil {
		err = s.complete()
	}
	switch {
	case err != nil:
		return nil, failed(ErrBackchain, "%s", err)
	case notarys == nil:
		return nil, failed(ErrBackchain, "%s shows transaction %s without its notary's signature", from, t.tx.ID())
	}
	if err := notary.CheckSignature(*notarys, t.tx.ID(), c.Notary, checked); err != nil {
		return nil, failed(ErrBackchain, "%s: the notary's signature: %s", from, err)
	}
	return t.signatures, nil
}

// checkProof checks that a proof is of a transaction that the notary has signed, with any key that it publishes: the one that
// the transaction names, which is returned.
func checkProof(from string, p signedProof, by service, checked *vault.Checked) (ledger.Notary, error) {
	n, _, err := p.filtered.Notary()
	if err == nil && !by.signs(n) {
		return n, failed(ErrBackchain, "%s shows transaction %s, whose notary is %s with key %s, which is not %s with one of its keys", from, p.filtered.ID(), n.Name, ledger.KeyID(n.Key), by.name)
	}
	if err := notary.CheckProof(p.filtered, p.signatures, n, checked); err != nil {
		return n, failed(ErrBackchain, "%s shows %s", from, err)
	}
	return n, nil
}

// shown finds what proves the states that a transaction consumes and looks at: of each transaction that made some, the
// first of the proofs that shows all that is needed of it, or else several that do together.
func shown(tx *ledger.Transaction, proofs map[ledger.Hash][]*ledger.Filtered) ([]*ledger.Filtered, error) {
	var out []*ledger.Filtered
	needed := needs(tx)
	for _, id := range tx.Dependencies() {
		found := proofs[id]
		if one := slices.IndexFunc(found, func(f *ledger.Filtered) bool { return len(lacking(f, needed[id])) == 0 }); one >= 0 {
			found = found[one : one+1]
		}
		var some []*ledger.Filtered
		left := needed[id]
		for _, f := range found {
			if less := lacking(f, left); len(less) < len(left) {
				some, left = append(some, f), less
			}
		}
		if len(left) > 0 {
			return nil, failed(flow.ErrUnresolved, "nothing here shows the outputs %v of transaction %s, on which transaction %s depends", left, id, tx.ID())
		}
		out = append(out, some...)
	}
	return out, nil
}

// lacking are those outputs that a proof does not show so that they can be consumed.
func lacking(f *ledger.Filtered, outputs []int) (out []int) {
	infos, _ := f.Count(ledger.GroupOutputInfos)
	whole := len(f.Shown(ledger.GroupOutputInfos)) == infos
	for _, i := range outputs {
		// Who consumes one that is tied to others must know how many these are.
		if s, err := f.Output(i); err != nil || s.Encumbrance != "" && !whole {
			out = append(out, i)
		}
	}
	return out
}

// needs are the outputs of other transactions that a transaction consumes or looks at.
func needs(tx *ledger.Transaction) map[ledger.Hash][]int {
	out := map[ledger.Hash][]int{}
	for _, r := range dependencies(tx) {
		out[r.Transaction] = append(out[r.Transaction], int(r.Index))
	}
	return out
}

// dependencies are the states that a transaction consumes and looks at.
func dependencies(tx *ledger.Transaction) []ledger.StateRef {
	c := tx.Content()
	return slices.Concat(c.Inputs, c.References)
}

// encodings makes proofs what ctx.Verify takes.
func encodings(all []*ledger.Filtered) []flow.Encoded {
	out := make([]flow.Encoded, len(all))
	for i, f := range all {
		out[i] = f
	}
	return out
}
