package uniqueness

import (
	"fmt"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Graph is the goka group of the worker.
func (w *Worker) Graph() *engine.Graph {
	return engine.Define(topics.UniquenessGroup,
		// Independent of their keys, for a notary is one key: its requests are decided together, in the order of the log.
		engine.Batch(topics.UniquenessRequests, undecodedCodec{}, engine.BatchOptions{Independent: true}, w.batch),
		engine.Store(topics.UniquenessMemoryStore),
		goka.Output(topics.FlowRepliesUniqueness, schemas.Codec[*rpcv1.Reply]()),
		engine.OnDeadLetter(w.dead),
		engine.WithHooks(engine.Hooks{OnAbort: w.clocks.forget, OnAssign: w.clocks.forget, OnRevoke: w.clocks.forget}),
	)
}

// undecoded is a request that its batch decodes.
type undecoded []byte

// undecodedCodec hands requests through: the engine decodes them one by one, a batch side by side.
type undecodedCodec struct{}

func (undecodedCodec) Encode(v any) ([]byte, error) {
	b, ok := v.(undecoded)
	if !ok {
		return nil, fmt.Errorf("uniqueness: %T where an encoded request is expected", v)
	}
	return b, nil
}

func (undecodedCodec) Decode(b []byte) (any, error) { return undecoded(b), nil }

// TypeName is the type of what is in the bytes.
func (undecodedCodec) TypeName(any) string {
	return schemas.Codec[*uniquenessv1.Request]().TypeName(nil)
}
