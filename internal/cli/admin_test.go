package cli_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/cli"
)

// Nobody is asked whether to do what will be refused anyhow, and what was done is said.
func TestAdministration(t *testing.T) {
	const vnode = "253501665E9D"
	changes := 0
	mux := http.NewServeMux()
	answer := func(pattern string, status int, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				changes++
			}
			if status >= 300 {
				w.Header().Set("Fairlead-Error-Id", "FL-REST-012")
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	answer("GET /api/fairlead/v1/virtualnode", 200, `{"virtualNodes":[{"shortHash":"`+vnode+`","x500Name":"O=Alice, L=London, C=GB"}]}`)
	answer("PUT /api/v5_2/virtualnode/"+vnode+"/state/MAINTENANCE", 200, `{"holdingIdShortHash":"`+vnode+`","newState":"MAINTENANCE"}`)
	answer("GET /api/v5_2/cpi", 200, `{"cpis":[{"id":{"cpiName":"pay","cpiVersion":"1"},"cpiFileChecksum":"0123456789AB"}]}`)
	answer("GET /api/v5_2/user/ann", 200, `{}`)
	answer("GET /api/v5_2/role/r1", 200, `{}`)
	answer("PUT /api/v5_2/user/ann/role/r1", 200, `{}`)
	answer("POST /api/v5_2/flow/"+vnode, 405, `{"title":"Flow start capabilities of virtual node `+vnode+` are not operational.","status":405,"details":{}}`)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"title":"it is not there","status":404,"details":{}}`)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, c := range []struct {
		line    string
		code    int
		want    string
		changes int
	}{
		{"vnode state Alice asleep", cli.ExitError, `state "asleep" is not known: use active or maintenance`, 0},
		{"vnode state Alice maintenance", cli.ExitRefused, "to MAINTENANCE? nobody can answer here", 0},
		{"-y vnode state Alice maintenance", cli.ExitDone, vnode + " (O=Alice, L=London, C=GB) is now MAINTENANCE: no flow starts", 1},
		{"-y -o json vnode state Alice maintenance", cli.ExitDone, `"newState": "MAINTENANCE"`, 1},
		{"vnode upgrade Alice FFFFFFFFFFFF", cli.ExitNotFound, "there is no package of checksum FFFFFFFFFFFF: the cluster has 0123456789AB (pay 1)", 0},
		{"vnode upgrade Alice 0123456789ab", cli.ExitRefused, "nobody can answer here", 0},
		{"cert import tls a /does/not/exist", cli.ExitError, `usage "tls" is not known: use one of code-signer`, 0},
		{"rbac grant ann r2", cli.ExitNotFound, "it is not there", 0},
		{"rbac grant ann r1", cli.ExitRefused, "nobody can answer here", 0},
		{"-y rbac grant ann r1", cli.ExitDone, "user ann has role r1", 1},
		{"flow start Alice pay", cli.ExitRefused, "FL-REST-012: Flow start capabilities of virtual node " + vnode + " are not operational. It is in maintenance: `fairlead vnode state " + vnode + " active`", 1},
	} {
		changes = 0
		var o, e bytes.Buffer
		env := map[string]string{"FAIRLEAD_API": server.URL, "FAIRLEAD_CONFIG": "testdata/none.yaml"}
		code := cli.Run(t.Context(), cli.IO{In: strings.NewReader(""), Out: &o, Err: &e, Env: func(n string) string { return env[n] }}, strings.Fields(c.line))
		if text := o.String() + e.String(); code != c.code || !strings.Contains(text, c.want) || changes != c.changes {
			t.Errorf("%s: exit code %d, want %d; %d changes, want %d\n%s", c.line, code, c.code, changes, c.changes, text)
		}
	}
}
