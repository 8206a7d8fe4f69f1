package database

import (
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

const (
	active   = vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE
	inactive = vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE
)

// createID is the group id of the package of a group's manager: the group is made with its virtual node.
const createID = "CREATE_ID"

// holdingOf is the identity that a request to make a virtual node asks for.
func holdingOf(name string, c *cpiv1.Cpi, requestID string) (identity.Holding, error) {
	group := c.GetGroupId()
	if group == createID {
		group = identity.NewGroupID(requestID)
	}
	return identity.NewHolding(name, group)
}

func (o *Outcome) putNode(v *vnodev1.VirtualNode) {
	v.Version++
	o.put(PutVirtualNode{v})
	o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Fact, Topic: topics.VirtualNodeInfo, Key: v.GetShortHash()})
}

func (s State) createVirtualNode(e Asked, r *dbv1.CreateVirtualNode) (Outcome, error) {
	var o Outcome
	if s.Cpi == nil {
		return o, notFound("CPI with file checksum %s was not found.", r.GetCpiChecksum())
	}
	h, err := holdingOf(r.GetX500Name(), s.Cpi, e.ID)
	if err != nil {
		return o, invalid(ErrMalformed, "the virtual node's name: %v", err)
	}
	hash := h.ShortHash()
	if want := EntityOf(topics.VirtualNodeInfo, hash); e.Key != want {
		return o, invalid(ErrKey, "the record's key is %q and must be %q, so that changes of one thing are made one after the other", e.Key, want)
	}
	if v := s.VirtualNode; v != nil {
		if id := v.GetIdentity(); id.GetX500Name() != h.Name.String() || id.GetGroupId() != h.GroupID {
			return o, conflict(ErrCollision, "the short hash %s of %s is that of virtual node %s in group %s: choose another name", hash, h, id.GetX500Name(), id.GetGroupId())
		}
		return o, conflict(ErrExists, "Virtual Node '%s' already exists.", h)
	}
	if s.Operation != nil && !s.Operation.Final() {
		return o, conflict(ErrState, "Virtual Node '%s' is being created.", h)
	}
	if err := e.connections(); err != nil {
		return o, err
	}
	if _, err := routesOf(hash, s.Cpi, s.Routes); err != nil {
		return o, err
	}
	op := s.begin(hash, operationv1.OperationKind_OPERATION_KIND_CREATE_VIRTUAL_NODE, e.Key, clusterdb.Work{
		Step: stepSchema, Attempt: e.ID, Actor: e.Request.GetActor(), X500Name: h.Name.String(), GroupID: h.GroupID, ShortHash: hash,
		Checksum: s.Cpi.GetChecksum(), Connections: r.GetSealedConnections(),
	}, e.NowUs)
	o.put(PutOperation{op})
	o.fact(topics.OperationStatus, hash, op.Status.GetVersion())
	o.next(hash)
	e.audit(&o, "vnode.create", nil, &vnodev1.VirtualNode{
		Identity: &vnodev1.HoldingIdentity{X500Name: h.Name.String(), GroupId: h.GroupID}, ShortHash: hash, CpiChecksum: s.Cpi.GetChecksum(),
	})
	return o, o.answer(nil)
}

// connections refuses what cannot be used.
func (e Asked) connections() error {
	if e.ConnectionsErr != nil {
		return invalid(ErrConnections, "%v", e.ConnectionsErr)
	}
	if e.Connections.DDL && !e.Connections.DML {
		return invalid(ErrConnections, "the vault's DDL connection is given and its DML connection is not: give both, or the DML connection alone")
	}
	return nil
}

// creationGoesOn decides what follows a step of a virtual node's creation.
func (s State) creationGoesOn(o *Outcome, op *clusterdb.Operation, e StepDone) error {
	w := op.Work
	switch e.Result.Step {
	case stepSchema:
		o.put(PutConnections{w.ShortHash, e.Result.Connections, e.Result.Dropped})
		o.goOn(op, stepPlatform, stagePlatform)
	case stepPlatform:
		o.goOn(op, stepApplication, stageApplication)
	case stepApplication:
		o.goOn(op, stepFinish, stageFinish)
	case stepFinish:
		if s.VirtualNode != nil {
			return o.succeed(op, stageOK)
		}
		if s.Cpi == nil {
			return s.end(o, op, e, notFound("CPI with file checksum %s was not found.", w.Checksum))
		}
		v := &vnodev1.VirtualNode{
			Identity: &vnodev1.HoldingIdentity{X500Name: w.X500Name, GroupId: w.GroupID}, ShortHash: w.ShortHash, CreatedAtUs: e.NowUs,
			FlowStart: active, FlowOperation: active, FlowP2P: active, VaultDb: active,
		}
		if err := s.install(v, s.Cpi); err != nil {
			return s.end(o, op, e, err)
		}
		connected(v, e.Result.Connections)
		o.putNode(v)
		o.Audit = append(o.Audit, clusterdb.Audit{
			Actor: w.Actor, Action: "vnode.created", Entity: op.Entity, RequestID: w.Attempt, After: v,
		})
		return o.succeed(op, stageOK)
	default:
		return s.end(o, op, e, fmt.Errorf("there is no step %s of a creation", e.Result.Step))
	}
	return nil
}

