package sandbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/sandbox"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// childEnv makes the test binary run one flow of the module in the file that it names, print the transcript's hash
// and exit.
const childEnv = "SANDBOX_TEST_CHILD"

func child() int {
	hash, err := childRun(context.Background(), os.Getenv(childEnv))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(hash)
	return 0
}

func childRun(ctx context.Context, file string) (string, error) {
	wasm, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	r, err := sandbox.New(ctx, sandbox.Config{CacheDir: filepath.Dir(file)})
	if err != nil {
		return "", err
	}
	m, err := r.Install(ctx, wasm)
	if err != nil {
		return "", err
	}
	tr, err := traced(ctx, m, 7)
	if err != nil {
		return "", err
	}
	return tr.hash(), r.Close(ctx)
}

// traced runs the flow that shows everything which could differ.
func traced(ctx context.Context, m *sandbox.Module, seed byte) (*transcript, error) {
	start, err := proto.Marshal(&appv1.Start{FlowClass: "trace", Input: []byte(`{"steps":6}`), FlowId: make([]byte, 16)})
	if err != nil {
		return nil, err
	}
	var log []string
	i, err := m.NewInstance(ctx, sandbox.Env{Seed: [32]byte{seed}, Log: func(l string) { log = append(log, l) }})
	if err != nil {
		return nil, err
	}
	defer i.Release(ctx)
	tr, err := play(ctx, i, start)
	tr.log = log
	return tr, err
}

func TestSameSeedSameTranscript(t *testing.T) {
	m := install(t, rogue, sandbox.Config{})
	first, err := traced(t.Context(), m, 7)
	if err != nil {
		t.Fatal(err)
	}
	result := string(first.last.GetDone().GetResult())
	if len(first.yields) != 7 || !strings.Contains(result, "slept 20.") || strings.Contains(result, "error") {
		t.Fatalf("not the transcript that we want to compare: %s", result)
	}
	check := func(name string, tr *transcript, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if tr.hash() != first.hash() {
			t.Errorf("%s differs:\n%s\nfrom\n%s\ncosts %v and %v", name, tr.last.GetDone().GetResult(), result, tr.instructions, first.instructions)
		}
	}
	again, err := traced(t.Context(), m, 7)
	check("a second run", again, err)
	if sandbox.Idle(m) == 0 {
		t.Fatal("the instance was not kept, so that the next run does not use it again")
	}
	again, err = traced(t.Context(), m, 7)
	check("an instance used before", again, err)
	kept := func(open time.Duration) (m *sandbox.Module) {
		m = install(t, rogue, sandbox.WithCooling(sandbox.Config{IdleInstances: 1, ColdInstances: 2}, time.Nanosecond, open))
		var some []*sandbox.Instance
		for range 4 {
			i, err := m.NewInstance(t.Context(), sandbox.Env{})
			if err != nil {
				t.Fatal(err)
			}
			some = append(some, i)
		}
		for _, i := range some {
			i.Release(t.Context())
		}
		return m
	}
	cold := kept(time.Hour)
	if n, c := sandbox.Idle(cold), sandbox.Cold(cold); (n != 3 || c != 2) && sandbox.Maps(cold) {
		t.Errorf("%d instances are kept of which %d are cold, want three and two", n, c)
	}
	if few := kept(time.Nanosecond); sandbox.Cold(few) > 1 {
		t.Errorf("%d cold instances are kept beyond their time", sandbox.Cold(few))
	}
	warm, err := cold.NewInstance(t.Context(), sandbox.Env{})
	if err != nil {
		t.Fatal(err)
	}
	again, err = traced(t.Context(), cold, 7)
	check("a cold instance", again, err)
	warm.Release(t.Context())
	other, err := traced(t.Context(), m, 8)
	if err != nil || other.hash() == first.hash() {
		t.Errorf("another seed gave the same: %v", err)
	}
	again, err = traced(t.Context(), install(t, rogue, sandbox.Config{IdleInstances: -1}), 7)
	check("a fresh instance in another runtime", again, err)
	again, err = traced(t.Context(), install(t, rogue, sandbox.WithCopies(sandbox.Config{})), 7)
	check("copied images", again, err)
	// Another machine's compiler makes other code; the interpreter stands for it here.
	again, err = traced(t.Context(), install(t, rogue, sandbox.WithInterpreter(sandbox.Config{})), 7)
	check("the interpreter", again, err)

	file := filepath.Join(cacheDir, "rogue.wasm")
	if err := os.WriteFile(file, guest(t, rogue), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childEnv+"="+file, "TZ=Asia/Kathmandu")
	out, err := cmd.Output()
	if err != nil || strings.TrimSpace(string(out)) != first.hash() {
		t.Errorf("another process: %s, %v; want %s", out, err, first.hash())
	}
}

// TestReplay feeds the recorded answers to a fresh instance up to each step, and goes on from there.
func TestReplay(t *testing.T) {
	m := install(t, rogue, sandbox.Config{})
	whole, err := traced(t.Context(), m, 7)
	if err != nil {
		t.Fatal(err)
	}
	for until := range whole.yields {
		tr, err := traced(t.Context(), m, 7)
		if err != nil {
			t.Fatal(err)
		}
		for step := range until + 1 {
			if string(tr.yields[step]) != string(whole.yields[step]) {
				t.Fatalf("step %d differs", step)
			}
		}
	}
}

