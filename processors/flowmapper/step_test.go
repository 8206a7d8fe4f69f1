package flowmapper_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/processors/flowmapper"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

type identityProto = vnodev1.HoldingIdentity

func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		w := newWorld(1000, 10_000)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			seen, err := command(t, w, d)
			if err != nil {
				return fmt.Sprintf("poison: %v\n", err)
			}
			if len(seen) == 0 {
				return "nothing\n"
			}
			return strings.Join(seen, "\n") + "\n"
		})
	}
}

// command runs one line of a script.
func command(t *testing.T, w *world, d *datadriven.TestData) ([]string, error) {
	switch d.Cmd {
	case "limits":
		var vnode, partition uint64
		d.ScanArgs(t, "vnode", &vnode)
		d.ScanArgs(t, "partition", &partition)
		w.rules.MaxRunningPerVnode, w.rules.MaxRunning = vnode, partition
		return nil, nil
	case "start":
		name, request := d.CmdArgs[0].Key, d.CmdArgs[1].Key
		key, s := w.key(name, request), w.startOf(name, request)
		for _, a := range d.CmdArgs[2:] {
			key = spoil(w, s, key, a)
		}
		return w.start(key, s)
	case "ended":
		name, request := d.CmdArgs[0].Key, d.CmdArgs[1].Key
		key := w.key(name, request)
		ended := &flowv1.FlowEnded{FlowId: w.mappings[key].GetFlowId(), State: flowv1.FlowState_FLOW_STATE_COMPLETED}
		for _, a := range d.CmdArgs[2:] {
			switch a.Key {
			case "of-another-flow":
				id := w.flowID(999)
				ended.FlowId = id[:]
			case "state":
				ended.State = flowv1.FlowState(flowv1.FlowState_value["FLOW_STATE_"+a.Vals[0]])
			}
		}
		return w.step(key, flowmapper.FlowEnded{Key: key, Ended: ended, NowUs: w.nowUs})
	case "kill", "pause", "resume", "retry":
		kind := map[string]flowv1.FlowCommandKind{
			"kill": flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL, "pause": flowv1.FlowCommandKind_FLOW_COMMAND_KIND_PAUSE,
			"resume": flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RESUME, "retry": flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RETRY_FROM_STEP,
		}[d.Cmd]
		return w.command(w.key(d.CmdArgs[0].Key, d.CmdArgs[1].Key), kind)
	case "deliver":
		return w.deliver()
	case "admit":
		key := w.key(d.CmdArgs[0].Key, d.CmdArgs[1].Key)
		return w.step(key, flowmapper.Admitted{Key: key, NowUs: w.nowUs})
	case "expire":
		key := w.key(d.CmdArgs[0].Key, d.CmdArgs[1].Key)
		return w.step(key, flowmapper.Expired{Key: key, NowUs: w.nowUs})
	case "pass":
		pass, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			return nil, err
		}
		w.nowUs += pass.Microseconds()
		return w.fire()
	case "mappings":
		var out []string
		for key, m := range w.mappings {
			out = append(out, w.show(key)+" "+strings.TrimPrefix(m.GetStatus().String(), "MAPPING_STATUS_"))
		}
		slices.Sort(out)
		return append(out, fmt.Sprintf("%d running, %d waiting", w.places.Running, w.places.Waiting)), nil
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return nil, nil
}

// spoil makes a start wrong in one way and returns the key to send it under.
func spoil(w *world, s *flowv1.StartFlow, key string, a datadriven.CmdArg) string {
	value := ""
	if len(a.Vals) > 0 {
		value = a.Vals[0]
	}
	switch a.Key {
	case "key":
		return value
	case "class":
		s.FlowClass = value
	case "body":
		s.RequestBody = []byte(value)
	case "request":
		s.ClientRequestId = value
	case "vnode":
		s.Vnode = value
	case "name":
		s.Identity.X500Name = strings.Join(a.Vals, ", ")
	case "initiator":
		s.Initiator = flowv1.Initiator(flowv1.Initiator_value["INITIATOR_"+value])
	case "identity-of":
		h := w.holder(value)
		s.Identity.X500Name = h.Name.String()
	}
	return key
}