// install puts a package on a virtual node and routes its channels.
func (s State) install(v *vnodev1.VirtualNode, c *cpiv1.Cpi) error {
	routes, err := routesOf(v.GetShortHash(), c, s.Routes)
	if err != nil {
		return err
	}
	v.CpiChecksum, v.Channels = c.GetChecksum(), routes
	v.ExternalMessagingRouteConfiguration, err = routeText(c, routes)
	return err
}

// connected shows the names of a virtual node's roles.
func connected(v *vnodev1.VirtualNode, all []*clusterdb.VaultConnection) {
	v.VaultDdlConnectionId, v.VaultDmlConnectionId = "", ""
	for _, c := range all {
		switch c.Role {
		case clusterdb.DDL:
			v.VaultDdlConnectionId = c.Login
		case clusterdb.DML:
			v.VaultDmlConnectionId = c.Login
		}
	}
}

func (s State) setVirtualNodeState(e Asked, r *dbv1.SetVirtualNodeState) (Outcome, error) {
	var o Outcome
	v := s.VirtualNode
	if v == nil {
		return o, notFound("Virtual Node '%s' not found.", r.GetShortHash())
	}
	switch r.GetState() {
	case inactive:
	case active:
		if op := v.GetOperationInProgress(); op != "" {
			return o, invalid(ErrState, "virtual node %s has operation %s under way: wait until it has ended", v.GetShortHash(), op)
		}
		if len(s.Pending) > 0 {
			return o, invalid(ErrState, "the schema of virtual node %s does not have the migrations of its package: %s; upgrade it to the package that fits (fairlead vnode upgrade), or run what it lacks", v.GetShortHash(), strings.Join(s.Pending, ", "))
		}
	default:
		return o, invalid(ErrMalformed, "state %s is not known: use ACTIVE or MAINTENANCE", r.GetState())
	}
	after := clone(v)
	after.FlowStart, after.FlowOperation, after.FlowP2P, after.VaultDb = r.GetState(), r.GetState(), r.GetState(), r.GetState()
	o.putNode(after)
	o.names(topics.VirtualNodeInfo, after.GetShortHash(), after.GetVersion())
	e.audit(&o, "vnode.state", v, after)
	return o, o.answer(after)
}

// upgradeID is Corda's id of an upgrade: virtual node, present and target package.
func upgradeID(v *vnodev1.VirtualNode, target string) string {
	return v.GetShortHash() + v.GetCpiChecksum() + target
}

