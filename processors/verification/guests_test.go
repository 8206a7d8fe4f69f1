package verification_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/sandbox"
	wt "github.com/fairleadio/fairlead/internal/sandbox/wasmtest"
	"github.com/fairleadio/fairlead/processors/verification"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// cacheDir holds the guests that this run of the tests compiled.
var cacheDir string

func TestMain(m *testing.M) {
	dir, remove, err := wt.Cache()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cacheDir = dir
	code := m.Run()
	if err := remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func newRuntime(t *testing.T) *sandbox.Runtime {
	t.Helper()
	r, err := sandbox.New(t.Context(), sandbox.Config{CacheDir: cacheDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return r
}

// guest builds an application, and tells what contracts its module has.
func guest(t *testing.T, r *sandbox.Runtime, dir string) (wasm []byte, contracts []string) {
	t.Helper()
	wasm, err := appbuild.Builder{}.Compile(t.Context(), "testdata/guests/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Install(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	if contracts, err = m.Contracts(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes, base image %d bytes, contracts %v", dir, len(wasm), m.ImageBytes(), contracts)
	return wasm, contracts
}

// token is a payload of the token contract.
func token(issuer, holder string, amount int64) []byte {
	b, err := json.Marshal(map[string]any{"issuer": []byte(issuer), "owner": []byte(holder), "currency": "GBP", "amount": amount})
	if err != nil {
		panic(err)
	}
	return b
}

// moving is a transaction of the token contract.
func moving(t testing.TB, command string, signers []string, inputs []ledger.StateRef, payloads ...[]byte) *ledger.Transaction {
	t.Helper()
	c := making()
	c.Commands[0].Type, c.Inputs, c.Signatories = command, inputs, nil
	for _, s := range signers {
		c.Signatories = append(c.Signatories, ledger.PublicKey(s))
	}
	for _, p := range payloads {
		var read struct{ Owner []byte }
		if err := json.Unmarshal(p, &read); err != nil {
			read.Owner = []byte("alice")
		}
		c.Outputs = append(c.Outputs, ledger.State{Type: "Token", TypeVersion: 1, Contract: "com.example.Token", Payload: p, Participants: []ledger.PublicKey{read.Owner}})
	}
	return transaction(t, c)
}

// A chain of a real contract's transactions, in a module that has nothing but contracts.
func TestTokenContract(t *testing.T) {
	r := newRuntime(t)
	wasm, contracts := guest(t, r, "token")
	m, err := r.Install(t.Context(), wasm)
	if err != nil || m.HasFlows() || !m.HasContracts() {
		t.Fatalf("flows %v, contracts %v, %v", m.HasFlows(), m.HasContracts(), err)
	}
	s := newSite(t, verification.Config{}, verification.FromSandbox(r))
	s.facts.install("app", wasm, contracts...)
	issue := moving(t, "issue", []string{"bank"}, nil, token("bank", "alice", 100), token("bank", "alice", 50))
	move := moving(t, "move", []string{"alice"}, []ledger.StateRef{issue.Output(0)}, token("bank", "bob", 60), token("bank", "alice", 40))
	for name, c := range map[string]struct {
		tx      *ledger.Transaction
		sources []*ledger.Filtered
		want    string
	}{
		"issue":            {issue, nil, "VERIFIED"},
		"move":             {move, []*ledger.Filtered{source(t, issue, 0)}, "VERIFIED"},
		"redeem":           {moving(t, "redeem", []string{"bob", "bank"}, []ledger.StateRef{move.Output(0)}), []*ledger.Filtered{source(t, move, 0)}, "VERIFIED"},
		"issue by another": {moving(t, "issue", []string{"alice"}, nil, token("bank", "alice", 1)), nil, "INVALID\ncom.example.Token|command 0|an issue makes more than there was, and the issuer signs it"},
		"all that is wrong": {
			moving(t, "move", []string{"bob"}, []ledger.StateRef{issue.Output(0), issue.Output(1)}, token("bank", "bob", 200), token("bank", "bob", 0), []byte("[]")),
			[]*ledger.Filtered{source(t, issue, 0, 1)},
			"INVALID\ncom.example.Token|input 0|its owner does not sign\ncom.example.Token|input 1|its owner does not sign\n" +
				"com.example.Token|output 1|its amount is 0, it must be more than 0\n" +
				"com.example.Token|output 2|the payload is no main.Token: json: cannot unmarshal array into Go value of type main.Token\n" +
				"com.example.Token|command 0|200 GBP come of 150",
		},
	} {
		if got := s.verdict(s.askFor(c.tx, c.sources...)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if n := s.metric("fairlead_verification_contracts_total"); n != 5 {
		t.Errorf("%v contracts ran", n)
	}
}

// Whatever a contract does, its transaction is invalid and says why, and the next one is verified.
func TestRogueContracts(t *testing.T) {
	r := newRuntime(t)
	wasm, contracts := guest(t, r, "rogue")
	s := newSite(t, verification.Config{}, verification.FromSandbox(r))
	s.facts.install("app", wasm, contracts...)
	calls := func(host string) []byte { // a module whose contract calls a function of its host
		m := &wt.Module{}
		void := m.Type(nil, nil)
		m.Import("env", host, void)
		abi, alloc, verify := m.Type(nil, []byte{wt.I32}), m.Type([]byte{wt.I32}, []byte{wt.I32}), m.Type([]byte{wt.I32, wt.I32}, []byte{wt.I64})
		m.Memory(0, 1)
		m.Export("memory", 2, 0)
		m.Export("_initialize", 0, m.Func(void, nil))
		m.Export("fairlead_abi", 0, m.Func(abi, nil, wt.I32Const(1)))
		m.Export("fairlead_alloc", 0, m.Func(alloc, nil, wt.I32Const(256)))
		m.Export("fairlead_verify", 0, m.Func(verify, nil, wt.Op(0x10, 0), wt.I64Const(0)))
		return m.Bytes()
	}
	s.facts.install("host", calls("send"), "host")
	for name, want := range map[string]string{
		"refuse":          "refuse||no\nrefuse|output 0|never",
		"loop":            "loop||the contract did not end within its instructions",
		"allocate":        "allocate||the contract needs more memory than it may have",
		"recurse":         "recurse||the contract needs more memory than it may have",
		"panic":           "panic||the contract panicked: runtime error: index out of range [100] with length 0",
		"goroutine-panic": "goroutine-panic||the contract's program crashed: panic: in a goroutine",
		"exit":            "exit||the contract's program crashed: the module ended itself with status 0",
		"deadlock":        "deadlock||",
		"outside":         "outside||reached []",
		"silent":          "silent||the contract refuses it and does not say why",
		"many":            "many|output 0|wrong\nmany|output 1|wrong",
		"huge":            "huge||the contract's verdict is too large",
		"long":            "long||üüüü",
		"host":            "host||the package's module cannot be run: import env.send: a module may import from wasi_snapshot_preview1 only",
		"differ":          "differ||run 1 at 1577836800",
	} {
		c := making(name)
		if name == "host" {
			c.Metadata.Packages = []ledger.Package{pack("host")}
		}
		got := s.verdict(s.askFor(transaction(t, c)))
		if !strings.HasPrefix(got, "INVALID\n"+want) {
			t.Errorf("%s: %.300q, want %q", name, got, want)
		}
		well := making("accept")
		well.Window.UntilUs = int64(len(name))*1000 + int64(name[0]) // another transaction, so that it is not remembered
		if got := s.verdict(s.askFor(transaction(t, well))); got != "VERIFIED" {
			t.Errorf("after %s: %q", name, got)
		}
	}
	if got := s.verdict(s.askFor(transaction(t, making("sleep", "accept")))); got != "VERIFIED" {
		t.Errorf("time passes for nobody: %q", got)
	}
	all := making("loop", "allocate", "refuse", "accept")
	if got := s.verdict(s.askFor(transaction(t, all))); strings.Count(got, "\n") != 4 {
		t.Errorf("what one contract does is not another's: %q", got)
	}
}

// The same transaction gets the same verdict, byte for byte and instruction for instruction: in an instance that was used
// before, in another process's sandbox, whatever ran meanwhile. Another transaction gets other random numbers.
func TestSameVerdictEverywhere(t *testing.T) {
	tx := transaction(t, making("differ"))
	other := making("differ")
	other.Window.UntilUs--
	run := func(m *sandbox.Module, tx *ledger.Transaction) ([]byte, int64) {
		raw, err := proto.Marshal(&appv1.VerifyRequest{Contract: "differ", Transaction: tx.Encode()})
		if err != nil {
			t.Fatal(err)
		}
		v, used, err := m.Judge(t.Context(), tx.ID(), raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b, used
	}
	var want []byte
	var units int64
	var wasm []byte
	for sandboxes := range 2 {
		r := newRuntime(t)
		if wasm == nil {
			wasm, _ = guest(t, r, "rogue")
		}
		m, err := r.Install(t.Context(), wasm)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			got, used := run(m, tx)
			if want == nil {
				want, units = got, used
			}
			if !bytes.Equal(got, want) || used != units {
				t.Fatalf("sandbox %d: %q after %d units, before %q after %d", sandboxes, got, used, want, units)
			}
			if o, _ := run(m, transaction(t, other)); bytes.Equal(o, want) {
				t.Fatal("another transaction gets the same random numbers")
			}
		}
	}
	t.Logf("%d units", units)
}
