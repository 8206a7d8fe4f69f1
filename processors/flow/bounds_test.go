package flow_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/processors/flow"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// settle delivers what is left, in order, until nothing more happens.
func settle(t *testing.T, w *world, n *network) {
	t.Helper()
	for range 10_000 {
		if _, err := n.talk(); err != nil {
			t.Fatal(err)
		}
		if r, ok := w.next(); ok {
			if _, err := w.deliver(r); err != nil {
				t.Fatal(err)
			}
			continue
		}
		at := w.nextTimer()
		if at == 0 || at > w.nowUs+60_000_000 {
			return
		}
		w.nowUs = max(w.nowUs, at)
	}
	t.Fatal("it does not come to an end")
}

// flowOf is the flow that a request began.
func flowOf(t *testing.T, w *world, request string) string {
	t.Helper()
	for id, name := range w.names {
		if name == request {
			return id
		}
	}
	t.Fatalf("there is no flow of %s", request)
	return ""
}

func headOf(t *testing.T, w *world, request string) *flowv1.Checkpoint {
	t.Helper()
	return w.head(flowOf(t, w, request))
}

// play runs a program to its end, against another that answers, and returns the head that it leaves.
func play(t *testing.T, cfg flow.Config, initiator, responder []string) (*flowv1.Checkpoint, *world) {
	t.Helper()
	w := newWorld(cfg)
	t.Cleanup(w.worker.Close)
	n := newNetwork(w)
	w.install("responder", strings.Join(responder, "\n"))
	w.install("initiator", strings.Join(initiator, "\n"))
	if _, err := w.start("initiator", "r", "{}"); err != nil {
		t.Fatal(err)
	}
	settle(t, w, n)
	return headOf(t, w, "r"), w
}

// message is a part of 400 bytes.
func message(name string) string { return name + strings.Repeat("x", 400-len(name)) }

// A step's answers have a bound together: receives beyond it are told so and read nothing, whether the messages are there
// already or come while they wait; what was not read is read by the next step.
func TestReceivesOfOneStepAreBounded(t *testing.T) {
	responder := []string{"receive 0", "send 0 " + message("m1"), "send 0 " + message("m2"), "send 0 " + message("m3"), "done"}
	for name, pause := range map[string]string{"messages are there": "sleep 1s", "messages come": "sleep 0s"} {
		t.Run(name, func(t *testing.T) {
			initiator := func(last string) []string {
				return []string{"open Bob chat 1", "send 0 hello", pause, "all receive 0, receive 0, receive 0", "receive 0", last}
			}
			head, w := play(t, flow.Config{MaxAnswers: 900}, initiator("done $answers"), responder)
			if string(head.GetResult()) != `"ok"` {
				t.Errorf("the receive of the next step: %s, %v", head.GetResult(), head.GetError())
			}
			if len(w.state.inbox) != 0 {
				t.Errorf("%d messages are left", len(w.state.inbox))
			}
			head, _ = play(t, flow.Config{MaxAnswers: 900}, initiator("done $got"), responder)
			if want := fmt.Sprintf("%q", strings.Join([]string{message("m1"), message("m2"), message("m3")}, ",")); string(head.GetResult()) != want {
				t.Errorf("heard %s", head.GetResult())
			}
		})
	}
}

