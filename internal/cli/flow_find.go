package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// The stable ids of REST's errors that a command knows.
const (
	idNotOperational = "FL-REST-012"
	idTaken          = "FL-REST-016"
)

// refusedAs is the stable id with which REST refused a call, empty when it did not.
func refusedAs(err error) string {
	var e *restError
	if errors.As(err, &e) {
		return e.id
	}
	return ""
}

// flows lists the flows of a virtual node, the oldest first, and tells how many older ones the limit left out.
func (c *restClient) flows(ctx context.Context, holding string, f listFlags) (list []flowStatus, left int, err error) {
	query := url.Values{}
	if f.status != "" {
		query.Set("status", f.status)
	}
	corda := cordaAPI + "/flow/" + holding
	if len(query) > 0 {
		corda += "?" + query.Encode()
	}
	if f.paused {
		query.Set("paused", "true")
	}
	if f.limit > 0 {
		query.Set("limit", strconv.Itoa(f.limit))
	}
	own := ownAPI + "/flow/" + holding
	if len(query) > 0 {
		own += "?" + query.Encode()
	}
	var answer struct {
		Flows []flowStatus
		Left  int
	}
	_, err = c.get(ctx, own, &answer)
	var refusal *restError
	if !errors.As(err, &refusal) || refusal.status != http.StatusForbidden || f.paused {
		return answer.Flows, answer.Left, err
	}
	// Whose permissions are Corda's may list there, with less to see.
	var less struct {
		Statuses []flowStatus `json:"flowStatusResponses"`
	}
	if _, err := c.get(ctx, corda, &less); err != nil {
		return nil, 0, err
	}
	list = less.Statuses
	if n := len(list) - f.limit; f.limit > 0 && n > 0 {
		list, left = list[n:], n
	}
	return list, left, nil
}

// saying is what a flow waits for, or what came of it.
func (s flowStatus) saying() string {
	switch {
	case s.FlowError != nil:
		return s.FlowError.Message
	case s.FlowResult != nil:
		return *s.FlowResult
	default:
		return s.WaitingFor
	}
}

// shortestPrefix is how much of an id must be given at least.
const shortestPrefix = 4

// lookFlow is findFlow for commands that change nothing: the beginning of an id is enough when only one flow has it.
func lookFlow(ctx context.Context, c *restClient, args []string) (flowStatus, error) {
	s, err := findFlow(ctx, c, args)
	id := args[len(args)-1]
	if exitCode(err) != ExitNotFound || len(id) < shortestPrefix {
		return s, err
	}
	nodes, nodesErr := c.virtualNodes(ctx)
	if len(args) == 2 {
		var one virtualNode
		one, nodesErr = findVNode(ctx, c, args[0])
		nodes = []virtualNode{one}
	}
	if nodesErr != nil {
		return s, err
	}
	var found []flowStatus
	for _, n := range nodes {
		list, _, listErr := c.flows(ctx, n.ShortHash, listFlags{})
		if listErr != nil {
			return s, listErr
		}
		for _, one := range list {
			if strings.HasPrefix(one.ClientRequestID, id) || strings.HasPrefix(one.FlowID, strings.ToLower(id)) {
				found = append(found, one)
			}
		}
	}
	switch len(found) {
	case 0:
		return s, err
	case 1:
		_, err := c.get(ctx, flowPath(ownAPI, found[0].Holding, found[0].ClientRequestID), &found[0])
		return found[0], err
	default:
		var names []string
		for _, one := range found[:min(len(found), 5)] {
			names = append(names, one.ClientRequestID)
		}
		if len(found) > len(names) {
			names = append(names, "…")
		}
		return s, refused("%d flows have ids that begin with %q: give more of it, of %s", len(found), id, strings.Join(names, ", "))
	}
}

// begunTime is how long a flow may take to begin before its argument is given up to be compared.
const begunTime = 3 * time.Second

// startedAlready returns the flow that has a client request id when it is the one that was asked for: of the same class
// with the same argument. Else the refusal stands, with what differs.
func (g *Globals) startedAlready(ctx context.Context, c *restClient, vnode virtualNode, id, class string, argument []byte, refusal error) (flowStatus, error) {
	path := flowPath(ownAPI, vnode.ShortHash, id)
	var s flowStatus
	if _, err := c.get(ctx, path, &s); err != nil {
		return s, refusal
	}
	if s.FlowClass != class {
		return s, fmt.Errorf("%w That flow is of class %s: choose another --id", refusal, s.FlowClass)
	}
	begun, cancel := context.WithTimeout(ctx, begunTime)
	defer cancel()
	var given json.RawMessage
	err := until(begun, func() (bool, error) {
		var h struct{ Steps []historyStep }
		if _, err := c.get(begun, path+"/history", &h); err != nil {
			return false, err
		}
		for _, x := range h.Steps {
			if x.Kind == "start" {
				given = x.Arguments
				return true, nil
			}
		}
		return s.ended(), nil // its journal is no longer kept, or it was killed before it began
	})
	switch {
	case err != nil || given == nil:
		return s, fmt.Errorf("%w That flow is of the same class, but its argument cannot be compared: `fairlead flow status %s` shows it", refusal, id)
	case !sameArgument(given, argument):
		return s, fmt.Errorf("%w That flow has another argument: choose another --id", refusal)
	}
	when := s.Timestamp
	if s.CreatedAt != nil {
		when = *s.CreatedAt
	}
	fmt.Fprintf(g.Err, "flow %s was started already, %s ago, with the same class and argument: nothing was started now\n", id, age(g.now().Sub(when)))
	_, err = c.get(ctx, path, &s)
	return s, err
}

// sameArgument compares two arguments as REST takes them: a string that holds JSON is that JSON.
func sameArgument(a, b []byte) bool {
	x, errX := argumentValue(a)
	y, errY := argumentValue(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func argumentValue(raw []byte) (any, error) {
	read := func(raw []byte) (v any, err error) {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber() // 1 and 1.0 are two arguments
		err = d.Decode(&v)
		return v, err
	}
	v, err := read(raw)
	if text, ok := v.(string); ok && err == nil {
		if strings.TrimSpace(text) == "" {
			return nil, nil //nolint:nilnil // REST makes null of it
		}
		if json.Valid([]byte(text)) {
			return read([]byte(text))
		}
	}
	return v, err
}
