package ledger

import (
	"errors"
	"fmt"

	"github.com/fairleadio/fairlead/sdk/internal/canonical"
)

// StateAndRef is a state, where it stands, and what its transaction says of it.
type StateAndRef struct {
	Ref   StateRef
	State State
	// Notary is that of the transaction that made the state.
	Notary Notary
	// Packages are those that this transaction names: one of them has the state's contract.
	Packages []Package
	// Tied is how many outputs of that transaction have the state's encumbrance, itself among them; 0 without one.
	Tied int
}

// Resolved is a transaction with the states that it consumes and looks at. [Resolve] makes it, and so each state is
// proven to be the output that its reference names: all of it follows from the transaction's id.
type Resolved struct {
	tx                 *Transaction
	inputs, references []StateAndRef
}

// Transaction is the transaction; it must not be changed.
func (r *Resolved) Transaction() *Transaction { return r.tx }

// Inputs are the states that are consumed, in the order of the transaction's inputs.
func (r *Resolved) Inputs() []StateAndRef { return r.inputs }

// References are the states that are looked at, in the order of the transaction's references.
func (r *Resolved) References() []StateAndRef { return r.references }

// ErrUnresolved is what every error about states that are not shown, or not proven, is.
var ErrUnresolved = errors.New("unresolved")

// Resolve finds the states of a transaction's inputs and references in the transactions that made them, of which
// [Transaction.Source] shows what is needed. Of one transaction several may be given that show it together: whoever got proofs
// of its outputs at different times has no other. Which other transactions are given does not matter.
func Resolve(tx *Transaction, sources ...*Filtered) (*Resolved, error) {
	byID := map[Hash][]*source{}
	for _, f := range sources {
		byID[f.ID()] = append(byID[f.ID()], &source{filtered: f})
	}
	r := &Resolved{tx: tx}
	for _, list := range []struct {
		what string
		refs []StateRef
		to   *[]StateAndRef
	}{{"input", tx.content.Inputs, &r.inputs}, {"reference", tx.content.References, &r.references}} {
		for i, ref := range list.refs {
			all := byID[ref.Transaction]
			if len(all) == 0 {
				return nil, fmt.Errorf("%w: %s %d: transaction %s is not shown", ErrUnresolved, list.what, i, ref.Transaction)
			}
			state, err := outputOf(all, ref)
			if err != nil {
				return nil, fmt.Errorf("%w: %s %d: transaction %s: %w", ErrUnresolved, list.what, i, ref.Transaction, err)
			}
			*list.to = append(*list.to, state)
		}
	}
	return r, nil
}

// outputOf finds a state in what is shown of its transaction.
func outputOf(all []*source, ref StateRef) (StateAndRef, error) {
	var errs []error
	for _, s := range all {
		state, err := s.output(ref)
		if err == nil {
			return state, nil
		}
		errs = append(errs, err)
	}
	return StateAndRef{}, errors.Join(errs...)
}

// source is what is shown of a transaction that made states; what it says of all of them is read once.
type source struct {
	filtered    *Filtered
	read        bool
	notary      Notary
	metadata    Metadata
	tags        map[string]int
	err, tagErr error
}

func (s *source) output(ref StateRef) (StateAndRef, error) {
	if !s.read {
		s.read = true
		if s.notary, _, s.err = s.filtered.Notary(); s.err == nil {
			s.metadata, s.err = s.filtered.Metadata()
		}
	}
	if s.err != nil {
		return StateAndRef{}, s.err
	}
	state, err := s.filtered.Output(int(ref.Index))
	if err != nil {
		return StateAndRef{}, err
	}
	out := StateAndRef{Ref: ref, State: state, Notary: s.notary, Packages: s.metadata.Packages}
	if state.Encumbrance == "" {
		return out, nil
	}
	if s.tags == nil && s.tagErr == nil {
		s.tags, s.tagErr = s.filtered.tags()
	}
	if s.tagErr != nil {
		return StateAndRef{}, fmt.Errorf("output %d has encumbrance %q, so what all outputs are must be shown: %w", ref.Index, state.Encumbrance, s.tagErr)
	}
	out.Tied = s.tags[state.Encumbrance]
	return out, nil
}

// tags counts the outputs of each encumbrance.
func (f *Filtered) tags() (map[string]int, error) {
	all, err := f.components(GroupOutputInfos)
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for i, b := range all {
		var s State
		if err := read(GroupOutputInfos, i, b, s.takeInfo, func(w *canonical.Writer) { s.putInfo(w) }); err != nil {
			return nil, err
		}
		out[s.Encumbrance]++
	}
	return out, nil
}

// Source shows of a transaction what proves outputs of it to whoever consumes or looks at them: what [ForOutputs] says,
// and what all outputs are when one of these is encumbered.
func (tx *Transaction) Source(outputs ...int) (*Filtered, error) {
	for _, i := range outputs {
		if i < 0 || i >= len(tx.content.Outputs) {
			return nil, fmt.Errorf("output %d cannot be shown: transaction %s has %d", i, tx.id, len(tx.content.Outputs))
		}
	}
	show := ForOutputs(outputs...)
	for _, i := range outputs {
		if tx.content.Outputs[i].Encumbrance != "" {
			show[GroupOutputInfos] = Show{All: true}
		}
	}
	return tx.Filter(show)
}

// Components are the encodings of an output's two components: what it is, and what it holds.
func (s State) Components() (info, content []byte) { return message(s.putInfo), message(s.putContent) }

// DecodeState reads what [State.Components] writes.
func DecodeState(info, content []byte) (State, error) {
	var s State
	err := errors.Join(
		read(GroupOutputInfos, 0, info, s.takeInfo, func(w *canonical.Writer) { s.putInfo(w) }),
		read(GroupOutputs, 0, content, s.takeContent, func(w *canonical.Writer) { s.putContent(w) }),
	)
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return State{}, err
	}
	return s, nil
}
