package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/internal/rbac"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// The names that Corda's paths have for their variables, in lower case.
const (
	varHolding   = "holdingidentityshorthash"
	varRequestID = "clientrequestid"
)

// retrySoon is when a caller whose start was not decided in time should ask again.
const retrySoon = 2 * time.Second

// cordaRoutes are the operations under /api/v5_2 and /api/v5_1. Static patterns stand first.
func (s *Server) cordaRoutes() []route {
	version := func(context.Context, *call) (*answer, *failure) {
		return &answer{status: http.StatusOK, body: s.cfg.PlatformVersion}, nil
	}
	routes := []route{
		{method: http.MethodGet, pattern: "/openapi.json", open: true, handle: document(cordaDocument())},
		{method: http.MethodGet, pattern: "/swagger", open: true, handle: browsable("/api/v5_2/openapi.json", cordaDocument())},
		{method: http.MethodPost, pattern: "/hello", query: []string{"addressee"}, handle: s.hello},
		{method: http.MethodPost, pattern: "/flow/{holdingidentityshorthash}", handle: s.startFlow},
		{method: http.MethodGet, pattern: "/flow/{holdingidentityshorthash}", query: []string{"status"}, handle: s.flowStatuses},
		{method: http.MethodGet, pattern: "/flow/{holdingidentityshorthash}/{clientrequestid}", handle: s.flowStatus},
		{method: http.MethodGet, pattern: "/flow/{holdingidentityshorthash}/{clientrequestid}/result", handle: s.flowResult},
		{method: http.MethodGet, pattern: "/flowclass/{holdingidentityshorthash}", handle: s.flowClasses},
	}
	routes = slices.Concat(routes, s.userRoutes(), s.configRoutes(), s.cpiRoutes(), s.vnodeRoutes(), s.keyRoutes(), s.wrappingKeyRoutes(), s.certificateRoutes())
	var versions []route
	for _, resource := range []string{"certificate", "config", "cpi", "flow", "flowclass", "hello", "hsm", "key", "maintenance/virtualnode", "permission", "role", "user", "virtualnode", "wrappingkey"} {
		versions = append(versions, route{method: http.MethodGet, pattern: "/" + resource + "/getprotocolversion", open: true, handle: version})
	}
	return append(versions, routes...)
}

func (s *Server) hello(_ context.Context, c *call) (*answer, *failure) {
	if !c.query.Has("addressee") {
		return nil, refuse(http.StatusBadRequest, idParameter, "Missing query parameter 'addressee'.")
	}
	return &answer{status: http.StatusOK, body: fmt.Sprintf("Hello, %s! (from %s)", c.query.Get("addressee"), c.user)}, nil
}

const startFlowParameter = "startFlow"

func (s *Server) startFlow(ctx context.Context, c *call) (*answer, *failure) {
	m, fail := bodyObject(c.body, startFlowParameter)
	if fail != nil {
		return nil, fail
	}
	r := startRequest{Holding: c.vars[varHolding], User: c.user, NowMicros: c.now.UnixMicro()}
	if fail = m.only(startFlowParameter, "clientRequestId", "flowClassName", "requestBody"); fail != nil {
		return nil, fail
	}
	if r.ClientRequestID, fail = m.text(startFlowParameter, "clientRequestId"); fail != nil {
		return nil, fail
	}
	if r.FlowClass, fail = m.text(startFlowParameter, "flowClassName"); fail != nil {
		return nil, fail
	}
	if r.Body, fail = m.anyJSON(startFlowParameter, "requestBody"); fail != nil {
		return nil, fail
	}
	key, start, fail := decideStart(s.parts.Views, r, func(class, hash string) bool {
		return s.rules.Allowed(s.parts.Views, c.user, rbac.StartFlow(class, hash))
	})
	if fail != nil {
		return nil, fail
	}
	status, fail := s.start(ctx, key, start, traceparent(c.header))
	if fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusAccepted, body: toStatus(asRequested(status))}, nil
}

// asRequested is the status as it was when the start was taken: the answer to one start does not depend on how far
// the flow has come meanwhile.
func asRequested(s *flowv1.FlowStatus) *flowv1.FlowStatus {
	return &flowv1.FlowStatus{
		Vnode: s.GetVnode(), ClientRequestId: s.GetClientRequestId(), FlowId: s.GetFlowId(), FlowClass: s.GetFlowClass(),
		State: flowv1.FlowState_FLOW_STATE_START_REQUESTED, CreatedAtUs: s.GetCreatedAtUs(), UpdatedAtUs: s.GetCreatedAtUs(),
	}
}

// start writes the start record and waits until the mapper has given the client request id to a flow: this one, or
// another.
func (s *Server) start(ctx context.Context, key string, start *flowv1.StartFlow, trace string) (*flowv1.FlowStatus, *failure) {
	ctx, cancel := s.until(ctx, s.cfg.StartTimeout)
	defer cancel()
	flowID, err := s.parts.Writer.Start(ctx, key, start, trace)
	if err != nil {
		s.parts.Log.Warn("writing a start failed", "vnode", start.GetVnode(), "error", err)
		return nil, refuse(http.StatusServiceUnavailable, idPublish,
			"Kafka did not confirm the start: it is not known whether it was written; ask for the status, or start again with the same clientRequestId, which starts nothing twice. The log of this worker says why.").later(retrySoon)
	}
	status, err := s.parts.Views.waitStatus(ctx, key, func(*flowv1.FlowStatus) bool { return true })
	if err != nil {
		return nil, refuse(http.StatusServiceUnavailable, idUndecided,
			"The start of flow %s was written but not taken by a flow-mapper worker within %s: ask for its status later.", flowID, s.cfg.StartTimeout).later(retrySoon)
	}
	if status.GetFlowId() != flowID {
		return nil, flowTaken()
	}
	return status, nil
}

func traceparent(h http.Header) string {
	t := h.Get("traceparent")
	if ok, err := regexp.MatchString(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`, t); err != nil || !ok {
		return ""
	}
	return t
}

func (s *Server) flowStatuses(_ context.Context, c *call) (*answer, *failure) {
	state, fail := parseState(c.query.Get("status"))
	if fail != nil {
		return nil, fail
	}
	vnode, fail := findVNode(s.parts.Views, c.vars[varHolding])
	if fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusOK, body: listStatuses(s.parts.Views.statuses, vnode.GetShortHash(), state)}, nil
}

func (s *Server) flowStatus(_ context.Context, c *call) (*answer, *failure) {
	status, fail := findStatus(s.parts.Views, c.vars[varHolding], c.vars[varRequestID])
	if fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusOK, body: toStatus(status)}, nil
}

func (s *Server) flowResult(_ context.Context, c *call) (*answer, *failure) {
	status, fail := findStatus(s.parts.Views, c.vars[varHolding], c.vars[varRequestID])
	if fail != nil {
		return nil, fail
	}
	code, body := toResult(status)
	return &answer{status: code, body: body}, nil
}

// startableFlowsResponse is Corda's StartableFlowsResponse.
type startableFlowsResponse struct {
	FlowClassNames []string `json:"flowClassNames"`
}

func (s *Server) flowClasses(_ context.Context, c *call) (*answer, *failure) {
	vnode, fail := findVNode(s.parts.Views, c.vars[varHolding])
	if fail != nil {
		return nil, fail
	}
	cpi, fail := findCPI(s.parts.Views, vnode)
	if fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusOK, body: startableFlowsResponse{startableFlows(cpi)}}, nil
}

// ended tells whether a wait ended because its time was over.
func ended(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
