package journal_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Keys sort in the order in which things happen, and read back as they were.
func TestKeys(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) journal.Key {
		return journal.Key{
			Flow:    identity.FlowID([16]byte{}, 0, rapid.Int64Range(0, 1).Draw(t, "flow")),
			Attempt: rapid.Uint32().Draw(t, "attempt"), Step: rapid.Uint32().Draw(t, "step"), Ordinal: rapid.Uint32().Draw(t, "ordinal"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		back, err := journal.ParseKey(a.Bytes())
		if err != nil || back != a {
			t.Fatalf("%v became %v: %v", a, back, err)
		}
		if !bytes.HasPrefix(a.Bytes(), journal.FlowPrefix(a.Flow)) || !bytes.HasPrefix(a.Bytes(), journal.StepPrefix(a.Flow, a.Attempt, a.Step)) {
			t.Fatalf("%v does not begin with its prefixes", a)
		}
		if a.Flow != b.Flow {
			return
		}
		earlier := a.Attempt < b.Attempt || a.Attempt == b.Attempt && (a.Step < b.Step || a.Step == b.Step && a.Ordinal < b.Ordinal)
		if earlier != (bytes.Compare(a.Bytes(), b.Bytes()) < 0) {
			t.Fatalf("%v and %v are in the wrong order", a, b)
		}
	})
	if _, err := journal.ParseKey(make([]byte, journal.KeyLength-1)); err == nil {
		t.Error("a short key was taken")
	}
}

// A line of any number of retries is what a flow that keeps one list of (attempt, step) would have.
func TestLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line, attempt := journal.NewLine(), uint32(1)
		model := []uint32{1} // the attempt of each step
		rows := map[journal.Key]*flowv1.JournalRow{{Attempt: 1}: {Row: &flowv1.JournalRow_Start{Start: &flowv1.JournalStart{}}}}
		for range rapid.IntRange(0, 8).Draw(t, "retries") {
			for range rapid.IntRange(1, 5).Draw(t, "steps") {
				rows[journal.Key{Attempt: attempt, Step: uint32(len(model))}] = &flowv1.JournalRow{Row: &flowv1.JournalRow_Request{Request: &flowv1.JournalRequest{}}}
				model = append(model, attempt)
			}
			after := rapid.Uint32Range(0, uint32(len(model)-1)).Draw(t, "after")
			attempt++
			model = model[:after+1]
			line = line.Cut(after, attempt)
		}
		rows[journal.Key{Attempt: attempt, Step: uint32(len(model))}] = &flowv1.JournalRow{Row: &flowv1.JournalRow_Request{Request: &flowv1.JournalRequest{}}}
		model = append(model, attempt)
		j := journal.NewJournal(rows)
		if n := j.Last(line); int(n) != len(model)-1 {
			t.Fatalf("the line ends at %d, not %d", n, len(model)-1)
		}
		for step, want := range model {
			if got := line.AttemptOf(uint32(step)); got != want {
				t.Fatalf("step %d: attempt %d, not %d", step, got, want)
			}
			if got := j.Line().AttemptOf(uint32(step)); got != want {
				t.Fatalf("step %d, from the rows: attempt %d, not %d", step, got, want)
			}
			if len(j.Step(line, uint32(step))) != 1 {
				t.Fatalf("step %d has no row", step)
			}
		}
	})
}

// stubborn returns the same bytes whatever it is asked.
type stubborn struct {
	yield []byte
	err   error
}

func (s stubborn) Start(context.Context, int64, []byte) ([]byte, error)  { return s.yield, s.err }
func (s stubborn) Resume(context.Context, int64, []byte) ([]byte, error) { return s.yield, s.err }

// ends is a journal of a flow that ends in its first step.
func ends(end *flowv1.JournalEnd) *journal.Journal {
	return journal.NewJournal(map[journal.Key]*flowv1.JournalRow{
		{Attempt: 1}:          {Row: &flowv1.JournalRow_Start{Start: &flowv1.JournalStart{}}},
		{Attempt: 1, Step: 1}: {Row: &flowv1.JournalRow_End{End: end}},
	})
}

