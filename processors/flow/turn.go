package flow

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// forgetTimer names the timer that drops an ended flow's journal.
const forgetTimer = "forget"

// maxForget bounds how many rows are dropped in one transaction.
const maxForget = 5_000

// turn is the handling of one record.
type turn struct {
	w       *Worker
	ctx     engine.Context
	flow    identity.UUID
	nowUs   int64
	sinceUs int64 // when the record was due: what is missing is waited for from then on
	state   State
	loadErr error // why the rows of the current step cannot be read

	inbox *inbox

	inst Instance // in use; nil when there is none
	at   place    // where inst stands
	// muted is set while inst is replayed, and with it its log is. Replayed tells that an event before has begun with it.
	muted    *bool
	replayed bool
}

func (w *Worker) newTurn(ctx engine.Context, flow identity.UUID, sinceUs int64) *turn {
	t := w.bareTurn(ctx, flow, sinceUs)
	if head := t.state.Head; head != nil && !Ended(head.GetState()) && head.GetStep() > 0 {
		var rows []*flowv1.JournalRow
		rows, t.loadErr = t.rows(head.GetStep())
		t.state.Open = requestsOf(rows)
	}
	return t
}

// replyTurn is a turn for a reply. While others are waited for, too, only the row that it answers is loaded: else the
// replies to a step with many requests would read all answers once for each.
func (w *Worker) replyTurn(ctx engine.Context, flow identity.UUID, request string) *turn {
	t := w.bareTurn(ctx, flow, writtenAt(ctx, 0))
	waiting := t.state.Head.GetWaiting()
	at := slices.IndexFunc(waiting, func(w *flowv1.Waiting) bool { return w.GetRequestId() == request && request != "" })
	if len(waiting) < 2 || at < 0 || Ended(t.state.Head.GetState()) {
		return w.newTurn(ctx, flow, t.sinceUs)
	}
	n := waiting[at].GetOrdinal()
	row, err := t.row(t.state.Head.GetStep(), n)
	if err != nil || row == nil {
		t.loadErr = err
		return t
	}
	// The others stand for requests without an answer, of which there is at least one.
	t.state.Open = make([]*flowv1.JournalRequest, n+2)
	for i := range t.state.Open {
		t.state.Open[i] = &flowv1.JournalRequest{}
	}
	t.state.Open[n] = row
	return t
}

func (w *Worker) bareTurn(ctx engine.Context, flow identity.UUID, sinceUs int64) *turn {
	t := &turn{w: w, ctx: ctx, flow: flow, nowUs: ctx.Now().UnixMicro(), sinceUs: sinceUs, state: State{Rules: w.rules()}, inbox: newInbox(ctx, flow)}
	if head, ok := ctx.Value().(*flowv1.Checkpoint); ok {
		t.state.Head = head
	}
	return t
}

// goOn runs an event of a flow whose virtual node must let flows go on.
func (t *turn) goOn(e Event) error {
	head := t.state.Head
	if head == nil || Ended(head.GetState()) {
		return t.run(e)
	}
	if t.loadErr != nil {
		return t.run(append(kept(e), Broke{Error: replayFault(t.loadErr), Park: true, NowUs: t.nowUs})...)
	}
	hash := head.GetStart().GetVnode()
	v, err := t.w.vnode(hash)
	switch {
	case asNotHere(err) && !t.waited():
		return t.retry(err)
	case asNotHere(err):
		return t.run(append(kept(e), Broke{Error: platformError(ErrNotHere, "%s: look at the virtual node, then resume the flow", err.Error()), Park: true, NowUs: t.nowUs})...)
	case err != nil:
		return err
	case v.GetFlowOperation() == vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE:
		return t.run(Stopped{Reason: inMaintenance(v, "lets no flow go on"), NowUs: t.nowUs})
	}
	return t.run(e)
}

// kept is what must not be lost of an event that cannot be worked off: messages and replies do not come again.
func kept(e Event) []Event {
	switch e := e.(type) {
	case Arrived:
		e.Hold = true
		return []Event{e}
	case Replied:
		e.Hold = true
		return []Event{e}
	default:
		return nil
	}
}

