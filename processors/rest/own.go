package rest

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// ownRoutes are the operations under /api/fairlead/v1.
func (s *Server) ownRoutes() []route {
	const flow = "/flow/{holdingidentityshorthash}/{clientrequestid}"
	routes := []route{
		{method: http.MethodGet, pattern: "/openapi.json", open: true, handle: document(ownDocument())},
		{method: http.MethodGet, pattern: "/health", handle: s.health},
		{method: http.MethodGet, pattern: "/virtualnode", handle: s.virtualNodes},
		{method: http.MethodGet, pattern: "/flow/{holdingidentityshorthash}", query: []string{"status", "paused", "limit"}, handle: s.ownStatuses},
		{method: http.MethodGet, pattern: flow, handle: s.ownStatus},
		{method: http.MethodGet, pattern: flow + "/result", handle: s.ownResult},
		{method: http.MethodGet, pattern: flow + "/history", handle: s.history},
	}
	for word, kind := range commandKinds() {
		routes = append(routes, route{method: http.MethodPost, pattern: flow + "/" + word, handle: s.command(kind)})
	}
	return routes
}

// healthResponse tells how the process is.
type healthResponse struct {
	Ready bool `json:"ready"`
	// Reasons say what is missing when it is not ready.
	Reasons []string `json:"reasons"`
}

func (s *Server) health(context.Context, *call) (*answer, *failure) {
	ok, reasons := s.parts.Healthy()
	if reasons == nil {
		reasons = []string{}
	}
	code := http.StatusOK
	if !ok {
		code = http.StatusServiceUnavailable
	}
	return &answer{status: code, body: healthResponse{ok, reasons}}, nil
}

// virtualNode is a virtual node as fairlead's own interface lists it.
type virtualNode struct {
	ShortHash     string `json:"shortHash"`
	X500Name      string `json:"x500Name"`
	GroupID       string `json:"groupId"`
	CpiName       string `json:"cpiName"`
	CpiVersion    string `json:"cpiVersion"`
	CpiChecksum   string `json:"cpiChecksum"`
	FlowStart     string `json:"flowStart"`
	FlowOperation string `json:"flowOperation"`
}

type virtualNodesResponse struct {
	VirtualNodes []virtualNode `json:"virtualNodes"`
}

func (s *Server) virtualNodes(context.Context, *call) (*answer, *failure) {
	out := virtualNodesResponse{VirtualNodes: []virtualNode{}}
	word := func(o vnodev1.OperationalStatus) string {
		return strings.TrimPrefix(o.String(), "OPERATIONAL_STATUS_")
	}
	for _, m := range s.parts.Views.VirtualNodes.All() {
		v, ok := m.(*vnodev1.VirtualNode)
		if !ok {
			continue
		}
		cpi, _ := s.parts.Views.Cpi(v.GetCpiChecksum())
		out.VirtualNodes = append(out.VirtualNodes, virtualNode{
			ShortHash: v.GetShortHash(), X500Name: v.GetIdentity().GetX500Name(), GroupID: v.GetIdentity().GetGroupId(),
			CpiName: cpi.GetName(), CpiVersion: cpi.GetVersion(), CpiChecksum: v.GetCpiChecksum(),
			FlowStart: word(v.GetFlowStart()), FlowOperation: word(v.GetFlowOperation()),
		})
	}
	return &answer{status: http.StatusOK, body: out}, nil
}

// ownStatusResponse is a flow's status as fairlead's own interface tells it.
type ownStatusResponse struct {
	flowStatusResponse
	FlowClass   string `json:"flowClass"`
	InitiatedBy string `json:"initiatedBy"`
	CreatedAt   string `json:"createdAt"`
	// WaitingFor says, for people, what the flow waits for.
	WaitingFor string `json:"waitingFor"`
	// Paused tells that only an operator lets it go on.
	Paused bool `json:"paused"`
	// LastCommand is what became of the last command; null when there was none.
	LastCommand *commandOutcome `json:"lastCommand"`
}

