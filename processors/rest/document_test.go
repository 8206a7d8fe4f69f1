package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// documentHost makes the documents addressable for the checker.
const documentHost = "https://fairlead.test"

// openAPI is a document with a checker for answers.
type openAPI struct {
	prefix   string
	paths    map[string]map[string]any
	compiler *jsonschema.Compiler
}

func readOpenAPI(t *testing.T, prefix string, text []byte) openAPI {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	o := openAPI{prefix: prefix, paths: map[string]map[string]any{}, compiler: jsonschema.NewCompiler()}
	if err := o.compiler.AddResource(documentHost+prefix, doc); err != nil {
		t.Fatal(err)
	}
	for p, ops := range doc.(map[string]any)["paths"].(map[string]any) {
		o.paths[p] = ops.(map[string]any)
	}
	return o
}

// check tells how an answer differs from the document.
func (o openAPI) check(method, pattern string, rec *httptest.ResponseRecorder) error {
	op, ok := o.paths[pattern][strings.ToLower(method)].(map[string]any)
	if !ok {
		return fmt.Errorf("%s %s is not in the document", method, pattern)
	}
	response, ok := op["responses"].(map[string]any)[fmt.Sprint(rec.Code)].(map[string]any)
	if !ok {
		return fmt.Errorf("%s %s answers %d, which is not in the document", method, pattern, rec.Code)
	}
	if rec.Code == 204 {
		if _, has := response["content"]; has || rec.Body.Len() > 0 {
			return fmt.Errorf("%s %s answers 204 with a body", method, pattern)
		}
		return nil
	}
	media := strings.TrimSpace(strings.SplitN(rec.Header().Get("Content-Type"), ";", 2)[0])
	if _, ok := response["content"].(map[string]any)[media]; !ok {
		return fmt.Errorf("%s %s answers %d with %q, which is not in the document", method, pattern, rec.Code, media)
	}
	if raw, _ := response["x-raw-text"].(bool); raw || media == "text/html" {
		return nil
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	pointer := []string{"paths", pattern, strings.ToLower(method), "responses", fmt.Sprint(rec.Code), "content", media, "schema"}
	for i := range pointer {
		pointer[i] = escape.Replace(pointer[i])
	}
	schema, err := o.compiler.Compile(documentHost + o.prefix + "#/" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(strings.Join(pointer, "/")))
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(rec.Body)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func TestEveryRouteIsInItsDocument(t *testing.T) {
	w := newWorld(t, Config{})
	for i, text := range [][]byte{cordaDocument(), ownDocument()} {
		s := w.server.surfaces[i]
		o := readOpenAPI(t, s.prefixes[0], text)
		documented := map[string]bool{}
		for p, ops := range o.paths {
			for _, method := range slices.DeleteFunc(slices.Collect(maps.Keys(ops)), func(k string) bool { return k == "parameters" }) {
				documented[strings.ToUpper(method)+" "+p] = true
			}
		}
		for _, r := range s.routes {
			if !documented[r.method+" "+r.pattern] {
				t.Errorf("%s %s is served but not in the document", r.method, r.pattern)
			}
			delete(documented, r.method+" "+r.pattern)
		}
		if len(documented) > 0 {
			t.Errorf("in the document but not served: %v", documented)
		}
		var raw struct{ Openapi string }
		if err := json.Unmarshal(text, &raw); err != nil || raw.Openapi != "3.1.0" {
			t.Errorf("not OpenAPI 3.1: %q %v", raw.Openapi, err)
		}
	}
}

func TestAnswersAreAsDocumented(t *testing.T) {
	w := newWorld(t, Config{StartTimeout: time.Millisecond})
	w.put("run", func(*flowv1.FlowStatus) {})
	w.put("done", func(s *flowv1.FlowStatus) {
		s.State, s.Result = flowv1.FlowState_FLOW_STATE_COMPLETED, []byte(`[1]`)
	})
	w.put("failed", func(s *flowv1.FlowStatus) {
		s.State, s.Error = flowv1.FlowState_FLOW_STATE_FAILED, &flowv1.FlowError{Type: "x", Message: "y"}
	})
	w.journal = []JournalRow{{journalKey(1, 2, 0), &flowv1.JournalRow{Row: &flowv1.JournalRow_End{End: &flowv1.JournalEnd{
		State: flowv1.FlowState_FLOW_STATE_FAILED, Error: &flowv1.FlowError{Type: "x"}}}}}}
	documents := map[string]openAPI{
		"/api/v5_2":        readOpenAPI(t, "/api/v5_2", cordaDocument()),
		"/api/fairlead/v1": readOpenAPI(t, "/api/fairlead/v1", ownDocument()),
	}
	check := func(user, what, body string, header ...string) {
		t.Helper()
		rec := w.do(user, what, body, header...)
		method, path, _ := strings.Cut(what, " ")
		for prefix, o := range documents {
			rest, ok := strings.CutPrefix(path, prefix)
			if !ok {
				continue
			}
			parts, _ := splitPath(strings.SplitN(rest, "?", 2)[0])
			pattern := ""
			for p := range o.paths {
				_, _, ok := matchPattern(p, parts)
				_, has := o.paths[p][strings.ToLower(method)]
				if ok && has && (pattern == "" || strings.Count(p, "{") < strings.Count(pattern, "{")) {
					pattern = p
				}
			}
			if err := o.check(method, pattern, rec); err != nil {
				t.Errorf("%s: %v\n%s", what, err, rec.Body)
			}
		}
	}
	for _, path := range []string{
		"/openapi.json", "/swagger", "/flow/getprotocolversion", "/flow/" + aliceHash, "/flow/" + aliceHash + "?status=x", "/flow/zz",
		"/flow/" + aliceHash + "/run", "/flow/" + aliceHash + "/run/result", "/flow/" + aliceHash + "/done/result", "/flow/" + aliceHash + "/failed/result",
		"/flow/" + aliceHash + "/none", "/flowclass/" + aliceHash, "/flowclass/ffffffffffff",
	} {
		check("alice", "GET /api/v5_2"+path, "")
		if !strings.Contains(path, "protocol") && path != "/openapi.json" && path != "/swagger" {
			check("nobody", "GET /api/v5_2"+path, "")
		}
	}
	w.checkAdministration(t, check)
	check("alice", "POST /api/v5_2/hello?addressee=x", "")
	check("alice", "POST /api/v5_2/hello", "")
	check("bob", "GET /api/v5_2/flowclass/"+aliceHash, "")
	check("alice", "POST "+flows, startBody) // 503: nobody decides
	check("alice", "POST "+flows, "{}")
	w.accept(ownFlow)
	check("alice", "POST "+flows, startBody)
	check("alice", "POST "+flows, startBody) // 409
	for _, path := range []string{
		"/openapi.json", "/health", "/virtualnode", "/flow/" + aliceHash + "/run", "/flow/" + aliceHash + "/run/result", "/flow/" + aliceHash + "/failed/result",
		"/flow/" + aliceHash, "/flow/" + aliceHash + "?status=RUNNING&paused=false&limit=1", "/flow/" + aliceHash + "?limit=x", "/flow/zz",
		"/flow/" + aliceHash + "/run/history", "/flow/" + aliceHash + "/none", "/flow/zz/none",
	} {
		check("alice", "GET /api/fairlead/v1"+path, "")
	}
	w.onCommand = func(s *flowv1.FlowStatus) {
		w.put(s.GetClientRequestId(), func(s *flowv1.FlowStatus) { s.LastCommand = &flowv1.CommandOutcome{Id: ownCommand, Kind: 2, AtUs: 1} })
	}
	check("alice", "POST "+ownFlows+"/run/pause", `{}`, "Prefer: wait=5")
	w.onCommand = func(s *flowv1.FlowStatus) {
		w.put(s.GetClientRequestId(), func(s *flowv1.FlowStatus) {
			s.LastCommand = &flowv1.CommandOutcome{Id: ownCommand, Kind: 2, Refused: true, ErrorId: "FL-FLOW-022"}
		})
	}
	check("alice", "POST "+ownFlows+"/run/pause", `{}`, "Prefer: wait=5")
	check("alice", "GET "+ownFlows+"/run", "")
	for _, word := range []string{"kill", "pause", "release-tokens", "resume", "retry"} {
		for _, id := range []string{"run", "done", "none"} {
			check("alice", "POST "+ownFlows+"/"+id+"/"+word, `{"reason":"x","step":1}`)
			check("alice", "POST "+ownFlows+"/"+id+"/"+word, `{"reason":"x"}`)
			check("nobody", "POST "+ownFlows+"/"+id+"/"+word, `{}`)
		}
	}
}

// checkAdministration calls what administrators call, with answers of the other workers and without.
func (w *world) checkAdministration(t *testing.T, check func(user, what, body string, header ...string)) {
	t.Helper()
	const api = " /api/v5_2"
	private := &cryptov1.Key{Tenant: aliceHash, KeyId: "0123456789AB", PublicKey: []byte{0x30}}
	w.keys.put(aliceHash+"/0123456789AB", private)
	w.operations.put(aliceHash, &operationv1.OperationStatus{RequestId: aliceHash, Kind: operationv1.OperationKind_OPERATION_KIND_CREATE_VIRTUAL_NODE, State: operationv1.OperationState_OPERATION_STATE_FAILED, Error: "x"})
	w.configs.put("corda.flow", &configv1.Configuration{Section: "corda.flow", Value: "{}", Source: "{}", SchemaMajor: 1})
	node := &vnodev1.VirtualNode{Identity: &vnodev1.HoldingIdentity{X500Name: "O=Eve, L=Rome, C=IT", GroupId: "g"}, ShortHash: "EEEEEEEEEEEE", CpiChecksum: "C0FFEE000000",
		Channels: []*vnodev1.ChannelRoute{{Channel: "c", Topic: "t", Active: true}}}
	w.vnodes.put("EEEEEEEEEEEE", node)
	all := [][2]string{
		{"GET" + api + "/role", ""}, {"GET" + api + "/role/bob", ""}, {"GET" + api + "/role/none", ""}, {"GET" + api + "/user/alice", ""},
		{"GET" + api + "/user/alice/permissionsummary", ""}, {"GET" + api + "/permission?limit=5&permissiontype=ALLOW", ""}, {"GET" + api + "/permission", ""},
		{"GET" + api + "/permission/all", ""}, {"GET" + api + "/config/corda.flow", ""}, {"GET" + api + "/config/none", ""}, {"GET" + api + "/cpi", ""},
		{"GET" + api + "/virtualnode", ""}, {"GET" + api + "/virtualnode/EEEEEEEEEEEE", ""}, {"GET" + api + "/virtualnode/status/" + aliceHash, ""},
		{"GET" + api + "/key/" + aliceHash, ""}, {"GET" + api + "/key/" + aliceHash + "/0123456789AB", ""}, {"GET" + api + "/hsm/p2p/TLS", ""},
		{"GET" + api + "/cpi/status/none", ""}, {"POST" + api + "/cpi", "x"},
		{"GET" + api + "/wrappingkey/rotation/master", ""}, {"GET" + api + "/wrappingkey/rotation/zz", ""},
		{"POST" + api + "/wrappingkey/rotation/" + aliceHash, ""}, {"POST" + api + "/wrappingkey/rotation/zz", ""}, {"GET" + api + "/wrappingkey/getprotocolversion", ""},
		{"PUT" + api + "/virtualnode/" + aliceHash + "/db", `{"vaultDmlConnection":"x"}`},
	}
	for _, c := range all {
		check("alice", c[0], c[1])
		check("nobody", c[0], c[1])
	}
	changes := [][2]string{
		{"POST" + api + "/user", `{"enabled":true,"fullName":"x","loginName":"xyz"}`}, {"POST" + api + "/user/selfpassword", `{"password":"p"}`},
		{"POST" + api + "/user/otheruserpassword", `{"username":"bob","password":"p"}`}, {"PUT" + api + "/user/bob/role/r", ""}, {"DELETE" + api + "/user/bob/role/r", ""},
		{"POST" + api + "/role", `{"roleName":"r"}`}, {"PUT" + api + "/role/r/permission/p", ""}, {"DELETE" + api + "/role/r/permission/p", ""},
		{"POST" + api + "/permission", `{"permissionType":"ALLOW","permissionString":"x"}`}, {"POST" + api + "/permission/bulk", `{"permissionsToCreate":[],"roleIds":[]}`},
		{"PUT" + api + "/config", `{"section":"s","version":0,"config":{},"schemaVersion":{"major":1,"minor":0}}`},
		{"POST" + api + "/virtualnode", `{"x500Name":"O=Carol, L=London, C=GB","cpiFileChecksum":"C0FFEE000000"}`}, {"PUT" + api + "/virtualnode/" + aliceHash + "/state/ACTIVE", ""},
		{"PUT" + api + "/virtualnode/" + aliceHash + "/cpi/C0FFEE000000", ""}, {"PUT" + api + "/virtualnode/" + aliceHash + "/db", "{}"}, {"POST" + api + "/maintenance/virtualnode/" + aliceHash + "/vault-schema/force-resync", ""},
		{"GET" + api + "/virtualnode/create/db/crypto", ""}, {"GET" + api + "/virtualnode/" + aliceHash + "/db/vault/C0FFEE000000", ""},
		{"POST" + api + "/key/p2p/alias/a/category/TLS/scheme/CORDA.RSA", ""}, {"GET" + api + "/key/p2p/schemes/TLS", ""}, {"GET" + api + "/certificate/cluster/p2p-tls", ""},
		{"GET" + api + "/certificate/vnode/" + aliceHash + "/p2p-tls/a", ""},
	}
	for _, kind := range []rpcv1.ErrorKind{rpcv1.ErrorKind_ERROR_KIND_INVALID, rpcv1.ErrorKind_ERROR_KIND_CONFLICT, rpcv1.ErrorKind_ERROR_KIND_NOT_FOUND, rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED, rpcv1.ErrorKind_ERROR_KIND_UNAVAILABLE} {
		w.servant.answer = func(Request) (*rpcv1.Reply, error) { return refused(kind, "x"), nil }
		for _, c := range changes {
			check("alice", c[0], c[1])
		}
	}
	// The other types read this as a message with nothing in it.
	w.servant.answer = func(Request) (*rpcv1.Reply, error) {
		return ok(t, &rbacv1.Permission{Effect: rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW}), nil
	}
	for _, c := range changes {
		check("alice", c[0], c[1])
	}
}
