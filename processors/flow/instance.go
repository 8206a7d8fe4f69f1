package flow

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/processors/flow/journal"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// instance finds the instance that stands at a step: the one in use, the one that was kept, or a fresh one that the
// journal is fed to. Start is the module's argument when the step is 0. Broke says that there can be none; there is none
// yet when all are nil.
func (t *turn) instance(r Run) (inst Instance, start []byte, broke Event, err error) {
	want := place{attempt: t.attemptAt(r.Step), step: r.Step}
	if len(t.state.Open) > 0 {
		want.askedAtUs = t.state.Open[0].GetAskedAtUs()
	}
	if t.inst == nil && r.Step > 0 {
		if p := t.w.live.take(t.flow); p != nil {
			t.inst, t.at, t.muted = p.instance, p.at, p.muted
		}
	}
	switch {
	case t.inst == nil:
	case t.muted != nil && t.at.attempt == t.state.Head.GetAttempt() && t.at.step < r.Step: // on its way here
	case t.muted == nil && r.Step > 0 && t.at == want:
		t.w.deps.Metrics.ran("live")
		return t.inst, nil, nil, nil
	default:
		t.release() // it stands elsewhere than the journal
	}
	start, err = t.fresh(r.Step)
	if err == nil {
		return t.inst, start, nil, nil
	}
	t.release()
	broke, err = t.unusable(r, err)
	return nil, nil, broke, err
}

// installTimer names the timer after which a flow looks again whether its module is compiled.
const installTimer = "install"

// attemptAt is the attempt in which a step was asked.
func (t *turn) attemptAt(step uint32) uint32 { return line(t.state.Head).AttemptOf(step) }

// replayError is a failure of a replay, as opposed to that of finding the module.
type replayError struct{ err error }

func (e *replayError) Error() string { return e.err.Error() }
func (e *replayError) Unwrap() error { return e.err }

// errReplaying tells that there is more to replay than belongs into one event.
var errReplaying = errors.New("the journal is being replayed")

// fresh makes a new instance, or takes the one that is on its way, and brings it to a step.
func (t *turn) fresh(step uint32) ([]byte, error) {
	ctx := t.ctx.Context()
	rows, err := t.rows(0)
	if err != nil {
		return nil, &replayError{err}
	}
	if len(rows) != 1 || len(rows[0].GetStart().GetSeed()) != 32 || len(rows[0].GetStart().GetModuleSha256()) != 32 {
		return nil, &replayError{errors.New("the journal has no usable start")}
	}
	first := rows[0].GetStart()
	var from uint32
	if t.inst != nil {
		from = t.at.step
	} else {
		muted := step > 0 // what is replayed was logged before
		t.inst, err = t.w.modules.instance(ctx, [32]byte(first.GetModuleSha256()), [32]byte(first.GetSeed()), guestLog(t.log(), &muted))
		if err != nil {
			return nil, err
		}
		if step > 0 {
			t.muted = &muted
		}
	}
	if step == 0 {
		t.w.deps.Metrics.ran("fresh")
		return first.GetStart(), nil
	}
	if from == 0 {
		t.w.deps.Metrics.ran("replay")
	}
	replayer := journal.Replayer{
		Rows:       t.rows,
		GuestFault: IsGuestFault,
		Report:     func(journal.Verdict) { t.w.deps.Metrics.replay() },
	}
	steps := uint32(0)
	enough := func() bool {
		steps++
		t.state.Units += t.inst.Instructions()
		// An instance that was let go before it arrived might be so again and again: it is then brought here at once.
		lost := t.replayed && from == 0
		return !lost && (t.state.Units >= t.state.Rules.MaxUnitsPerEvent || steps >= replaySteps)
	}
	reached := from
	_, err = guarded(func() ([]byte, error) {
		var err error
		reached, err = replayer.Part(ctx, t.inst, from, step, enough)
		return nil, err
	})
	if err != nil {
		return nil, &replayError{err}
	}
	if reached < step {
		at := place{attempt: t.state.Head.GetAttempt(), step: reached}
		t.w.live.put(t.w.ctx, &parked{flow: t.flow, partition: t.ctx.Partition(), at: at, instance: t.inst, muted: t.muted})
		t.inst, t.muted, t.at = nil, nil, at
		return nil, errReplaying
	}
	*t.muted, t.muted = false, nil
	return nil, nil
}

// replaySteps bounds the steps that are replayed in one event. Nothing is written, so there may be more than are taken.
const replaySteps = 1_000

// guestLog writes a flow's lines to the worker's log.
func guestLog(log *slog.Logger, muted *bool) func(string) {
	return func(text string) {
		if !*muted {
			log.Info(text, "source", "flow")
		}
	}
}

// unusable says what a flow's having no instance means.
func (t *turn) unusable(r Run, err error) (Event, error) {
	var replay *replayError
	var panicked *panicError
	switch {
	case errors.Is(err, errReplaying):
		more := &flowv1.FlowTimer_Continue{Attempt: t.attemptAt(r.Step), Step: r.Step, Replayed: t.at.step}
		t.ctx.Loopback(t.ctx.Key(), &flowv1.FlowTimer{Event: &flowv1.FlowTimer_Continue_{Continue: more}})
		return nil, nil
	case t.ctx.Context().Err() != nil:
		return nil, t.retry(fmt.Errorf("%w: %w", errStopping, err))
	case asComing(err):
		// What came is kept and the flow looks again by a timer: a retry would be counted, and after some the record given
		// up, though nothing is wrong with it.
		again := &flowv1.FlowTimer_Continue{Attempt: t.attemptAt(r.Step), Step: r.Step}
		t.ctx.SetTimer(installTimer, time.UnixMicro(t.nowUs).UTC().Add(t.w.cfg.InstallWait), &flowv1.FlowTimer{Event: &flowv1.FlowTimer_Continue_{Continue: again}})
		t.w.deps.Metrics.count(OutcomeInstalling)
		return nil, nil
	case asNotHere(err) && !t.waited():
		return nil, t.retry(err)
	case asNotHere(err):
		e := platformError(ErrNotHere, "%s, after %s: look at the package of virtual node %s", validText(err.Error()), t.w.cfg.ViewWait, t.state.Head.GetStart().GetVnode())
		return Broke{Error: e, Park: r.Step > 0, NowUs: t.nowUs}, nil
	case errors.As(err, &panicked):
		e, park := faultOf(err)
		return Broke{Error: e, Park: park, NowUs: t.nowUs}, nil
	case errors.As(err, &replay):
		return Broke{Error: replayFault(replay.err), Park: true, NowUs: t.nowUs}, nil
	default:
		e, park := faultOf(err)
		return Broke{Error: e, Park: park || r.Step > 0, NowUs: t.nowUs}, nil
	}
}

// StartOf decodes the module's argument from a journal's first row, for tools.
func StartOf(row *flowv1.JournalStart) (*appv1.Start, error) {
	var s appv1.Start
	if err := proto.Unmarshal(row.GetStart(), &s); err != nil {
		return nil, fmt.Errorf("start of a flow: %w", err)
	}
	return &s, nil
}
