package rest

import (
	"math"
	"net/http"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// commandRequest is what an operator asks of a running flow.
type commandRequest struct {
	Holding         string
	ClientRequestID string
	Kind            flowv1.FlowCommandKind
	User            string
	Reason          string
	// Step is the last step kept by a retry.
	Step int64
	// Force lets a retry go on although sessions are lost.
	Force bool
}

// maxReason bounds the reason of a command in bytes.
const maxReason = 1024

// decideCommand judges a command and returns the flow that it is for.
func decideCommand(f facts, r commandRequest) (*flowv1.FlowStatus, *flowv1.FlowCommand, *failure) {
	s, fail := findStatus(f, r.Holding, r.ClientRequestID)
	if fail != nil {
		return nil, nil, fail
	}
	if terminal(s.GetState()) {
		return nil, nil, isTerminal(s)
	}
	if len(r.Reason) > maxReason {
		return nil, nil, refuse(http.StatusBadRequest, idParameter, "reason has %d bytes, at most %d are allowed.", len(r.Reason), maxReason)
	}
	if r.Step > math.MaxUint32 {
		return nil, nil, refuse(http.StatusBadRequest, idParameter, "step %d is too large.", r.Step)
	}
	return s, &flowv1.FlowCommand{Kind: r.Kind, By: r.User, Reason: r.Reason, Step: uint32(r.Step), Force: r.Force}, nil
}

func isTerminal(s *flowv1.FlowStatus) *failure {
	return refuse(http.StatusConflict, idTerminal, "Flow %s of client request id %s is %s: what has ended cannot be changed.",
		s.GetFlowId(), s.GetClientRequestId(), stateName(s.GetState()))
}

// commandKinds maps the last part of a command's path to its kind.
func commandKinds() map[string]flowv1.FlowCommandKind {
	return map[string]flowv1.FlowCommandKind{
		"kill":           flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL,
		"pause":          flowv1.FlowCommandKind_FLOW_COMMAND_KIND_PAUSE,
		"resume":         flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RESUME,
		"retry":          flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RETRY_FROM_STEP,
		"release-tokens": flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RELEASE_TOKENS,
	}
}
