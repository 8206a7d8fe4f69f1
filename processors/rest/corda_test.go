package rest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

const flows = "/api/v5_2/flow/" + aliceHash

const startBody = `{"clientRequestId":"r1","flowClassName":"hello","requestBody":{"a":1}}`

func TestStartIsTaken(t *testing.T) {
	w := newWorld(t, Config{})
	w.accept(ownFlow)
	rec := w.do("alice", "POST "+flows, startBody, "Content-Type: application/x-www-form-urlencoded", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	w.want(rec, 202, `{"holdingIdentityShortHash":"253501665E9D","clientRequestId":"r1","flowId":"`+ownFlow+
		`","flowStatus":"START_REQUESTED","flowResult":null,"flowError":null,"timestamp":"2023-03-20T17:23:58.998Z"}`)
	s := w.started[0]
	if s.GetVnode() != aliceHash || string(s.GetRequestBody()) != `{"a":1}` || s.GetInitiatedBy() != "alice" ||
		s.GetIdentity().GetX500Name() != "O=Alice, L=London, C=GB" || s.GetCreatedAtUs() != w.now.UnixMicro() || s.GetInitiator() != flowv1.Initiator_INITIATOR_RPC {
		t.Errorf("start: %v", s)
	}
	if w.traces[0] == "" {
		t.Error("traceparent was dropped")
	}
}

func TestStartIsLenient(t *testing.T) {
	for name, c := range map[string]struct{ path, body, want string }{
		"wrapped":           {flows, `{"startFlow":` + startBody + `}`, `{"a":1}`},
		"trailing slash":    {flows + "/", startBody, `{"a":1}`},
		"lower-case hash":   {strings.ToLower(flows), startBody, `{"a":1}`},
		"v5_1":              {"/api/v5_1/flow/" + aliceHash, startBody, `{"a":1}`},
		"JSON in a string":  {flows, `{"clientRequestId":"r1","flowClassName":"hello","requestBody":"{ \"a\": 1 }"}`, `{"a":1}`},
		"plain string":      {flows, `{"clientRequestId":"r1","flowClassName":"hello","requestBody":"hi there"}`, `"hi there"`},
		"empty string":      {flows, `{"clientRequestId":"r1","flowClassName":"hello","requestBody":""}`, `null`},
		"number as it is":   {flows, `{"clientRequestId":"r1","flowClassName":"hello","requestBody":1.10}`, `1.10`},
		"number for string": {flows, `{"clientRequestId":17,"flowClassName":"hello","requestBody":[]}`, `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.accept(ownFlow)
			w.want(w.do("alice", "POST "+c.path, c.body), 202, "")
			if len(w.started) != 1 || string(w.started[0].GetRequestBody()) != c.want {
				t.Errorf("started %v", w.started)
			}
		})
	}
}

func TestStartIsRefused(t *testing.T) {
	classNotThere := `{
    "title": "The flow that was requested (contract) is not in the list of startable flows for this holding identity.",
    "status": 400,
    "details": {"CPI-name":"app","CPI-signer-summary-hash":"SHA-256:00","CPI-version":"1.0","group-id":"g","startableFlows":"hello,sleepy","virtual-node":"O=Alice, L=London, C=GB"}
}`
	for name, c := range map[string]struct {
		user, path, body string
		status           int
		want             string
	}{
		"unknown vnode":   {"alice", "/api/v5_2/flow/ffffffffffff", startBody, 404, cordaError(404, "Virtual Node 'FFFFFFFFFFFF' not found.")},
		"short hash":      {"alice", "/api/v5_2/flow/xyz", startBody, 400, cordaError(400, "Invalid holding identity short hash: 'xyz' is not 12 hexadecimal digits.")},
		"maintenance":     {"alice", "/api/v5_2/flow/" + bobHash, startBody, 405, cordaError(405, "Flow start capabilities of virtual node "+bobHash+" are not operational.")},
		"request id":      {"alice", flows, strings.Replace(startBody, "r1", "r 1", 1), 400, cordaError(400, "Supplied clientRequestId r 1 is invalid, it must conform to the pattern [-._A-Za-z0-9]{1,242}.")},
		"not startable":   {"alice", flows, strings.Replace(startBody, "hello", "contract", 1), 400, classNotThere},
		"class forbidden": {"bob", flows, strings.Replace(startBody, "hello", "sleepy", 1), 403, cordaError(403, "User bob is not allowed to start a flow: sleepy.")},
		"taken":           {"alice", flows, strings.Replace(startBody, "r1", "taken", 1), 409, cordaError(409, "A flow has already been started for the requested holdingId and clientRequestId.")},
		"no body":         {"alice", flows, "", 400, ""},
		"array":           {"alice", flows, "[]", 400, ""},
		"class missing":   {"alice", flows, `{"clientRequestId":"r1","requestBody":1}`, 400, ""},
		"class null":      {"alice", flows, `{"clientRequestId":"r1","flowClassName":null,"requestBody":1}`, 400, ""},
		"unknown member":  {"alice", flows, `{"clientRequestId":"r1","flowClassName":"hello","requestBody":1,"x":1}`, 400, ""},
		"doubled member":  {"alice", flows, `{"clientRequestId":"r1","clientRequestId":"r2","flowClassName":"hello","requestBody":1}`, 400, ""},
		"two values":      {"alice", flows, startBody + startBody, 400, ""},
		"cut":             {"alice", flows, startBody[:20], 400, ""},
		"not UTF-8":       {"alice", flows, "{\"clientRequestId\":\"\xff\"}", 400, ""},
		"too deep":        {"alice", flows, strings.Replace(startBody, "1}", strings.Repeat("[", 200)+strings.Repeat("]", 200)+"}", 1), 400, ""},
		"long argument":   {"alice", flows, strings.Replace(startBody, "1}", `"`+strings.Repeat("x", maxArgument)+`"}`, 1), 400, ""},
		"too long":        {"alice", flows, strings.Repeat(" ", 1<<20) + "{}", 400, cordaError(400, "Content length is 1048578 which exceeds the maximum limit of 1048576.")},
		"other method":    {"alice", "/api/v5_2/hello/getprotocolversion", "", 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.put("taken", func(*flowv1.FlowStatus) {})
			rec := w.do(c.user, "POST "+c.path, c.body)
			w.want(rec, c.status, c.want)
			if rec.Header().Get("Content-Type") != "application/json" || rec.Header().Get(headerErrorID) == "" {
				t.Errorf("headers: %v", rec.Header())
			}
			if len(w.started) > 0 {
				t.Error("a start was written")
			}
		})
	}
}

func TestBodyErrorNamesTheByte(t *testing.T) {
	w := newWorld(t, Config{})
	rec := w.do("alice", "POST "+flows, `{"clientRequestId":"r1" "flowClassName":"hello"}`)
	var e struct {
		Title   string
		Details map[string]string
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	if e.Title != "Unable to parse parameter 'startFlow'" || e.Details["cause"] != "MalformedJson" || !strings.Contains(e.Details["reason"], "byte 2") {
		t.Errorf("got %s", rec.Body)
	}
}

// Two starts of one client request id at the same time, at two replicas: both are written, the mapper takes the
// other one.
func TestStartLosesTheRace(t *testing.T) {
	w := newWorld(t, Config{})
	w.accept("00000000-0000-5000-8000-00000000000f")
	w.want(w.do("alice", "POST "+flows, startBody), 409, cordaError(409, "A flow has already been started for the requested holdingId and clientRequestId."))
}

func TestStartIsNotDecided(t *testing.T) {
	w := newWorld(t, Config{StartTimeout: time.Millisecond})
	rec := w.do("alice", "POST "+flows, startBody)
	w.want(rec, 503, "")
	if rec.Header().Get("Retry-After") != "2" {
		t.Errorf("headers %v", rec.Header())
	}
	w.writeErr = http.ErrServerClosed
	w.want(w.do("alice", "POST "+flows, startBody), 503, "")
}

func TestStartEndsWaitingWhenTheServerDrains(t *testing.T) {
	w := newWorld(t, Config{})
	w.onStart = func(string, *flowv1.StartFlow) { w.server.drain() }
	w.want(w.do("alice", "POST "+flows, startBody), 503, "")
}

func TestStatusAndResult(t *testing.T) {
	w := newWorld(t, Config{})
	w.put("run", func(*flowv1.FlowStatus) {})
	w.put("done", func(s *flowv1.FlowStatus) {
		s.State, s.Result, s.CreatedAtUs = flowv1.FlowState_FLOW_STATE_COMPLETED, []byte(`{"to":"Bob & co"}`), s.CreatedAtUs-1
	})
	w.put("failed", func(s *flowv1.FlowStatus) {
		s.State, s.Error = flowv1.FlowState_FLOW_STATE_FAILED, &flowv1.FlowError{Type: "no-money", Message: "no money", Id: "FL-FLOW-004"}
	})
	w.put("killed", func(s *flowv1.FlowStatus) {
		s.State, s.TerminatedReason = flowv1.FlowState_FLOW_STATE_KILLED, "by alice"
	})
	w.want(w.do("alice", "GET "+flows+"/run", ""), 200, `{"holdingIdentityShortHash":"253501665E9D","clientRequestId":"run","flowId":"`+ownFlow+
		`","flowStatus":"RUNNING","flowResult":null,"flowError":null,"timestamp":"2023-03-20T17:23:59Z"}`)
	w.want(w.do("alice", "GET "+flows+"/run/result", ""), 202, `{"holdingIdentityShortHash":"253501665E9D","clientRequestId":"run","flowId":"`+ownFlow+
		`","flowStatus":"RUNNING","json":null,"flowError":null,"timestamp":"2023-03-20T17:23:59Z"}`)
	w.want(w.do("alice", "GET "+flows+"/done/result", ""), 200, `{"holdingIdentityShortHash":"253501665E9D","clientRequestId":"done","flowId":"`+ownFlow+
		`","flowStatus":"COMPLETED","json":{"to":"Bob & co"},"flowError":null,"timestamp":"2023-03-20T17:23:59Z"}`)
	if got := w.do("alice", "GET "+flows+"/failed", "").Body.String(); !strings.Contains(got, `"flowError":{"type":"no-money","message":"FL-FLOW-004: no money"}`) {
		t.Errorf("failed: %s", got)
	}
	if got := w.do("alice", "GET "+flows+"/killed/result", "").Body.String(); !strings.Contains(got, `"flowError":{"type":"FLOW_KILLED","message":"by alice"}`) {
		t.Errorf("killed: %s", got)
	}
	w.want(w.do("alice", "GET "+flows+"/other", ""), 404, cordaError(404, "Failed to find the flow status for holdingId = 253501665E9D and clientRequestId = other."))

	list := func(query string) string {
		var got struct {
			FlowStatusResponses []struct{ ClientRequestID string }
		}
		rec := w.do("alice", "GET "+flows+query, "")
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 200 {
			t.Fatalf("%s: %d %s", query, rec.Code, rec.Body)
		}
		var ids []string
		for _, r := range got.FlowStatusResponses {
			ids = append(ids, r.ClientRequestID)
		}
		return strings.Join(ids, " ")
	}
	for query, want := range map[string]string{"": "done failed killed run", "/?status=": "done failed killed run", "?status=RUNNING": "run", "?STATUS=killed": "killed"} {
		if got := list(query); got != want {
			t.Errorf("%q lists %q, want %q", query, got, want)
		}
	}
	w.want(w.do("alice", "GET "+flows+"?status=x", ""), 400, "")
	w.want(w.do("alice", "GET /api/v5_2/flow/"+bobHash, ""), 200, `{"flowStatusResponses":[]}`)
	w.want(w.do("alice", "GET /api/v5_2/flowclass/"+aliceHash, ""), 200, `{"flowClassNames":["hello","sleepy"]}`)
	w.want(w.do("alice", "GET /api/v5_2/flowclass/ffffffffffff", ""), 404, "")
}

func TestMissingPackage(t *testing.T) {
	w := newWorld(t, Config{})
	w.vnodes.put(aliceHash, &vnodev1.VirtualNode{ShortHash: aliceHash, CpiChecksum: "000000000000", FlowStart: vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE})
	w.want(w.do("alice", "POST "+flows, startBody), 404, cordaError(404, "The CPI 000000000000 of Virtual Node '"+aliceHash+"' not found."))
}

func TestPathManners(t *testing.T) {
	w := newWorld(t, Config{})
	rec := w.do("alice", "GET /api/v5_2/FlowClass/"+aliceHash+"?x=1", "")
	w.want(rec, 301, "")
	if got := rec.Header().Get("Location"); got != "/api/v5_2/flowclass/"+aliceHash+"?x=1" {
		t.Errorf("Location %q", got)
	}
	w.want(w.do("alice", "POST /api/v5_2/hello?addressee=World", ""), 200, "Hello, World! (from alice)")
	w.want(w.do("alice", "POST /api/v5_2/hello?ADDRESSEE=World", ""), 200, "Hello, World! (from alice)")
	w.want(w.do("alice", "POST /api/v5_2/hello", ""), 400, "")
	w.want(w.do("", "GET /api/v5_2/flow/getprotocolversion", ""), 200, "50200")
	gone := w.do("", "GET /api/v1/flow/x", "")
	w.want(gone, 410, "")
	if !strings.Contains(gone.Body.String(), "/api/v5_2") {
		t.Errorf("no pointer: %s", gone.Body)
	}
	for _, path := range []string{"/", "/api", "/api/v5_2", "/api/v5_2/nothing", "/api/v5_2/flow//x", "/api/v5_2/flow/%2e%2e/x", "/api/v5_2/flow/a%2Fb"} {
		w.want(w.do("alice", "GET "+path, ""), 404, "")
		w.want(w.do("", "GET "+path, ""), 401, "")
	}
}
