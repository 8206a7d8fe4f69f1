package journal

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Instance is a flow's module with its memory, as package sandbox makes it.
type Instance interface {
	// Start runs the first step: start is an encoded fairlead.app.v1.Start, the result an encoded Yield.
	Start(ctx context.Context, nowUs int64, start []byte) ([]byte, error)
	// Resume runs the next step: resume is an encoded fairlead.app.v1.Resume.
	Resume(ctx context.Context, nowUs int64, resume []byte) ([]byte, error)
}

// MismatchError tells that an instance did not do what was recorded.
type MismatchError struct {
	// Step is the yield that differs, counted from 1, Ordinal the request in it.
	Step, Ordinal uint32
	// Expected is what the journal has, Got what came, for people.
	Expected, Got string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("step %d, request %d: the journal has %s, the module now does %s", e.Step, e.Ordinal, e.Expected, e.Got)
}

// GuestFault tells that the instance itself failed, as opposed to the machine around it: it is a mismatch then, for
// the journal goes on. It is how package sandbox marks its errors.
type GuestFault func(error) bool

// Verdict is what a replay found out about one step.
type Verdict struct {
	Step uint32
	// Recorded is what the journal has, for people.
	Recorded string
	// Err is nil when the instance did the same.
	Err error
}

// Replayer feeds a line of journal rows to a fresh instance.
type Replayer struct {
	// Rows returns the rows of a step of the line, in the order of their ordinals.
	Rows func(step uint32) ([]*flowv1.JournalRow, error)
	// GuestFault tells guest from machine; nil takes every error for the machine's.
	GuestFault GuestFault
	// Report is told of every step that was compared; nil for nobody.
	Report func(Verdict)
}

// To replays until the instance stands at a step: it has yielded the step's requests and waits for their answers, or
// has ended there. Step 0 does nothing. The error is a *MismatchError when the instance did something else, and any
// other error when the journal cannot be used or the machine failed.
func (r Replayer) To(ctx context.Context, inst Instance, until uint32) error {
	_, err := r.Part(ctx, inst, 0, until, func() bool { return false })
	return err
}

// Part replays as To does, from the step at which the instance stands (0 for a fresh one), and stops early when enough
// says so. It returns where the instance stands then.
func (r Replayer) Part(ctx context.Context, inst Instance, from, until uint32, enough func() bool) (uint32, error) {
	if until == from {
		return until, nil
	}
	run, err := r.from(ctx, inst, from)
	if err != nil {
		return from, err
	}
	for step := from + 1; ; step++ {
		if ctx.Err() != nil {
			return step, fmt.Errorf("replay step %d: %w", step, ctx.Err())
		}
		rows, err := r.Rows(step)
		if err != nil {
			return step, fmt.Errorf("read journal of step %d: %w", step, err)
		}
		if len(rows) == 0 {
			return step, fmt.Errorf("the journal has no rows for step %d, %d is to be reached", step, until)
		}
		if rows[0].GetEnd().GetState() == flowv1.FlowState_FLOW_STATE_KILLED {
			// An operator ended it; the module had no part in that.
			r.report(step, rows, nil)
			return until, nil
		}
		if run == nil {
			return step, fmt.Errorf("the journal does not say when step %d was resumed", step-1)
		}
		raw, err := run()
		verdict := r.compare(step, rows, raw, err)
		r.report(step, rows, verdict)
		if verdict != nil || step == until || enough() {
			return step, verdict
		}
		if run, err = r.resume(ctx, inst, step, rows); err != nil {
			return step, err
		}
	}
}

// from makes the call that follows a step.
func (r Replayer) from(ctx context.Context, inst Instance, step uint32) (func() ([]byte, error), error) {
	if step > 0 {
		rows, err := r.Rows(step)
		if err != nil {
			return nil, fmt.Errorf("read journal of step %d: %w", step, err)
		}
		return r.resume(ctx, inst, step, rows)
	}
	start, err := r.start()
	if err != nil {
		return nil, err
	}
	return func() ([]byte, error) { return inst.Start(ctx, start.GetNowUs(), start.GetStart()) }, nil
}

func (r Replayer) report(step uint32, rows []*flowv1.JournalRow, verdict error) {
	if r.Report != nil {
		r.Report(Verdict{Step: step, Recorded: describeRows(rows), Err: verdict})
	}
}

// resume makes the call that answers a step, nil when the step was never resumed.
func (r Replayer) resume(ctx context.Context, inst Instance, step uint32, rows []*flowv1.JournalRow) (func() ([]byte, error), error) {
	requests, ok := requestsOf(rows)
	if !ok {
		return nil, fmt.Errorf("the journal ends at step %d", step)
	}
	at := ResumedAt(requests)
	if at == 0 {
		return nil, nil
	}
	answers, err := Answers(requests)
	if err != nil {
		return nil, fmt.Errorf("step %d: %w", step, err)
	}
	return func() ([]byte, error) { return inst.Resume(ctx, at, answers) }, nil
}

