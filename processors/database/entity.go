package database

import (
	"strings"

	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	"github.com/fairleadio/fairlead/topics"
)

// EntityOf returns the entity of a fact: the key under which alone it is written.
func EntityOf(topic, key string) string {
	switch topic {
	case topics.Config:
		return "config/" + key
	case topics.RBACUser, topics.RBACCredential:
		return "user/" + key
	case topics.RBACRole:
		return "role/" + key
	case topics.RBACPermission:
		return "permission/" + key
	case topics.VirtualNodeInfo:
		return "vnode/" + key
	case topics.CpiInfo:
		return "cpi/" + key
	case topics.CpiChunks:
		return "chunk/" + key
	case topics.CpkInfo:
		return "code/" + key
	case topics.OperationStatus:
		return "operation/" + key
	default:
		return ""
	}
}

// EntityOfRequest returns the key that a request must have; one that ends in a slash must have more behind it, for the
// thing has no name before it is made.
func EntityOfRequest(r *dbv1.Request) string {
	switch o := r.GetOperation().(type) {
	case *dbv1.Request_PutConfig:
		return EntityOf(topics.Config, o.PutConfig.GetSection())
	case *dbv1.Request_CreateUser:
		return EntityOf(topics.RBACUser, strings.ToLower(o.CreateUser.GetLoginName()))
	case *dbv1.Request_ChangePassword:
		return EntityOf(topics.RBACUser, strings.ToLower(o.ChangePassword.GetLoginName()))
	case *dbv1.Request_AddUserRole:
		return EntityOf(topics.RBACUser, strings.ToLower(o.AddUserRole.GetLoginName()))
	case *dbv1.Request_RemoveUserRole:
		return EntityOf(topics.RBACUser, strings.ToLower(o.RemoveUserRole.GetLoginName()))
	case *dbv1.Request_CreateRole:
		return "role/"
	case *dbv1.Request_AddRolePermission:
		return EntityOf(topics.RBACRole, o.AddRolePermission.GetRoleId())
	case *dbv1.Request_RemoveRolePermission:
		return EntityOf(topics.RBACRole, o.RemoveRolePermission.GetRoleId())
	case *dbv1.Request_CreatePermission, *dbv1.Request_CreatePermissions:
		return "permission/"
	case *dbv1.Request_CreateVirtualNode:
		return "vnode/"
	case *dbv1.Request_SetVirtualNodeState:
		return EntityOf(topics.VirtualNodeInfo, o.SetVirtualNodeState.GetShortHash())
	case *dbv1.Request_UpgradeVirtualNode:
		return EntityOf(topics.VirtualNodeInfo, o.UpgradeVirtualNode.GetShortHash())
	case *dbv1.Request_UpdateVirtualNodeDb:
		return EntityOf(topics.VirtualNodeInfo, o.UpdateVirtualNodeDb.GetShortHash())
	case *dbv1.Request_ResyncVault:
		return EntityOf(topics.VirtualNodeInfo, o.ResyncVault.GetShortHash())
	case *dbv1.Request_ImportCertificate:
		return "certificate/"
	case *dbv1.Request_Republish:
		if o.Republish.GetTopic() == topics.OperationStatus {
			return "" // under the key of its operation, which the database knows
		}
		return EntityOf(o.Republish.GetTopic(), o.Republish.GetKey())
	default: // questions
		return ""
	}
}

// fits tells whether a record's key is the one that its request must have.
func fits(want, key string) bool {
	if strings.HasSuffix(want, "/") {
		return strings.HasPrefix(key, want) && len(key) > len(want)
	}
	return want == "" || want == key
}
