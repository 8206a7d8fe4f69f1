package notary

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Properties of a member that is a notary: what it publishes in its member information. The names are Corda's.
const (
	// PropertyService is the name of the notary service; today it is the member's own.
	PropertyService = "corda.notary.service.name"
	// PropertyProtocol is the protocol that the notary's responder speaks. Without it, it is what [ProtocolOf] says.
	PropertyProtocol = "corda.notary.service.flow.protocol.name"
	// PropertyBackchain is "false" for a notary that verifies contracts and is shown proofs of the states, so that the
	// parties need not see where these come from. Anything else means that the parties verify the backchain.
	PropertyBackchain = "corda.notary.service.backchain.required"
	// PropertyKey is the format of the names of the notary's keys, counted from 0, in PEM.
	PropertyKey = "corda.notary.keys.%d.pem"
)

// Verifies tells of a notary, by what it publishes, whether it verifies contracts.
func Verifies(published map[string]string) bool { return published[PropertyBackchain] == "false" }

// ProtocolOf is the protocol that a notary's responder speaks, by what it publishes.
func ProtocolOf(published map[string]string) string {
	switch p := published[PropertyProtocol]; {
	case p != "":
		return p
	case Verifies(published):
		return VerifyingProtocol
	default:
		return Protocol
	}
}

// Register makes the responder of a notary that does not verify contracts known. It is called from an init function.
func Register() { flow.Responder(Protocol, Respond, flow.Versions(Version)) }

// RegisterVerifying makes the responder of a notary that verifies contracts known. It is called from an init function.
func RegisterVerifying() { flow.Responder(VerifyingProtocol, RespondVerifying, flow.Versions(Version)) }

// Respond answers one request: the responder of a notary that does not verify contracts. What the transaction's own
// content, or the notary's memory, has against it is an answer; an error is returned for what is no request.
func Respond(ctx *flow.Context, s *flow.Session) error { return respond(ctx, s, Protocol) }

// RespondVerifying answers one request: the responder of a notary that verifies signatures, the ledger's rules and
// contracts before it decides. It answers and fails as [Respond] does; before, it asks for packages that it lacks.
func RespondVerifying(ctx *flow.Context, s *flow.Session) error {
	return respond(ctx, s, VerifyingProtocol)
}

func respond(ctx *flow.Context, s *flow.Session, protocol string) error {
	received, keys, me := flow.ReceiveAtMostCall(s, MaxRequest), flow.KeysCall("NOTARY"), flow.MembersCall(ctx.Identity().X500Name)
	if err := flow.All(ctx, received, keys, me); err != nil {
		return err
	}
	request, err := DecodeRequest(received.Value())
	if err != nil {
		return err
	}
	a := answer(ctx, s, request, protocol, keys.Value(), me.Value())
	if a.Class != Signed {
		ctx.Log().Info("not signed", "transaction", a.Transaction.String(), "for", s.Counterparty(), "reason", a.Reason)
	}
	return s.SendBytes(a.Encode())
}

// answer decides on a request.
func answer(ctx *flow.Context, s *flow.Session, r Request, protocol string, keys []flow.Key, me []flow.Member) Answer {
	a := Answer{Transaction: r.ID()}
	u, notary, err := r.uniqueness(s.Counterparty())
	if err != nil {
		a.Class, a.Reason = Fatal, err.Error()
		return a
	}
	// What this virtual node is, and which keys it has, says nothing of the transaction: an operator mends that, and who is
	// told that the transaction will never be final stores it as invalid for ever, though it may have been accepted when the
	// key was there. So it is not decided, but what is decided is told.
	name := ctx.Identity().X500Name
	unfit := mine(name, notary, protocol, keys, me)
	if unfit != nil && (r.Mode == Write || notary.Name != name) {
		a.Class, a.Reason = General, unfit.Error()
		return a
	}
	if err := r.shows(protocol); err != nil {
		a.Class, a.Reason = Fatal, err.Error()
		return a
	}
	if r.Whole != nil {
		if refusal := r.Whole.verify(ctx, s, a, keys); refusal.Class != 0 {
			return refusal
		}
	}
	ask := ctx.CheckUniqueness
	if r.Mode == Read {
		ask = ctx.ReadUniqueness
	}
	decided, err := ask(u)
	if err != nil {
		return a.general("its memory did not answer", err)
	}
	a.Result = decided.Result
	if decided.Result != flow.Accepted {
		return a.refused(decided)
	}
	if unfit != nil {
		a.Class, a.Reason = General, "it has accepted the transaction, and cannot sign it now: "+unfit.Error()
		return a
	}
	signed, err := vault.Sign(ctx, notary.Key, a.Transaction)
	if err != nil {
		return a.general("it accepts the transaction, and could not sign it", err)
	}
	a.Class, a.Signature = Signed, signed[0]
	return a
}

// general is the answer when the notary itself has a problem. Only the kind of the error is told: the rest is the
// notary's own business.
func (a Answer) general(what string, err error) Answer {
	kind := "application"
	var e *flow.Error
	if errors.As(err, &e) {
		kind = e.Type
	}
	a.Class, a.Reason = General, fmt.Sprintf("the notary has a problem: %s (%s)", what, kind)
	return a
}

// shows tells whether a transaction is shown as the protocol has it: in whole to a notary that verifies it, and otherwise no
// more than is needed.
func (r Request) shows(protocol string) error {
	switch whole := protocol == VerifyingProtocol && r.Mode == Write; {
	case whole && r.Whole == nil:
		return fmt.Errorf("it is shown in parts, and protocol %s needs all of it to verify it", protocol)
	case !whole && r.Whole != nil:
		return errors.New("it is shown in whole, and nothing here verifies it: show what a notary must see")
	}
	return nil
}

