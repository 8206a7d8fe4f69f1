package verification_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/processors/verification"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func hash(s string) ledger.Hash { return sha256.Sum256([]byte(s)) }

// pack is the package of a file's name, as transactions name it.
func pack(file string) ledger.Package {
	return ledger.Package{Name: file, Version: "1.0", Checksum: hash(file), Signer: hash("signer")}
}

const notary = "O=Notary, L=London, C=GB"

var owner = ledger.PublicKey("owner")

// making makes states of these contracts, and names the package "app".
func making(contracts ...string) ledger.Content {
	c := ledger.Content{
		Metadata:    ledger.Metadata{LedgerVersion: ledger.Version, PlatformVersion: 1, Packages: []ledger.Package{pack("app")}},
		Notary:      ledger.Notary{Name: notary, Key: []byte("notary's key")},
		Window:      ledger.TimeWindow{UntilUs: 1 << 60},
		Signatories: []ledger.PublicKey{owner},
		Commands:    []ledger.Command{{Type: "issue", TypeVersion: 1}},
	}
	for _, name := range contracts {
		c.Outputs = append(c.Outputs, ledger.State{
			Type: "State", TypeVersion: 1, Contract: name, Payload: []byte(`{"of":"` + name + `"}`), Participants: []ledger.PublicKey{owner},
		})
	}
	return c
}