// commandOutcome is what became of a command.
type commandOutcome struct {
	ID      string `json:"id"`
	Command string `json:"command"`
	Refused bool   `json:"refused"`
	// ErrorID is set when the command was refused.
	ErrorID *string `json:"errorId"`
	Detail  string  `json:"detail"`
	At      string  `json:"at"`
}

func toOutcome(c *flowv1.CommandOutcome) *commandOutcome {
	if c == nil {
		return nil
	}
	word := "unknown"
	for w, kind := range commandKinds() {
		if kind == c.GetKind() {
			word = w
		}
	}
	return &commandOutcome{c.GetId(), word, c.GetRefused(), pointer(c.GetErrorId()), c.GetDetail(), instant(c.GetAtUs())}
}

// commandResponse is a flow's status with the id of the command that was just written.
type commandResponse struct {
	ownStatusResponse
	CommandID string `json:"commandId"`
}

func toOwnStatus(s *flowv1.FlowStatus) ownStatusResponse {
	return ownStatusResponse{
		flowStatusResponse: toStatus(s), FlowClass: s.GetFlowClass(), InitiatedBy: s.GetInitiatedBy(),
		CreatedAt: instant(s.GetCreatedAtUs()), WaitingFor: s.GetWaitingFor(), Paused: s.GetPaused(), LastCommand: toOutcome(s.GetLastCommand()),
	}
}

func (s *Server) ownStatus(_ context.Context, c *call) (*answer, *failure) {
	status, fail := findStatus(s.parts.Views, c.vars[varHolding], c.vars[varRequestID])
	if fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusOK, body: toOwnStatus(status)}, nil
}

// ownResult answers like Corda's, and waits for the end as long as "Prefer: wait=" asks.
func (s *Server) ownResult(ctx context.Context, c *call) (*answer, *failure) {
	status, fail := findStatus(s.parts.Views, c.vars[varHolding], c.vars[varRequestID])
	if fail != nil {
		return nil, fail
	}
	wait, fail := preferWait(c.header.Values("Prefer"), s.cfg.MaxWait)
	if fail != nil {
		return nil, fail
	}
	header := http.Header{}
	if wait > 0 {
		header.Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		ctx, cancel := s.until(ctx, wait)
		defer cancel()
		key := statusKey(status.GetClientRequestId(), status.GetVnode())
		last, err := s.parts.Views.waitStatus(ctx, key, func(s *flowv1.FlowStatus) bool { return terminal(s.GetState()) })
		switch {
		case err == nil:
			status = last
		case !ended(err):
			return nil, refuse(http.StatusInternalServerError, idInternal, "Waiting for the flow failed: %s.", err)
		default:
			if last, ok := s.parts.Views.Status(key); ok {
				status = last
			}
		}
	}
	code, body := toResult(status)
	return &answer{status: code, body: body, header: header}, nil
}

// preferWait reads the seconds of RFC 7240's preference "wait", at most limit; zero when there is none.
func preferWait(values []string, limit time.Duration) (time.Duration, *failure) {
	for _, v := range values {
		for preference := range strings.SplitSeq(v, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0, refuse(http.StatusBadRequest, idParameter, "Preference %q: whole seconds are needed, for example wait=30.", preference)
			}
			return min(time.Duration(seconds)*time.Second, limit), nil
		}
	}
	return 0, nil
}

func (s *Server) history(ctx context.Context, c *call) (*answer, *failure) {
	status, fail := findStatus(s.parts.Views, c.vars[varHolding], c.vars[varRequestID])
	if fail != nil {
		return nil, fail
	}
	rows, err := s.parts.Journal.Rows(ctx, status.GetFlowId(), time.UnixMicro(status.GetCreatedAtUs()))
	if err != nil {
		s.parts.Log.Warn("reading a journal failed", "flow_id", status.GetFlowId(), "error", err)
		return nil, refuse(http.StatusServiceUnavailable, idNoHistory, "The journal of flow %s could not be read: %s.", status.GetFlowId(), err).later(retrySoon)
	}
	h, err := toHistory(status.GetFlowId(), rows)
	if err != nil {
		return nil, refuse(http.StatusInternalServerError, idNoHistory, "%s.", err)
	}
	return &answer{status: http.StatusOK, body: h}, nil
}