func (s State) upgradeVirtualNode(e Asked, r *dbv1.UpgradeVirtualNode) (Outcome, error) {
	var o Outcome
	v := s.VirtualNode
	switch {
	case v == nil:
		return o, notFound("Virtual Node '%s' not found.", r.GetShortHash())
	case s.Cpi == nil:
		return o, notFound("CPI with file checksum %s was not found.", r.GetCpiChecksum())
	case s.Present == nil:
		return o, fmt.Errorf("package %s of virtual node %s is not in the database", v.GetCpiChecksum(), v.GetShortHash())
	case v.GetVaultDb() != inactive && !r.GetForce():
		// A flow keeps its modules for its whole life, so an upgrade harms none that runs, unless its migrations take away
		// what the old code uses: whoever forces it knows.
		return o, invalid(ErrState, "virtual node %s must be in MAINTENANCE to be upgraded: set its state first (fairlead vnode state), or force it (fairlead vnode upgrade --force, REST forceupgrade=true)", v.GetShortHash())
	case v.GetOperationInProgress() != "" && !r.GetForce():
		return o, invalid(ErrState, "virtual node %s has operation %s under way: wait until it has ended, or force it (fairlead vnode upgrade --force, REST forceupgrade=true)", v.GetShortHash(), v.GetOperationInProgress())
	}
	for _, c := range []struct{ what, have, want string }{
		{"name", s.Cpi.GetName(), s.Present.GetName()}, {"signers (summary hash)", s.Cpi.GetSignerSummaryHash(), s.Present.GetSignerSummaryHash()},
	} {
		if c.have != c.want {
			return o, invalid(ErrIncompat, "a virtual node is upgraded to a CPI of the same %s: %s is not %s; make it with what fairlead vnode list and cpi list show of the present one (fairlead app package create-cpi --cpi-name, the same signing key)", c.what, c.have, c.want)
		}
	}
	if s.Cpi.GetGroupId() != s.Present.GetGroupId() {
		return o, invalid(ErrIncompat, "a virtual node is upgraded to a CPI for the same group: %s is not %s; make its group policy with that one (fairlead app group-policy --group)", s.Cpi.GetGroupId(), s.Present.GetGroupId())
	}
	if _, err := routesOf(v.GetShortHash(), s.Cpi, s.Routes); err != nil {
		return o, err
	}
	return s.change(e, upgradeID(v, s.Cpi.GetChecksum()), operationv1.OperationKind_OPERATION_KIND_UPGRADE_VIRTUAL_NODE, "vnode.upgrade", clusterdb.Work{
		Step: stepPlatform, Checksum: s.Cpi.GetChecksum(), Force: r.GetForce() && !r.GetKeepStates(),
	}, overridden(v, upgradeID(v, s.Cpi.GetChecksum()))...)
}

// overridden is what a forced upgrade of a virtual node goes past before its first step.
func overridden(v *vnodev1.VirtualNode, id string) (out []string) {
	if v.GetVaultDb() != inactive {
		out = append(out, "the virtual node was not in MAINTENANCE: its flows could use their tables while migrations ran")
	}
	if o := v.GetOperationInProgress(); o != "" && o != id { // the same one begins anew
		out = append(out, "operation "+o+" was under way, and is aborted: migrations that it has run stay")
	}
	return out
}

func (s State) updateVirtualNodeDb(e Asked, r *dbv1.UpdateVirtualNodeDb) (Outcome, error) {
	v := s.VirtualNode
	switch {
	case v == nil:
		return Outcome{}, notFound("Virtual Node '%s' not found.", r.GetShortHash())
	case v.GetOperationInProgress() != "":
		return Outcome{}, invalid(ErrState, "virtual node %s has operation %s under way: wait until it has ended", v.GetShortHash(), v.GetOperationInProgress())
	}
	if err := e.connections(); err != nil {
		return Outcome{}, err
	}
	switch c := e.Connections; {
	case !c.DML && c.Theirs:
		return Outcome{}, invalid(ErrConnections, "the schema of virtual node %s is in a database that was given for it: give its connections", v.GetShortHash())
	case c.Moves && v.GetVaultDb() != inactive:
		return Outcome{}, invalid(ErrState, "virtual node %s must be in MAINTENANCE to get another database or schema, so that no flow writes to both: set its state first", v.GetShortHash())
	}
	return s.change(e, e.ID, operationv1.OperationKind_OPERATION_KIND_CHANGE_VIRTUAL_NODE_DB, "vnode.db", clusterdb.Work{
		Step: stepConnections, Checksum: v.GetCpiChecksum(), Connections: r.GetSealedConnections(),
	})
}

func (s State) resyncVault(e Asked, r *dbv1.ResyncVault) (Outcome, error) {
	v := s.VirtualNode
	switch {
	case v == nil:
		return Outcome{}, notFound("Virtual Node '%s' not found.", r.GetShortHash())
	case v.GetOperationInProgress() != "":
		return Outcome{}, invalid(ErrState, "virtual node %s has operation %s under way: wait until it has ended", v.GetShortHash(), v.GetOperationInProgress())
	case v.GetVaultDdlConnectionId() == "":
		return Outcome{}, invalid(ErrState, "the cluster has no DDL connection to the schema of virtual node %s: an administrator makes its tables anew", v.GetShortHash())
	}
	o, err := s.change(e, e.ID, operationv1.OperationKind_OPERATION_KIND_CHANGE_VIRTUAL_NODE_DB, "vnode.resync", clusterdb.Work{
		Step: stepReset, Checksum: v.GetCpiChecksum(), Reply: e.Reply, Request: e.ID,
	})
	if err == nil && e.Reply != "" {
		o.Reply = nil // the answer comes when it is done
	}
	return o, err
}