func TestResetIsFresh(t *testing.T) {
	for name, cfg := range map[string]sandbox.Config{"mapped": {}, "copied": sandbox.WithCopies(sandbox.Config{})} {
		t.Run(name, func(t *testing.T) {
			m := install(t, rogue, cfg)
			for range 6 {
				if _, err := traced(t.Context(), m, 7); err != nil {
					t.Fatal(err)
				}
			}
			other, err := m.NewInstance(t.Context(), sandbox.Env{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := play(t.Context(), other, startOf(t, "secret", "")); err != nil {
				t.Fatal(err)
			}
			other.Release(t.Context())
			if sandbox.Idle(m) != 1 {
				t.Fatal("the instance was not kept")
			}
			i, err := m.NewInstance(t.Context(), sandbox.Env{})
			if err != nil {
				t.Fatal(err)
			}
			if err := sandbox.CheckFresh(i); err != nil {
				t.Errorf("after a reset: %v", err)
			}
			second, err := m.NewInstance(t.Context(), sandbox.Env{})
			if err != nil {
				t.Fatal(err)
			}
			if err := sandbox.CheckFresh(second); err != nil {
				t.Errorf("new: %v", err)
			}
			i.Release(t.Context())
			second.Release(t.Context())
			// Starting from the image is the same as running _initialize.
			ran, err := sandbox.Initialised(t.Context(), m, guest(t, rogue))
			if err != nil {
				t.Fatal(err)
			}
			if err := sandbox.CheckFresh(ran); err != nil {
				t.Errorf("after _initialize: %v", err)
			}
			ran.Release(t.Context())
		})
	}
}

func TestNothingIsLeftForTheNextFlow(t *testing.T) {
	m := install(t, rogue, sandbox.Config{})
	for n := range 3 {
		i, err := m.NewInstance(t.Context(), sandbox.Env{})
		if err != nil {
			t.Fatal(err)
		}
		tr, err := play(t.Context(), i, startOf(t, "secret", ""))
		if err != nil || string(tr.last.GetDone().GetResult()) != "false" {
			t.Errorf("flow %d: %v, %v", n, tr.last, err)
		}
		i.Release(t.Context())
	}
}

func TestGrownInstancesAreNotKept(t *testing.T) {
	m := install(t, rogue, sandbox.Config{})
	i, err := m.NewInstance(t.Context(), sandbox.Env{})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := play(t.Context(), i, startOf(t, "grow", ""))
	if err != nil || tr.last.GetDone() == nil {
		t.Fatalf("%v, %v", tr.last, err)
	}
	if size := sandbox.Size(i); size <= m.ImageBytes() {
		t.Errorf("the memory has %d bytes, the image %d: it did not grow", size, m.ImageBytes())
	}
	i.Release(t.Context())
	if sandbox.Idle(m) != 0 {
		t.Error("a grown instance went into the pool")
	}
}

func TestMemoryIsWhatTheFlowChanged(t *testing.T) {
	m := install(t, rogue, sandbox.Config{})
	i := newInstance(t, m, sandbox.Env{})
	if _, err := i.Start(t.Context(), now, startOf(t, "secret", "")); err != nil {
		t.Fatal(err)
	}
	if got := i.MemoryBytes(); got == 0 || got > m.ImageBytes() {
		t.Errorf("a small flow takes %d bytes of %d", got, m.ImageBytes())
	}
	copied := newInstance(t, install(t, rogue, sandbox.WithCopies(sandbox.Config{})), sandbox.Env{})
	if _, err := copied.Start(t.Context(), now, startOf(t, "secret", "")); err != nil {
		t.Fatal(err)
	}
	if got := copied.MemoryBytes() - sandbox.TableBytes(copied); got != m.ImageBytes() {
		t.Errorf("a copied image takes %d bytes, want %d", got, m.ImageBytes())
	}
	t.Logf("mapped %d KiB, copied %d KiB", i.MemoryBytes()>>10, copied.MemoryBytes()>>10)
}

// An instance whose flow allocates what the base image has room for, in small pieces or in one, is used again.
func TestRoomyFlowsDoNotGrowTheMemory(t *testing.T) {
	m, err := newRuntime(t, sandbox.Config{}).Install(t.Context(), guest(t, rogue))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"many-spans", "one-piece"} {
		i := newInstance(t, m, sandbox.Env{})
		before := sandbox.Size(i)
		if tr, err := play(t.Context(), i, startOf(t, name, "")); err != nil || tr.last.GetDone() == nil {
			t.Fatalf("%s: %v, %v", name, tr.last, err)
		}
		if after := sandbox.Size(i); after != before {
			t.Errorf("%s: the memory grew from %d to %d KiB", name, before>>10, after>>10)
		}
		i.Release(t.Context())
		if n := sandbox.Idle(m); n != 1 {
			t.Errorf("%s: %d instances are kept", name, n)
		}
	}
}
