package rest

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/identity"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// This file holds virtual nodes.

// The names that Corda's paths have for a virtual node, in lower case.
const (
	varVnode        = "virtualnodeshortid"
	varHoldingID    = "holdingidentityid"
	varRequest      = "requestid"
	varState        = "newstate"
	varCpi          = "cpichecksum"
	varNewCpi       = "newcpichecksum"
	varTargetCpi    = "targetcpifilechecksum"
	stateInactive   = "MAINTENANCE"
	unknownGroup    = "CREATE_ID"
	vaultDatabase   = "vault"
	cryptoDatabase  = "crypto"
	uniqueness      = "uniqueness"
	operationPrefix = "OPERATION_STATE_"
)

// vnodeOf returns the virtual node that a path names, for permissions that are bound to one.
func vnodeOf(vars map[string]string) string {
	for _, name := range []string{varHolding, varVnode, varHoldingID, varTenant} {
		if v := vars[name]; v != "" {
			return v
		}
	}
	return ""
}

func (s *Server) vnodeRoutes() []route {
	sql := func(database string) handler {
		return func(ctx context.Context, c *call) (*answer, *failure) {
			return s.schemaSQL(ctx, c, &dbv1.SchemaSql{Database: database, CpiChecksum: strings.ToUpper(c.vars[varCpi])})
		}
	}
	return []route{
		{method: http.MethodGet, pattern: "/virtualnode", handle: s.listVirtualNodes},
		{method: http.MethodPost, pattern: "/virtualnode", handle: s.createVirtualNode},
		{method: http.MethodGet, pattern: "/virtualnode/create/db/crypto", handle: sql(cryptoDatabase)},
		{method: http.MethodGet, pattern: "/virtualnode/create/db/uniqueness", handle: sql(uniqueness)},
		{method: http.MethodGet, pattern: "/virtualnode/create/db/vault/{cpichecksum}", handle: sql(vaultDatabase)},
		{method: http.MethodGet, pattern: "/virtualnode/status/{requestid}", handle: s.virtualNodeOperation},
		{method: http.MethodGet, pattern: "/virtualnode/{holdingidentityshorthash}", handle: s.virtualNode},
		{method: http.MethodPut, pattern: "/virtualnode/{virtualnodeshortid}/state/{newstate}", handle: s.setVirtualNodeState},
		{method: http.MethodPut, pattern: "/virtualnode/{virtualnodeshortid}/cpi/{targetcpifilechecksum}", query: []string{"forceupgrade", "keepstates"}, handle: s.upgradeVirtualNode},
		{method: http.MethodPut, pattern: "/virtualnode/{virtualnodeshortid}/db", handle: s.updateVirtualNodeDB},
		{method: http.MethodGet, pattern: "/virtualnode/{virtualnodeshortid}/db/vault/{newcpichecksum}", handle: s.upgradeSQL},
		{method: http.MethodPost, pattern: "/maintenance/virtualnode/{virtualnodeshortid}/vault-schema/force-resync", handle: s.resyncVault},
	}
}

// holdingIdentity is Corda's HoldingIdentity.
type holdingIdentity struct {
	X500Name  string `json:"x500Name"`
	GroupID   string `json:"groupId"`
	ShortHash string `json:"shortHash"`
	FullHash  string `json:"fullHash"`
}

// virtualNodeInfo is Corda's VirtualNodeInfo. fairlead's virtual nodes have one database, the vault: keys are in Vault
// and spent states in Kafka, so the other connections have the vault's name or none.
type virtualNodeInfo struct {
	Holding        holdingIdentity `json:"holdingIdentity"`
	Cpi            cpiIdentifier   `json:"cpiIdentifier"`
	VaultDDL       *string         `json:"vaultDdlConnectionId"`
	VaultDML       string          `json:"vaultDmlConnectionId"`
	CryptoDDL      *string         `json:"cryptoDdlConnectionId"`
	CryptoDML      string          `json:"cryptoDmlConnectionId"`
	UniquenessDDL  *string         `json:"uniquenessDdlConnectionId"`
	UniquenessDML  string          `json:"uniquenessDmlConnectionId"`
	HSM            *string         `json:"hsmConnectionId"`
	FlowP2P        string          `json:"flowP2pOperationalStatus"`
	FlowStart      string          `json:"flowStartOperationalStatus"`
	FlowOperation  string          `json:"flowOperationalStatus"`
	VaultDB        string          `json:"vaultDbOperationalStatus"`
	InProgress     *string         `json:"operationInProgress"`
	ExternalRoutes *routes         `json:"externalMessagingRouteConfiguration"`
}

