package flow_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/processors/flow"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// conversation draws two programs that talk to each other in several sessions, and what each must have heard.
func conversation(t *rapid.T) (initiator, responder string, heard string) {
	var a, b, toA []string
	a = append(a, "open Bob chat 1/2")
	if rapid.Bool().Draw(t, "asks") {
		a = append(a, "info 0")
	}
	n := 0
	for _, fromA := range rapid.SliceOfN(rapid.Bool(), 1, 12).Draw(t, "turns") {
		n++
		switch {
		case fromA:
			a = append(a, fmt.Sprintf("send 0 a%d", n))
			b = append(b, "receive 0")
		default:
			a = append(a, "receive 0")
			b = append(b, fmt.Sprintf("send 0 b%d", n))
			toA = append(toA, fmt.Sprintf("b%d", n))
		}
		if rapid.IntRange(0, 5).Draw(t, "pause") == 0 {
			a = append(a, rapid.SampledFrom([]string{"checkpoint", "sleep 1ms", "sleep 0s"}).Draw(t, "a waits"))
			b = append(b, rapid.SampledFrom([]string{"checkpoint", "sleep 1ms", "sleep 0s"}).Draw(t, "b waits"))
		}
	}
	if rapid.Bool().Draw(t, "closes") {
		a = append(a, "close 0")
	}
	if strings.HasPrefix(b[0], "send") { // nothing begins the responder unless the initiator says something
		a = append(a[:1], append([]string{"send 0 begin"}, a[1:]...)...)
		b = append([]string{"receive 0"}, b...)
	}
	a, b = append(a, "done $got"), append(b, "done $got")
	return strings.Join(a, "\n"), strings.Join(b, "\n"), strings.Join(toA, ",")
}

// Two flows talk while messages come late, early and twice, and processes die: each message arrives once and in order,
// both flows end, and nothing is left behind.
func TestConversations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initiator, responder, heard := conversation(t)
		w := newWorld(flow.Config{MaxStepsPerEvent: 3})
		defer w.worker.Close()
		n := newNetwork(w)
		w.install("responder", responder)
		w.install("initiator", initiator)
		must := func(_ []string, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "pairs") {
			must(w.start("initiator", fmt.Sprintf("r%d", i), "{}"))
		}
		var old []inFlight
		for range 5_000 {
			n.collect()
			if len(n.flight) == 0 && len(w.state.loop) == 0 && w.nextTimer() == 0 {
				break
			}
			switch rapid.SampledFrom([]string{"message", "message", "message", "again", "loop", "time", "crash", "evict"}).Draw(t, "next") {
			case "message":
				if len(n.flight) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(n.flight)-1).Draw(t, "which")
				m := n.flight[i]
				n.flight = append(n.flight[:i:i], n.flight[i+1:]...)
				old = append(old, m)
				must(n.deliver(m))
			case "again":
				if len(old) > 0 {
					must(n.deliver(old[rapid.IntRange(0, len(old)-1).Draw(t, "old")]))
				}
			case "loop":
				if r, ok := w.next(); ok {
					must(w.deliver(r))
				}
			case "time":
				if at := w.nextTimer(); at != 0 && at < w.nowUs+60_000_000 { // never as far as a session's time-out
					w.nowUs = max(w.nowUs, at)
				}
			case "crash":
				w.crash()
			case "evict":
				flow.Lose(w.worker, 0)
			}
		}
		// What is left comes in order.
		for range 1_000 {
			must(n.talk())
			if r, ok := w.next(); ok {
				must(w.deliver(r))
				continue
			}
			if at := w.nextTimer(); at != 0 {
				w.nowUs = max(w.nowUs, at)
				continue
			}
			break
		}
		for id, name := range w.names {
			head := w.head(id)
			if head.GetState() != flowv1.FlowState_FLOW_STATE_COMPLETED {
				t.Fatalf("%s is %s: %v, sessions %v\n%s\n---\n%s", name, head.GetState(), head.GetError(), w.sessions(id), initiator, responder)
			}
			if strings.HasPrefix(name, "r") && !strings.HasPrefix(name, "responder") && string(head.GetResult()) != `"`+heard+`"` {
				t.Fatalf("%s heard %s, not %s", name, head.GetResult(), heard)
			}
			for _, s := range head.GetSessions() {
				if s.GetStatus() != flowv1.SessionStatus_SESSION_STATUS_CLOSED {
					t.Fatalf("%s: a session is %s", name, s.GetStatus())
				}
			}
		}
		if len(w.state.inbox) != 0 {
			t.Fatalf("%d messages are left behind", len(w.state.inbox))
		}
	})
}
