package flow_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// drawProgram makes a program whose requests depend on all that it has seen, so that a difference anywhere shows.
func drawProgram(t *rapid.T) string {
	word := rapid.SampledFrom([]string{"sleep 0s", "sleep 1s", "sleep-some", "checkpoint", "unknown 17"})
	lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		if n := rapid.IntRange(1, 3).Draw(t, "at once"); n > 1 {
			return "all " + strings.Join(rapid.SliceOfN(word, n, n).Draw(t, "words"), ", ")
		}
		return word.Draw(t, "word")
	}), 1, 12).Draw(t, "lines")
	end := rapid.SampledFrom([]string{"done $seen", "fail own reason", "trap panic", "trap out-of-memory", "garbage"}).Draw(t, "end")
	return strings.Join(append(lines, end), "\n")
}

// finish runs a world until nothing is left to happen. Each is called before each record with what it will be.
func finish(w *world, each func(record) error) error {
	for range 10_000 {
		r, ok := w.next()
		if !ok {
			at := w.nextTimer()
			if at == 0 {
				return nil
			}
			w.nowUs = max(w.nowUs, at)
			continue
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return fmt.Errorf("the world does not come to rest")
}

func plainly(w *world) func(record) error {
	return func(r record) error {
		_, err := w.deliver(r)
		return err
	}
}

// difference says how two worlds differ in what is committed.
func difference(a, b *world) string {
	for _, m := range []struct {
		name string
		a, b map[string][]byte
	}{{"table", a.state.table, b.state.table}, {"journal", a.state.store, b.state.store}} {
		if !maps.EqualFunc(m.a, m.b, func(x, y []byte) bool { return string(x) == string(y) }) {
			return fmt.Sprintf("%s: %d and %d rows, or their contents differ", m.name, len(m.a), len(m.b))
		}
	}
	if !maps.Equal(a.state.timers, b.state.timers) {
		return fmt.Sprintf("timers: %v and %v", a.state.timers, b.state.timers)
	}
	same := func(x, y record) bool { return x.topic == y.topic && x.key == y.key && proto.Equal(x.msg, y.msg) }
	if !slices.EqualFunc(a.state.out, b.state.out, same) {
		return fmt.Sprintf("%d and %d records were written, or their contents differ", len(a.state.out), len(b.state.out))
	}
	return ""
}

// However often an instance is lost, a transaction aborted or the process killed, between any two steps: the same
// program, seed and clock have the same journal, head, timers and records, byte for byte.
func TestReplayEqualsLive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		program := drawProgram(t)
		cfg := flow.Config{MaxStepsPerEvent: rapid.IntRange(1, 4).Draw(t, "steps per event")}
		calm := newWorld(cfg)
		calm.install("p", program)
		if _, err := calm.start("p", "r", "{}"); err != nil {
			t.Fatal(err)
		}
		if err := finish(calm, plainly(calm)); err != nil {
			t.Fatal(err)
		}

		if rapid.Bool().Draw(t, "no memory") {
			cfg.LiveBytes = 1
		}
		storm := newWorld(cfg)
		storm.install("p", program)
		if _, err := storm.start("p", "r", "{}"); err != nil {
			t.Fatal(err)
		}
		fault := rapid.SampledFrom([]string{"", "abort", "kill before", "kill after", "evict", "drop"})
		if err := finish(storm, func(r record) error {
			f := fault.Draw(t, "fault")
			before, now := storm.state.clone(), storm.nowUs
			if f == "abort" || f == "kill before" || f == "drop" {
				if _, err := storm.deliver(r); err != nil {
					return err
				}
				storm.state, storm.nowUs = before, now
				switch f {
				case "abort":
					flow.Lose(storm.worker, 0)
				case "drop":
					storm.drop(r.key)
				default:
					storm.crash()
				}
			}
			if _, err := storm.deliver(r); err != nil {
				return err
			}
			switch f {
			case "kill after":
				storm.crash()
			case "evict":
				flow.Lose(storm.worker, 0)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if d := difference(calm, storm); d != "" {
			t.Fatalf("%s\n%s", program, d)
		}
		for _, w := range []*world{calm, storm} {
			w.worker.Close()
			if w.sandbox.live != 0 {
				t.Fatalf("%d instances were not released", w.sandbox.live)
			}
		}
	})
}

// Whatever an operator asks at whatever time: no flow hangs, an end is final, every command is audited, each record
// that comes twice has the effect of once, and the journal can always be replayed from its start.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(flow.Config{MaxStepsPerEvent: 3})
		w.install("p", drawProgram(t))
		commands := 0
		deliver := func(r record) {
			t.Helper()
			if _, err := w.deliver(r); err != nil {
				t.Fatal(err)
			}
			if err := w.check(commands); err != nil {
				t.Fatal(err)
			}
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "flows") {
			if _, err := w.start("p", fmt.Sprintf("r%d", i), "{}"); err != nil {
				t.Fatal(err)
			}
		}
		ids := slices.Sorted(maps.Keys(w.names))
		t.Repeat(map[string]func(*rapid.T){
			"work": func(t *rapid.T) {
				r, ok := w.next()
				if !ok {
					t.Skip("nothing to do")
				}
				deliver(r)
				if rapid.Bool().Draw(t, "twice") {
					before := w.state.clone()
					now := w.nowUs
					deliver(r)
					if !maps.EqualFunc(before.table, w.state.table, func(x, y []byte) bool { return string(x) == string(y) }) ||
						!maps.EqualFunc(before.store, w.state.store, func(x, y []byte) bool { return string(x) == string(y) }) ||
						len(before.out) != len(w.state.out) {
						t.Fatalf("%s changed something the second time, at %d", describe(r.msg), now)
					}
				}
			},
			"time": func(*rapid.T) {
				if at := w.nextTimer(); at > w.nowUs {
					w.nowUs = at
				}
			},
			"crash": func(*rapid.T) { w.crash() },
			"clock": func(*rapid.T) { w.still = !w.still },
			"abort": func(t *rapid.T) {
				before, now := w.state.clone(), w.nowUs
				r, ok := w.next()
				if !ok {
					t.Skip("nothing to do")
				}
				if _, err := w.deliver(r); err != nil {
					t.Fatal(err)
				}
				w.state, w.nowUs = before, now
				flow.Lose(w.worker, 0)
			},
			"command": func(t *rapid.T) {
				kind := rapid.SampledFrom([]flowv1.FlowCommandKind{
					flowv1.FlowCommandKind_FLOW_COMMAND_KIND_PAUSE, flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RESUME,
					flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RESUME, flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RETRY_FROM_STEP,
					flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RETRY_FROM_STEP, flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL,
				}).Draw(t, "kind")
				if kind == flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL && rapid.IntRange(0, 3).Draw(t, "mercy") > 0 {
					t.Skip("mercy")
				}
				commands++
				deliver(record{topic: topics.FlowCommands, key: rapid.SampledFrom(ids).Draw(t, "flow"), msg: &flowv1.FlowCommand{
					Kind: kind, By: "olga", Step: rapid.Uint32Range(0, 6).Draw(t, "step"),
				}})
			},
		})
		w.worker.Close()
	})
}

