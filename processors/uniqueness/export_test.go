package uniqueness

import (
	"context"

	"github.com/fairleadio/fairlead/engine"
)

// Item is a record of a batch.
type Item = request

// NewItem makes one.
func NewItem(ctx engine.Context, value []byte) Item { return Item{Context: ctx, Msg: value} }

// RunBatch works off what one poll brought.
func (w *Worker) RunBatch(ctx context.Context, items []Item) []error { return w.batch(ctx, items) }

// NextTime is the time of a partition's next decision.
func (w *Worker) NextTime(partition int32, nowUs int64) (int64, bool) {
	return w.clocks.next(partition, nowUs)
}

// Keys of rows, and what an answer's message says.
var (
	TxKey    = txKey
	SpentKey = spentKey
	AnswerOf = answerOf
)

// Width is how many microseconds a transaction has.
const Width = width
