package finality

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// service is a notary that the group knows.
type service struct {
	name, member, protocol string
	// backchain: the parties verify what states come from, back to where they were issued. Without it, the notary verifies
	// each transaction, and is shown all of it.
	backchain bool
	// keys are all that it publishes: a notary that has changed its key still stands for what the old one signed.
	keys []ledger.PublicKey
}

// signs tells whether a transaction's notary is this service, with any of its keys.
func (s service) signs(n ledger.Notary) bool {
	return n.Name == s.name && slices.ContainsFunc(s.keys, func(k ledger.PublicKey) bool { return bytes.Equal(k, n.Key) })
}

// serviceOf finds a transaction's notary among the members of its name: one that publishes the service and the key.
func serviceOf(n ledger.Notary, members []flow.Member) (service, error) {
	for _, m := range members {
		if m.Context[notary.PropertyService] != n.Name {
			continue
		}
		s := service{name: n.Name, member: m.X500Name, protocol: notary.ProtocolOf(m.Context), backchain: !notary.Verifies(m.Context)}
		for i := 0; ; i++ {
			text, there := m.Context[fmt.Sprintf(notary.PropertyKey, i)]
			if !there {
				break
			}
			if block, _ := pem.Decode([]byte(text)); block != nil {
				s.keys = append(s.keys, block.Bytes)
			}
		}
		if s.signs(n) {
			return s, nil
		}
		return service{}, failed(ErrNotary, "notary %s has no key %s", n.Name, ledger.KeyID(n.Key))
	}
	return service{}, failed(ErrNotary, "the group has no notary %s", n.Name)
}

// open makes the call that opens a session with the notary. Its close is not waited for.
func (o Options) open(s service) *flow.Pending[*flow.Session] {
	return flow.OpenSessionCall(s.member, s.protocol, flow.ProtocolVersions(notary.Version), flow.SessionTimeout(o.notaryTimeout()), flow.CloseNotRequired())
}

// question is what a notary is asked about a transaction.
type question struct {
	tx      *ledger.Transaction
	notary  ledger.Notary
	request []byte
	// packages are those that the notary may ask for, to verify.
	packages []ledger.Package
}

// ask shows a notary what it must see that does not verify, or is only asked what it has decided.
func ask(tx *ledger.Transaction, mode notary.Mode) (question, error) {
	f, err := tx.Filter(ledger.ForNotary())
	if err != nil {
		return question{}, err
	}
	return question{tx: tx, notary: tx.Content().Notary, request: notary.Request{Mode: mode, Filtered: f}.Encode()}, nil
}

// askToVerify shows a notary all of a transaction, with the proofs of what it consumes and looks at.
func askToVerify(tx *ledger.Transaction, signatures []ledger.Signature, proofs []*ledger.Filtered, signed []vault.SignedFiltered) (question, error) {
	whole := &notary.Whole{Transaction: tx, Signatures: signatures}
	for _, f := range proofs {
		i := slices.IndexFunc(signed, func(s vault.SignedFiltered) bool { return s.Filtered == f })
		made, _, err := f.Notary() // with another of its keys, perhaps
		if err != nil {
			return question{}, failed(ErrBackchain, "transaction %s, which transaction %s comes from, is in the vault without its notary: %s", f.ID(), tx.ID(), err)
		}
		notarys := notarysAlone(signedProof{f, signed[i].Signatures}, made)
		if len(notarys) == 0 {
			return question{}, failed(ErrBackchain, "transaction %s, which transaction %s comes from, is in the vault without its notary's signature", f.ID(), tx.ID())
		}
		whole.Proofs = append(whole.Proofs, notary.Proof{Filtered: f, Signature: notarys[0]})
	}
	return question{tx, tx.Content().Notary, notary.Request{Mode: notary.Write, Whole: whole}.Encode(), travel.Named(tx, proofs...)}, nil
}

// answerCall receives the answer.
func answerCall(s *flow.Session) *flow.Pending[[]byte] {
	return flow.ReceiveAtMostCall(s, notary.MaxAnswer)
}

// heard is what came of one attempt to ask a notary.
type heard struct {
	signature ledger.Signature
	// gave: it was given packages, and the answer came after that. inVain: it asks for one that it cannot be given, nor will be.
	gave, inVain bool
}

// hear takes the notary's answers, and gives it the packages that it asks for until it has decided. Its error is that of
// read, or [ErrUnknown].
func (q question) hear(ctx *flow.Context, s *flow.Session, answer *flow.Pending[[]byte]) (out heard, err error) {
	offers := travel.Offers{}
	offers.Add(q.packages...)
	for {
		var wanted *travel.Parts
		if out.signature, wanted, err = q.read(ctx, answer); wanted == nil {
			return out, err
		}
		given, err := q.give(ctx, offers, *wanted)
		if err != nil {
			out.inVain = !errors.Is(err, flow.ErrTimeout)
			if wrong := s.Close(); wrong != nil { // the notary waits for the package otherwise
				ctx.Log().Info("the session with the notary is not closed", "reason", wrong.Error())
			}
			return out, failed(ErrUnknown, "notary %s needs a package to decide on transaction %s, and it could not be given: %s", q.notary.Name, q.tx.ID(), err)
		}
		out.gave, answer = true, answerCall(s)
		_ = flow.All(ctx, flow.SendBytesCall(s, notary.Given{Transaction: q.tx.ID(), Parts: given}.Encode()), answer) // each call has its error
	}
}