// The same for the answers of other workers, which come one by one.
func TestRepliesToOneStepAreBounded(t *testing.T) {
	w := newWorld(flow.Config{MaxAnswers: 900})
	defer w.worker.Close()
	n := newNetwork(w)
	w.install("finder", "all find t a, find t b, find t c\ndone $answers")
	if _, err := w.start("finder", "r", "{}"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := n.reply("result "+message("row"), "", ""); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprintf("%q", "ok "+message("row")+",ok "+message("row")+",limit")
	if got := headOf(t, w, "r").GetResult(); string(got) != want {
		t.Errorf("got %s", got)
	}
}

// What arrives and is not read is bounded in bytes, too.
func TestUnreadBytesAreBounded(t *testing.T) {
	initiator := []string{"open Bob chat 1", "send 0 hello", "sleep 1s", "receive 0", "receive 0", "receive 0", "done $answers"}
	responder := []string{"receive 0", "send 0 " + message("m1"), "send 0 " + message("m2"), "send 0 " + message("m3"), "done"}
	head, _ := play(t, flow.Config{MaxUnreadBytes: 900}, initiator, responder)
	if string(head.GetResult()) != `"session-error"` {
		t.Errorf("got %s, %v", head.GetResult(), head.GetError())
	}
	reading := []string{"open Bob chat 1", "send 0 hello", "receive 0", "receive 0", "receive 0", "done $answers"}
	if head, _ = play(t, flow.Config{MaxUnreadBytes: 900}, reading, responder); string(head.GetResult()) != `"ok"` {
		t.Errorf("of a flow that reads: %s, %v", head.GetResult(), head.GetError())
	}
}

// The head of a flow stays small enough to be written, whatever properties its sessions have: it can be killed.
func TestPropertiesDoNotKeepAFlowFromItsEnd(t *testing.T) {
	w := newWorld(flow.Config{})
	defer w.worker.Close()
	program := []string{}
	for range 200 {
		program = append(program, "open Bob chat 1 "+strings.Repeat("x", 8_000))
	}
	w.install("opener", strings.Join(append(program, "log open", "all sleep 1h, open Bob chat 1 "+strings.Repeat("x", 8_000), "done $answers"), "\n"))
	if _, err := w.start("opener", "r", "{}"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.idle(); err != nil {
		t.Fatal(err)
	}
	head := headOf(t, w, "r")
	if n := proto.Size(head); n < 900<<10 || n > 1<<20+64<<10 {
		t.Errorf("the head has %d bytes", n)
	}
	if n := len(head.GetSessions()); n < 100 || n >= 200 {
		t.Errorf("%d sessions are open", n)
	}
	kill := &flowv1.FlowCommand{Kind: flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL, By: "olga"}
	if _, err := w.deliver(record{topic: topics.FlowCommands, key: flowOf(t, w, "r"), msg: kill}); err != nil {
		t.Fatal(err)
	}
	head = headOf(t, w, "r")
	if n := proto.Size(head); head.GetState() != flowv1.FlowState_FLOW_STATE_KILLED || n > 64<<10 {
		t.Errorf("the flow is %s, its head has %d bytes", head.GetState(), n)
	}
}

// Properties are kept until they were said.
func TestPropertiesAreKeptUntilTheyWereSaid(t *testing.T) {
	initiator := []string{"open Bob chat 1 cheerful", "send 0 hello", "receive 0", "sleep 1h", "done"}
	head, _ := play(t, flow.Config{SessionTimeout: 2 * time.Hour}, initiator, []string{"info 0", "send 0 $last", "sleep 1h", "done"})
	s := head.GetSessions()[0]
	if s.GetStatus() != flowv1.SessionStatus_SESSION_STATUS_CONFIRMED || len(s.GetProperties()) != 0 {
		t.Errorf("the session is %s and has %v", s.GetStatus(), s.GetProperties())
	}
}

// A flow that computes lets the others of its partition go first after as many instructions as one step may have.
func TestInstructionsOfOneEventAreBounded(t *testing.T) {
	w := newWorld(flow.Config{MaxUnitsPerEvent: 1_000})
	defer w.worker.Close()
	w.install("busy", strings.Repeat("work 400\nsleep 0s\n", 7)+"done 1")
	if _, err := w.start("busy", "r", "{}"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint32{3, 6} {
		if got := headOf(t, w, "r").GetStep(); got != want || len(w.state.loop) != 1 {
			t.Errorf("the flow is at step %d, not %d, with %d records of its own", got, want, len(w.state.loop))
		}
		r, _ := w.next()
		if _, err := w.deliver(r); err != nil {
			t.Fatal(err)
		}
	}
	if head := headOf(t, w, "r"); head.GetState() != flowv1.FlowState_FLOW_STATE_COMPLETED {
		t.Errorf("the flow is %s", head.GetState())
	}
}

// A long journal is replayed in several events, by one instance; when it is let go on the way, the next is brought to
// the end at once, so that the flow gets there.
func TestReplaysAreBounded(t *testing.T) {
	for name, lose := range map[string]bool{"kept": false, "let go": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(flow.Config{MaxUnitsPerEvent: 1_000})
			defer func() { w.worker.Close() }()
			w.install("busy", strings.Repeat("work 400\nlog line\nsleep 0s\n", 20)+"sleep 1s\nlog end\ndone $seen")
			if _, err := w.start("busy", "r", "{}"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.idle(); err != nil {
				t.Fatal(err)
			}
			w.log.Reset()
			w.crash()
			began, events := w.sandbox.started, 0
			w.nowUs = w.nextTimer()
			for r, ok := w.next(); ok; r, ok = w.next() {
				if events++; lose && events == 3 {
					flow.Lose(w.worker, 0)
				}
				if _, err := w.deliver(r); err != nil {
					t.Fatal(err)
				}
				if w.nextTimer() > w.nowUs {
					break
				}
			}
			if head := headOf(t, w, "r"); head.GetState() != flowv1.FlowState_FLOW_STATE_COMPLETED {
				t.Fatalf("the flow is %s, %v, %v", head.GetState(), head.GetPause(), head.GetError())
			}
			wantEvents, wantInstances := 7, 1
			if lose {
				wantEvents, wantInstances = 3, 2
			}
			if events != wantEvents || w.sandbox.started-began != wantInstances {
				t.Errorf("%d events and %d instances, want %d and %d", events, w.sandbox.started-began, wantEvents, wantInstances)
			}
			if log := w.log.String(); strings.Contains(log, "msg=line") || !strings.Contains(log, "msg=end") {
				t.Errorf("logged: %s", log)
			}
		})
	}
}

// A reply that fails its flow for good does so with its own error, also when the flow could not go on.
func TestFatalReplyToAFlowThatCannotGoOn(t *testing.T) {
	w := newWorld(flow.Config{})
	defer w.worker.Close()
	n := newNetwork(w)
	w.install("finder", "find t a\ndone")
	if _, err := w.start("finder", "r", "{}"); err != nil {
		t.Fatal(err)
	}
	n.collect()
	w.nowUs += time.Second.Microseconds()
	clear(w.vnodes)
	reply := func() {
		t.Helper()
		if _, err := n.reply("fatal broken beyond repair", "", ""); err != nil {
			t.Fatal(err)
		}
	}
	reply()
	for range 3 { // until the virtual node was waited for
		w.nowUs += time.Minute.Microseconds()
		if _, err := w.idle(); err != nil {
			t.Fatal(err)
		}
	}
	head := headOf(t, w, "r")
	if head.GetState() != flowv1.FlowState_FLOW_STATE_FAILED || head.GetError().GetId() != "FL-X-001" {
		t.Errorf("the flow is %s: %v, %v", head.GetState(), head.GetError(), head.GetPause())
	}
}