// routes is Corda's RouteConfiguration, with the routes of the present package only.
type routes struct {
	Current routesOfCpi `json:"currentRoutes"`
	// Previous is there for Corda's tools.
	Previous []routesOfCpi `json:"previousVersionRoutes"`
}

type routesOfCpi struct {
	Cpi    cpiIdentifier  `json:"cpiIdentifier"`
	Routes []channelRoute `json:"routes"`
}

type channelRoute struct {
	Channel  string `json:"channelName"`
	Topic    string `json:"externalReceiveTopicName"`
	Active   bool   `json:"active"`
	Inactive string `json:"inactiveResponseType"`
}

func statusName(o vnodev1.OperationalStatus) string {
	return strings.TrimPrefix(o.String(), "OPERATIONAL_STATUS_")
}

func (s *Server) toVirtualNode(v *vnodev1.VirtualNode) virtualNodeInfo {
	name, group := v.GetIdentity().GetX500Name(), v.GetIdentity().GetGroupId()
	full := sha256.Sum256([]byte(name + group))
	out := virtualNodeInfo{
		Holding: holdingIdentity{name, group, v.GetShortHash(), upperHex(full[:])}, VaultDDL: pointer(v.GetVaultDdlConnectionId()),
		VaultDML: v.GetVaultDmlConnectionId(), FlowP2P: statusName(v.GetFlowP2P()), FlowStart: statusName(v.GetFlowStart()),
		FlowOperation: statusName(v.GetFlowOperation()), VaultDB: statusName(v.GetVaultDb()), InProgress: pointer(v.GetOperationInProgress()),
	}
	cpi, ok := s.parts.Views.Cpi(v.GetCpiChecksum())
	if ok {
		out.Cpi = identifierOf(cpi)
	}
	if channels := v.GetChannels(); len(channels) > 0 {
		of := routesOfCpi{Cpi: out.Cpi}
		for _, c := range channels {
			r := channelRoute{Channel: c.GetChannel(), Topic: c.GetTopic(), Active: c.GetActive(), Inactive: "ERROR"}
			if c.GetIgnoreWhenInactive() {
				r.Inactive = "IGNORE"
			}
			of.Routes = append(of.Routes, r)
		}
		out.ExternalRoutes = &routes{Current: of, Previous: []routesOfCpi{}}
	}
	return out
}

// virtualNodesInfo is Corda's VirtualNodes.
type virtualNodesInfo struct {
	VirtualNodes []virtualNodeInfo `json:"virtualNodes"`
}

func (s *Server) listVirtualNodes(context.Context, *call) (*answer, *failure) {
	out := virtualNodesInfo{VirtualNodes: []virtualNodeInfo{}}
	for _, m := range s.parts.Views.VirtualNodes.All() {
		if v, ok := m.(*vnodev1.VirtualNode); ok {
			out.VirtualNodes = append(out.VirtualNodes, s.toVirtualNode(v))
		}
	}
	return &answer{status: http.StatusOK, body: out}, nil
}

func (s *Server) virtualNode(_ context.Context, c *call) (*answer, *failure) {
	v, fail := findVNode(s.parts.Views, c.vars[varHolding])
	if fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusOK, body: s.toVirtualNode(v)}, nil
}

// requestIDResponse is Corda's AsyncResponse.
type requestIDResponse struct {
	RequestID string `json:"requestId"`
}

