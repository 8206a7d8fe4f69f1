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

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
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
	media := strings.TrimSpace(strings.SplitN(rec.Header().Get("Content-Type"), ";", 2)[0])
	if _, ok := response["content"].(map[string]any)[media]; !ok {
		return fmt.Errorf("%s %s answers %d with %q, which is not in the document", method, pattern, rec.Code, media)
	}
	if media == "text/html" || pattern == "/hello" && rec.Code == 200 {
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
				if _, _, ok := matchPattern(p, parts); ok && (pattern == "" || !strings.Contains(p, "{")) {
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
	for _, word := range []string{"kill", "pause", "resume", "retry"} {
		for _, id := range []string{"run", "done", "none"} {
			check("alice", "POST "+ownFlows+"/"+id+"/"+word, `{"reason":"x","step":1}`)
			check("alice", "POST "+ownFlows+"/"+id+"/"+word, `{"reason":"x"}`)
			check("nobody", "POST "+ownFlows+"/"+id+"/"+word, `{}`)
		}
	}
}
