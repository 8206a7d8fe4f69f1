package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/cli"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/topics"
)

// maintained is the result of a flow that does not start, for its virtual node is in maintenance.
const maintained = "in maintenance"

const aliceHash = "029DBED145F2"

// tokensCluster is a REST interface with one virtual node whose flows answer at once: those in results, by class.
func tokensCluster(t *testing.T, results map[string]string) *httptest.Server {
	t.Helper()
	classes := map[string]string{} // by client request id
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/fairlead/v1/virtualnode", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"virtualNodes":[{"shortHash":"`+aliceHash+`","x500Name":"O=Alice, L=London, C=GB"}]}`)
	})
	mux.HandleFunc("GET /api/v5_2/flowclass/"+aliceHash, func(w http.ResponseWriter, _ *http.Request) {
		names := []string{}
		for class := range results {
			names = append(names, class)
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"flowClassNames": names}); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("POST /api/v5_2/flow/"+aliceHash, func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ClientRequestID, FlowClassName string
			RequestBody                    json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || bytes.Contains(in.RequestBody, []byte(`:1"`)) {
			t.Errorf("%s is asked for: %v", in.RequestBody, err)
		}
		if _, there := results[in.FlowClassName]; !there {
			w.Header().Set("Fairlead-Error-Id", "FL-REST-014")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"title":"not startable","status":400,"details":{}}`)
			return
		}
		if results[in.FlowClassName] == maintained {
			w.Header().Set("Fairlead-Error-Id", "FL-REST-012")
			w.WriteHeader(http.StatusMethodNotAllowed)
			fmt.Fprint(w, `{"title":"not operational","status":405,"details":{}}`)
			return
		}
		classes[in.ClientRequestID] = in.FlowClassName
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"holdingIdentityShortHash":%q,"clientRequestId":%q,"flowStatus":"START_REQUESTED"}`, aliceHash, in.ClientRequestID)
	})
	mux.HandleFunc("GET /api/fairlead/v1/flow/"+aliceHash+"/{id}/result", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		fmt.Fprintf(w, `{"holdingIdentityShortHash":%q,"clientRequestId":%q,%s}`, aliceHash, id, results[classes[id]])
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestTokensBalance(t *testing.T) {
	for _, c := range []struct {
		line, result string
		code         int
		want         []string
	}{
		{"tokens balance Alice", `"flowStatus":"COMPLETED","json":[{"issuer":"O=Bank, L=London, C=GB","key":"AB","symbol":"USD","amount":"69.5","tokens":2},{"key":"CD","symbol":"EUR","amount":"7","tokens":1}]`, cli.ExitDone,
			[]string{"AMOUNT", "69.5", "USD", "2", "O=Bank, L=London, C=GB", "key CD"}},
		{"tokens balance Alice", `"flowStatus":"COMPLETED","json":[{"key":"CD","symbol":"EUR","amount":"7","tokens":1,"notary":"O=One"},{"key":"CD","symbol":"EUR","amount":"8","tokens":1,"notary":"O=Two"}]`, cli.ExitDone,
			[]string{"NOTARY", "O=One", "O=Two"}},
		{"-o json tokens balance Alice", `"flowStatus":"COMPLETED","json":[{"key":"CD","symbol":"EUR","amount":"7","tokens":1}]`, cli.ExitDone, []string{`"amount": "7"`}},
		{"tokens balance Alice", `"flowStatus":"COMPLETED","json":[]`, cli.ExitDone, []string{"O=Alice, L=London, C=GB has no tokens"}},
		{"tokens balance Alice", `"flowStatus":"FAILED","flowError":{"type":"timeout","message":"no answer"}`, cli.ExitError, []string{"is FAILED: timeout: no answer"}},
		{"tokens balance Alice", `"flowStatus":"COMPLETED","json":"hello"`, cli.ExitError, []string{"does not answer as that of apps/tokens does"}},
		{"tokens balance Alice", "", cli.ExitNotFound, []string{"the application of O=Alice, L=London, C=GB has no flow tokens-balance"}},
		{"tokens balance Carol", "", cli.ExitNotFound, []string{`no virtual node "Carol"`}},
		{"ledger tx 00", "", cli.ExitNotFound, []string{"no virtual node has flow tokens-transaction"}},
		{"ledger repair Alice", "", cli.ExitNotFound, []string{"has no flow tokens-repair"}},
	} {
		results := map[string]string{"tokens-balance": c.result}
		if c.result == "" {
			results = nil
		}
		s := tokensCluster(t, results)
		var o, e bytes.Buffer
		env := map[string]string{"FAIRLEAD_API": s.URL, "FAIRLEAD_CONFIG": "testdata/none.yaml"}
		code := cli.Run(t.Context(), cli.IO{In: strings.NewReader(""), Out: &o, Err: &e, Env: func(n string) string { return env[n] }}, strings.Fields(c.line))
		for _, w := range c.want {
			if text := o.String() + e.String(); code != c.code || !strings.Contains(text, w) {
				t.Errorf("%s: exit code %d, want %d; %q is not in\n%s", c.line, code, c.code, w, text)
			}
		}
	}
}

// Nothing is repaired without a yes, and what was done is on record.
func TestLedgerRepair(t *testing.T) {
	s := tokensCluster(t, map[string]string{"tokens-repair": `"flowStatus":"COMPLETED","json":{"verified":["AA"],"invalid":["BB"],"why":{"BB":"its window has passed"},"open":{"CC":"the notary has not seen it"},"younger":{"DD":"from 10:00 on"}}`})
	k := broker(t)
	if code, _, errs := fairlead(t.Context(), k, "topics", "apply", "--profile", "dev", "--yes"); code != cli.ExitDone {
		t.Fatal(errs)
	}
	audited := func() string {
		_, out, _ := fairlead(t.Context(), k, "tail", topics.Audit, "--from", "start", "--grep", "ledger.repair")
		return out
	}
	if code, out, errs := fairlead(t.Context(), k, "--api", s.URL, "ledger", "repair", "Alice"); code != cli.ExitRefused || !strings.Contains(errs, "have O=Alice, L=London, C=GB ask the notaries") {
		t.Errorf("without a yes: %d %s%s", code, out, errs)
	}
	if code, out, _ := fairlead(t.Context(), k, "--api", s.URL, "--dry-run", "ledger", "repair", "Alice"); code != cli.ExitDone || !strings.Contains(out, "would have O=Alice") || audited() != "" {
		t.Errorf("a dry run: %d %s\n%s", code, out, audited())
	}
	code, out, errs := fairlead(t.Context(), k, "--api", s.URL, "--yes", "ledger", "repair", "Alice")
	if words := strings.Join(strings.Fields(out), " "); code != cli.ExitDone || words != "TRANSACTION IS WHY AA verified BB invalid its window has passed CC open the notary has not seen it DD left alone from 10:00 on" {
		t.Errorf("%d %s%s", code, out, errs)
	}
	if a := audited(); !strings.Contains(a, "STARTED") || !strings.Contains(a, "1 verified, 1 invalid, 1 open") {
		t.Errorf("the audit has %s", a)
	}
}

// Claims that live are shown, those of other members, released and old ones are not; amounts are the tenant's.
func TestTokensClaims(t *testing.T) {
	s := tokensCluster(t, nil)
	k := broker(t)
	if code, _, errs := fairlead(t.Context(), k, "topics", "apply", "--profile", "dev", "--yes"); code != cli.ExitDone {
		t.Fatal(errs)
	}
	p, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	put := func(topic, key string, m proto.Message) {
		t.Helper()
		r := &kgo.Record{Topic: topic, Key: []byte(key)}
		if m != nil {
			if r.Value, err = schemas.Marshal(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	store, table := topics.StoreTopic(topics.TokensGroup, topics.TokensKnownStore), topics.TableTopic(topics.TokensGroup)
	claim := func(id string, made, ends time.Time, amounts ...string) *tokensv1.Claim {
		c := &tokensv1.Claim{ClaimId: id, FlowId: "flow-of-" + id, CreatedAtUs: made.UnixMicro(), ExpiresAtUs: ends.UnixMicro()}
		for i, a := range amounts {
			c.Tokens = append(c.Tokens, &tokensv1.Token{Ref: &ledgerv1.StateRef{Index: uint32(i)}, Amount: a, Gone: a == "1000"})
		}
		return c
	}
	run := func(args ...string) string {
		t.Helper()
		code, out, errs := fairlead(t.Context(), k, append([]string{"--api", s.URL, "tokens", "claims", "Alice"}, args...)...)
		if code != cli.ExitDone {
			t.Errorf("%d %s", code, errs)
		}
		return out
	}
	if out := run(); out != "no flow of O=Alice, L=London, C=GB keeps tokens for itself\n" {
		t.Error(out)
	}
	put(table, aliceHash+"/pool", &tokensv1.Pool{Pool: &appv1.TokenPool{Symbol: "USD"}})
	later := now.Add(time.Minute)
	put(store, "c"+aliceHash+"/pool/second", claim("second", now.Add(-time.Second), later, "30.5", "0.25", "1000"))
	put(store, "c"+aliceHash+"/pool/first", claim("first", now.Add(-time.Minute), later, "7"))
	put(store, "c"+aliceHash+"/pool/old", claim("old", now.Add(-time.Hour), now, "7"))
	put(store, "c"+aliceHash+"/pool/released", claim("released", now, later, "7"))
	put(store, "c"+aliceHash+"/pool/released", nil)
	put(store, "cAAAAAAAAAAAA/pool/other", claim("other", now, later, "7"))
	put(store, "t"+aliceHash+"/pool/x", &tokensv1.Token{Amount: "7"})
	out := run()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[1], "first") || !strings.Contains(lines[1], "flow-of-first") || !strings.HasPrefix(lines[2], "second") || !strings.HasSuffix(lines[2], " 2") || strings.Contains(out, "30.75") {
		t.Errorf("%s", out)
	}
	if _, out, _ := fairlead(t.Context(), k, "tail", topics.Audit, "--from", "start", "--grep", "payloads.reveal"); out != "" {
		t.Errorf("nothing was revealed, and the audit has %s", out)
	}
	if out := run("--reveal"); !strings.Contains(out, "30.75") || !strings.Contains(out, "USD") {
		t.Errorf("%s", out)
	}
	if _, out, _ := fairlead(t.Context(), k, "tail", topics.Audit, "--from", "start", "--grep", "payloads.reveal"); !strings.Contains(out, "tokens claims "+aliceHash) {
		t.Errorf("the audit has %s", out)
	}
	var all []map[string]any
	if err := json.Unmarshal([]byte(run("-o", "json")), &all); err != nil || len(all) != 2 || all[1]["claim"] != "second" || all[1]["amount"] != nil {
		t.Errorf("%v %v", all, err)
	}
}

func TestLedgerTx(t *testing.T) {
	const id = "71A97778EC7B1BF24897EFC7BC96F43F77F36123C2F520D9986EA4E70DF872D0"
	const known = `"flowStatus":"COMPLETED","json":{"transaction":"` + id + `","status":"verified","notary":"O=Notary, L=London, C=GB","until":"2026-11-26T23:36:14Z","commands":["fairlead.Token.transfer"],` +
		`"consumes":["1EE2:0"],"makes":[{"state":"` + id + `:0","type":"fairlead.Token","owner":"O=Bob, L=New York, C=US","amount":"30.5","symbol":"USD"},{"state":"` + id + `:1","type":"other"}],"signed":["O=Alice, L=London, C=GB"]}`
	for _, c := range []struct {
		line, result string
		code         int
		want         []string
	}{
		{"ledger tx " + id, known, cli.ExitDone, []string{"O=Alice, L=London, C=GB  verified", "consumes     1EE2:0", id + ":0  30.5 USD of O=Bob, L=New York, C=US", id + ":1  other", "signed       O=Alice"}},
		{"-o json ledger tx " + id + " --member Alice", known, cli.ExitDone, []string{`"status": "verified"`, `"member": "O=Alice, L=London, C=GB"`}},
		{"ledger tx " + id, `"flowStatus":"COMPLETED","json":{"transaction":"` + id + `","status":"absent"}`, cli.ExitNotFound, []string{"no member that was asked has transaction " + id}},
		{"ledger tx " + id + ":1", known, cli.ExitDone, []string{"O=Alice, L=London, C=GB  verified"}},
		{"ledger tx " + id, maintained, cli.ExitNotFound, []string{"not asked: O=Alice, L=London, C=GB is in maintenance", "no member that was asked has"}},
		{"ledger tx " + id + " --member Alice", maintained, cli.ExitRefused, []string{"is in maintenance", "vnode state " + aliceHash + " active"}},
		{"ledger tx x", `"flowStatus":"FAILED","flowError":{"type":"bad-input","message":"transaction"}`, cli.ExitError, []string{"bad-input"}},
		{"ledger tx x --member Bob", known, cli.ExitNotFound, []string{"Bob"}},
	} {
		ledgerSays(t, "tokens-transaction", c.result, c.line, c.code, c.want)
	}
}

// ledgerSays runs a line on a cluster where a flow has a result.
func ledgerSays(t *testing.T, class, result, line string, want int, texts []string) {
	t.Helper()
	s := tokensCluster(t, map[string]string{class: result})
	var o, e bytes.Buffer
	env := map[string]string{"FAIRLEAD_API": s.URL, "FAIRLEAD_CONFIG": "testdata/none.yaml"}
	code := cli.Run(t.Context(), cli.IO{In: strings.NewReader(""), Out: &o, Err: &e, Env: func(n string) string { return env[n] }}, strings.Fields(line))
	for _, w := range texts {
		if text := o.String() + e.String(); code != want || !strings.Contains(text, w) {
			t.Errorf("%s: exit code %d, want %d; %q is not in\n%s", line, code, want, w, text)
		}
	}
}

func TestLedgerList(t *testing.T) {
	const open = `"flowStatus":"COMPLETED","json":[{"transaction":"71A9","status":"unverified","stored":"2026-11-26T23:36:14Z","repairs":2},{"transaction":"0001","status":"unverified","stored":"2026-11-25T23:36:14Z","repairs":0}]`
	const none = `"flowStatus":"COMPLETED","json":[]`
	for _, c := range []struct {
		line, result string
		code         int
		want         []string
	}{
		{"ledger list", open, cli.ExitDone, []string{"TRANSACTION", "0001  ", "71A9  ", "unverified  O=Alice, L=London, C=GB", "REPAIRS\n0001 ", " 2\n"}},
		{"-o json ledger list --member Alice", open, cli.ExitDone, []string{`"member": "O=Alice, L=London, C=GB"`, `"repairs": 2`}},
		{"-o json ledger list", none, cli.ExitDone, []string{"[]"}},
		{"ledger list --limit 2", open, cli.ExitDone, []string{"O=Alice, L=London, C=GB may have more: --limit"}},
		{"ledger list --status invalid", none, cli.ExitDone, []string{"no member that was asked has invalid transactions"}},
		{"ledger list", maintained, cli.ExitDone, []string{"not asked: O=Alice, L=London, C=GB is in maintenance", "no member that was asked has"}},
		{"ledger list --member Alice", maintained, cli.ExitRefused, []string{"is in maintenance"}},
		{"ledger list --limit 0", none, cli.ExitError, []string{"--limit 0: a number from 1"}},
		{"ledger list --status lost", `"flowStatus":"FAILED","flowError":{"type":"bad-input","message":"status"}`, cli.ExitError, []string{"bad-input"}},
	} {
		ledgerSays(t, "tokens-transactions", c.result, c.line, c.code, c.want)
	}
}