// run takes the steps that events lead to, until nothing more can be done within them, and writes what they ask for.
func (t *turn) run(events ...Event) error {
	before, beforeStatus := t.state.Head, StatusOf(t.state.Head)
	// The engine's methods leave by a panic of their own when a write is refused; the instance must not outlive it.
	parkedAgain := false
	defer func() {
		if !parkedAgain {
			t.release()
		}
	}()
	gone := false
	for ; len(events) > 0; events = events[1:] {
		event, err := t.stocked(events[0])
		if err != nil {
			return err
		}
		after, effects, err := t.step(event)
		if err != nil {
			return err
		}
		t.state = after
		for _, effect := range effects {
			next, err := t.apply(effect, &gone)
			if err != nil {
				return err
			}
			if next != nil {
				events = append(events, next)
			}
		}
	}
	if err := t.inbox.save(); err != nil {
		return err
	}
	head := t.state.Head
	switch {
	case gone:
		t.ctx.Delete()
		if head.GetStart().GetInitiator() == flowv1.Initiator_INITIATOR_P2P { // nobody else writes a responder's status
			t.ctx.Emit(topics.FlowStatus, statusKey(head), nil)
		}
	case head != nil && !proto.Equal(before, head):
		t.ctx.SetValue(head)
	}
	if status := StatusOf(head); status != nil && !sameStatus(beforeStatus, status) {
		t.ctx.Emit(topics.FlowStatus, statusKey(head), status)
	}
	parkedAgain = t.keep()
	return nil
}

// step takes one step. A fault of fairlead's own in it parks the flow instead of losing its event.
func (t *turn) step(e Event) (after State, effects []Effect, err error) {
	defer func() {
		if r := recover(); r != nil {
			fault := platformError(ErrWorker, "a fault in the flow worker (%v): report it, with the flow's history", r)
			after, effects, err = Step(t.state, Broke{Error: fault, Park: true, NowUs: t.nowUs})
		}
	}()
	return Step(t.state, e)
}

// keep parks the instance in use until the flow's next event.
func (t *turn) keep() bool {
	if t.inst == nil || t.state.Head == nil || Ended(t.state.Head.GetState()) || len(t.state.Open) == 0 {
		return false
	}
	t.w.live.put(t.w.ctx, &parked{flow: t.flow, partition: t.ctx.Partition(), at: t.at, instance: t.inst})
	t.inst = nil
	return true
}

func (t *turn) release() {
	if t.inst != nil {
		t.inst.Release(t.w.ctx)
		t.inst, t.muted = nil, nil
	}
}

// apply does one effect; the outcome of a run is the next event.
func (t *turn) apply(effect Effect, gone *bool) (Event, error) {
	switch e := effect.(type) {
	case WriteStart:
		return nil, t.write(1, 0, 0, &flowv1.JournalRow{Row: &flowv1.JournalRow_Start{Start: e.Row}})
	case WriteRequest:
		return nil, t.write(e.Attempt, e.Step, e.Ordinal, &flowv1.JournalRow{Row: &flowv1.JournalRow_Request{Request: e.Row}})
	case WriteEnd:
		return nil, t.write(e.Attempt, e.Step, 0, &flowv1.JournalRow{Row: &flowv1.JournalRow_End{End: e.Row}})
	case Run:
		return t.call(e)
	case SetTimer:
		due := &flowv1.FlowTimer_Due{Attempt: e.Attempt, Step: e.Step, Ordinal: e.Ordinal}
		t.ctx.SetTimer(timerName(e.Attempt, e.Step, e.Ordinal), time.UnixMicro(e.AtUs).UTC(), &flowv1.FlowTimer{Event: &flowv1.FlowTimer_Due_{Due: due}})
	case CancelTimer:
		t.ctx.CancelTimer(timerName(e.Attempt, e.Step, e.Ordinal))
	case GoOn:
		t.ctx.Loopback(t.ctx.Key(), &flowv1.FlowTimer{Event: &flowv1.FlowTimer_Continue_{Continue: &flowv1.FlowTimer_Continue{Attempt: e.Attempt, Step: e.Step}}})
	case SendEnded:
		t.ctx.Emit(topics.FlowMapperStart, e.Key, &flowv1.MapperStart{Event: &flowv1.MapperStart_Ended{Ended: e.Ended}})
	case SetForget:
		t.ctx.SetTimer(forgetTimer, time.UnixMicro(e.AtUs).UTC(), forget())
	case DropInstance:
		t.release()
		t.w.live.drop(t.w.ctx, t.flow)
		t.w.sweep()
	case DropJournal:
		*gone = t.forget()
	case Audit:
		t.ctx.Emit(topics.Audit, e.Entry.GetEntity(), e.Entry)
	case Note:
		t.w.deps.Metrics.count(e.What)
		if e.What == OutcomeParked {
			t.log().Warn("a flow is parked", "reason", t.state.Head.GetPause().GetReason())
		}
	default:
		done, err := t.applyOutgoing(effect)
		if !done && err == nil {
			err = engine.Poison("flow: no way to apply %T", effect)
		}
		return nil, err
	}
	return nil, nil
}

