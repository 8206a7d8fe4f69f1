package database

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
)

// Step decides what an event does. It is pure: the same arguments have the same result. Refusals are outcomes; an
// error is engine.Poison, a record that can never be right and whose sender cannot be told.
func Step(s State, event Event) (Outcome, error) {
	var o Outcome
	var err error
	switch e := event.(type) {
	case Asked:
		o, err = s.asked(e)
	case PackageAsked:
		o, err = s.packageAsked(e)
	case PartCame:
		return s.part(e)
	case StepDone:
		return s.advance(e)
	default:
		return o, engine.Poison("database: no rule for %T", event)
	}
	var r *refusal
	if errors.As(err, &r) {
		return Outcome{Reply: r.reply()}, nil
	}
	return o, err
}

// asked decides a request. Its error is a refusal, or a fault of ours.
func (s State) asked(e Asked) (Outcome, error) {
	if e.Request.GetOperation() == nil {
		return Outcome{}, invalid(ErrMalformed, "the request names no operation that this version knows: its sender is newer than this worker, or wrong")
	}
	if want := EntityOfRequest(e.Request); !fits(want, e.Key) {
		if want != "" && want[len(want)-1] == '/' {
			want += "…"
		}
		return Outcome{}, invalid(ErrKey, "the record's key is %q and must be %q, so that changes of one thing are made one after the other", e.Key, want)
	}
	switch op := e.Request.GetOperation().(type) {
	case *dbv1.Request_PutConfig:
		return s.putConfig(e, op.PutConfig)
	case *dbv1.Request_CreateUser:
		return s.createUser(e, op.CreateUser)
	case *dbv1.Request_ChangePassword:
		return s.changePassword(e, op.ChangePassword)
	case *dbv1.Request_AddUserRole:
		return s.addUserRole(e, op.AddUserRole)
	case *dbv1.Request_RemoveUserRole:
		return s.removeUserRole(e, op.RemoveUserRole)
	case *dbv1.Request_CreateRole:
		return s.createRole(e, op.CreateRole)
	case *dbv1.Request_AddRolePermission:
		return s.addRolePermission(e, op.AddRolePermission)
	case *dbv1.Request_RemoveRolePermission:
		return s.removeRolePermission(e, op.RemoveRolePermission)
	case *dbv1.Request_CreatePermission:
		return s.createPermission(e, op.CreatePermission)
	case *dbv1.Request_CreatePermissions:
		return s.createPermissions(e, op.CreatePermissions)
	case *dbv1.Request_CreateVirtualNode:
		return s.createVirtualNode(e, op.CreateVirtualNode)
	case *dbv1.Request_SetVirtualNodeState:
		return s.setVirtualNodeState(e, op.SetVirtualNodeState)
	case *dbv1.Request_UpgradeVirtualNode:
		return s.upgradeVirtualNode(e, op.UpgradeVirtualNode)
	case *dbv1.Request_UpdateVirtualNodeDb:
		return s.updateVirtualNodeDb(e, op.UpdateVirtualNodeDb)
	case *dbv1.Request_ResyncVault:
		return s.resyncVault(e, op.ResyncVault)
	case *dbv1.Request_SchemaSql:
		return s.schemaSQL(op.SchemaSql)
	case *dbv1.Request_ImportCertificate:
		return s.importCertificate(e, op.ImportCertificate)
	case *dbv1.Request_ListCertificates:
		return s.listCertificates()
	case *dbv1.Request_GetCertificate:
		return s.getCertificate(op.GetCertificate)
	case *dbv1.Request_Republish:
		return s.republish(op.Republish)
	default:
		return Outcome{}, invalid(ErrMalformed, "this version cannot do %T", op)
	}
}

// republish tells a row again. An operation that did not end also goes on.
func (s State) republish(r *dbv1.Republish) (Outcome, error) {
	var o Outcome
	if s.Operation != nil && !s.Operation.Final() {
		o.next(s.Operation.Status.GetRequestId())
	}
	if s.Operation != nil && isGiven(s.Operation.Status.GetRequestId()) {
		return o, o.answer(nil)
	}
	o.fact(r.GetTopic(), r.GetKey(), s.Version)
	return o, o.answer(nil)
}

// id derives an id from the request, so that a repeated request repeats it.
func (e Asked) id(what string) string {
	return identity.V5(identity.Namespace(), []byte("database "+what+" "+e.ID)).String()
}

func (e Asked) audit(o *Outcome, action string, before, after proto.Message) {
	o.Audit = append(o.Audit, clusterdb.Audit{
		Actor: e.Request.GetActor(), Action: action, Entity: e.Key, RequestID: e.ID, Before: before, After: after,
	})
}

func clone[M proto.Message](m M) M { return proto.Clone(m).(M) }