func (r Replayer) start() (*flowv1.JournalStart, error) {
	rows, err := r.Rows(0)
	if err != nil {
		return nil, fmt.Errorf("read journal of step 0: %w", err)
	}
	if len(rows) != 1 || rows[0].GetStart() == nil {
		return nil, errors.New("the journal has no start")
	}
	return rows[0].GetStart(), nil
}

// compare holds what a guest returned against the rows of a step.
func (r Replayer) compare(step uint32, rows []*flowv1.JournalRow, raw []byte, err error) error {
	mismatch := func(ordinal int, expected, got string) error {
		return &MismatchError{Step: step, Ordinal: uint32(ordinal), Expected: expected, Got: got}
	}
	if err != nil {
		if r.GuestFault == nil || !r.GuestFault(err) {
			return fmt.Errorf("replay step %d: %w", step, err)
		}
		if end := rows[0].GetEnd(); end.GetState() == flowv1.FlowState_FLOW_STATE_FAILED {
			return nil
		}
		return mismatch(0, describeRow(rows[0]), "fail with "+err.Error())
	}
	y, err := ParseYield(raw)
	if err != nil {
		if end := rows[0].GetEnd(); end.GetState() == flowv1.FlowState_FLOW_STATE_FAILED {
			return nil
		}
		return mismatch(0, describeRow(rows[0]), "return what is no yield: "+err.Error())
	}
	if end := rows[0].GetEnd(); end != nil {
		return compareEnd(end, y, mismatch)
	}
	for i := range max(len(rows), len(y.Asked)) {
		switch {
		case i >= len(y.Asked):
			return mismatch(i, describeRow(rows[i]), describeEndOf(y))
		case i >= len(rows):
			return mismatch(i, "nothing more", describeAsked(y.Asked[i]))
		}
		want := rows[i].GetRequest()
		sum := y.Asked[i].SHA256()
		if want.GetOperation() != y.Asked[i].Operation || !bytes.Equal(want.GetArgumentsSha256(), sum[:]) {
			return mismatch(i, describeRow(rows[i]), describeAsked(y.Asked[i]))
		}
	}
	return nil
}

func compareEnd(end *flowv1.JournalEnd, y Yield, mismatch func(int, string, string) error) error {
	switch {
	case end.GetState() == flowv1.FlowState_FLOW_STATE_COMPLETED && y.Done != nil && bytes.Equal(end.GetResult(), y.Done.GetResult()):
		return nil
	case end.GetState() == flowv1.FlowState_FLOW_STATE_FAILED && y.Failed != nil && end.GetError().GetType() == y.Failed.GetType() && end.GetError().GetMessage() == y.Failed.GetMessage():
		return nil
	case end.GetState() == flowv1.FlowState_FLOW_STATE_FAILED && y.Failed == nil && !own(end.GetError().GetId()):
		// The platform ended it, for a limit that the yield itself does not show.
		return nil
	}
	got := describeEndOf(y)
	if len(y.Asked) > 0 {
		got = describeAsked(y.Asked[0])
	}
	return mismatch(0, describeEnd(end), got)
}

// own tells whether a failure is one that the flow's own code yields.
func own(id string) bool { return id == ApplicationErrorID || id == PanicErrorID }

func requestsOf(rows []*flowv1.JournalRow) ([]*flowv1.JournalRequest, bool) {
	out := make([]*flowv1.JournalRequest, len(rows))
	for i, row := range rows {
		if row.GetRequest() == nil {
			return nil, false
		}
		out[i] = row.GetRequest()
	}
	return out, true
}

func describeAsked(a Asked) string {
	sum := a.SHA256()
	return describeRequest(a.Operation, a.Arguments, sum[:])
}

func describeRequest(operation string, arguments, sum []byte) string {
	text := operation
	if detail := describeArguments(operation, arguments); detail != "" {
		text += " " + detail
	}
	return fmt.Sprintf("%s (arguments SHA-256 %s…)", text, hex.EncodeToString(sum[:min(4, len(sum))]))
}

func describeEndOf(y Yield) string {
	switch {
	case y.Done != nil:
		return "end with " + cut(y.Done.GetResult())
	case y.Failed != nil:
		return fmt.Sprintf("fail with %s: %s", y.Failed.GetType(), cut([]byte(y.Failed.GetMessage())))
	default:
		return "nothing more"
	}
}

// All replays a whole line against an instance and returns a verdict for each step up to until (zero for all that
// the journal has), ending with the first that differs. The error is nil when the verdicts say everything.
func All(ctx context.Context, inst Instance, j *Journal, line Line, until uint32, fault GuestFault) ([]Verdict, error) {
	if last := j.Last(line); until == 0 || until > last {
		until = last
	}
	var verdicts []Verdict
	r := Replayer{
		Rows:       func(step uint32) ([]*flowv1.JournalRow, error) { return j.Step(line, step), nil },
		GuestFault: fault,
		Report:     func(v Verdict) { verdicts = append(verdicts, v) },
	}
	err := r.To(ctx, inst, until)
	var mismatch *MismatchError
	if errors.As(err, &mismatch) {
		err = nil
	}
	return verdicts, err
}
