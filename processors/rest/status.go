package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// flowError is Corda's FlowStateErrorResponse.
type flowError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// flowStatusResponse is Corda's FlowStatusResponse; nulls are written, not left out.
type flowStatusResponse struct {
	Holding         string     `json:"holdingIdentityShortHash"`
	ClientRequestID *string    `json:"clientRequestId"`
	FlowID          *string    `json:"flowId"`
	FlowStatus      string     `json:"flowStatus"`
	FlowResult      *string    `json:"flowResult"`
	FlowError       *flowError `json:"flowError"`
	Timestamp       string     `json:"timestamp"`
}

// flowStatusResponses is Corda's FlowStatusResponses.
type flowStatusResponses struct {
	Responses []flowStatusResponse `json:"flowStatusResponses"`
}

// flowResultResponse is Corda's FlowResultResponse.
type flowResultResponse struct {
	Holding         string          `json:"holdingIdentityShortHash"`
	ClientRequestID *string         `json:"clientRequestId"`
	FlowID          *string         `json:"flowId"`
	FlowStatus      string          `json:"flowStatus"`
	JSON            json.RawMessage `json:"json"`
	FlowError       *flowError      `json:"flowError"`
	Timestamp       string          `json:"timestamp"`
}

const statePrefix = "FLOW_STATE_"

func stateName(s flowv1.FlowState) string { return strings.TrimPrefix(s.String(), statePrefix) }

// terminal tells whether nothing changes a flow's status any more.
func terminal(s flowv1.FlowState) bool {
	switch s {
	case flowv1.FlowState_FLOW_STATE_COMPLETED, flowv1.FlowState_FLOW_STATE_FAILED, flowv1.FlowState_FLOW_STATE_KILLED:
		return true
	default:
		return false
	}
}

// parseState reads a status filter; "" is no filter.
func parseState(s string) (flowv1.FlowState, *failure) {
	if s == "" {
		return flowv1.FlowState_FLOW_STATE_UNSPECIFIED, nil
	}
	v, ok := flowv1.FlowState_value[statePrefix+strings.ToUpper(s)]
	if !ok || v == 0 {
		var names []string
		for n := int32(1); n < int32(len(flowv1.FlowState_name)); n++ {
			names = append(names, stateName(flowv1.FlowState(n)))
		}
		return 0, refuse(http.StatusBadRequest, idStatusFilter, "Status '%s' is not a flow status: use one of %s.", s, strings.Join(names, ", "))
	}
	return flowv1.FlowState(v), nil
}

// instant writes microseconds as Java's Instant does: UTC, no fraction, three or six digits.
func instant(us int64) string {
	t := time.UnixMicro(us).UTC()
	switch {
	case us%1_000_000 == 0:
		return t.Format("2006-01-02T15:04:05Z")
	case us%1_000 == 0:
		return t.Format("2006-01-02T15:04:05.000Z")
	default:
		return t.Format("2006-01-02T15:04:05.000000Z")
	}
}

func pointer(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func errorOf(s *flowv1.FlowStatus) *flowError {
	switch s.GetState() {
	case flowv1.FlowState_FLOW_STATE_FAILED:
		e := s.GetError()
		message := e.GetMessage()
		if e.GetId() != "" && !strings.Contains(message, e.GetId()) {
			message = fmt.Sprintf("%s: %s", e.GetId(), message)
		}
		return &flowError{Type: e.GetType(), Message: message}
	case flowv1.FlowState_FLOW_STATE_KILLED:
		return &flowError{Type: "FLOW_KILLED", Message: s.GetTerminatedReason()}
	default:
		return nil
	}
}

func toStatus(s *flowv1.FlowStatus) flowStatusResponse {
	return flowStatusResponse{
		Holding: s.GetVnode(), ClientRequestID: pointer(s.GetClientRequestId()), FlowID: pointer(s.GetFlowId()),
		FlowStatus: stateName(s.GetState()), FlowResult: pointer(string(s.GetResult())), FlowError: errorOf(s),
		Timestamp: instant(s.GetUpdatedAtUs()),
	}
}

// toResult returns the result and its status code: 202 while the flow runs.
func toResult(s *flowv1.FlowStatus) (int, flowResultResponse) {
	r := flowResultResponse{
		Holding: s.GetVnode(), ClientRequestID: pointer(s.GetClientRequestId()), FlowID: pointer(s.GetFlowId()),
		FlowStatus: stateName(s.GetState()), FlowError: errorOf(s), Timestamp: instant(s.GetUpdatedAtUs()),
	}
	if json.Valid(s.GetResult()) {
		r.JSON = s.GetResult()
	}
	if terminal(s.GetState()) {
		return http.StatusOK, r
	}
	return http.StatusAccepted, r
}

// pickStatuses picks the statuses of a virtual node, oldest first. A nil keep keeps all.
func pickStatuses(all func(yield func(*flowv1.FlowStatus) bool), vnode string, state flowv1.FlowState, keep func(*flowv1.FlowStatus) bool) []*flowv1.FlowStatus {
	var picked []*flowv1.FlowStatus
	for s := range all {
		if s.GetVnode() == vnode && (state == flowv1.FlowState_FLOW_STATE_UNSPECIFIED || state == s.GetState()) && (keep == nil || keep(s)) {
			picked = append(picked, s)
		}
	}
	slices.SortStableFunc(picked, func(a, b *flowv1.FlowStatus) int {
		if a.GetCreatedAtUs() != b.GetCreatedAtUs() {
			return int(min(1, max(-1, a.GetCreatedAtUs()-b.GetCreatedAtUs())))
		}
		return strings.Compare(a.GetClientRequestId(), b.GetClientRequestId())
	})
	return picked
}

func listStatuses(all func(yield func(*flowv1.FlowStatus) bool), vnode string, state flowv1.FlowState) flowStatusResponses {
	picked := pickStatuses(all, vnode, state, nil)
	out := flowStatusResponses{Responses: make([]flowStatusResponse, 0, len(picked))}
	for _, s := range picked {
		out.Responses = append(out.Responses, toStatus(s))
	}
	return out
}

func noFlow(holding, clientRequestID string) *failure {
	return refuse(http.StatusNotFound, idNoFlow, "Failed to find the flow status for holdingId = %s and clientRequestId = %s.", holding, clientRequestID)
}

func findStatus(f facts, holding, clientRequestID string) (*flowv1.FlowStatus, *failure) {
	vnode, fail := findVNode(f, holding)
	if fail != nil {
		return nil, fail
	}
	s, ok := f.Status(statusKey(clientRequestID, vnode.GetShortHash()))
	if !ok {
		return nil, noFlow(vnode.GetShortHash(), clientRequestID)
	}
	return s, nil
}