func vnodeEntity(shortHash string) string { return "vnode/" + shortHash }

func (s *Server) createVirtualNode(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "request"
	m, fail := bodyObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	r := &dbv1.CreateVirtualNode{}
	all := []member{needed("x500Name", &r.X500Name), needed("cpiFileChecksum", &r.CpiChecksum)}
	given := newConnections()
	if fail := m.read(parameter, append(all, given.members()...)...); fail != nil {
		return nil, fail
	}
	cpi, fail := s.findCpiByChecksum(ctx, r.GetCpiChecksum())
	if fail != nil {
		return nil, fail
	}
	if cpi.GetGroupId() == unknownGroup {
		// The group gets its id with its manager: the database worker makes it, and so the short hash.
		return nil, refuse(http.StatusBadRequest, idNotBuilt, "CPI %s has the group policy of a group that is yet to be made: this version has no membership worker to make it.", cpi.GetChecksum())
	}
	h, err := identity.NewHolding(r.GetX500Name(), cpi.GetGroupId())
	if err != nil {
		return nil, refuse(http.StatusBadRequest, idParameter, "x500Name '%s': %s.", r.GetX500Name(), err)
	}
	hash := h.ShortHash()
	if _, exists := s.parts.Views.VirtualNode(hash); exists {
		return nil, refuse(http.StatusConflict, idTaken, "Virtual Node '%s' already exists.", h.Name)
	}
	r.X500Name, r.CpiChecksum = h.Name.String(), cpi.GetChecksum()
	if r.SealedConnections, fail = s.seal(vnodeEntity(hash), parameter, given); fail != nil {
		return nil, fail
	}
	if _, fail := s.change(ctx, c, vnodeEntity(hash), &dbv1.Request{Operation: &dbv1.Request_CreateVirtualNode{CreateVirtualNode: r}}); fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusAccepted, body: requestIDResponse{hash}, header: given.warning()}, nil
}

// operationResponse is Corda's AsyncOperationStatus.
type operationResponse struct {
	RequestID   string  `json:"requestId"`
	Operation   string  `json:"operation"`
	Status      string  `json:"status"`
	UpdatedAt   string  `json:"lastUpdatedTimestamp"`
	Stage       *string `json:"processingStage"`
	ErrorReason *string `json:"errorReason"`
	ResourceID  *string `json:"resourceId"`
	// Overridden is what would have refused it, had it not been forced; Corda has no such field.
	Overridden []string `json:"overridden,omitempty"`
}

func (s *Server) virtualNodeOperation(ctx context.Context, c *call) (*answer, *failure) {
	o, ok := get[*operationv1.OperationStatus](s.parts.Views.Operations, c.vars[varRequest])
	if !ok {
		o, ok = get[*operationv1.OperationStatus](s.parts.Views.Operations, strings.ToUpper(c.vars[varRequest]))
	}
	if !ok || o.GetKind() == operationv1.OperationKind_OPERATION_KIND_CPI_UPLOAD {
		return nil, refuse(http.StatusNotFound, idNoEntity, "Virtual node operation '%s' not found.", c.vars[varRequest])
	}
	if o.GetState() == operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
		s.heard(ctx, s.parts.Views.VirtualNodes, o.GetResourceId(), func(m any, _ bool) bool {
			v, ok := m.(*vnodev1.VirtualNode)
			return ok && v.GetOperationInProgress() != o.GetRequestId()
		})
	}
	reason := o.GetError()
	if o.GetErrorId() != "" && !strings.Contains(reason, o.GetErrorId()) {
		reason = o.GetErrorId() + ": " + reason
	}
	return &answer{status: http.StatusOK, body: operationResponse{
		RequestID: o.GetRequestId(), Operation: strings.TrimPrefix(o.GetKind().String(), "OPERATION_KIND_"),
		Status: strings.TrimPrefix(o.GetState().String(), operationPrefix), UpdatedAt: instant(o.GetUpdatedAtUs()),
		Stage: pointer(o.GetStage()), ErrorReason: pointer(reason), ResourceID: pointer(o.GetResourceId()),
		Overridden: o.GetOverridden(),
	}}, nil
}

