package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Transaction is what a contract looks at. It is the contract's own to change.
type Transaction struct {
	ID       ledger.Hash
	Metadata ledger.Metadata
	Notary   ledger.Notary
	// Window is when the notary may accept it.
	Window ledger.TimeWindow
	// Signatories are the keys that must sign, beside the notary's.
	Signatories []ledger.PublicKey
	// Inputs are consumed, References looked at, Outputs made.
	Inputs, References []State
	Outputs            []ledger.State
	Commands           []ledger.Command
}

// State is a state of another transaction.
type State struct {
	ledger.State
	Ref ledger.StateRef
}

// Signed tells whether a key is one of those that must sign; when the transaction is final, it has.
func (tx *Transaction) Signed(key ledger.PublicKey) bool {
	return slices.ContainsFunc(tx.Signatories, func(k ledger.PublicKey) bool { return string(k) == string(key) })
}

// Command finds the one command of a type. It is an error that there is none, or that there are several.
func (tx *Transaction) Command(typ string) (ledger.Command, error) {
	var found []ledger.Command
	for _, c := range tx.Commands {
		if c.Type == typ {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		return ledger.Command{}, fmt.Errorf("the transaction has %d commands %s, it must have one", len(found), typ)
	}
	return found[0], nil
}

// Payload reads the JSON of a state or command. A field that T does not have is not an error, for an older contract may
// have to read what a newer application wrote.
func Payload[T any](raw []byte) (T, error) {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("the payload is no %T: %w", v, err)
	}
	return v, nil
}

// Component names a part of a transaction, such as "output 1".
type Component string

// Input, Reference, Output and Cmd name the parts by their place, from 0.
func Input(i int) Component     { return Component(fmt.Sprintf("input %d", i)) }
func Reference(i int) Component { return Component(fmt.Sprintf("reference %d", i)) }
func Output(i int) Component    { return Component(fmt.Sprintf("output %d", i)) }
func Command(i int) Component   { return Component(fmt.Sprintf("command %d", i)) }

// Errorf makes an error about the part.
func (c Component) Errorf(format string, args ...any) error {
	return &componentError{c, fmt.Errorf(format, args...)}
}

// Wrap makes an error one about the part; what was joined is told one by one. It is nil for nil.
func (c Component) Wrap(err error) error {
	if err == nil {
		return nil
	}
	all := parts(err)
	if all == nil {
		return &componentError{c, err}
	}
	var errs []error
	for _, e := range all {
		errs = append(errs, c.Wrap(e))
	}
	return errors.Join(errs...)
}

type componentError struct {
	component Component
	err       error
}

func (e *componentError) Error() string { return e.err.Error() }
func (e *componentError) Unwrap() error { return e.err }

// Register makes a contract known under a name, which states carry. It is called from init functions; a name that is taken
// or not made of letters, digits and . _ - $ is a mistake that shows at the program's first start.
func Register(name string, verify func(tx *Transaction) error) {
	registry.AddContract(name, func(r *wire.VerifyRequest) (all []wire.Rejection) {
		tx, err := read(r)
		if err != nil {
			return []wire.Rejection{{Message: "the platform's request cannot be read: " + err.Error()}}
		}
		defer func() {
			if p := recover(); p != nil {
				all = []wire.Rejection{{Message: fmt.Sprintf("the contract panicked: %v", p)}}
			}
		}()
		return rejections(verify(tx))
	})
}

// read decodes a transaction and the states that it consumes and looks at.
func read(r *wire.VerifyRequest) (*Transaction, error) {
	decoded, err := ledger.Decode(r.Transaction)
	if err != nil {
		return nil, err
	}
	c := decoded.Content()
	tx := &Transaction{
		ID: decoded.ID(), Metadata: c.Metadata, Notary: c.Notary, Window: c.Window, Signatories: c.Signatories,
		Outputs: c.Outputs, Commands: c.Commands,
	}
	if tx.Inputs, err = states("input", c.Inputs, r.Inputs); err != nil {
		return nil, err
	}
	tx.References, err = states("reference", c.References, r.References)
	return tx, err
}

func states(what string, refs []ledger.StateRef, resolved []wire.ResolvedState) ([]State, error) {
	if len(refs) != len(resolved) {
		return nil, fmt.Errorf("%d states for %d %ss", len(resolved), len(refs), what)
	}
	var out []State
	for i, r := range resolved {
		s, err := ledger.DecodeState(r.Info, r.Content)
		if err != nil {
			return nil, fmt.Errorf("%s %d: %w", what, i, err)
		}
		out = append(out, State{s, refs[i]})
	}
	return out, nil
}

// rejections takes an error apart: what was joined is told one by one.
func rejections(err error) []wire.Rejection {
	if err == nil {
		return nil
	}
	if all := parts(err); all != nil {
		var out []wire.Rejection
		for _, e := range all {
			out = append(out, rejections(e)...)
		}
		return out
	}
	one := wire.Rejection{Message: err.Error()}
	var c *componentError
	if errors.As(err, &c) {
		one.Component = string(c.component)
	}
	if one.Message == "" {
		one.Message = "the contract refuses it and does not say why"
	}
	return []wire.Rejection{one}
}

// parts are the errors that were joined, nil for an error by itself.
func parts(err error) []error {
	joined, is := err.(interface{ Unwrap() []error })
	if !is || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return nil
	}
	return joined.Unwrap()
}
