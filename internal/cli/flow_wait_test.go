package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/cli"
)

// A command that waits for a flow asks again and again, and tells who interrupts it that the flow goes on.
func TestWaitingForAFlow(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	const running = `{"holdingIdentityShortHash":"253501665E9D","clientRequestId":"long","flowStatus":"RUNNING","timestamp":"2026-01-01T00:00:00Z"}`
	asked := 0
	end := running
	var onLast func()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/fairlead/v1/virtualnode", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"virtualNodes":[{"shortHash":"253501665E9D","x500Name":"O=Alice, L=London, C=GB"}]}`)
	})
	mux.HandleFunc("POST /api/v5_2/flow/253501665E9D", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, running) })
	mux.HandleFunc("GET /api/fairlead/v1/flow/253501665E9D/long/result", func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked < 3 {
			fmt.Fprint(w, running)
			return
		}
		if onLast != nil {
			onLast()
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, end)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	run := func() (code int, out, errs string) {
		var o, e bytes.Buffer
		env := map[string]string{"FAIRLEAD_API": server.URL, "FAIRLEAD_CONFIG": "testdata/none.yaml"}
		code = cli.Run(ctx, cli.IO{In: strings.NewReader(""), Out: &o, Err: &e, Env: func(n string) string { return env[n] }},
			[]string{"flow", "start", "Alice", "countdown", "--id", "long", "--wait"})
		return code, o.String(), e.String()
	}
	end = strings.Replace(running, "RUNNING", "COMPLETED", 1)
	if code, out, errs := run(); code != cli.ExitDone || !strings.Contains(out, "COMPLETED") || asked != 3 {
		t.Errorf("%d after %d calls: %s%s", code, asked, out, errs)
	}
	asked, onLast = 0, interrupt
	code, _, errs := run()
	for _, want := range []string{"flow long goes on without this command", "`fairlead flow result long --wait` waits again", "fairlead: interrupted"} {
		if code != cli.ExitError || !strings.Contains(errs, want) {
			t.Errorf("%d: %q lacks %q", code, errs, want)
		}
	}
}
