package verification_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/processors/verification"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// tokens is the token application.
const tokens = "../../apps/tokens"

// recorded is a transaction of the token contract's own tests, and what the contract said of it natively.
type recorded struct {
	Name        string
	Transaction []byte
	Sources     [][]byte
	Verdict     []string
}

func recordedVerdicts(t *testing.T) (all []recorded) {
	t.Helper()
	f, err := os.Open(tokens + "/token/testdata/verdicts.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(json.NewDecoder(r).Decode(&all), r.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}

// The token application's contract says of every transaction in its module what it says natively, to the letter: for all
// the tricks that its own tests try.
func TestTokenApplication(t *testing.T) {
	r := newRuntime(t)
	wasm, err := appbuild.Builder{}.Compile(t.Context(), tokens)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Install(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	contracts, err := m.Contracts(t.Context())
	if err != nil || len(contracts) != 1 {
		t.Fatalf("%v, %v", contracts, err)
	}
	s := newSite(t, verification.Config{}, verification.FromSandbox(r))
	s.facts.install("tokens", wasm, contracts...)
	valid, all := 0, recordedVerdicts(t)
	var asked []string // before any answer is waited for
	for _, c := range all {
		tx, err := ledger.Decode(c.Transaction)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		var sources []*ledger.Filtered
		for _, b := range c.Sources {
			f, err := ledger.DecodeFiltered(b)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			sources = append(sources, f)
		}
		asked = append(asked, s.askFor(tx, sources...))
	}
	for i, c := range all {
		// Other contracts of these transactions are in no package here; only what this one and the ledger say is compared.
		var got []string
		for _, line := range strings.Split(s.verdict(asked[i]), "\n")[1:] {
			if contract, _, _ := strings.Cut(line, "|"); contract == "" || contract == contracts[0] || !strings.Contains(line, "|") {
				got = append(got, line)
			}
		}
		if want := strings.Join(c.Verdict, "\n"); strings.Join(got, "\n") != want {
			t.Errorf("%s: %q, natively %q", c.Name, got, want)
		}
		if len(c.Verdict) == 0 {
			valid++
		}
	}
	if valid < 20 || len(all)-valid < 200 {
		t.Errorf("%d transactions are valid of %d: are the records those of the contract's tests?", valid, len(all))
	}
}

// A payment of as many tokens as the application puts into one transaction takes a part of the instructions that a
// contract may take, so that each payment that members make is one that all of them can verify.
func TestTokenApplicationAtItsLargest(t *testing.T) {
	r := newRuntime(t)
	wasm, err := appbuild.Builder{}.Compile(t.Context(), tokens)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Install(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	var whole *ledger.Transaction
	for _, c := range recordedVerdicts(t) {
		if c.Name == "right/transfer of all" {
			if whole, err = ledger.Decode(c.Transaction); err != nil {
				t.Fatal(err)
			}
		}
	}
	if whole == nil {
		t.Fatal("the records have no transfer of all")
	}
	before := whole.Content()
	before.Inputs = nil
	for _, n := range []int{1, 10, 100} {
		c := before
		c.Outputs = nil
		for range n {
			c.Outputs = append(c.Outputs, before.Outputs[0])
		}
		source := transaction(t, c) // as many tokens as are spent then, of the payee
		info, content := before.Outputs[0].Components()
		c.Signatories = before.Outputs[0].Participants
		var resolved []*appv1.ResolvedState
		for i := range n {
			c.Inputs = append(c.Inputs, source.Output(i))
			resolved = append(resolved, &appv1.ResolvedState{Info: info, Content: content})
		}
		tx := transaction(t, c)
		request, err := proto.Marshal(&appv1.VerifyRequest{Contract: "fairlead.Token", Transaction: tx.Encode(), Inputs: resolved})
		if err != nil {
			t.Fatal(err)
		}
		v, used, err := m.Judge(t.Context(), tx.ID(), request, nil)
		if err != nil || v.GetAccepted() == nil {
			t.Fatalf("%d tokens: %v, %v", n, v, err)
		}
		t.Logf("%d tokens into %d: %d instructions", n, n, used)
		if used > 140_000_000 {
			t.Errorf("%d tokens: %d instructions of 200 million", n, used)
		}
	}
}
