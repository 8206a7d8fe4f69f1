package trace

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

const (
	request = "r1-253501665E9D"
	flow1   = "00000000-0000-5000-8000-000000000001"
	flow2   = "00000000-0000-5000-8000-000000000002"
)

// record is written as "topic/partition/offset key cause now": cause - for none.
func record(t *testing.T, line string) kafkaadmin.Record {
	t.Helper()
	f := strings.Fields(line)
	place, err := engine.ParseCause(f[0])
	if err != nil {
		t.Fatal(err)
	}
	var now int64
	if _, err := fmt.Sscan(f[3], &now); err != nil {
		t.Fatal(err)
	}
	r := kafkaadmin.Record{
		Topic: place.Topic, Partition: place.Partition, Offset: place.Offset, Key: []byte(f[1]), Value: []byte("x"),
		Time:    time.UnixMicro(now).Truncate(time.Millisecond).Add(time.Millisecond),
		Headers: []kafkaadmin.Header{{Name: engine.HeaderType, Value: "fairlead.flow.v1.Message"}, {Name: engine.HeaderNow, Value: f[3]}},
	}
	if f[2] != "-" {
		r.Headers = append(r.Headers, kafkaadmin.Header{Name: engine.HeaderCause, Value: f[2]})
	}
	return r
}

// memoryLog is a Log of lines.
type memoryLog map[string][]kafkaadmin.Record

