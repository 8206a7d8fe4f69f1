package uniqueness

import (
	"fmt"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// maxOriginator bounds what is kept of who asked, in bytes; no X.500 name that a group admits is longer.
const maxOriginator = 1024

// requestOf reads what is asked. The text says what makes it impossible to be a transaction, empty when nothing does.
func requestOf(m *appv1.CheckUniqueness) (r Request, text string) {
	r = Request{
		Originator: m.GetOriginator(), Read: m.GetMode() == appv1.UniquenessMode_UNIQUENESS_MODE_READ,
		Window: ledger.TimeWindow{FromUs: m.GetWindow().GetFromUs(), UntilUs: m.GetWindow().GetUntilUs()},
	}
	var err error
	if r.Tx, err = hashOf(m.GetTransaction()); err != nil {
		return r, fmt.Sprintf("transaction: %v", err)
	}
	if m.GetOutputs() < 0 {
		return r, fmt.Sprintf("outputs is %d; a transaction makes 0 or more states", m.GetOutputs())
	}
	r.Outputs = uint32(m.GetOutputs())
	if n := len(r.Originator); n > maxOriginator {
		return r, fmt.Sprintf("originator has %d bytes; at most %d are allowed", n, maxOriginator)
	}
	if r.Inputs, err = refsOf(m.GetInputs()); err != nil {
		return r, fmt.Sprintf("inputs: %v", err)
	}
	if r.References, err = refsOf(m.GetReferences()); err != nil {
		return r, fmt.Sprintf("references: %v", err)
	}
	return r, ""
}

func hashOf(b []byte) (h ledger.Hash, err error) {
	if len(b) != len(h) {
		return h, fmt.Errorf("an id has %d bytes, this one %d", len(h), len(b))
	}
	copy(h[:], b)
	return h, nil
}

func refsOf(all []*ledgerv1.StateRef) ([]ledger.StateRef, error) {
	if len(all) == 0 {
		return nil, nil
	}
	out := make([]ledger.StateRef, len(all))
	for i, s := range all {
		h, err := hashOf(s.GetTransaction())
		if err != nil {
			return nil, fmt.Errorf("state %d: %w", i, err)
		}
		out[i] = ledger.StateRef{Transaction: h, Index: s.GetIndex()}
	}
	return out, nil
}

func refMessages(all []ledger.StateRef) []*ledgerv1.StateRef {
	if len(all) == 0 {
		return nil
	}
	out := make([]*ledgerv1.StateRef, len(all))
	for i := range all {
		out[i] = refMessage(all[i])
	}
	return out
}

func refMessage(s ledger.StateRef) *ledgerv1.StateRef {
	return &ledgerv1.StateRef{Transaction: s.Transaction[:], Index: s.Index}
}

// answerMessage is an answer without the id that it is about.
func answerMessage(a Answer) *appv1.UniquenessAnswer {
	m := &appv1.UniquenessAnswer{Result: appv1.UniquenessResult(a.Kind), DecidedAtNs: a.TimeNs, Unknown: refMessages(a.Unknown), Text: a.Text}
	for _, c := range a.Conflicts {
		m.Conflicts = append(m.Conflicts, &appv1.UniquenessConflict{State: refMessage(c.State), ConsumedBy: c.By[:]})
	}
	if a.Window != (ledger.TimeWindow{}) {
		m.Window = &ledgerv1.TimeWindow{FromUs: a.Window.FromUs, UntilUs: a.Window.UntilUs}
	}
	return m
}

// answerOf reads what [answerMessage] wrote.
func answerOf(m *appv1.UniquenessAnswer) (a Answer, err error) {
	a = Answer{
		Kind: Kind(m.GetResult()), TimeNs: m.GetDecidedAtNs(), Text: m.GetText(),
		Window: ledger.TimeWindow{FromUs: m.GetWindow().GetFromUs(), UntilUs: m.GetWindow().GetUntilUs()},
	}
	if a.Kind < Accepted || a.Kind > Malformed {
		return a, fmt.Errorf("result %d is not known", m.GetResult())
	}
	if a.Unknown, err = refsOf(m.GetUnknown()); err != nil {
		return a, fmt.Errorf("unknown: %w", err)
	}
	for i, c := range m.GetConflicts() {
		refs, err := refsOf([]*ledgerv1.StateRef{c.GetState()})
		if err != nil {
			return a, fmt.Errorf("conflict %d: %w", i, err)
		}
		by, err := hashOf(c.GetConsumedBy())
		if err != nil {
			return a, fmt.Errorf("conflict %d: %w", i, err)
		}
		a.Conflicts = append(a.Conflicts, Conflict{refs[0], by})
	}
	return a, nil
}

func recordMessage(r Record) *uniquenessv1.Transaction {
	return &uniquenessv1.Transaction{Answer: answerMessage(r.Answer), Outputs: r.Outputs, ExpiryUs: r.ExpiryUs, Originator: r.Originator}
}

func recordOf(m *uniquenessv1.Transaction) (Record, error) {
	a, err := answerOf(m.GetAnswer())
	return Record{Answer: a, Outputs: m.GetOutputs(), ExpiryUs: m.GetExpiryUs(), Originator: m.GetOriginator()}, err
}
