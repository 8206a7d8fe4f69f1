package sandbox_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/sandbox"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

const rust = "../../sdk/guests/rust"

// rustc finds a compiler that can build for WebAssembly, empty when there is none.
func rustc(t *testing.T) string {
	t.Helper()
	for _, c := range []string{os.Getenv("RUSTC"), "rustc", "/usr/bin/rustc"} {
		if c == "" {
			continue
		}
		root, err := exec.CommandContext(t.Context(), c, "--print", "sysroot").Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(strings.TrimSpace(string(root)), "lib/rustlib/wasm32-unknown-unknown")); err == nil {
			return c
		}
	}
	return ""
}

// rustGuests are the module that is checked in, and one built from its source where that can be done.
func rustGuests(t *testing.T) map[string][]byte {
	t.Helper()
	checkedIn, err := os.ReadFile(filepath.Join(rust, "guest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{"checked in": checkedIn}
	compiler := rustc(t)
	if compiler == "" {
		t.Log("no rustc with the target wasm32-unknown-unknown: only the module that is checked in is run")
		return all
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.CommandContext(t.Context(), filepath.Join(rust, "build.sh"), out)
	cmd.Env = append(os.Environ(), "RUSTC="+compiler)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, text)
	}
	if all["built"], err = os.ReadFile(out); err != nil {
		t.Fatal(err)
	}
	return all
}

// stepper runs a flow step by step.
type stepper struct {
	t    *testing.T
	inst *sandbox.Instance
	step int64
}

func (s *stepper) yield(b []byte, err error) *appv1.Yield {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	y, err := sandbox.DecodeYield(b)
	if err != nil {
		s.t.Fatalf("%x: %v", b, err)
	}
	s.step++
	return y
}

func (s *stepper) start(m *appv1.Start) *appv1.Yield {
	s.t.Helper()
	return s.yield(s.inst.Start(s.t.Context(), now, encode(s.t, m)))
}

// answer answers the last yield: a message is a result, nil an empty one.
func (s *stepper) answer(results ...proto.Message) []*appv1.Request {
	s.t.Helper()
	return s.resume(results...).GetRequests().GetRequests()
}

func (s *stepper) resume(results ...proto.Message) *appv1.Yield {
	s.t.Helper()
	r := &appv1.Resume{}
	for _, m := range results {
		a := &appv1.Answer_Result{Result: []byte{}}
		if m != nil {
			a.Result = encode(s.t, m)
		}
		r.Answers = append(r.Answers, &appv1.Answer{Outcome: a})
	}
	return s.yield(s.inst.Resume(s.t.Context(), now+s.step*1_000_000, encode(s.t, r)))
}

// TestRustGuest runs flows that know nothing of the Go SDK: the guest interface belongs to no language.
func TestRustGuest(t *testing.T) {
	for name, wasm := range rustGuests(t) {
		t.Run(name, func(t *testing.T) {
			m, err := newRuntime(t, sandbox.Config{}).Install(t.Context(), wasm)
			if err != nil {
				t.Fatal(err)
			}
			flows, err := m.Flows(t.Context())
			if err != nil || len(flows) != 3 || flows[1].Class != "rust-receive" || flows[1].Startable || flows[1].Protocol != "rust-chat" || len(flows[1].Versions) != 1 {
				t.Fatalf("%+v, %v", flows, err)
			}
			tr, err := play(t.Context(), newInstance(t, m, sandbox.Env{}), startOf(t, "rust-hello", `"Bob"`))
			if err != nil || string(tr.last.GetDone().GetResult()) != `"Hello, Bob!"` {
				t.Fatalf("rust-hello: %v, %v", tr.last, err)
			}
			rustTalk(t, m, strings.Repeat("é", 300))
			for class, input := range map[string]string{"rust-hello": `{}`, "rust-send": `{"to":"O=B"}`, "rust-absent": ``} {
				tr, err := play(t.Context(), newInstance(t, m, sandbox.Env{}), startOf(t, class, input))
				if err != nil || tr.last.GetFailed().GetError().GetType() == "" {
					t.Errorf("%s %s: %v, %v", class, input, tr.last, err)
				}
			}
		})
	}
}

// rustTalk carries the messages of a session between two instances.
func rustTalk(t *testing.T, m *sandbox.Module, text string) {
	t.Helper()
	alice := &stepper{t: t, inst: newInstance(t, m, sandbox.Env{Seed: [32]byte{1}})}
	bob := &stepper{t: t, inst: newInstance(t, m, sandbox.Env{Seed: [32]byte{2}})}
	asked := alice.start(&appv1.Start{FlowClass: "rust-send", Input: []byte(`{ "to": "O=Bob, L=Paris, C=FR", "message": "` + text + `" }`)}).GetRequests().GetRequests()
	open := asked[0].GetOpenSession()
	if open.GetCounterpartyX500Name() != "O=Bob, L=Paris, C=FR" || open.GetProtocol() != "rust-chat" || len(open.GetVersions()) != 1 {
		t.Fatalf("opens %v", open)
	}
	asked = alice.answer(&appv1.OpenedSession{SessionId: "s1", CounterpartyX500Name: "O=Bob, L=Paris, C=FR"})
	if len(asked) != 2 || asked[0].GetSend().GetSessionId() != "s1" || asked[1].GetReceive().GetSessionId() != "s1" {
		t.Fatalf("then asks %v", asked)
	}
	sent := asked[0].GetSend().GetPayload()

	hears := bob.start(&appv1.Start{FlowClass: "rust-receive", Session: &appv1.Session{Id: "s1", Protocol: "rust-chat", ProtocolVersion: 1}})
	if hears.GetRequests().GetRequests()[0].GetReceive().GetSessionId() != "s1" {
		t.Fatalf("asks %v", hears)
	}
	if thinks := bob.answer(&appv1.ReceivedMessage{Payload: sent}); thinks[0].GetSleep().GetDurationUs() != 1_000_000 {
		t.Fatalf("then asks %v", thinks)
	}
	answer := bob.answer(nil)[0].GetSend().GetPayload()
	if y := bob.resume(nil); string(y.GetDone().GetResult()) != "null" {
		t.Fatalf("ends with %v", y)
	}

	if closes := alice.answer(nil, &appv1.ReceivedMessage{Payload: answer}); closes[0].GetCloseSession().GetSessionId() != "s1" {
		t.Fatalf("then asks %v", closes)
	}
	if y := alice.resume(nil); string(y.GetDone().GetResult()) != `"received: `+text+`"` {
		t.Fatalf("ends with %v", y)
	}
}
