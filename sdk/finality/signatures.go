package finality

import (
	"bytes"
	"slices"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// SignaturesProtocol is by which a party asks another for the signatures that it lacks of a transaction which its notary
// has accepted: [Repair] does, and [Register] answers.
const SignaturesProtocol = "fairlead.finality.signatures"

// Register makes the responder of [SignaturesProtocol] known. It is called from an init function of every application
// whose transactions three or more parties finalise; with two, no signature can be missing.
func Register() { flow.Responder(SignaturesProtocol, giveSignatures) }

// giveSignatures gives a party of a transaction the signatures of signatories that are here. Others get none.
func giveSignatures(ctx *flow.Context, s *flow.Session) error {
	request := receiveCall(s)
	if err := flow.All(ctx, request); err != nil {
		return err
	}
	m, err := decodeMessage(request.Value())
	if err != nil {
		return err
	}
	if m.kind != asked {
		return flow.Errorf(flow.ErrBadMessage.Type, "a %s has no place here", m.kind)
	}
	found, member := vault.FindCall(m.id, vault.Unverified, vault.Verified), flow.MembersCall(s.Counterparty())
	if err := flow.All(ctx, found, member); err != nil {
		return err
	}
	out := message{kind: failure, id: m.id, class: classUnknown, reason: "there is no such transaction here of which " + s.Counterparty() + " is a party"}
	if tx := found.Value().Transaction; tx != nil && isParty(tx, member.Value()) {
		has := newSigning(ctx, tx)
		if err := has.keep(found.Value().Signatures); err != nil {
			return err
		}
		out = message{kind: signed, id: m.id, signatures: has.all}
	}
	return s.SendBytes(out.encode())
}

// isParty tells whether a member signs a transaction or takes part in what it makes.
func isParty(tx *ledger.Transaction, members []flow.Member) bool {
	c := tx.Content()
	all := slices.Clone(c.Signatories)
	for _, o := range c.Outputs {
		all = append(all, o.Participants...)
	}
	for _, m := range members {
		for _, mine := range m.LedgerKeys {
			if slices.ContainsFunc(all, func(k ledger.PublicKey) bool { return bytes.Equal(k, mine) }) {
				return true
			}
		}
	}
	return false
}

// gather asks those who must sign for the signatures that are missing here.
func (s *signing) gather(ctx *flow.Context, o Options) error {
	missing := s.missing()
	if len(missing) == 0 {
		return nil
	}
	keys := make([]flow.PublicKey, len(missing))
	for i, k := range missing {
		keys[i] = flow.PublicKey(k)
	}
	members := flow.MembersByKeyCall(keys...)
	if err := flow.All(ctx, members); err != nil {
		return err
	}
	var calls []flow.Call
	var opens []*flow.Pending[*flow.Session]
	for _, m := range members.Value() {
		if m.X500Name == ctx.Identity().X500Name {
			continue
		}
		open := flow.OpenSessionCall(m.X500Name, SignaturesProtocol, flow.SessionTimeout(o.notaryTimeout()), flow.CloseNotRequired())
		opens, calls = append(opens, open), append(calls, open)
	}
	if err := flow.All(ctx, calls...); err != nil {
		return err
	}
	calls = nil
	replies := make([]*flow.Pending[[]byte], len(opens))
	for i, open := range opens {
		replies[i] = receiveCall(open.Value())
		calls = append(calls, sendCall(open.Value(), message{kind: asked, id: s.tx.ID()}), replies[i])
	}
	_ = flow.All(ctx, calls...) // each call has its error
	for i, reply := range replies {
		b, err := reply.Result()
		var m message
		if err == nil {
			m, err = take(opens[i].Value(), b, s.tx.ID(), signed)
		}
		if err == nil {
			_, err = s.add(opens[i].Value().Counterparty(), m.signatures)
		}
		if err != nil {
			ctx.Log().Info("no signatures", "of", opens[i].Value().Counterparty(), "transaction", s.tx.ID().String(), "reason", err.Error())
		}
	}
	return s.complete()
}
