package rest

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// Whatever the body is, it is either refused or gives valid JSON that says the same as the body's.
func FuzzBody(f *testing.F) {
	for _, s := range []string{
		startBody, `{"startFlow":` + startBody + `}`, `{"clientRequestId":1,"flowClassName":true,"requestBody":"{\"a\":[1,2]}"}`,
		`{"a":{"a":1,"a":2}}`, `[[[[`, `{"a":"\ud800"}`, "\xff", `{"requestBody":""}`, `{"a":1}{"b":2}`, "null", `""`, `{"startFlow":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, fail := bodyObject(body, startFlowParameter)
		if (fail == nil) != (m != nil) {
			t.Fatalf("neither read nor refused: %q", body)
		}
		if fail != nil {
			if fail.status != 400 || fail.details["reason"] == "" {
				t.Fatalf("refused without a reason: %+v", fail)
			}
			return
		}
		for name := range m {
			if _, _, fail := m.optionalText(startFlowParameter, name); fail != nil && fail.details["reason"] == "" {
				t.Fatal("refused without a reason")
			}
			value, fail := m.anyJSON(startFlowParameter, name)
			if fail == nil && !json.Valid(value) {
				t.Fatalf("%q gives %q, which is no JSON", body, value)
			}
		}
	})
}

// No spelling of a path leads to a route whose canonical path a rule would not see.
func FuzzPath(f *testing.F) {
	for _, s := range []string{flows, "/api/v5_2/flow/%32", "/api/v5_2//flow", "/API/V5_2/FLOW/x/y/result/", "/api/v5_2/flow/%2e%2e/x", "/api/v5_2/flow/a%2fb", "/%00"} {
		f.Add("GET", s)
	}
	w := newWorld(f, Config{})
	f.Fuzz(func(t *testing.T, method, path string) {
		u, err := url.ParseRequestURI("/" + strings.TrimLeft(path, "/"))
		if err != nil {
			return
		}
		parts, ok := splitPath(u.EscapedPath())
		if !ok {
			return
		}
		found := find(w.server.surfaces, method, parts)
		if found.route == nil {
			return
		}
		again, ok := splitPath((&url.URL{Path: found.path}).EscapedPath())
		if !ok || strings.Join(again, "\n") != strings.Join(parts, "\n") {
			t.Fatalf("%q is judged as %q", path, found.path)
		}
		for _, v := range found.vars {
			if v == "" || strings.ContainsAny(v, "/\x00\r\n") {
				t.Fatalf("%q gives the variable %q", path, v)
			}
		}
	})
}