const commandParameter = "command"

func (s *Server) command(kind flowv1.FlowCommandKind) handler {
	retry := kind == flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RETRY_FROM_STEP
	known := []string{"reason"}
	if retry {
		known = append(known, "step", "force")
	}
	return func(ctx context.Context, c *call) (*answer, *failure) {
		r := commandRequest{Holding: c.vars[varHolding], ClientRequestID: c.vars[varRequestID], Kind: kind, User: c.user}
		m := members{}
		if len(c.body) > 0 || retry {
			var fail *failure
			if m, fail = parseObject(c.body, commandParameter); fail != nil {
				return nil, fail
			}
			if fail = m.only(commandParameter, known...); fail != nil {
				return nil, fail
			}
			if r.Reason, _, fail = m.optionalText(commandParameter, "reason"); fail != nil {
				return nil, fail
			}
		}
		if retry {
			var fail *failure
			if r.Step, fail = m.number(commandParameter, "step", 0); fail != nil {
				return nil, fail
			}
			if raw := m["force"]; !isNull(raw) {
				if fail = m.readOne(commandParameter, optional("force", &r.Force), raw); fail != nil {
					return nil, fail
				}
			}
		}
		status, command, fail := decideCommand(s.parts.Views, r)
		if fail != nil {
			return nil, fail
		}
		wait, fail := preferWait(c.header.Values("Prefer"), s.cfg.MaxWait)
		if fail != nil {
			return nil, fail
		}
		writing, cancel := s.until(ctx, s.cfg.StartTimeout)
		defer cancel()
		id, err := s.parts.Writer.Command(writing, status, command, traceparent(c.header))
		if err != nil {
			s.parts.Log.Warn("writing a command failed", "flow_id", status.GetFlowId(), "error", err)
			return nil, refuse(http.StatusServiceUnavailable, idPublish, "The command could not be written to Kafka: %s.", err).later(retrySoon)
		}
		return s.outcome(ctx, status, id, wait)
	}
}

// outcome waits until a command is decided: 200 when it was carried out, 409 when it was refused, 202 when nobody has
// decided in time.
func (s *Server) outcome(ctx context.Context, status *flowv1.FlowStatus, id string, wait time.Duration) (*answer, *failure) {
	header := http.Header{}
	if wait == 0 {
		return &answer{status: http.StatusAccepted, body: commandResponse{toOwnStatus(status), id}, header: header}, nil
	}
	header.Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	ctx, cancel := s.until(ctx, wait)
	defer cancel()
	key := statusKey(status.GetClientRequestId(), status.GetVnode())
	last, err := s.parts.Views.waitStatus(ctx, key, func(s *flowv1.FlowStatus) bool {
		return s.GetLastCommand().GetId() == id || terminal(s.GetState())
	})
	switch {
	case err != nil && !ended(err):
		return nil, refuse(http.StatusInternalServerError, idInternal, "Waiting for the command's outcome failed: %s.", err)
	case err != nil:
		if last, ok := s.parts.Views.Status(key); ok {
			status = last
		}
		return &answer{status: http.StatusAccepted, body: commandResponse{toOwnStatus(status), id}, header: header}, nil
	}
	switch outcome := last.GetLastCommand(); {
	case outcome.GetId() != id:
		return nil, isTerminal(last)
	case outcome.GetRefused():
		return nil, refuse(http.StatusConflict, outcome.GetErrorId(), "%s.", strings.TrimPrefix(outcome.GetDetail(), outcome.GetErrorId()+": "))
	}
	return &answer{status: http.StatusOK, body: commandResponse{toOwnStatus(last), id}, header: header}, nil
}