// stateResponse is Corda's ChangeVirtualNodeStateResponse.
type stateResponse struct {
	Holding string `json:"holdingIdShortHash"`
	State   string `json:"newState"`
}

func (s *Server) setVirtualNodeState(ctx context.Context, c *call) (*answer, *failure) {
	v, fail := findVNode(s.parts.Views, c.vars[varVnode])
	if fail != nil {
		return nil, fail
	}
	state := strings.ToUpper(c.vars[varState])
	r := &dbv1.SetVirtualNodeState{ShortHash: v.GetShortHash(), State: vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE}
	switch state {
	case statusName(r.GetState()):
	case stateInactive:
		r.State = vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE
	default:
		return nil, refuse(http.StatusBadRequest, idParameter, "State '%s' is not known: use ACTIVE or MAINTENANCE.", c.vars[varState])
	}
	request := &dbv1.Request{Operation: &dbv1.Request_SetVirtualNodeState{SetVirtualNodeState: r}}
	return changeInto(ctx, s, c, vnodeEntity(v.GetShortHash()), request, &vnodev1.VirtualNode{}, http.StatusOK, func(*vnodev1.VirtualNode) any {
		return stateResponse{v.GetShortHash(), state}
	})
}

func (s *Server) upgradeVirtualNode(ctx context.Context, c *call) (*answer, *failure) {
	v, fail := findVNode(s.parts.Views, c.vars[varVnode])
	if fail != nil {
		return nil, fail
	}
	cpi, fail := s.findCpiByChecksum(ctx, c.vars[varTargetCpi])
	if fail != nil {
		return nil, fail
	}
	r := &dbv1.UpgradeVirtualNode{ShortHash: v.GetShortHash(), CpiChecksum: cpi.GetChecksum(), Force: strings.EqualFold(c.query.Get("forceupgrade"), "true"), KeepStates: strings.EqualFold(c.query.Get("keepstates"), "true")}
	request := &dbv1.Request{Operation: &dbv1.Request_UpgradeVirtualNode{UpgradeVirtualNode: r}}
	return changeInto(ctx, s, c, vnodeEntity(v.GetShortHash()), request, &dbv1.AcceptedOperation{}, http.StatusAccepted, func(a *dbv1.AcceptedOperation) any {
		return requestIDResponse{a.GetRequestId()}
	})
}

// schemaSQL answers SQL as raw text: scripts hand it to psql.
func (s *Server) schemaSQL(ctx context.Context, c *call, r *dbv1.SchemaSql) (*answer, *failure) {
	request := &dbv1.Request{Operation: &dbv1.Request_SchemaSql{SchemaSql: proto.CloneOf(r)}}
	return changeInto(ctx, s, c, "sql/"+r.GetDatabase()+r.GetCpiChecksum(), request, &dbv1.SchemaSqlResult{}, http.StatusOK, func(m *dbv1.SchemaSqlResult) any { return m.GetSql() })
}

func (s *Server) upgradeSQL(ctx context.Context, c *call) (*answer, *failure) {
	v, fail := findVNode(s.parts.Views, c.vars[varVnode])
	if fail != nil {
		return nil, fail
	}
	return s.schemaSQL(ctx, c, &dbv1.SchemaSql{Database: vaultDatabase, CpiChecksum: strings.ToUpper(c.vars[varNewCpi]), ShortHash: v.GetShortHash()})
}

func (s *Server) resyncVault(ctx context.Context, c *call) (*answer, *failure) {
	v, fail := findVNode(s.parts.Views, c.vars[varVnode])
	if fail != nil {
		return nil, fail
	}
	request := &dbv1.Request{Operation: &dbv1.Request_ResyncVault{ResyncVault: &dbv1.ResyncVault{ShortHash: v.GetShortHash()}}}
	if _, fail := s.change(ctx, c, vnodeEntity(v.GetShortHash()), request); fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusNoContent}, nil
}