// give reads parts of a package that the notary may have. After the time window there is nothing to decide.
func (q question) give(ctx *flow.Context, offers travel.Offers, wanted travel.Parts) (travel.Parts, error) {
	if until := windowEnd(q.tx); !ctx.Now().Before(until) {
		return travel.Parts{}, failed(ErrUnknown, "the time window ended at %s", until.Format(time.RFC3339))
	}
	reads, err := offers.Read(q.notary.Name, wanted)
	if err != nil {
		return travel.Parts{}, err
	}
	calls := make([]flow.Call, len(reads))
	for i, r := range reads {
		calls[i] = r
	}
	if err := flow.All(ctx, calls...); err != nil {
		return travel.Parts{}, err
	}
	return offers.Give(wanted, reads), nil
}

// read takes an answer; wanted is set when it asks for a package first. Its error is [ErrInvalid] for a refusal that is for
// ever, and [ErrUnknown] for everything else: also for an answer that is about another transaction, or signed by another key,
// for that says nothing of this one.
func (q question) read(ctx *flow.Context, answer *flow.Pending[[]byte]) (signature ledger.Signature, wanted *travel.Parts, err error) {
	name := q.notary.Name
	b, err := answer.Result()
	if err != nil {
		return signature, nil, failed(ErrUnknown, "notary %s did not answer about transaction %s: %s", name, q.tx.ID(), err)
	}
	a, err := notary.DecodeAnswer(b)
	var checked *vault.Checked
	if err == nil && a.Class == notary.Signed {
		checked, err = vault.CheckSignatures(ctx, claims(q.tx.ID(), a.Signature)...)
	}
	if err == nil {
		err = a.Check(q.tx.ID(), q.notary, checked)
	}
	switch {
	case err != nil:
		return signature, nil, failed(ErrUnknown, "the answer of notary %s about transaction %s is not right: %s", name, q.tx.ID(), err)
	case a.Class == notary.Signed:
		return a.Signature, nil, nil
	case a.Class == notary.Wants:
		return signature, &a.Wanted, nil
	case a.Class == notary.Fatal:
		return signature, nil, &spentError{failed(ErrInvalid, "notary %s refuses transaction %s: %s", name, q.tx.ID(), a.Reason), q.spent(a)}
	default:
		return signature, nil, failed(ErrUnknown, "notary %s has not decided on transaction %s: %s", name, q.tx.ID(), a.Reason)
	}
}

// spent are the states that others have consumed, as an answer says.
func (q question) spent(a notary.Answer) (out []vault.Consumed) {
	c := q.tx.Content()
	for _, x := range a.Conflicts {
		if x.ConsumedBy != q.tx.ID() && (slices.Contains(c.Inputs, x.State) || slices.Contains(c.References, x.State)) {
			out = append(out, vault.Consumed{Ref: x.State, By: x.ConsumedBy})
		}
	}
	return out
}

// again is the first wait between two attempts.
const again = time.Second

// mostGiven is in how many attempts a notary is given packages: what it has not taken twice it will not take.
const mostGiven = 2

// notarise asks until there is an answer, at most as often as the options say. The first attempt uses a session that is
// open, and goes out together with other calls, whose errors are theirs.
func (o Options) notarise(ctx *flow.Context, to service, q question, first *flow.Session, beside []flow.Call) (ledger.Signature, error) {
	wait, given := again, 0
	for attempt := 1; ; attempt++ {
		s, err := first, error(nil)
		if s == nil {
			open := o.open(to)
			_ = flow.All(ctx, append(beside, open)...) // each call has its error
			s, err = open.Result()
			beside = nil
		}
		var out heard
		if err == nil {
			answer := answerCall(s)
			_ = flow.All(ctx, append([]flow.Call{flow.SendBytesCall(s, q.request), answer}, beside...)...)
			out, err = q.hear(ctx, s, answer)
		}
		if err == nil || errors.Is(err, ErrInvalid) {
			return out.signature, err
		}
		if out.gave {
			given++
		}
		if attempt >= o.attempts() || given >= mostGiven || out.inVain {
			return out.signature, failed(ErrUnknown, "after %d attempts: %s", attempt, err)
		}
		ctx.Log().Warn("the notary is asked again", "transaction", q.tx.ID().String(), "attempt", attempt, "reason", err.Error())
		if err := ctx.Sleep(wait); err != nil {
			return out.signature, failed(ErrUnknown, "%s", err)
		}
		wait = min(2*wait, time.Minute)
		first, beside = nil, nil
	}
}
