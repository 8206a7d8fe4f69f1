package native_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/native"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

const (
	now     = 1_800_000_000_000_000
	yearsUs = 365 * 24 * 3600 * 1_000_000
)

// build builds an application as a native program.
func build(t *testing.T, dir string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "app")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, out)
	}
	return bin
}

// run starts a program for a host; stop kills it.
func run(t *testing.T, bin string, h *native.Host) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, bin)
	cmd.Env = append(os.Environ(), "FAIRLEAD_NATIVE="+h.Address())
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			_ = cmd.Wait() // it was killed, or saw the host close
		})
	}
	t.Cleanup(stop)
	return stop
}

func host(t *testing.T) *native.Host {
	t.Helper()
	h, err := native.Listen(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decode reads what a step returned.
func decode(t *testing.T) func([]byte, error) *appv1.Yield {
	t.Helper()
	return func(b []byte, err error) *appv1.Yield {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var y appv1.Yield
		if err := proto.Unmarshal(b, &y); err != nil {
			t.Fatal(err)
		}
		return &y
	}
}

func answers(t *testing.T, results ...proto.Message) []byte {
	t.Helper()
	r := &appv1.Resume{}
	for _, m := range results {
		b := []byte{}
		if m != nil {
			b = encode(t, m)
		}
		r.Answers = append(r.Answers, &appv1.Answer{Outcome: &appv1.Answer_Result{Result: b}})
	}
	return encode(t, r)
}

// The chat application runs natively: its program is killed while a flow waits, and the flow goes on in the next.
func TestProgramsComeAndGo(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	bin := build(t, "../../apps/chat")
	h := host(t)
	stop := run(t, bin, h)
	var log []string
	i := h.NewInstance([32]byte{1}, func(line string) { log = append(log, line) })
	list := decode(t)(h.NewInstance([32]byte{}, func(string) {}).Start(t.Context(), now, nil))
	if !strings.Contains(string(list.GetDone().GetResult()), `"class":"chat-responder","startable":false,"protocol":"chat","versions":[1]`) {
		t.Fatalf("flows: %s", list.GetDone().GetResult())
	}
	start := &appv1.Start{
		FlowClass: "chat-responder", FlowId: []byte("0123456789abcdef"), Attempt: 1, Me: &appv1.Identity{X500Name: "O=Bob, L=Paris, C=FR"},
		Session: &appv1.Session{Id: "0e3e7a5c-5a4e-4d0c-8f0b-2f6d2a9d6f11", CounterpartyX500Name: "O=Alice, L=London, C=GB", Protocol: "chat", ProtocolVersion: 1},
	}
	y := decode(t)(i.Start(t.Context(), now, encode(t, start)))
	if y.GetRequests().GetRequests()[0].GetReceive() == nil {
		t.Fatalf("asks %v", y)
	}
	stop()
	run(t, bin, h)
	message := &appv1.ReceivedMessage{Payload: []byte(`{"text":"hello","sentAt":"2027-01-01T00:00:00Z"}`)}
	y = decode(t)(i.Resume(t.Context(), now+yearsUs, answers(t, message)))
	rows := y.GetRequests().GetRequests()[0].GetPersist().GetRows()
	if len(rows) != 1 || !strings.Contains(string(rows[0]), `"text":"hello"`) || !strings.Contains(string(rows[0]), `"received_at":"2028-01-15T08:00:00.000001Z"`) {
		t.Fatalf("then asks %v", y)
	}
	y = decode(t)(i.Resume(t.Context(), now+yearsUs+1, answers(t, nil)))
	if y.GetRequests().GetRequests()[0].GetSend() == nil || len(log) != 1 || !strings.Contains(log[0], "O=Alice") {
		t.Fatalf("then asks %v, log %q", y, log)
	}
	if y = decode(t)(i.Resume(t.Context(), now+yearsUs+2, answers(t, nil))); y.GetDone() == nil {
		t.Fatalf("ends with %v", y)
	}
	if i.MemoryBytes() < 1000 {
		t.Errorf("%d bytes", i.MemoryBytes())
	}
	i.Release(t.Context())
}

// Another program that does something else with a flow under way is noticed.
func TestAnotherProgramIsNoticed(t *testing.T) {
	h := host(t)
	stop := run(t, build(t, "../../apps/chat"), h)
	i := h.NewInstance([32]byte{1}, func(string) {})
	decode(t)(i.Start(t.Context(), now, encode(t, &appv1.Start{FlowClass: "chat-send", Input: []byte(`{"to":"O=B","text":"x"}`)})))
	stop()
	other := t.TempDir()
	sdk, err := filepath.Abs("../../sdk")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod": "module example.com/other\n\ngo 1.26.0\n\nrequire github.com/fairleadio/fairlead/sdk v0.0.0\n\nreplace github.com/fairleadio/fairlead/sdk => " + sdk + "\n",
		"main.go": `package main

import (
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/native"
)

func main() {
	flow.Register("chat-send", func(ctx *flow.Context, _ map[string]string) (any, error) { return nil, ctx.Checkpoint() })
	native.Main()
}
`,
	} {
		if err := os.WriteFile(filepath.Join(other, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, build(t, other), h)
	var mismatch *native.MismatchError
	if _, err := i.Resume(t.Context(), now+1, answers(t, &appv1.OpenedSession{SessionId: "s"})); !errors.As(err, &mismatch) || mismatch.Step != 1 {
		t.Errorf("%v", err)
	}
}

// Without a program, a step waits for one until its time is up.
func TestNoProgram(t *testing.T) {
	h := host(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.NewInstance([32]byte{}, func(string) {}).Start(ctx, now, nil); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), h.Address()) {
		t.Errorf("%v", err)
	}
}
