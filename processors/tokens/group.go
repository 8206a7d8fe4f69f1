package tokens

import (
	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Graph is the goka group of the worker.
func (w *Worker) Graph() *engine.Graph {
	return engine.Define(topics.TokensGroup,
		engine.Input(topics.TokensRequests, schemas.Codec[*tokensv1.Request](), engine.Typed(w.onRequest)),
		engine.Input(topics.TokensChanges, schemas.Codec[*tokensv1.Change](), engine.Typed(w.onChange)),
		engine.Input(topics.TokensReplies, schemas.Codec[*rpcv1.Reply](), engine.Typed(w.onReply)),
		engine.Loop(schemas.Codec[*tokensv1.Timer](), engine.Typed(w.onTimer)),
		goka.Persist(schemas.Codec[*tokensv1.Pool]()),
		engine.Store(topics.TokensKnownStore),
		goka.Output(topics.FlowRepliesTokens, schemas.Codec[*rpcv1.Reply]()),
		goka.Output(topics.PersistenceTokens, schemas.Codec[*persistencev1.Request]()),
		engine.Reads(topics.Config, schemas.Codec[*configv1.Configuration]()),
		engine.OnDeadLetter(w.dead),
		engine.WithHooks(engine.Hooks{OnDrop: w.live.drop, OnAbort: w.live.dropAll, OnAssign: w.live.dropAll, OnRevoke: w.live.dropAll}),
	)
}