func transaction(t testing.TB, c ledger.Content) *ledger.Transaction {
	t.Helper()
	tx, err := ledger.New(c, ledger.Salt(hash("salt")))
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// ask is the request that a flow worker writes.
func ask(t testing.TB, tx *ledger.Transaction, sources ...*ledger.Filtered) *verificationv1.Request {
	t.Helper()
	r := &verificationv1.Request{Vnode: "0123456789AB", Transaction: tx.Encode()}
	for _, s := range sources {
		r.Sources = append(r.Sources, s.Encode())
	}
	for _, p := range tx.Content().Metadata.Packages {
		r.Packages = append(r.Packages, p.Checksum[:])
	}
	return r
}

func source(t testing.TB, tx *ledger.Transaction, outputs ...int) *ledger.Filtered {
	t.Helper()
	f, err := tx.Source(outputs...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// line is a verification on one line.
func line(v *appv1.Verification) string {
	out := []string{v.GetStatus()}
	for _, f := range v.GetFailures() {
		out = append(out, strings.Join([]string{f.GetContract(), f.GetComponent(), f.GetMessage()}, "|"))
	}
	return strings.Join(out, "\n")
}

func decodeResult(t testing.TB, raw []byte) *appv1.Verification {
	t.Helper()
	v := &appv1.Verification{}
	if err := proto.Unmarshal(raw, v); err != nil || v.GetStatus() == "" {
		t.Fatalf("%x is no verification: %v", raw, err)
	}
	return v
}

// facts is a view of cpi.info and one of cpi.chunks.
type facts struct {
	mu       sync.Mutex
	chunks   map[string]*cpiv1.Chunk
	cpis     map[string]*cpiv1.Cpi
	watchers []func(string, any)
	kept     kept
}

// kept is a view of cpk.info.
type kept struct{ watchers []func(string, any) }

func (k *kept) OnChange(watch func(string, any)) { k.watchers = append(k.watchers, watch) }

func newFacts() *facts {
	return &facts{chunks: map[string]*cpiv1.Chunk{}, cpis: map[string]*cpiv1.Cpi{}}
}

func (f *facts) OnChange(watch func(string, any)) { f.watchers = append(f.watchers, watch) }

func (f *facts) Get(key string) (any, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.chunks[key]
	return c, ok
}

// cpi is a package that was installed: its one module, and the contracts that it declares. Key and file are its name.
func cpi(file string, wasm []byte, contracts ...string) (*cpiv1.Cpi, []*cpiv1.Chunk) {
	sum, signer, checksum := sha256.Sum256(wasm), hash("signer"), hash(file)
	half := len(wasm) / 2
	chunks := []*cpiv1.Chunk{{Sha256: sum[:], Part: 0, Parts: 2, Data: wasm[:half]}, {Sha256: sum[:], Part: 1, Parts: 2, Data: wasm[half:]}}
	return &cpiv1.Cpi{
		Modules: []*cpiv1.Module{{Name: file, Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, Sha256: sum[:], Chunks: 2, Contracts: contracts}},
		Cpks: []*cpiv1.Cpk{{
			Name: file, Version: "1.0", SignerSummaryHash: "SHA-256:" + signer.String(), FileSha256: checksum[:], ModuleSha256S: [][]byte{sum[:]},
		}},
	}, chunks
}

func chunkKey(c *cpiv1.Chunk) string {
	return fmt.Sprintf("%s/%08d", hex.EncodeToString(c.GetSha256()), c.GetPart())
}

// install publishes a package as the database worker does: its modules first.
func (f *facts) install(file string, wasm []byte, contracts ...string) {
	info, chunks := cpi(file, wasm, contracts...)
	f.publish(file, info, chunks)
}

// installUnsigned publishes a package that nobody signed, as development clusters have them.
func (f *facts) installUnsigned(file string, wasm []byte, contracts ...string) {
	info, chunks := cpi(file, wasm, contracts...)
	info.Cpks[0].SignerSummaryHash = ""
	f.publish(file, info, chunks)
}

func (f *facts) publish(file string, info *cpiv1.Cpi, chunks []*cpiv1.Chunk) {
	f.mu.Lock()
	for _, c := range chunks {
		f.chunks[chunkKey(c)] = c
	}
	f.cpis[file] = info
	f.mu.Unlock()
	for _, w := range f.watchers {
		w(file, info)
	}
}

// keep publishes a package of code that has no CPI.
func (f *facts) keep(file string, wasm []byte, contracts ...string) {
	info, chunks := cpi(file, wasm, contracts...)
	f.mu.Lock()
	for _, c := range chunks {
		f.chunks[chunkKey(c)] = c
	}
	f.mu.Unlock()
	for _, w := range f.kept.watchers {
		w(strings.ToUpper(hex.EncodeToString(info.GetCpks()[0].GetFileSha256())), &cpiv1.Code{Cpk: info.GetCpks()[0], Modules: info.GetModules()})
	}
}

func (f *facts) remove(file string) {
	for _, w := range f.watchers {
		w(file, nil)
	}
}

// fakeSandbox runs modules whose code is their name; what a contract says, its name says.
type fakeSandbox struct {
	mu        sync.Mutex
	modules   map[[32]byte]*fakeModule
	installed int
	runs      int
	// hold keeps installations from ending, nil for none.
	hold chan struct{}
	// fail is why nothing runs, nil when it does.
	fail error
}

func newFakeSandbox() *fakeSandbox { return &fakeSandbox{modules: map[[32]byte]*fakeModule{}} }

func (s *fakeSandbox) Module(sha [32]byte) (verification.Module, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.modules[sha]
	return m, ok
}

func (s *fakeSandbox) Install(ctx context.Context, wasm []byte) (verification.Module, error) {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installed++
	if strings.HasPrefix(string(wasm), "bad") {
		return nil, &sandbox.Error{Kind: sandbox.Rejected, Detail: "import env.now: a module may import from wasi_snapshot_preview1 only"}
	}
	m := &fakeModule{s}
	s.modules[sha256.Sum256(wasm)] = m
	return m, nil
}

func (s *fakeSandbox) Uninstall(_ context.Context, sha [32]byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.modules, sha)
	return true, nil
}

func (s *fakeSandbox) count() (installed, runs, here int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.installed, s.runs, len(s.modules)
}

func (s *fakeSandbox) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

type fakeModule struct{ s *fakeSandbox }

// Judge accepts, but for contracts whose names say otherwise.
func (m *fakeModule) Judge(_ context.Context, seed [32]byte, request []byte, _ func(string)) (*appv1.Verdict, int64, error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.runs++
	if m.s.fail != nil {
		return nil, 0, m.s.fail
	}
	var r appv1.VerifyRequest
	if err := proto.Unmarshal(request, &r); err != nil {
		return nil, 0, err
	}
	tx, err := ledger.Decode(r.GetTransaction())
	if err != nil || tx.ID() != seed || len(r.GetInputs()) != len(tx.Content().Inputs) || len(r.GetReferences()) != len(tx.Content().References) {
		return nil, 0, errors.Join(errors.New("the request is not that of the transaction"), err)
	}
	word, _, _ := strings.Cut(r.GetContract(), ".")
	switch word {
	case "refuse":
		return &appv1.Verdict{Outcome: &appv1.Verdict_Rejected{Rejected: &appv1.Rejected{Rejections: []*appv1.Rejection{
			{Message: "no"}, {Component: "output 0", Message: "never"},
		}}}}, 1, nil
	case "loop":
		return nil, 1, &sandbox.Error{Kind: sandbox.OutOfInstructions, Detail: "after 200000000"}
	case "slow":
		return nil, 1, &sandbox.Error{Kind: sandbox.OutOfTime, Detail: "the machine is overloaded"}
	case "list":
		return &appv1.Verdict{Outcome: &appv1.Verdict_Contracts{Contracts: &appv1.Contracts{}}}, 1, nil
	}
	return &appv1.Verdict{Outcome: &appv1.Verdict_Accepted{Accepted: &appv1.Accepted{}}}, 1, nil
}
