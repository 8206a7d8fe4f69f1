package verification

import (
	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Graph is the goka group of the worker.
func (w *Worker) Graph() *engine.Graph {
	return engine.Define(topics.VerificationGroup,
		// Any order will do: an answer follows from its request alone.
		engine.Batch(topics.VerificationRequests, schemas.Codec[*verificationv1.Request](), engine.BatchOptions{Independent: true}, w.batch),
		engine.OnDeadLetter(w.dead),
		goka.Output(topics.FlowRepliesVerification, schemas.Codec[*rpcv1.Reply]()),
		engine.Reads(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]()),
		engine.Reads(topics.CpkInfo, schemas.Codec[*cpiv1.Code]()),
		engine.Reads(topics.CpiChunks, schemas.Codec[*cpiv1.Chunk]()),
	)
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
