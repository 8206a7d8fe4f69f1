package rest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/identity"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// facts are the records that flow decisions are made from.
type facts interface {
	VirtualNode(shortHash string) (*vnodev1.VirtualNode, bool)
	Cpi(checksum string) (*cpiv1.Cpi, bool)
	Status(key string) (*flowv1.FlowStatus, bool)
}

// startRequest is a request to start a flow, read but not yet judged.
type startRequest struct {
	Holding         string
	ClientRequestID string
	FlowClass       string
	// Body is JSON.
	Body []byte
	User string
	// NowMicros is when the request was taken.
	NowMicros int64
}

// clientRequestIDPattern is the form of a client request id, as it is told to callers.
const clientRequestIDPattern = "[-._A-Za-z0-9]{1,242}"

func isClientRequestID(s string) bool {
	outside := strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	})
	return outside < 0 && len(s) >= 1 && len(s) <= 242
}

// maxArgument bounds a flow's argument in bytes.
const maxArgument = 512 << 10

// statusKey is the key of a flow in flow.mapper.start and flow.status.
func statusKey(clientRequestID, shortHash string) string { return clientRequestID + "-" + shortHash }

// decideStart judges a request to start a flow, in the order in which callers are told what is wrong. mayStart
// tells whether the user's permissions allow the class on the virtual node.
func decideStart(f facts, r startRequest, mayStart func(class, shortHash string) bool) (key string, start *flowv1.StartFlow, fail *failure) {
	vnode, fail := findVNode(f, r.Holding)
	if fail != nil {
		return "", nil, fail
	}
	hash := vnode.GetShortHash()
	if vnode.GetFlowStart() != vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE {
		fail := refuse(http.StatusMethodNotAllowed, idNotOperational, "Flow start capabilities of virtual node %s are not operational.", hash)
		fail.header = http.Header{"Allow": {http.MethodGet}}
		return "", nil, fail
	}
	if !isClientRequestID(r.ClientRequestID) {
		return "", nil, refuse(http.StatusBadRequest, idClientRequestID,
			"Supplied clientRequestId %s is invalid, it must conform to the pattern %s.", r.ClientRequestID, clientRequestIDPattern)
	}
	cpi, fail := findCPI(f, vnode)
	if fail != nil {
		return "", nil, fail
	}
	if classes := startableFlows(cpi); !slices.Contains(classes, r.FlowClass) {
		return "", nil, refuse(http.StatusBadRequest, idNotStartable,
			"The flow that was requested (%s) is not in the list of startable flows for this holding identity.", r.FlowClass).
			with(map[string]string{
				"CPI-name": cpi.GetName(), "CPI-version": cpi.GetVersion(), "CPI-signer-summary-hash": cpi.GetSignerSummaryHash(),
				"virtual-node": vnode.GetIdentity().GetX500Name(), "group-id": vnode.GetIdentity().GetGroupId(),
				"startableFlows": strings.Join(classes, ","),
			})
	}
	if !mayStart(r.FlowClass, hash) {
		return "", nil, refuse(http.StatusForbidden, idStartForbidden, "User %s is not allowed to start a flow: %s.", r.User, r.FlowClass)
	}
	if len(r.Body) > maxArgument {
		return "", nil, refuse(http.StatusBadRequest, idTooLarge, "requestBody has %d bytes, at most %d are allowed.", len(r.Body), maxArgument)
	}
	key = statusKey(r.ClientRequestID, hash)
	if _, taken := f.Status(key); taken {
		return "", nil, flowTaken()
	}
	return key, &flowv1.StartFlow{
		Identity: vnode.GetIdentity(), Vnode: hash, ClientRequestId: r.ClientRequestID, FlowClass: r.FlowClass,
		RequestBody: r.Body, InitiatedBy: r.User, CreatedAtUs: r.NowMicros, Initiator: flowv1.Initiator_INITIATOR_RPC,
	}, nil
}

func flowTaken() *failure {
	return refuse(http.StatusConflict, idTaken, "A flow has already been started for the requested holdingId and clientRequestId.")
}

// parseShortHash reads the short hash of a virtual node in any case.
func parseShortHash(s string) (string, *failure) {
	hash, err := identity.ParseShortHash(s)
	if err != nil {
		return "", refuse(http.StatusBadRequest, idShortHash, "Invalid holding identity short hash: '%s' is not 12 hexadecimal digits.", s)
	}
	return hash, nil
}

func findVNode(f facts, holding string) (*vnodev1.VirtualNode, *failure) {
	hash, fail := parseShortHash(holding)
	if fail != nil {
		return nil, fail
	}
	vnode, ok := f.VirtualNode(hash)
	if !ok {
		return nil, refuse(http.StatusNotFound, idNoVNode, "Virtual Node '%s' not found.", hash)
	}
	return vnode, nil
}

func findCPI(f facts, vnode *vnodev1.VirtualNode) (*cpiv1.Cpi, *failure) {
	cpi, ok := f.Cpi(vnode.GetCpiChecksum())
	if !ok {
		return nil, refuse(http.StatusNotFound, idNoCPI, "The CPI %s of Virtual Node '%s' not found.", vnode.GetCpiChecksum(), vnode.GetShortHash())
	}
	return cpi, nil
}

// startableFlows lists the classes that clients may start, sorted.
func startableFlows(cpi *cpiv1.Cpi) []string {
	classes := []string{}
	for _, m := range cpi.GetModules() {
		if m.GetKind() != cpiv1.ModuleKind_MODULE_KIND_FLOW {
			continue
		}
		for _, c := range m.GetFlows() {
			if c.GetStartable() {
				classes = append(classes, c.GetName())
			}
		}
	}
	slices.Sort(classes)
	return slices.Compact(classes)
}
