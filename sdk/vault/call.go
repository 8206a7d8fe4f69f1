package vault

import (
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// do issues one call.
func do[T any](ctx *flow.Context, p *flow.Pending[T]) (T, error) {
	_ = flow.All(ctx, p) // the call has the error
	return p.Result()
}

// call is a call of an operation on the ledger's tables with a result.
func call[T, R any, P interface {
	*R
	wire.Message
}](o wire.LedgerOperation, take func(*R) (T, error)) *flow.Pending[T] {
	return flow.NewCall(&wire.LedgerRequest{Operation: o}, func(result []byte) (none T, err error) {
		var r R
		if err := receive(result, P(&r)); err != nil {
			return none, err
		}
		return take(&r)
	})
}

// action is a call of an operation without result.
func action(o wire.LedgerOperation) *flow.Action {
	return flow.NewCall(&wire.LedgerRequest{Operation: o}, func([]byte) (done struct{}, err error) { return done, nil })
}

// receive decodes a result of the platform.
func receive(result []byte, m wire.Message) error {
	if err := wire.Decode(result, m); err != nil {
		return unreadable("the result", err)
	}
	return nil
}

// unreadable is an answer of the platform that makes no sense here.
func unreadable(what string, err error) error {
	return flow.Errorf("protocol", "the platform's answer cannot be read: %s: %s: was the application built with an older SDK?", what, err)
}

func encoded(all []ledger.Signature) [][]byte {
	var out [][]byte
	for _, s := range all {
		out = append(out, s.Encode())
	}
	return out
}

func signatures(all [][]byte) ([]ledger.Signature, error) {
	var out []ledger.Signature
	for _, b := range all {
		s, err := ledger.DecodeSignature(b)
		if err != nil {
			return nil, unreadable("a signature", err)
		}
		out = append(out, s)
	}
	return out, nil
}

func hashes(all []ledger.Hash) [][]byte {
	out := make([][]byte, len(all))
	for i := range all {
		out[i] = all[i][:]
	}
	return out
}

func hash(b []byte) (ledger.Hash, error) {
	if len(b) != len(ledger.Hash{}) {
		return ledger.Hash{}, flow.Errorf("protocol", "the platform's answer has a hash of %d bytes", len(b))
	}
	return ledger.Hash(b), nil
}

func wireRefs(all []ledger.StateRef) []wire.StateRef {
	out := make([]wire.StateRef, len(all))
	for i := range all {
		out[i] = wire.StateRef{Transaction: all[i].Transaction[:], Index: all[i].Index}
	}
	return out
}

func stateRef(r *wire.StateRef) (ledger.StateRef, error) {
	if r == nil {
		r = &wire.StateRef{}
	}
	id, err := hash(r.Transaction)
	return ledger.StateRef{Transaction: id, Index: r.Index}, err
}

// microsecond is a time as requests have it: 0 for none.
func microsecond(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeAt(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
