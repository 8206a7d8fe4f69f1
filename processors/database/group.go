package database

import (
	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Graph is the goka group of the worker.
func (w *Worker) Graph() *engine.Graph {
	edges := []goka.Edge{
		engine.Input(topics.DbRequests, schemas.Codec[*dbv1.Request](), engine.Typed(w.onRequest)),
		engine.Input(topics.CpiUpload, schemas.Codec[*dbv1.CpiPart](), engine.Typed(w.onPart)),
		engine.Input(topics.PackageRequests, schemas.Codec[*dbv1.PackageRequest](), engine.Typed(w.onPackage)),
		engine.Loop(schemas.Codec[*dbv1.Continue](), engine.Typed(w.onContinue)),
		engine.OnDeadLetter(w.onDeadLetter),
		goka.Output(topics.DbRequests, schemas.Codec[*dbv1.Request]()),
		goka.Output(topics.RpcReplies, schemas.Codec[*rpcv1.Reply]()),
		goka.Output(topics.FlowRepliesPackages, schemas.Codec[*rpcv1.Reply]()),
		goka.Output(topics.OperationStatus, schemas.Codec[*operationv1.OperationStatus]()),
	}
	for topic, codec := range Facts() {
		edges = append(edges, goka.Output(goka.Stream(topic), codec), engine.Reads(goka.Table(topic), codec))
	}
	return engine.Define(topics.DatabaseWorker, edges...)
}

// Facts are the topics that the database decides, which the reconciler compares with it.
func Facts() map[string]engine.Codec {
	return map[string]engine.Codec{
		topics.Config:          schemas.Codec[*configv1.Configuration](),
		topics.RBACUser:        schemas.Codec[*rbacv1.User](),
		topics.RBACCredential:  schemas.Codec[*rbacv1.Credential](),
		topics.RBACRole:        schemas.Codec[*rbacv1.Role](),
		topics.RBACPermission:  schemas.Codec[*rbacv1.Permission](),
		topics.CpiInfo:         schemas.Codec[*cpiv1.Cpi](),
		topics.CpiChunks:       schemas.Codec[*cpiv1.Chunk](),
		topics.CpkInfo:         schemas.Codec[*cpiv1.Code](),
		topics.VirtualNodeInfo: schemas.Codec[*vnodev1.VirtualNode](),
	}
}
