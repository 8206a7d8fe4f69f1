package notary

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// verify verifies a transaction. It returns the refusal, or a, whose class is 0, when nothing is against it.
func (o *Whole) verify(ctx *flow.Context, s *flow.Session, a Answer, keys []flow.Key) Answer {
	fatal := func(err error) Answer {
		a.Class, a.Reason = Fatal, short(err.Error())
		return a
	}
	checked, err := vault.CheckSignatures(ctx, o.claims()...)
	if err != nil {
		return a.general("it could not check the signatures", err)
	}
	if err := o.signed(checked); err != nil {
		return fatal(err)
	}
	sources, err := o.sources(keys, checked)
	if err != nil {
		return fatal(err)
	}
	v, err := ctx.Verify(o.Transaction, sources...)
	if errors.Is(err, flow.ErrPackageMissing) && ctx.Now().UnixMicro() < o.Transaction.Content().Window.UntilUs {
		if err := o.fetch(ctx, s); err != nil {
			ctx.Log().Warn("a package is missing", "transaction", a.Transaction.String(), "reason", err.Error())
			return a.general("it lacks a package by which the transaction is verified, and could not get it from "+s.Counterparty(), err)
		}
		v, err = ctx.Verify(o.Transaction, sources...)
	}
	if errors.Is(err, flow.ErrPackageUntrusted) {
		return a.general("its own package does not stand for all of "+o.packages()+": its operator puts one of the same name and signers into its bundle (fairlead app package create-cpb)", err)
	}
	if err != nil {
		return a.general("it could not verify the transaction", err)
	}
	if err := v.Err(); err != nil {
		text := err.Error()
		var e *flow.Error
		if errors.As(err, &e) {
			text = e.Message
		}
		return fatal(errors.New(text))
	}
	return a
}

// packages names those by which the transaction is verified.
func (o *Whole) packages() string {
	var names []string
	for _, p := range o.Transaction.Content().Metadata.Packages {
		names = append(names, p.Name+" "+p.Version)
	}
	return short(strings.Join(names, ", "))
}

// maxPackageBytes is how much of packages a notary takes for one transaction.
const maxPackageBytes = 64 << 20

// fetch gets the packages that are missing from who shows the transaction. It is asked only when all who must sign have, what is
// consumed is proven, and the time window has not ended. Who asks waits for a message for two minutes, which is why the end of
// a package's check is waited for once: when it takes longer, it is there when the notary is asked again.
func (o *Whole) fetch(ctx *flow.Context, s *flow.Session) error {
	id := o.Transaction.ID()
	fetcher := travel.Fetcher{Ctx: ctx, From: s.Counterparty(), MaxBytes: maxPackageBytes, Waits: 1, Ask: func(want travel.Parts) (travel.Parts, error) {
		reply := flow.ReceiveAtMostCall(s, MaxRequest)
		if err := flow.All(ctx, flow.SendBytesCall(s, Answer{Transaction: id, Class: Wants, Wanted: want}.Encode()), reply); err != nil {
			return travel.Parts{}, err
		}
		given, err := DecodeGiven(reply.Value())
		if err == nil && given.Transaction != id {
			err = flow.Errorf(flow.ErrBadMessage.Type, "a package for transaction %s is given, this is about %s", given.Transaction, id)
		}
		return given.Parts, err
	}}
	var proofs []*ledger.Filtered
	for _, p := range o.Proofs {
		proofs = append(proofs, p.Filtered)
	}
	return fetcher.Fetch(travel.Named(o.Transaction, proofs...)...)
}

// claims are all signatures that are looked at: none where there are more than can be needed, which is refused.
func (o *Whole) claims() (out []vault.Claim) {
	c := o.Transaction.Content()
	if len(o.Signatures) > len(c.Signatories) || len(o.Proofs) > len(c.Inputs)+len(c.References) {
		return nil
	}
	for _, s := range o.Signatures {
		if !slices.ContainsFunc(c.Signatories, func(k ledger.PublicKey) bool { return bytes.Equal(k, s.By) }) {
			return out // it is refused, whatever follows
		}
		out = append(out, vault.Claim{Transaction: o.Transaction.ID(), Signature: s})
	}
	for _, p := range o.Proofs {
		if !slices.Contains(o.Transaction.Dependencies(), p.Filtered.ID()) {
			return out // the same
		}
		out = append(out, vault.Claim{Transaction: p.Filtered.ID(), Signature: p.Signature})
	}
	return out
}

// signed checks that everybody who must sign has, and nobody else.
func (o *Whole) signed(checked *vault.Checked) error {
	signatories := o.Transaction.Content().Signatories
	if len(o.Signatures) > len(signatories) {
		return fmt.Errorf("it has %d signatures, and %d keys must sign it", len(o.Signatures), len(signatories))
	}
	must := map[string]bool{}
	for _, k := range signatories {
		must[string(k)] = true
	}
	for _, s := range o.Signatures {
		if !must[string(s.By)] {
			return fmt.Errorf("it has a signature by key %s, which need not sign or signs twice", ledger.KeyID(s.By))
		}
		if err := checked.Verify(s, o.Transaction.ID()); err != nil {
			return err
		}
		delete(must, string(s.By))
	}
	i := slices.IndexFunc(signatories, func(k ledger.PublicKey) bool { return must[string(k)] })
	if i >= 0 {
		return fmt.Errorf("it lacks the signatures of %d keys that must sign, among them %s", len(must), ledger.KeyID(signatories[i]))
	}
	return nil
}

// sources checks the proofs: this notary has signed each, with any of its keys, and so has verified it; and they prove all
// states that the transaction consumes and looks at, and nothing else.
func (o *Whole) sources(keys []flow.Key, checked *vault.Checked) ([]flow.Encoded, error) {
	needed := map[ledger.Hash]bool{}
	for _, id := range o.Transaction.Dependencies() {
		needed[id] = true
	}
	c := o.Transaction.Content()
	if states := len(c.Inputs) + len(c.References); len(o.Proofs) > states {
		return nil, fmt.Errorf("it comes with %d proofs, and consumes and looks at %d states", len(o.Proofs), states)
	}
	var filtered []*ledger.Filtered
	var out []flow.Encoded
	for _, p := range o.Proofs {
		if !needed[p.Filtered.ID()] {
			return nil, fmt.Errorf("transaction %s is shown, on which it does not depend", p.Filtered.ID())
		}
		if err := CheckProof(p.Filtered, []ledger.Signature{p.Signature}, mineOf(p.Filtered, c.Notary, keys), checked); err != nil {
			return nil, fmt.Errorf("it comes with %w", err)
		}
		filtered, out = append(filtered, p.Filtered), append(out, p.Filtered)
	}
	if _, err := ledger.Resolve(o.Transaction, filtered...); err != nil {
		return nil, err
	}
	return out, nil
}

// mineOf is the notary that a proof must name: this one with the key that signed it, when that is one of its keys.
func mineOf(f *ledger.Filtered, n ledger.Notary, keys []flow.Key) ledger.Notary {
	made, _, err := f.Notary()
	if err == nil && made.Name == n.Name && slices.ContainsFunc(keys, func(k flow.Key) bool { return bytes.Equal(k.PublicKey, made.Key) }) {
		return made
	}
	return n
}

// short bounds what contracts say.
func short(text string) string {
	const most = 4000
	for i := range text {
		if i > most {
			return text[:i] + "…"
		}
	}
	return text
}
