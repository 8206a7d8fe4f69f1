package flow_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// The scripts in testdata say what an operator would see on the topics. Each file is a world of its own.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		w := newWorld(flow.Config{MaxSteps: 20, MaxStepsPerEvent: 5, MaxRequestsPerStep: 5, LiveCount: 2, MaxSessions: 3, MaxUnread: 4})
		w.net = newNetwork(w)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			seen, err := command(t, w, d)
			if err != nil {
				seen = append(seen, "poison: "+err.Error())
			}
			if len(seen) == 0 {
				return "nothing\n"
			}
			return strings.Join(seen, "\n") + "\n"
		})
		w.worker.Close()
		if w.sandbox.live != 0 {
			t.Errorf("%d instances were not released", w.sandbox.live)
		}
	}
}

func command(t *testing.T, w *world, d *datadriven.TestData) ([]string, error) {
	arg := func(i int) string { return d.CmdArgs[i].Key }
	switch d.Cmd {
	case "program":
		w.install(arg(0), strings.TrimSpace(d.Input))
		return nil, nil
	case "start":
		body := `{}`
		if strings.TrimSpace(d.Input) != "" {
			body = strings.TrimSpace(d.Input)
		}
		if d.HasArg("large") {
			body = `"` + strings.Repeat("x", 600<<10) + `"`
		}
		return w.start(arg(0), arg(1), body)
	case "idle":
		return w.idle()
	case "loop":
		r, ok := w.next()
		if !ok {
			return nil, nil
		}
		return w.deliver(r)
	case "pass":
		pass, err := time.ParseDuration(arg(0))
		if err != nil {
			return nil, err
		}
		w.nowUs += pass.Microseconds()
		return w.idle()
	case "crash":
		w.crash()
		return nil, nil
	case "evict":
		flow.Lose(w.worker, 0)
		return nil, nil
	case "lose-events":
		w.state.loop, w.state.timers, w.state.due = nil, map[string]int64{}, map[string]proto.Message{}
		return nil, nil
	case "mend":
		w.sandbox.sick = false
		return nil, nil
	case "vnode":
		holder := w.holder()
		if d.HasArg("of") {
			var name string
			d.ScanArgs(t, "of", &name)
			holder = holderOf(name)
		}
		v := w.vnodes[holder.ShortHash()].(*vnodev1.VirtualNode)
		if d.HasArg("gone") {
			delete(w.vnodes, holder.ShortHash())
			return nil, nil
		}
		status := vnodev1.OperationalStatus(vnodev1.OperationalStatus_value["OPERATIONAL_STATUS_"+arg(0)])
		v.FlowP2P = status
		if !d.HasArg("sessions-only") {
			v.FlowStart, v.FlowOperation = status, status
		}
		return nil, nil
	case "hide":
		clear(map[string]view{"packages": w.cpis, "chunks": w.chunks, "vnodes": w.vnodes}[arg(0)])
		return nil, nil
	case "lose-row":
		j, err := w.rows(w.flowID(arg(0)))
		if err != nil {
			return nil, err
		}
		return nil, loseRow(w, j, w.flowID(arg(0)), arg(1))
	case "kill", "pause", "resume", "retry", "release-tokens", "conjure":
		kind := map[string]flowv1.FlowCommandKind{
			"kill": flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL, "pause": flowv1.FlowCommandKind_FLOW_COMMAND_KIND_PAUSE,
			"release-tokens": flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RELEASE_TOKENS,
			"resume":         flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RESUME, "retry": flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RETRY_FROM_STEP,
		}[d.Cmd]
		c := &flowv1.FlowCommand{Kind: kind, By: "olga", Reason: strings.TrimSpace(d.Input)}
		if d.Cmd == "retry" {
			var step uint64
			d.ScanArgs(t, "step", &step)
			c.Step = uint32(step)
			c.Force = d.HasArg("force")
		}
		if d.HasArg("by-the-mapper") {
			c.Id = "00000000-0000-5000-8000-0000000000c0"
			return w.deliver(record{topic: topics.FlowEvents, key: w.flowID(arg(0)), msg: &flowv1.FlowEvent{Event: &flowv1.FlowEvent_Command{Command: c}}})
		}
		return w.deliver(record{topic: topics.FlowCommands, key: w.flowID(arg(0)), msg: c})
	case "history":
		j, err := w.rows(w.flowID(arg(0)))
		if err != nil {
			return nil, err
		}
		var line journal.Line
		if head := w.head(w.flowID(arg(0))); head != nil {
			line = journal.Line(head.GetSegments())
		}
		var out []string
		for _, e := range journal.History(j, line) {
			text := e.Text()
			_, text, _ = strings.Cut(text, "  ")
			out = append(out, fmt.Sprintf("%s %s", clock(e.AtUs), roundTimes(text)))
		}
		return out, nil
	case "replay":
		return replay(w, w.flowID(arg(0)), strings.TrimSpace(d.Input))
	case "live":
		return []string{fmt.Sprintf("%d in memory, %d made so far", flow.LiveCount(w.worker), w.sandbox.started)}, nil
	case "host":
		w.host(arg(0))
		return nil, nil
	case "talk":
		return w.net.talk()
	case "forget-messages":
		w.net.collect()
		w.net.flight = nil
		return nil, nil
	case "again": // the last message in flight comes twice, and before the others
		w.net.collect()
		last := w.net.flight[len(w.net.flight)-1]
		w.net.flight = append([]inFlight{last}, w.net.flight...)
		return w.net.talk()
	case "flood":
		return flood(w, w.flowID(arg(0)))
	case "forge":
		return forge(w, w.flowID(arg(0)), arg(1))
	case "reply":
		var topic, request string
		if d.HasArg("on") {
			d.ScanArgs(t, "on", &topic)
		}
		if d.HasArg("to") {
			d.ScanArgs(t, "to", &request)
		}
		return w.net.reply(strings.TrimSpace(d.Input), topic, request)
	case "sessions":
		return w.sessions(w.flowID(arg(0))), nil
	case "key":
		w.key(arg(0), arg(1), arg(2))
		return nil, nil
	case "route":
		v := w.vnodes[w.holder().ShortHash()].(*vnodev1.VirtualNode)
		v.Channels = []*vnodev1.ChannelRoute{{Channel: arg(0), Topic: arg(1), Active: d.HasArg("active"), IgnoreWhenInactive: d.HasArg("ignore")}}
		return nil, nil
	case "log":
		defer w.log.Reset()
		return strings.Split(strings.TrimSpace(w.readable(w.log.String())), "\n"), nil
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return nil, nil
}

// replay is what "flow replay" does: a journal against a program that may be another.
func replay(w *world, id, program string) ([]string, error) {
	m, err := w.sandbox.Install(context.Background(), []byte(program))
	if err != nil {
		return nil, err
	}
	j, err := w.rows(id)
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	copy(seed[:], j.Step(j.Line(), 0)[0].GetStart().GetSeed())
	inst, err := m.NewInstance(context.Background(), seed, func(string) {})
	if err != nil {
		return nil, err
	}
	defer inst.Release(context.Background())
	verdicts, err := journal.All(context.Background(), inst, j, j.Line(), 0, flow.IsGuestFault)
	var out []string
	for _, v := range verdicts {
		if v.Err != nil {
			out = append(out, "differs: "+v.Err.Error())
			continue
		}
		out = append(out, fmt.Sprintf("step %d same: %s", v.Step, v.Recorded))
	}
	return out, err
}

// loseRow damages a journal.
func loseRow(w *world, j *journal.Journal, id, step string) error {
	var n uint32
	if _, err := fmt.Sscan(step, &n); err != nil {
		return err
	}
	if len(j.Step(j.Line(), n)) == 0 {
		return fmt.Errorf("step %d has no rows", n)
	}
	var keys []string
	for k := range w.state.store {
		if key, err := journal.ParseKey([]byte(k)); err == nil && key.Flow.String() == id && key.Step == n {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		delete(w.state.store, k)
	}
	return nil
}

// flood sends a flow more messages of its first session than it may leave unread, the first of them never.
func flood(w *world, id string) ([]string, error) {
	s := w.head(id).GetSessions()[0]
	var seen []string
	for i := range uint32(8) {
		e := eventFor(w, id, s)
		e.Sequence = i + 2
		e.Payload = &flowv1.SessionEvent_Data{Data: &flowv1.SessionData{Payload: []byte("x")}}
		out, err := w.deliver(record{topic: topics.FlowEvents, key: id, msg: &flowv1.FlowEvent{Event: &flowv1.FlowEvent_Session{Session: e}}})
		seen = append(seen, out...)
		if err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// eventFor is what the other side of a flow's session could send.
func eventFor(w *world, id string, s *flowv1.Session) *flowv1.SessionEvent {
	me := w.head(id).GetStart().GetIdentity()
	e := &flowv1.SessionEvent{
		Direction: flowv1.Direction_DIRECTION_INBOUND, SessionId: s.GetSessionId(), Initiating: s.GetCounterparty(), Initiated: me,
		FromInitiator: !s.GetInitiator(), Sequence: 1, SentAtUs: w.nowUs, Payload: &flowv1.SessionEvent_Data{Data: &flowv1.SessionData{Payload: []byte("forged")}},
	}
	if s.GetInitiator() {
		e.Initiating, e.Initiated = me, s.GetCounterparty()
	}
	return e
}

// forge sends a flow what its session's other side would never send.
func forge(w *world, id, how string) ([]string, error) {
	e := eventFor(w, id, w.head(id).GetSessions()[0])
	switch how {
	case "session":
		e.SessionId = id
	case "sender":
		e.FromInitiator = !e.FromInitiator
	case "identity":
		e.Initiating, e.Initiated = &vnodev1.HoldingIdentity{X500Name: "O=Mallory, L=London, C=GB", GroupId: "group"}, &vnodev1.HoldingIdentity{X500Name: "O=Mallory, L=London, C=GB", GroupId: "group"}
	case "number":
		e.Sequence = 0
	case "direction":
		e.Direction = flowv1.Direction_DIRECTION_OUTBOUND
	case "id":
		e.SessionId = "x"
	}
	return w.deliver(record{topic: topics.FlowEvents, key: id, msg: &flowv1.FlowEvent{Event: &flowv1.FlowEvent_Session{Session: e}}})
}

// roundTimes cuts durations of microseconds, which only count the transactions of the test.
func roundTimes(s string) string {
	i := strings.LastIndex(s, " after ")
	if i < 0 {
		return s
	}
	rest, tail, _ := strings.Cut(s[i+len(" after "):], " ")
	if d, err := time.ParseDuration(rest); err == nil {
		rest = d.Truncate(time.Millisecond).String()
	}
	return strings.TrimSpace(s[:i] + " after " + rest + " " + tail)
}