func timerName(attempt, step, ordinal uint32) string {
	return fmt.Sprintf("due/%d/%d/%d", attempt, step, ordinal)
}

func forget() *flowv1.FlowTimer {
	return &flowv1.FlowTimer{Event: &flowv1.FlowTimer_Forget_{Forget: &flowv1.FlowTimer_Forget{}}}
}

// forget drops rows of the journal, and tells whether they were the last.
func (t *turn) forget() bool {
	store := t.ctx.Store(topics.FlowJournalStore)
	var keys [][]byte
	for key := range store.Scan(journal.FlowPrefix(t.flow)) {
		if len(keys) == maxForget {
			t.ctx.Loopback(t.ctx.Key(), forget())
			break
		}
		keys = append(keys, append([]byte(nil), key...))
	}
	for _, key := range keys {
		store.Delete(key)
	}
	return len(keys) < maxForget
}

func (t *turn) write(attempt, step, ordinal uint32, row *flowv1.JournalRow) error {
	raw, err := schemas.Marshal(row)
	if err != nil {
		return engine.Poison("flow: journal: %w", err)
	}
	key := journal.Key{Flow: t.flow, Attempt: attempt, Step: step, Ordinal: ordinal}
	t.ctx.Store(topics.FlowJournalStore).Set(key.Bytes(), raw)
	return nil
}

// row reads one request of a step of the flow's line, nil when there is none.
func (t *turn) row(step, ordinal uint32) (*flowv1.JournalRequest, error) {
	key := journal.Key{Flow: t.flow, Attempt: line(t.state.Head).AttemptOf(step), Step: step, Ordinal: ordinal}.Bytes()
	row := &flowv1.JournalRow{}
	if err := proto.Unmarshal(t.ctx.Store(topics.FlowJournalStore).Get(key), row); err != nil {
		return nil, fmt.Errorf("flow %s: journal row %x: %w", t.flow, key, err)
	}
	return row.GetRequest(), nil
}

// rows reads the rows of a step of the flow's line.
func (t *turn) rows(step uint32) ([]*flowv1.JournalRow, error) {
	attempt := line(t.state.Head).AttemptOf(step)
	var rows []*flowv1.JournalRow
	for key, raw := range t.ctx.Store(topics.FlowJournalStore).Scan(journal.StepPrefix(t.flow, attempt, step)) {
		row := &flowv1.JournalRow{}
		if err := proto.Unmarshal(raw, row); err != nil {
			return nil, fmt.Errorf("flow %s: journal row %x: %w", t.flow, key, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// call runs the module. The event says what came of it; an error means that the record is run again later.
func (t *turn) call(r Run) (Event, error) {
	inst, start, broke, err := t.instance(r)
	if inst == nil {
		return broke, err
	}
	raw, err := guarded(func() ([]byte, error) {
		if r.Step == 0 {
			return inst.Start(t.ctx.Context(), r.ClockUs, start)
		}
		answers, err := journal.Answers(t.state.Open)
		if err != nil {
			return nil, err
		}
		return inst.Resume(t.ctx.Context(), r.ClockUs, answers)
	})
	if err != nil {
		t.release()
		if t.ctx.Context().Err() != nil {
			return nil, t.retry(fmt.Errorf("%w: %w", errStopping, err))
		}
		e, park := faultOf(err)
		return Broke{Error: e, Park: park, NowUs: t.nowUs}, nil
	}
	yield, err := journal.ParseYield(raw)
	if err != nil {
		t.release()
		return Broke{Error: platformError(ErrInterface, "%s: build the application with an SDK of this version", validText(err.Error())), NowUs: t.nowUs}, nil
	}
	t.at = place{attempt: t.state.Head.GetAttempt(), step: r.Step + 1, askedAtUs: t.nowUs}
	units, known := inst.Instructions(), t.known(yield.Asked)
	for _, k := range known {
		units += k.Units
	}
	return Yielded{Yield: yield, Known: known, Units: units, NowUs: t.nowUs}, nil
}

// log is the worker's log with the flow's names.
func (t *turn) log() *slog.Logger {
	return t.w.deps.Log.With("vnode", t.state.Head.GetStart().GetVnode(), "flow_id", t.flow.String())
}

// waited tells that what is missing was waited for long enough.
func (t *turn) waited() bool { return t.nowUs-t.sinceUs >= t.w.cfg.ViewWait.Microseconds() }

func (t *turn) retry(err error) error { return engine.Retry(0, fmt.Errorf("flow %s: %w", t.flow, err)) }