// Whatever happens in whatever order: the counts are right, limits hold, nobody waits while there is a place, no
// request starts two flows; and every record delivered twice has the effect of once.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perVnode := rapid.Uint64Range(1, 3).Draw(t, "per vnode")
		perPartition := rapid.Uint64Range(1, 5).Draw(t, "per partition")
		w := newWorld(perVnode, perPartition)
		twice := rapid.Bool().Draw(t, "twice")
		apply := func(f func() ([]string, error)) {
			if _, err := f(); err != nil {
				t.Fatal(err)
			}
			if err := w.check(); err != nil {
				t.Fatal(err)
			}
			if !twice {
				return
			}
			before := w.snapshot()
			if _, err := f(); err != nil {
				t.Fatal(err)
			}
			if after := w.snapshot(); after != before {
				t.Fatalf("the second time changed\n%s\nto\n%s", before, after)
			}
		}
		name := rapid.SampledFrom([]string{"Alice", "Bob", "Carol"})
		request := rapid.SampledFrom([]string{"r1", "r2", "r3", "r4"})
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				n, r := name.Draw(t, "vnode"), request.Draw(t, "request")
				apply(func() ([]string, error) { return w.start(w.key(n, r), w.startOf(n, r)) })
			},
			"end": func(t *rapid.T) {
				key := w.key(name.Draw(t, "vnode"), request.Draw(t, "request"))
				m := w.mappings[key]
				if m.GetStatus() != flowv1.MappingStatus_MAPPING_STATUS_OPEN {
					t.Skip("no running flow")
				}
				e := flowmapper.FlowEnded{Key: key, Ended: &flowv1.FlowEnded{FlowId: m.GetFlowId(), State: flowv1.FlowState_FLOW_STATE_FAILED}, NowUs: w.nowUs}
				apply(func() ([]string, error) { return w.step(key, e) })
			},
			"admit": func(t *rapid.T) {
				if len(w.loop) == 0 {
					t.Skip("no admission under way")
				}
				key := w.loop[0]
				w.loop = w.loop[1:]
				apply(func() ([]string, error) {
					return w.step(key, flowmapper.Admitted{Key: key, NowUs: w.nowUs})
				})
			},
			"command": func(t *rapid.T) {
				key := w.key(name.Draw(t, "vnode"), request.Draw(t, "request"))
				kind := rapid.SampledFrom([]flowv1.FlowCommandKind{
					flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL, flowv1.FlowCommandKind_FLOW_COMMAND_KIND_PAUSE,
				}).Draw(t, "kind")
				apply(func() ([]string, error) { return w.command(key, kind) })
			},
			"late timer": func(t *rapid.T) {
				key := w.key(name.Draw(t, "vnode"), request.Draw(t, "request"))
				apply(func() ([]string, error) {
					return w.step(key, flowmapper.Expired{Key: key, NowUs: w.nowUs})
				})
			},
			"time passes": func(t *rapid.T) {
				w.nowUs += (time.Duration(rapid.Int64Range(1, 200).Draw(t, "hours")) * time.Hour).Microseconds()
				if _, err := w.fire(); err != nil {
					t.Fatal(err)
				}
				if err := w.check(); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// snapshot writes down all that a repetition must not change.
func (w *world) snapshot() string {
	var out []string
	for key, m := range w.mappings {
		out = append(out, "mapping "+key+" "+string(must(proto.MarshalOptions{Deterministic: true}.Marshal(m))))
	}
	for key, s := range w.status {
		out = append(out, "status "+key+" "+string(must(proto.MarshalOptions{Deterministic: true}.Marshal(s))))
	}
	for p, key := range w.queues {
		out = append(out, "queue "+p+" "+key)
	}
	for key, at := range w.expiry {
		out = append(out, fmt.Sprintf("expiry %s %d", key, at))
	}
	slices.Sort(out)
	return strings.Join(append(out, fmt.Sprint(w.started, w.loop, w.places)), "\n")
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// A virtual node with a long queue does not keep another waiting for long: places go round.
func TestPlacesGoRound(t *testing.T) {
	w := newWorld(100, 1)
	run := func(name, request string) {
		if _, err := w.start(w.key(name, request), w.startOf(name, request)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		run("Alice", fmt.Sprintf("a%d", i))
	}
	run("Bob", "b0")
	run("Carol", "c0")
	for range 6 {
		for key, m := range w.mappings {
			if m.GetStatus() != flowv1.MappingStatus_MAPPING_STATUS_OPEN {
				continue
			}
			end := &flowv1.FlowEnded{FlowId: m.GetFlowId(), State: flowv1.FlowState_FLOW_STATE_COMPLETED}
			if _, err := w.step(key, flowmapper.FlowEnded{Key: key, Ended: end, NowUs: w.nowUs}); err != nil {
				t.Fatal(err)
			}
			break
		}
		if _, err := w.deliver(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"Bob/b0", "Carol/c0"} {
		if i := slices.Index(w.started, want); i < 0 || i > 4 {
			t.Errorf("%s started as number %d of %v", want, i, w.started)
		}
	}
}

func FuzzCheckStart(f *testing.F) {
	w := newWorld(1, 1)
	good := w.startOf("Alice", "r1")
	raw, err := proto.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(w.key("Alice", "r1"), raw)
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, key string, raw []byte) {
		var s flowv1.StartFlow
		if proto.Unmarshal(raw, &s) != nil {
			return
		}
		if flowmapper.CheckStart(key, &s) == nil && key != s.GetClientRequestId()+"-"+s.GetVnode() {
			t.Fatalf("%q was accepted for %v", key, &s)
		}
	})
}