// uniqueness is what the memory is asked, and the notary that the transaction names.
func (r Request) uniqueness(originator string) (flow.Uniqueness, ledger.Notary, error) {
	if r.Whole == nil {
		return uniqueness(r.Filtered, originator)
	}
	c := r.Whole.Transaction.Content()
	return uniquenessOf(r.ID(), c.Inputs, c.References, len(c.Outputs), c.Window, originator), c.Notary, nil
}

// uniqueness reads parts of a transaction.
func uniqueness(f *ledger.Filtered, originator string) (u flow.Uniqueness, n ledger.Notary, err error) {
	n, window, err := f.Notary()
	if err != nil {
		return u, n, fmt.Errorf("its notary: %w", err)
	}
	inputs, err := f.Inputs()
	if err != nil {
		return u, n, fmt.Errorf("its inputs: %w", err)
	}
	references, err := f.References()
	if err != nil {
		return u, n, fmt.Errorf("its references: %w", err)
	}
	outputs, told := f.Count(ledger.GroupOutputs)
	if !told {
		return u, n, fmt.Errorf("how many outputs it has: %w", ledger.ErrHidden)
	}
	return uniquenessOf(f.ID(), inputs, references, outputs, window, originator), n, nil
}

func uniquenessOf(id ledger.Hash, inputs, references []ledger.StateRef, outputs int, window ledger.TimeWindow, originator string) flow.Uniqueness {
	u := flow.Uniqueness{
		Transaction: id, Inputs: refs(inputs), References: refs(references), Outputs: outputs, Until: time.UnixMicro(window.UntilUs).UTC(), Originator: originator,
	}
	if window.FromUs != 0 {
		u.From = time.UnixMicro(window.FromUs).UTC()
	}
	return u
}

func refs(all []ledger.StateRef) []flow.StateRef {
	out := make([]flow.StateRef, len(all))
	for i, r := range all {
		out[i] = flow.StateRef{Transaction: r.Transaction, Index: r.Index}
	}
	return out
}

// mine tells whether the transaction's notary is this virtual node, and whether it is of the kind that it is asked as: what
// one of the other kind signs, the group would take for something else.
func mine(name string, n ledger.Notary, protocol string, keys []flow.Key, me []flow.Member) error {
	if n.Name != name {
		return fmt.Errorf("its notary is %s, and asked was %s", n.Name, name)
	}
	if !slices.ContainsFunc(keys, func(k flow.Key) bool { return bytes.Equal(k.PublicKey, n.Key) }) {
		return fmt.Errorf("key %s is not one of notary %s", ledger.KeyID(n.Key), name)
	}
	for _, m := range me {
		switch verifies := Verifies(m.Context); {
		case verifies && protocol == Protocol:
			return fmt.Errorf("notary %s says that the parties need no backchain, so it would have to verify, which protocol %s does not do", name, protocol)
		case !verifies && protocol == VerifyingProtocol:
			return fmt.Errorf("notary %s does not say that it verifies contracts, so it is not asked by protocol %s", name, protocol)
		}
	}
	return nil
}

// refused is the answer to what the memory did not accept.
func (a Answer) refused(u flow.UniquenessAnswer) Answer {
	a.Class = Fatal
	for _, r := range u.Unknown {
		a.Unknown = append(a.Unknown, ledger.StateRef{Transaction: r.Transaction, Index: r.Index})
	}
	for _, c := range u.Conflicts {
		a.Conflicts = append(a.Conflicts, Conflict{ledger.StateRef{Transaction: c.State.Transaction, Index: c.State.Index}, c.ConsumedBy})
	}
	what := map[flow.UniquenessResult]string{flow.InputUnknown: "consumes", flow.ReferenceUnknown: "looks at", flow.InputConflict: "consumes", flow.ReferenceConflict: "looks at"}[u.Result]
	switch u.Result {
	case flow.InputUnknown, flow.ReferenceUnknown:
		a.Reason = fmt.Sprintf("it %s states that the notary has not seen made", what)
		if len(a.Unknown) > 0 {
			a.Reason += fmt.Sprintf(": %s%s", a.Unknown[0], more(len(a.Unknown)))
		}
	case flow.InputConflict, flow.ReferenceConflict:
		a.Reason = fmt.Sprintf("it %s states that were consumed before", what)
		if len(a.Conflicts) > 0 {
			a.Reason += fmt.Sprintf(": %s by transaction %s%s", a.Conflicts[0].State, a.Conflicts[0].ConsumedBy, more(len(a.Conflicts)))
		}
	case flow.OutOfWindow:
		a.Reason = fmt.Sprintf("at %s its time window was not open: %s", stamp(u.At), window(u))
	case flow.Malformed:
		a.Reason = "it cannot be a transaction: " + u.Text
	case flow.TooEarly:
		a.Class, a.Reason = Unknown, fmt.Sprintf("at %s its time window has not begun: %s", stamp(u.At), window(u))
	case flow.NotSeen:
		a.Class, a.Reason = Unknown, "the notary has not seen it"
	default:
		a.Class, a.Reason = General, fmt.Sprintf("the notary's memory gave the result %d, which is not known here", u.Result)
		a.Result = 0
	}
	return a
}

func more(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n-1)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func window(u flow.UniquenessAnswer) string {
	if u.From.IsZero() {
		return "until " + stamp(u.Until)
	}
	return "from " + stamp(u.From) + " until " + stamp(u.Until)
}
