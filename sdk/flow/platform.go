package flow

import "github.com/fairleadio/fairlead/sdk/internal/wire"

// NewCall makes a call of an operation that another package of the SDK knows better than this one does, such as package
// vault. Take makes the answer of the result. Applications cannot name its operations: they use those packages.
func NewCall[T any](o wire.Operation, take func(result []byte) (T, error)) *Pending[T] {
	return pending(o, func(_ *Context, result []byte, into *T) (err error) {
		*into, err = take(result)
		return err
	})
}

// EndedCall is a call that is over before it is issued: with an answer, or with the error that its arguments have.
func EndedCall[T any](answer T, err error) *Pending[T] {
	p := failed[T](err)
	if err == nil {
		p.value = answer
	}
	return p
}

// ledgerWeight is what weight says of an operation of the ledger.
func ledgerWeight(o *wire.LedgerRequest) (size int, brings bool) {
	size = len(wire.Encode(o)) + 512
	switch o.Operation.(type) {
	case *wire.FindTransaction, *wire.FindTransactionStatuses, *wire.FindTransactionsOfStatus, *wire.FindUnconsumedStates, *wire.QueryStates, *wire.ResolveStates,
		*wire.FindFilteredTransactions, *wire.FindGroupParameters:
		return size, true
	default:
		return size, false
	}
}
