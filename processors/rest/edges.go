package rest

import (
	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Reads returns the topics that the worker keeps views of, with their codecs.
func Reads() map[string]engine.Codec {
	return map[string]engine.Codec{
		topics.Config:          schemas.Codec[*configv1.Configuration](),
		topics.OperationStatus: schemas.Codec[*operationv1.OperationStatus](),
		topics.CryptoKeys:      schemas.Codec[*cryptov1.Key](),
		topics.FlowStatus:      schemas.Codec[*flowv1.FlowStatus](),
		topics.CpiInfo:         schemas.Codec[*cpiv1.Cpi](),
		topics.VirtualNodeInfo: schemas.Codec[*vnodev1.VirtualNode](),
		topics.RBACUser:        schemas.Codec[*rbacv1.User](),
		topics.RBACRole:        schemas.Codec[*rbacv1.Role](),
		topics.RBACPermission:  schemas.Codec[*rbacv1.Permission](),
		topics.RBACCredential:  schemas.Codec[*rbacv1.Credential](),
	}
}

// Scans returns the topics that the worker reads parts of when it is asked, and keeps no view of, with their codecs.
func Scans() map[string]engine.Codec {
	return map[string]engine.Codec{topics.StoreTopic(topics.FlowGroup, topics.FlowJournalStore): schemas.Codec[*flowv1.JournalRow]()}
}

// Emits returns the topics that the worker writes, with their codecs.
func Emits() map[string]engine.Codec {
	return map[string]engine.Codec{
		topics.FlowMapperStart: schemas.Codec[*flowv1.MapperStart](),
		topics.FlowCommands:    schemas.Codec[*flowv1.FlowCommand](),
		topics.DbRequests:      schemas.Codec[*dbv1.Request](),
		topics.CpiUpload:       schemas.Codec[*dbv1.CpiPart](),
		topics.CryptoAdmin:     schemas.Codec[*cryptov1.Request](),
	}
}

// Receives returns the topics that the worker has an inbox on, with their codecs.
func Receives() map[string]engine.Codec {
	return map[string]engine.Codec{topics.RpcReplies: schemas.Codec[*rpcv1.Reply]()}
}

// Edges returns every topic that the worker is joined to: it has no group, so it has no graph.
func Edges() []engine.EdgeInfo {
	var out []engine.EdgeInfo
	add := func(kind engine.EdgeKind, of map[string]engine.Codec) {
		for topic, codec := range of {
			info := engine.EdgeInfo{Kind: kind, Topic: topic}
			if n, ok := codec.(engine.TypeNamer); ok {
				info.Type = n.TypeName(nil)
			}
			out = append(out, info)
		}
	}
	add(engine.EdgeReads, Reads())
	add(engine.EdgeReads, Scans())
	add(engine.EdgeOutput, Emits())
	add(engine.EdgeInbox, Receives())
	return out
}