// check says which of the promises the world breaks.
func (w *world) check(commands int) error {
	audited := 0
	ended := map[string]bool{}
	for _, o := range w.state.out {
		switch m := o.msg.(type) {
		case *flowv1.FlowStatus:
			if ended[m.GetFlowId()] {
				return fmt.Errorf("flow %s has a status after its end", m.GetFlowId())
			}
			ended[m.GetFlowId()] = flow.Ended(m.GetState())
		case *flowv1.MapperStart:
		default:
			audited++
		}
	}
	if audited != commands {
		return fmt.Errorf("%d commands, %d audited", commands, audited)
	}
	for id := range w.names {
		head := w.head(id)
		if head == nil {
			return fmt.Errorf("flow %s is gone", id)
		}
		if ended[id] != flow.Ended(head.GetState()) {
			return fmt.Errorf("flow %s: status and head disagree", id)
		}
		if !ended[id] && head.GetPause() == nil && !w.pending(id) {
			return fmt.Errorf("flow %s hangs at step %d", id, head.GetStep())
		}
		j, err := w.rows(id)
		if err != nil {
			return err
		}
		line := journal.Line(head.GetSegments())
		if seen, err := verdicts(w, j, line); err != nil {
			return fmt.Errorf("flow %s: %w", id, err)
		} else if n := int(j.Last(line)); len(seen) != n {
			return fmt.Errorf("flow %s: %d of %d steps could be replayed", id, len(seen), n)
		}
	}
	return nil
}

// pending tells whether something will happen to a flow by itself.
func (w *world) pending(id string) bool {
	for name := range w.state.timers {
		if strings.HasPrefix(name, id+" due/") {
			return true
		}
	}
	return slices.ContainsFunc(w.state.loop, func(r record) bool { return r.key == id })
}

// verdicts replays a flow's line with the module it runs; an error when a step is not the same.
func verdicts(w *world, j *journal.Journal, line journal.Line) ([]journal.Verdict, error) {
	start := j.Step(line, 0)[0].GetStart()
	m, ok := w.sandbox.Module([32]byte(start.GetModuleSha256()))
	if !ok {
		return make([]journal.Verdict, j.Last(line)), nil // after a crash, before its first use
	}
	inst, err := m.NewInstance(w.ctx(), [32]byte(start.GetSeed()), func(string) {})
	if err != nil {
		return nil, err
	}
	defer inst.Release(w.ctx())
	seen, err := journal.All(w.ctx(), inst, j, line, 0, flow.IsGuestFault)
	if err != nil {
		return nil, err
	}
	for _, v := range seen {
		if v.Err != nil {
			return nil, v.Err
		}
	}
	return seen, nil
}