func (m memoryLog) Read(_ context.Context, r kafkaadmin.Range, f func(kafkaadmin.Record) error) error {
	for _, topic := range r.Topics {
		if _, ok := m[topic]; !ok {
			return fmt.Errorf("reading: %w", kerr.UnknownTopicOrPartition)
		}
		for _, rec := range m[topic] {
			if err := f(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// Two flows: the first sleeps once and is paused by an operator; its end lets the second, which waited, begin.
func story(t *testing.T) memoryLog {
	t.Helper()
	log := memoryLog{}
	for line := range strings.Lines(`flow.mapper.start/0/0 ` + request + ` - 1000000
flow.mapper.start/0/1 r2-253501665E9D - 1000100
flow.events/1/0 ` + flow1 + ` flow.mapper.start/0/0 1005000
flow.status/2/0 ` + request + ` flow.mapper.start/0/0 1005000
flow.status/2/1 ` + request + ` flow.events/1/0 1008000
flow.loop-unknown/0/0 x flow.events/1/0 1008000
flow-loop/1/0 ` + flow1 + ` flow.events/1/0 3008000
flow.commands/1/0 ` + flow1 + ` - 2000000
flow.status/2/2 ` + request + ` flow.commands/1/0 2001000
flow.status/2/3 ` + request + ` flow-loop/1/0 3010000
flow.mapper.start/0/2 ` + request + ` flow-loop/1/0 3010000
flow-mapper-loop/0/0 r2-253501665E9D flow.mapper.start/0/2 3012000
flow.events/0/0 ` + flow2 + ` flow-mapper-loop/0/0 3014000
flow.status/2/4 r2-253501665E9D flow.events/0/0 3016000
`) {
		r := record(t, line)
		log[r.Topic] = append(log[r.Topic], r)
	}
	return log
}

func build(t *testing.T, id string) Trace {
	t.Helper()
	records, err := Scan(t.Context(), story(t), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return Build(id, records)
}

func places(tr Trace) string {
	var out []string
	for _, h := range tr.Hops {
		out = append(out, fmt.Sprintf("%s/%d/%d", h.Topic, h.Partition, h.Offset))
	}
	return strings.Join(out, " ")
}

func TestTraceIsTheSameByEitherId(t *testing.T) {
	want := "flow.mapper.start/0/0 flow.events/1/0 flow.status/2/0 flow.status/2/1 flow.commands/1/0 flow.status/2/2 flow-loop/1/0 flow.mapper.start/0/2 flow.status/2/3 flow-mapper-loop/0/0"
	for _, id := range []string{"r1", request, flow1} {
		tr := build(t, id)
		if got := places(tr); got != want {
			t.Errorf("%s:\n got %s\nwant %s", id, got, want)
		}
		if !slices.Equal(tr.Workers, []string{"flow", "flow-mapper", "rest"}) || tr.TotalMicros < 2_012_000 || tr.StartedMicros != 1_000_000 {
			t.Errorf("%s: %+v", id, tr)
		}
	}
}

// The second flow was let in by the end of the first: that is shown, and not the whole story of the first.
func TestOtherFlowsAreOnlyTouched(t *testing.T) {
	got := places(build(t, "r2"))
	if want := "flow.mapper.start/0/1 flow.mapper.start/0/2 flow-mapper-loop/0/0 flow.events/0/0 flow.status/2/4"; got != want {
		t.Errorf("got %s", got)
	}
}

// A session is followed from either flow, and by its own id: what the one sends begins the other.
func TestSessionsAreFollowedAcrossFlows(t *testing.T) {
	const session = "00000000-0000-5000-8000-0000000000aa"
	log := memoryLog{}
	for line := range strings.Lines(`flow.mapper.start/0/0 ` + request + ` - 1000000
flow.events/1/0 ` + flow1 + ` flow.mapper.start/0/0 1005000
flow.mapper.session/0/0 ` + session + ` flow.events/1/0 1006000
flow.mapper.session/1/0 ` + session + `-INITIATED flow.mapper.session/0/0 1007000
flow.events/2/0 ` + flow2 + ` flow.mapper.session/1/0 1008000
flow.mapper.session/1/1 ` + session + `-INITIATED flow.events/2/0 1009000
flow.mapper.session/0/1 ` + session + ` flow.mapper.session/1/1 1010000
flow.events/1/1 ` + flow1 + ` flow.mapper.session/0/1 1011000
flow.status/0/0 ` + request + ` flow.events/1/1 1012000
flow.events/1/2 other flow.mapper.session/0/9 1012000
`) {
		r := record(t, line)
		log[r.Topic] = append(log[r.Topic], r)
	}
	records, err := Scan(t.Context(), log, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"r1", flow1, flow2, session} {
		tr := Build(id, records)
		if len(tr.Hops) != 9 || tr.InARow != 9 || !slices.Equal(tr.FlowIDs, []string{flow1, flow2}) {
			t.Errorf("%s: %d hops, %d in a row, flows %v: %s", id, len(tr.Hops), tr.InARow, tr.FlowIDs, places(tr))
		}
	}
}

func TestHopsTellTimesAndWorkers(t *testing.T) {
	tr := build(t, flow1)
	first, second := tr.Hops[0], tr.Hops[1]
	if first.WrittenBy != "rest" || first.ReadBy != "flow-mapper" || first.Cause != 0 || first.WorkMicros != 1000 || first.WaitMicros != 4000 || first.Depth != 1 {
		t.Errorf("first: %+v", first)
	}
	if second.WrittenBy != "flow-mapper" || second.ReadBy != "flow" || second.Cause != 1 || second.Depth != 2 || second.AtMicros != 5000 {
		t.Errorf("second: %+v", second)
	}
	if status := tr.Hops[8]; status.Topic != topics.FlowStatus || status.WaitMicros != -1 {
		t.Errorf("a status, which nothing follows from: %+v", status)
	}
	if last := tr.Hops[len(tr.Hops)-1]; tr.InARow != last.Depth || last.Depth != 5 {
		t.Errorf("last: %+v, in a row %d", last, tr.InARow)
	}
}

func TestChain(t *testing.T) {
	whole := build(t, flow1)
	chain := whole.Chain()
	if len(chain.Hops) != whole.InARow || len(chain.Hops) < 3 || len(chain.Hops) == len(whole.Hops) {
		t.Fatalf("%d of %d hops, %d are in a row", len(chain.Hops), len(whole.Hops), whole.InARow)
	}
	before := 0
	for _, h := range chain.Hops {
		if h.Cause != before {
			t.Errorf("hop %d follows from %d, and stands behind %d", h.Number, h.Cause, before)
		}
		before = h.Number
	}
	if empty := (Trace{}).Chain(); len(empty.Hops) != 0 {
		t.Errorf("a chain of nothing: %+v", empty.Hops)
	}
}

func TestUnknownIdHasNoHops(t *testing.T) {
	tr := build(t, "nobody")
	if len(tr.Hops) != 0 || tr.Workers == nil || tr.FlowIDs == nil {
		t.Errorf("got %+v", tr)
	}
}

func TestShown(t *testing.T) {
	tr := build(t, flow1)
	var b strings.Builder
	if err := tr.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"flow.mapper.start", "rest → flow-mapper", "4.0 ms", "10 hops", "+2.01s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	d := xml.NewDecoder(strings.NewReader(tr.SVG()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := json.Marshal(tr); err != nil {
		t.Error(err)
	}
}

func TestTopicsLeaveOutWhatIsNoHop(t *testing.T) {
	got := Topics()
	for _, want := range []string{topics.FlowMapperStart, topics.FlowEvents, topics.FlowCommands, topics.FlowStatus, "flow-loop", "flow.dlq"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %v", want, got)
		}
	}
	for _, no := range []string{"flow-table", "flow-store-journal", "flow-engine", topics.RBACUser, topics.CpiChunks, topics.Schemas} {
		if slices.Contains(got, no) {
			t.Errorf("%s is in %v", no, got)
		}
	}
}

// The beginning of an id is enough: of a flow, of a request whose key has the virtual node behind it, and of a session
// whichever side's key it is.
func TestBeginning(t *testing.T) {
	const session = "a50a09b3-829a-5df7-8b38-811de0115a19"
	var records []Record
	for _, key := range []string{request, "r2-253501665E9D", flow1, flow2, session, session + "-INITIATED", session + "-INITIATED-253501665E9D"} {
		records = append(records, Record{Key: key})
	}
	for prefix, want := range map[string][]string{
		"a50a": {session}, "r1": {"r1"}, "r": {"r1", "r2"}, "00000000": {flow1, flow2}, flow1[:35]: {flow1, flow2}, flow2: {flow2}, "zzzz": nil, request: {request},
	} {
		if got := Beginning(prefix, records); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", prefix, got, want)
		}
	}
}
