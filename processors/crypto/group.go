package crypto

import (
	"context"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Graph is the goka group of the worker.
func (w *Worker) Graph() *engine.Graph {
	edges := []goka.Edge{
		engine.Store(topics.CryptoKeysStore),
		goka.Output(topics.FlowRepliesCrypto, schemas.Codec[*rpcv1.Reply]()),
		goka.Output(topics.RpcReplies, schemas.Codec[*rpcv1.Reply]()),
		goka.Output(topics.CryptoKeys, schemas.Codec[*cryptov1.Key]()),
		goka.Output(topics.Audit, schemas.Codec[*auditv1.Entry]()),
		engine.Reads(topics.CryptoKeys, schemas.Codec[*cryptov1.Key]()),
		engine.OnDeadLetter(w.dead),
	}
	for _, r := range Requesters() {
		run := func(ctx context.Context, items []request) []error { return w.batch(ctx, r, items) }
		// Any order will do: what makes keys is the same whoever comes first, and signatures know of nothing.
		edges = append(edges, engine.Batch(stream(inputOf(r)), schemas.Codec[*cryptov1.Request](), engine.BatchOptions{Independent: true}, run))
	}
	return engine.Define(topics.CryptoGroup, edges...)
}

func stream(topic string) goka.Stream { return goka.Stream(topic) }

// replyOptions repeat the request's id, and send to a partition when the request names one.
func replyOptions(requestID string, partition int32) []goka.ContextOption {
	out := []goka.ContextOption{engine.WithHeaders(goka.Headers{engine.HeaderRequest: []byte(requestID)})}
	if partition >= 0 {
		out = append(out, engine.ToPartition(partition))
	}
	return out
}
