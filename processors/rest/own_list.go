package rest

import (
	"context"
	"net/http"
	"strconv"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// ownStatusesResponse has the flows of a virtual node, the oldest first. Left are those that a limit left out, which are
// older.
type ownStatusesResponse struct {
	Flows []ownStatusResponse `json:"flows"`
	Left  int                 `json:"left"`
}

func (s *Server) ownStatuses(_ context.Context, c *call) (*answer, *failure) {
	state, fail := parseState(c.query.Get("status"))
	if fail != nil {
		return nil, fail
	}
	var keep func(*flowv1.FlowStatus) bool
	if text := c.query.Get("paused"); text != "" {
		want, err := strconv.ParseBool(text)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, idParameter, "Query parameter paused is %q: use true or false.", text)
		}
		keep = func(s *flowv1.FlowStatus) bool { return s.GetPaused() == want }
	}
	limit := 0
	if text := c.query.Get("limit"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, idParameter, "Query parameter limit is %q: use a whole number, 0 for all.", text)
		}
		limit = int(n)
	}
	vnode, fail := findVNode(s.parts.Views, c.vars[varHolding])
	if fail != nil {
		return nil, fail
	}
	picked := pickStatuses(s.parts.Views.statuses, vnode.GetShortHash(), state, keep)
	out := ownStatusesResponse{Flows: []ownStatusResponse{}}
	if limit > 0 && len(picked) > limit {
		out.Left = len(picked) - limit
		picked = picked[out.Left:]
	}
	for _, one := range picked {
		out.Flows = append(out.Flows, toOwnStatus(one))
	}
	return &answer{status: http.StatusOK, body: out}, nil
}
