package sandbox_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/internal/sandbox/wasmtest"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// cacheDir holds the guests that this run of the tests compiled.
var cacheDir string

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	dir, remove, err := wasmtest.Cache()
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

var (
	guestsMu sync.Mutex
	guests   = map[string][]byte{}
)

// guest builds an application once.
func guest(t testing.TB, dir string) []byte {
	t.Helper()
	guestsMu.Lock()
	defer guestsMu.Unlock()
	if guests[dir] == nil {
		wasm, err := appbuild.Builder{}.Compile(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		guests[dir] = wasm
	}
	return guests[dir]
}

const (
	rogue = "testdata/guests/rogue"
	hello = "../../apps/hello"
)

func newRuntime(t testing.TB, cfg sandbox.Config) *sandbox.Runtime {
	t.Helper()
	if cfg.CacheDir == "" {
		cfg.CacheDir = cacheDir
	}
	r, err := sandbox.New(t.Context(), cfg)
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

func install(t testing.TB, dir string, cfg sandbox.Config) *sandbox.Module {
	t.Helper()
	m, err := newRuntime(t, cfg).Install(t.Context(), guest(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newInstance(t testing.TB, m *sandbox.Module, env sandbox.Env) *sandbox.Instance {
	t.Helper()
	i, err := m.NewInstance(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Release(context.WithoutCancel(t.Context())) })
	return i
}

// now is the time at which tests begin, microseconds.
const now = 1_800_000_000_000_000

func startOf(t testing.TB, class, input string) []byte {
	t.Helper()
	return encode(t, &appv1.Start{
		FlowClass: class, Input: []byte(input), FlowId: []byte("0123456789abcdef"), ClientRequestId: "request-1", Attempt: 1,
		Me:         &appv1.Identity{X500Name: "O=Alice, L=London, C=GB", GroupId: "group", ShortHash: "0123456789AB"},
		Properties: []*appv1.Property{{Name: "a.b", Value: "c"}},
	})
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answersTo answers every request of a yield with an empty result.
func answersTo(y *appv1.Yield) *appv1.Resume {
	r := &appv1.Resume{}
	for range y.GetRequests().GetRequests() {
		r.Answers = append(r.Answers, &appv1.Answer{Outcome: &appv1.Answer_Result{Result: []byte{}}})
	}
	return r
}

// transcript is what a flow said, and what each step cost.
type transcript struct {
	yields       [][]byte
	instructions []int64
	log          []string
	last         *appv1.Yield
}

func (tr *transcript) hash() string {
	h := sha256.New()
	for i, y := range tr.yields {
		fmt.Fprintf(h, "%d %d %x\n", i, tr.instructions[i], y)
	}
	fmt.Fprintln(h, tr.log)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// play runs a flow to its end, a second of the clock for each step.
func play(ctx context.Context, i *sandbox.Instance, start []byte) (*transcript, error) {
	tr := &transcript{}
	y, err := i.Start(ctx, now, start)
	for step := int64(1); ; step++ {
		if err != nil {
			return tr, err
		}
		tr.yields = append(tr.yields, y)
		tr.instructions = append(tr.instructions, i.Instructions())
		if tr.last, err = sandbox.DecodeYield(y); err != nil || tr.last.GetRequests() == nil {
			return tr, err
		}
		resume, err2 := proto.Marshal(answersTo(tr.last))
		if err2 != nil {
			return tr, err2
		}
		y, err = i.Resume(ctx, now+step*1_000_000, resume)
	}
}

func run(t testing.TB, m *sandbox.Module, class, input string) (*transcript, error) {
	t.Helper()
	var log []string
	i := newInstance(t, m, sandbox.Env{Seed: [32]byte{1}, Log: func(l string) { log = append(log, l) }})
	tr, err := play(t.Context(), i, startOf(t, class, input))
	tr.log = log
	return tr, err
}