// change begins an operation on a virtual node that exists.
func (s State) change(e Asked, id string, kind operationv1.OperationKind, action string, w clusterdb.Work, overridden ...string) (Outcome, error) {
	var o Outcome
	v := s.VirtualNode
	w.Attempt, w.Actor, w.ShortHash = e.ID, e.Request.GetActor(), v.GetShortHash()
	w.X500Name, w.GroupID = v.GetIdentity().GetX500Name(), v.GetIdentity().GetGroupId()
	op := s.begin(id, kind, e.Key, w, e.NowUs)
	op.Status.Overridden = overridden
	after := clone(v)
	after.OperationInProgress = id
	o.put(PutOperation{op})
	o.fact(topics.OperationStatus, id, op.Status.GetVersion())
	o.putNode(after)
	o.names(topics.VirtualNodeInfo, after.GetShortHash(), after.GetVersion())
	o.next(id)
	e.audit(&o, action, v, after)
	return o, o.answer(&dbv1.AcceptedOperation{RequestId: id})
}

// changeGoesOn decides what follows a step of a change of a virtual node.
func (s State) changeGoesOn(o *Outcome, op *clusterdb.Operation, e StepDone) error {
	v := s.VirtualNode
	switch {
	case v == nil:
		return o.fail(op, notFound("Virtual Node '%s' not found.", op.Work.ShortHash))
	case v.GetOperationInProgress() != op.Status.GetRequestId():
		op.Status.State = operationv1.OperationState_OPERATION_STATE_ABORTED
		op.Status.Error, op.Status.ErrorId = "another operation was forced in its place", ErrState
		o.put(PutOperation{op})
		o.tell(op)
		return o.late(op, conflict(ErrState, "another operation was forced in its place"))
	}
	op.Status.Overridden = append(op.Status.Overridden, e.Result.Overridden...)
	switch e.Result.Step {
	case stepReset, stepPlatform:
		o.goOn(op, stepApplication, stageApplication)
		return nil
	case stepApplication:
		o.goOn(op, stepFinish, stageFinish)
		return nil
	case stepConnections:
		if len(op.Work.Connections) > 0 { // they hold only when all that must be there is
			o.goOn(op, stepPlatform, stagePlatform)
			return nil
		}
		o.put(PutConnections{op.Work.ShortHash, e.Result.Connections, e.Result.Dropped})
		o.goOn(op, stepFinish, stageFinish)
		return nil
	case stepFinish:
		if len(op.Work.Connections) > 0 {
			o.put(PutConnections{op.Work.ShortHash, e.Result.Connections, e.Result.Dropped})
		}
	default:
		return s.end(o, op, e, fmt.Errorf("there is no step %s of a change", e.Result.Step))
	}
	after := clone(v)
	after.OperationInProgress = ""
	connected(after, e.Result.Connections)
	if op.Status.GetKind() == operationv1.OperationKind_OPERATION_KIND_UPGRADE_VIRTUAL_NODE {
		if s.Cpi == nil {
			return s.end(o, op, e, notFound("CPI with file checksum %s was not found.", op.Work.Checksum))
		}
		if err := s.install(after, s.Cpi); err != nil {
			return s.end(o, op, e, err)
		}
	}
	o.putNode(after)
	o.Audit = append(o.Audit, clusterdb.Audit{
		Actor: op.Work.Actor, Action: "vnode.changed", Entity: op.Entity, RequestID: op.Work.Attempt, Before: v, After: after,
	})
	return o.succeed(op, stageOK)
}

func (s State) schemaSQL(r *dbv1.SchemaSql) (Outcome, error) {
	var o Outcome
	switch r.GetDatabase() {
	case "vault":
	case "crypto":
		return o, o.answer(&dbv1.SchemaSqlResult{Sql: "-- Nothing to run: keys are kept in Vault.\n"})
	case "uniqueness":
		return o, o.answer(&dbv1.SchemaSqlResult{Sql: "-- Nothing to run: the notary's memory is kept in Kafka.\n"})
	default:
		return o, invalid(ErrMalformed, "database %q is not known: use vault, crypto or uniqueness", r.GetDatabase())
	}
	if r.GetShortHash() != "" && s.VirtualNode == nil {
		return o, notFound("Virtual Node '%s' not found.", r.GetShortHash())
	}
	if r.GetCpiChecksum() != "" && s.Cpi == nil {
		return o, notFound("CPI with file checksum %s was not found.", r.GetCpiChecksum())
	}
	return o, o.answer(&dbv1.SchemaSqlResult{Sql: s.SQL})
}