func TestReplayOfEnds(t *testing.T) {
	yield := func(y *appv1.Yield) []byte {
		raw, err := proto.Marshal(y)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	done := yield(&appv1.Yield{Outcome: &appv1.Yield_Done{Done: &appv1.Done{Result: []byte("1")}}})
	failed := yield(&appv1.Yield{Outcome: &appv1.Yield_Failed{Failed: &appv1.Failed{Error: &appv1.Error{Type: "own", Message: "why"}}}})
	completed := &flowv1.JournalEnd{State: flowv1.FlowState_FLOW_STATE_COMPLETED, Result: []byte("1")}
	own := &flowv1.JournalEnd{State: flowv1.FlowState_FLOW_STATE_FAILED, Error: &flowv1.FlowError{Type: "own", Message: "why", Id: journal.ApplicationErrorID}}
	panicked := &flowv1.JournalEnd{State: flowv1.FlowState_FLOW_STATE_FAILED, Error: &flowv1.FlowError{Type: "panic", Message: "why", Id: journal.PanicErrorID}}
	platform := &flowv1.JournalEnd{State: flowv1.FlowState_FLOW_STATE_FAILED, Error: &flowv1.FlowError{Id: "FL-FLOW-006"}}
	killed := &flowv1.JournalEnd{State: flowv1.FlowState_FLOW_STATE_KILLED}
	guestFault := errors.New("trap")
	for _, c := range []struct {
		name string
		end  *flowv1.JournalEnd
		inst stubborn
		want string // empty: the same
	}{
		{"completed", completed, stubborn{yield: done}, ""},
		{"completed but fails", completed, stubborn{yield: failed}, "step 1, request 0: the journal has end with 1, the module now does fail with own: why"},
		{"failed", own, stubborn{yield: failed}, ""},
		{"failed but completes", own, stubborn{yield: done}, "step 1, request 0: the journal has fail with own: why (FL-FLOW-001), the module now does end with 1"},
		{"panicked but completes", panicked, stubborn{yield: done}, "step 1, request 0: the journal has fail with panic: why (FL-FLOW-016), the module now does end with 1"},
		{"over a limit", platform, stubborn{yield: done}, ""},
		{"trapped again", platform, stubborn{err: guestFault}, ""},
		{"garbage again", platform, stubborn{yield: []byte{0xff}}, ""},
		{"garbage now", completed, stubborn{yield: []byte{0xff}}, "step 1, request 0: the journal has end with 1, the module now does return what is no yield: what the module returned is no fairlead.app.v1.Yield"},
		{"traps now", completed, stubborn{err: guestFault}, "step 1, request 0: the journal has end with 1, the module now does fail with trap"},
		{"killed", killed, stubborn{err: guestFault}, ""},
	} {
		j := ends(c.end)
		verdicts, err := journal.All(t.Context(), c.inst, j, j.Line(), 0, func(error) bool { return true })
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := "none"
		if len(verdicts) == 1 {
			got = ""
			if verdicts[0].Err != nil {
				got = verdicts[0].Err.Error()
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

// The machine's errors are no verdict on the module.
func TestReplayTellsMachineFromModule(t *testing.T) {
	j := ends(&flowv1.JournalEnd{State: flowv1.FlowState_FLOW_STATE_COMPLETED})
	sick := errors.New("disk full")
	if _, err := journal.All(t.Context(), stubborn{err: sick}, j, j.Line(), 0, func(error) bool { return false }); !errors.Is(err, sick) {
		t.Errorf("the error is %v", err)
	}
	empty := journal.NewJournal(nil)
	if err := (journal.Replayer{Rows: func(s uint32) ([]*flowv1.JournalRow, error) { return empty.Step(journal.NewLine(), s), nil }}).To(t.Context(), stubborn{}, 1); err == nil {
		t.Error("an empty journal was replayed")
	}
}

func FuzzParseYield(f *testing.F) {
	for _, y := range []*appv1.Yield{
		{Outcome: &appv1.Yield_Done{Done: &appv1.Done{Result: []byte("1")}}},
		{Outcome: &appv1.Yield_Failed{Failed: &appv1.Failed{Error: &appv1.Error{Type: "t"}}}},
		{Outcome: &appv1.Yield_Requests{Requests: &appv1.Requests{Requests: []*appv1.Request{
			{Operation: &appv1.Request_Sleep{Sleep: &appv1.Sleep{DurationUs: 1}}}, {Operation: &appv1.Request_Checkpoint{}},
		}}}},
	} {
		raw, err := proto.Marshal(y)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte{0x1a, 0x05, 0x0a, 0x03, 0x8a, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, raw []byte) {
		y, err := journal.ParseYield(raw)
		if err != nil {
			return
		}
		set := 0
		for _, is := range []bool{y.Done != nil, y.Failed != nil, len(y.Asked) > 0} {
			if is {
				set++
			}
		}
		if set != 1 {
			t.Fatalf("%d outcomes in one yield", set)
		}
		for _, a := range y.Asked {
			if a.Operation == "" || len(a.Row("id", 1).GetArgumentsSha256()) != 32 {
				t.Fatalf("request without operation or checksum: %+v", a)
			}
		}
	})
}

// Whatever lies in the store, a history can be told and a replay comes to a verdict.
func FuzzJournal(f *testing.F) {
	row, err := proto.Marshal(&flowv1.JournalRow{Row: &flowv1.JournalRow_Request{Request: &flowv1.JournalRequest{Operation: "sleep", AnsweredAtUs: 1, ResumedAtUs: 1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(journal.Key{Attempt: 1}.Bytes(), row, journal.Key{Attempt: 2, Step: 1}.Bytes(), row)
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 []byte) {
		rows := map[journal.Key]*flowv1.JournalRow{}
		for _, kv := range [][2][]byte{{k1, v1}, {k2, v2}} {
			key, err := journal.ParseKey(kv[0])
			if err != nil {
				continue
			}
			r := &flowv1.JournalRow{}
			if proto.Unmarshal(kv[1], r) == nil {
				rows[key] = r
			}
		}
		j := journal.NewJournal(rows)
		for _, e := range journal.History(j, nil) {
			_ = e.Text()
		}
		until := min(j.Last(j.Line()), 3)
		_, _ = journal.All(t.Context(), stubborn{}, j, j.Line(), until, nil)
	})
}
