package flow_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/processors/flow"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// talks runs a flow of a real module and its responder to their ends: messages and timers in their order, requests to
// other workers answered with an empty result.
func talks(t *testing.T, w *world, class, input string) *flowv1.Checkpoint {
	t.Helper()
	n := newNetwork(w)
	must := func(_ []string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.start(class, "r", input))
	for {
		must(n.talk())
		if len(n.asked) > 0 {
			must(n.reply("result", "", ""))
			continue
		}
		if r, ok := w.next(); ok {
			must(w.deliver(r))
			continue
		}
		head := w.head(w.flowID("r"))
		at := w.nextTimer()
		if flow.Ended(head.GetState()) || at == 0 {
			return head
		}
		w.nowUs = max(w.nowUs, at)
	}
}

// Flows of real modules talk to each other, with their instances kept in memory and, because there is no room for any,
// replayed before each step.
func TestGuestsTalk(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an application")
	}
	rust, err := os.ReadFile("../../sdk/guests/rust/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	chat, err := appbuild.Builder{}.Compile(t.Context(), "../../apps/chat")
	if err != nil {
		t.Fatal(err)
	}
	r, err := sandbox.New(t.Context(), sandbox.Config{CacheDir: cacheDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		name, class, protocol string
		wasm                  []byte
		input, want           string
	}{
		{"Rust", "rust-send", "rust-chat", rust, `{"to":"O=Bob, L=London, C=GB","message":"hello"}`, `"received: hello"`},
		{"Go", "chat-send", "chat", chat, `{"to":"C=GB,L=London,O=Bob","text":"hello"}`, `"to":"O=Bob, L=London, C=GB"`},
	} {
		for kept, live := range map[string]int64{"kept": 0, "replayed": 1} {
			t.Run(c.name+" "+kept, func(t *testing.T) {
				w := worldWith(flow.Config{InstallWait: time.Minute, LiveBytes: live}, flow.FromSandbox(r))
				defer w.worker.Close()
				w.install(c.class, string(c.wasm))
				cpi := proto.Clone(w.cpis["CPI"].(proto.Message)).(*cpiv1.Cpi)
				module, ok := r.Module([32]byte(cpi.GetModules()[0].GetSha256()))
				if !ok {
					if module, err = r.Install(t.Context(), c.wasm); err != nil {
						t.Fatal(err)
					}
				}
				flows, err := module.Flows(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				cpi.Modules[0].Flows = nil
				for _, f := range flows {
					cpi.Modules[0].Flows = append(cpi.Modules[0].Flows, &cpiv1.FlowClass{Name: f.Class, Startable: f.Startable, Protocol: f.Protocol, ProtocolVersions: f.Versions})
				}
				w.cpis["CPI"] = cpi
				head := talks(t, w, c.class, c.input)
				if head.GetState() != flowv1.FlowState_FLOW_STATE_COMPLETED || !strings.Contains(string(head.GetResult()), c.want) {
					t.Errorf("%s %s %v", head.GetState(), head.GetResult(), head.GetError())
				}
			})
		}
	}
}
