package flow

import (
	"encoding/json"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// State is what a step decides on. Its parts are never changed after they were handed over.
type State struct {
	// Head is the flow's row in the table, nil when there is none.
	Head *flowv1.Checkpoint
	// Open has the rows of the step that is being answered, by ordinal.
	Open []*flowv1.JournalRequest
	// Burst counts the steps that were taken in the running event, Rows the requests in them, Bytes what they sent and
	// were answered, Units their instructions.
	Burst, Rows uint32
	Bytes       int
	Units       int64
	Rules       Rules
}

// Step decides what one event does to one flow. It is pure: the same arguments have the same result. Its error is
// engine.Poison, and means a fault of fairlead's own.
func Step(s State, event Event) (State, []Effect, error) {
	d := &draft{State: s}
	if s.Head != nil {
		d.Head = proto.Clone(s.Head).(*flowv1.Checkpoint)
	}
	d.Open = append([]*flowv1.JournalRequest(nil), s.Open...)
	var err error
	switch e := event.(type) {
	case Started:
		err = d.started(e)
	case Commanded:
		err = d.commanded(e)
	case Yielded:
		err = d.yielded(e)
	case Broke:
		err = d.broke(e)
	case Arrived:
		err = d.arrived(e)
	case NoResponder:
		d.noResponder(e)
	case Replied:
		err = d.replied(e)
	case Silent:
		err = d.silent(e)
	case Due:
		err = d.due(e)
	case Continued:
		err = d.continued(e)
	case Stopped:
		err = d.stopped(e)
	case Forgotten:
		d.forgotten(e)
	default:
		err = engine.Poison("flow: no rule for %T", event)
	}
	if err != nil {
		return s, nil, err
	}
	return d.finish()
}

// draft is a state that is being changed. Its head is its own; a row is copied before it is changed.
type draft struct {
	State
	effects []Effect
	// dirty marks the rows of Open that must be written, run the module's call at the end of the step.
	dirty map[int]bool
	run   *Run
	// inbox has the messages that may be read.
	inbox Inbox
}

func (d *draft) do(e ...Effect) { d.effects = append(d.effects, e...) }

func (d *draft) note(o Outcome) { d.do(Note{o}) }

// finish writes what was changed, before the module is called.
func (d *draft) finish() (State, []Effect, error) {
	for i, row := range d.Open {
		if d.dirty[i] {
			d.do(WriteRequest{d.attempt(), d.Head.GetStep(), uint32(i), row})
		}
	}
	if d.run != nil {
		d.do(*d.run)
	}
	return d.State, d.effects, nil
}

// alive tells whether the flow exists and has not ended.
func (d *draft) alive() bool { return d.Head != nil && !Ended(d.Head.GetState()) }

// Ended tells whether a status is final.
func Ended(s flowv1.FlowState) bool {
	return s == flowv1.FlowState_FLOW_STATE_COMPLETED || s == flowv1.FlowState_FLOW_STATE_FAILED || s == flowv1.FlowState_FLOW_STATE_KILLED
}

// attempt is the attempt that the current step belongs to.
func (d *draft) attempt() uint32 { return line(d.Head).AttemptOf(d.Head.GetStep()) }

func line(head *flowv1.Checkpoint) journal.Line { return journal.Line(head.GetSegments()) }

func (d *draft) id() identity.UUID {
	id, _ := identity.UUIDFromBytes(d.Head.GetFlowId()) // checked when the flow was started
	return id
}

func (d *draft) started(e Started) error {
	if d.Head != nil {
		d.note(OutcomeRepeated)
		return nil
	}
	start := e.Started.GetStart()
	if _, err := identity.UUIDFromBytes(e.Started.GetFlowId()); err != nil || start == nil || start.GetClientRequestId() == "" {
		return engine.Poison("%s: a start without flow id or request: field flow_id has %d bytes, client request id is %q", ErrJournal, len(e.Started.GetFlowId()), start.GetClientRequestId())
	}
	d.Head = &flowv1.Checkpoint{
		Start:        withoutBody(start),
		FlowId:       e.Started.GetFlowId(),
		State:        flowv1.FlowState_FLOW_STATE_RUNNING,
		Attempt:      1,
		ModuleSha256: e.Module,
		CreatedAtUs:  start.GetCreatedAtUs(),
		UpdatedAtUs:  e.NowUs,
		CpiChecksum:  e.CPIChecksum,
		Segments:     journal.NewLine(),
		ClockUs:      e.NowUs,
	}
	encoded, err := encodeStart(e)
	if err != nil {
		return engine.Poison("flow: %w", err)
	}
	d.do(WriteStart{&flowv1.JournalStart{Seed: e.Seed, Start: encoded, NowUs: e.NowUs, ModuleSha256: e.Module}})
	d.note(OutcomeStarted)
	if e.Session != nil {
		d.note(OutcomeResponder)
		s := proto.Clone(e.Session).(*flowv1.Session)
		if s.GetTimeoutUs() <= 0 || s.GetTimeoutUs() > d.Rules.MaxSleepUs {
			s.TimeoutUs = d.Rules.SessionTimeoutUs
		}
		d.addSession(s)
	}
	switch {
	case e.Stopped != "":
		d.suspend(e.Stopped, e.NowUs)
	case e.Refused != nil:
		d.fail(e.Refused, e.NowUs)
	case len(start.GetRequestBody()) > d.Rules.MaxArgument:
		d.fail(limitError(ErrTooLarge, "the flow's argument has %d bytes, at most %d are allowed: send less", len(start.GetRequestBody()), d.Rules.MaxArgument), e.NowUs)
	default:
		d.run = &Run{Step: 0, ClockUs: e.NowUs}
	}
	return nil
}

// withoutBody is the start as the head keeps it: the caller's argument is in the journal already.
func withoutBody(s *flowv1.StartFlow) *flowv1.StartFlow {
	c := proto.Clone(s).(*flowv1.StartFlow)
	c.RequestBody = nil
	return c
}

// encodeStart makes the module's argument.
func encodeStart(e Started) ([]byte, error) {
	s := e.Started
	start := s.GetStart()
	arg := &appv1.Start{
		FlowClass: start.GetFlowClass(),
		Input:     start.GetRequestBody(),
		FlowId:    s.GetFlowId(),
		Me: &appv1.Identity{
			X500Name:  start.GetIdentity().GetX500Name(),
			GroupId:   start.GetIdentity().GetGroupId(),
			ShortHash: start.GetVnode(),
		},
		ClientRequestId: start.GetClientRequestId(),
		Properties: []*appv1.Property{
			{Name: "corda.account", Value: "account-zero"},
			{Name: "corda.client.id", Value: start.GetClientRequestId()},
		},
		Attempt: 1,
	}
	if session := e.Session; session != nil {
		arg.Session = &appv1.Session{
			Id: session.GetSessionId(), CounterpartyX500Name: session.GetCounterparty().GetX500Name(),
			Protocol: session.GetProtocol(), ProtocolVersion: session.GetProtocolVersion(),
		}
		for _, p := range session.GetPeerProperties() {
			arg.Session.Properties = append(arg.Session.Properties, &appv1.Property{Name: p.GetName(), Value: p.GetValue()})
		}
	}
	return schemas.Marshal(arg)
}

func (d *draft) yielded(e Yielded) error {
	if !d.alive() {
		return engine.Poison("flow: a module returned for a flow that is not running")
	}
	d.Head.UpdatedAtUs = e.NowUs
	d.Burst++
	d.Units += e.Units
	d.stock(e.Inbox)
	switch {
	case e.Yield.Done != nil:
		d.done(e.Yield.Done.GetResult(), e.NowUs)
	case e.Yield.Failed != nil:
		d.fail(applicationError(e.Yield.Failed), e.NowUs)
	default:
		d.asked(e, e.NowUs)
	}
	return nil
}

func (d *draft) done(result []byte, nowUs int64) {
	switch {
	case len(result) > d.Rules.MaxResult:
		d.fail(limitError(ErrTooLarge, "the flow's result has %d bytes, at most %d are allowed: return less, or store it", len(result), d.Rules.MaxResult), nowUs)
	case len(result) > 0 && !json.Valid(result):
		d.fail(platformError(ErrInterface, "the flow's result is not JSON: build the application with an SDK of this version"), nowUs)
	default:
		d.Head.Result = result
		d.Head.Waiting = nil
		if d.endSessions(nowUs) {
			d.complete(nowUs)
			return
		}
		d.Head.Ending = true
		d.do(DropInstance{})
	}
}

// complete ends a flow whose code returned and whose sessions are closed.
func (d *draft) complete(nowUs int64) {
	d.end(flowv1.FlowState_FLOW_STATE_COMPLETED, &flowv1.JournalEnd{Result: d.Head.GetResult()}, nowUs)
	d.note(OutcomeCompleted)
}

// maxErrorText bounds what a flow's own error may add to its status, bytes.
const maxErrorText = 32 << 10

func applicationError(e *appv1.Error) *flowv1.FlowError {
	out := &flowv1.FlowError{Type: e.GetType(), Message: e.GetMessage(), Id: ErrApplication}
	switch out.Type {
	case "":
		out.Type = "application"
	case typePanic:
		out.Id = ErrPanic
	}
	if len(out.Type) > 256 {
		out.Type = out.Type[:256]
	}
	if len(out.Message) > maxErrorText {
		out.Message = out.Message[:maxErrorText] + "…"
	}
	out.Type, out.Message = validText(out.Type), validText(out.Message)
	return out
}

// asked takes the requests of the next step.
func (d *draft) asked(e Yielded, nowUs int64) {
	asked := e.Yield.Asked
	if d.Head.GetStep() >= d.Rules.MaxSteps {
		d.fail(limitError(ErrTooLong, "the flow took %d steps and asks for more: split it, or do more in each step", d.Head.GetStep()), nowUs)
		return
	}
	if len(asked) > int(d.Rules.MaxRequestsPerStep) {
		d.fail(limitError(ErrTooLong, "the flow asks for %d things at once, at most %d are allowed: ask in several steps", len(asked), d.Rules.MaxRequestsPerStep), nowUs)
		return
	}
	d.Head.Step++
	d.Head.AnsweredBytes = 0
	d.Open = make([]*flowv1.JournalRequest, len(asked))
	d.Rows += uint32(len(asked))
	d.Head.Waiting = nil
	d.note(OutcomeStep)
	durable := false
	for i, a := range asked {
		key := journal.Key{Flow: d.id(), Attempt: d.attempt(), Step: d.Head.GetStep(), Ordinal: uint32(i)}
		d.Open[i] = a.Row(key.String(), nowUs)
		d.mark(i)
		var known Known
		if i < len(e.Known) {
			known = e.Known[i]
		}
		durable = d.ask(i, a, known, nowUs) || durable
	}
	if durable {
		d.do(GoOn{d.attempt(), d.Head.GetStep()})
	}
	d.proceed(nowUs)
}

// maxEventBytes is after how many bytes a flow lets the others of its partition go first: a transaction has bounds.
const maxEventBytes = 8 << 20

// proceed resumes the module when its step is answered and nobody holds it.
func (d *draft) proceed(nowUs int64) {
	if d.Head.GetEnding() {
		d.finishEnding(nowUs)
		return
	}
	if d.Head.GetPause() != nil || !journal.AllAnswered(d.Open) {
		return
	}
	if d.Burst >= d.Rules.MaxStepsPerEvent || d.Rows >= d.Rules.MaxRequestsPerStep || d.Bytes >= maxEventBytes || d.Units >= d.Rules.MaxUnitsPerEvent {
		d.do(GoOn{d.attempt(), d.Head.GetStep()})
		return
	}
	clock := max(nowUs, d.Head.GetClockUs()+1)
	if d.Head.GetStep() == 0 {
		clock = d.Head.GetClockUs()
	}
	d.Head.ClockUs = clock
	last := 0
	for i, row := range d.Open {
		if row.GetResumedAtUs() != 0 {
			d.change(i).ResumedAtUs = 0
		}
		if row.GetAnsweredAtUs() >= d.Open[last].GetAnsweredAtUs() {
			last = i
		}
	}
	if len(d.Open) > 0 {
		d.change(last).ResumedAtUs = clock
	}
	d.run = &Run{Step: d.Head.GetStep(), ClockUs: clock}
}

func (d *draft) due(e Due) error {
	if !d.current(e.Attempt, e.Step) || int(e.Ordinal) >= len(d.Open) || journal.Answered(d.Open[e.Ordinal]) {
		d.note(OutcomeStale)
		return nil
	}
	switch operation := d.Open[e.Ordinal].GetOperation(); {
	case operation == opSleep:
		d.answer(int(e.Ordinal), &appv1.Answer{Outcome: &appv1.Answer_Result{}}, e.NowUs)
	case repliesTo(operation) != "":
		d.overdue(int(e.Ordinal), operation, e.NowUs)
	default:
		d.note(OutcomeStale)
		return nil
	}
	d.Head.UpdatedAtUs = e.NowUs
	d.proceed(e.NowUs)
	return nil
}

// current tells whether a timer or loop record is about the step that the flow is at.
func (d *draft) current(attempt, step uint32) bool {
	return d.alive() && step == d.Head.GetStep() && attempt == d.attempt()
}

func (d *draft) continued(e Continued) error {
	if !d.current(e.Attempt, e.Step) {
		d.note(OutcomeStale)
		return nil
	}
	for i, row := range d.Open {
		if row.GetOperation() == opCheckpoint && !journal.Answered(row) {
			d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Result{}}, e.NowUs)
		}
	}
	d.proceed(e.NowUs)
	if len(d.dirty) == 0 && d.run == nil {
		d.note(OutcomeStale)
		return nil
	}
	d.Head.UpdatedAtUs = e.NowUs
	return nil
}

func (d *draft) broke(e Broke) error {
	if !d.alive() {
		if d.Head != nil && e.Park { // what was kept before it has ended the flow, with an error of its own
			d.note(OutcomeStale)
			return nil
		}
		return engine.Poison("flow: a module failed for a flow that is not running: %s", e.Error.GetMessage())
	}
	d.Head.UpdatedAtUs = e.NowUs
	if !e.Park {
		d.fail(e.Error, e.NowUs)
		return nil
	}
	d.Head.Pause = &flowv1.Pause{By: "fairlead", Reason: e.Error.GetMessage(), AtUs: e.NowUs, Parked: true}
	d.do(DropInstance{})
	d.note(OutcomeParked)
	return nil
}

func (d *draft) stopped(e Stopped) error {
	if d.alive() {
		d.Head.UpdatedAtUs = e.NowUs
		d.suspend(e.Reason, e.NowUs)
	}
	return nil
}

func (d *draft) forgotten(e Forgotten) {
	switch {
	case d.Head == nil || d.alive():
		d.note(OutcomeStale)
	case d.Head.GetKeepUntilUs() > e.NowUs:
		d.do(SetForget{d.Head.GetKeepUntilUs()})
		d.note(OutcomeStale)
	default:
		d.do(DropJournal{})
		d.note(OutcomeForgotten)
	}
}

func (d *draft) fail(e *flowv1.FlowError, nowUs int64) {
	d.Head.Error = e
	d.Head.Result = nil
	reason := e.GetId()
	if e.GetId() == ErrApplication || e.GetId() == ErrPanic {
		reason = e.GetType() + ": " + e.GetMessage()
	}
	d.abandonSessions("flow-failed", reason, nowUs)
	d.end(flowv1.FlowState_FLOW_STATE_FAILED, &flowv1.JournalEnd{Error: e}, nowUs)
	d.note(OutcomeFailed)
}

func (d *draft) kill(reason string, nowUs int64) {
	d.terminate(reason, "flow-killed", "the flow was killed", nowUs)
}

// suspend kills a flow whose virtual node lets none run. The other sides hear that it is nobody's decision about this
// flow: the same can be tried again later.
func (d *draft) suspend(reason string, nowUs int64) {
	me := d.Head.GetStart().GetIdentity().GetX500Name()
	d.terminate(reason, peerInMaintenance, me+" is in maintenance, and its flows do not run: open a new session when its operator has made it ACTIVE again", nowUs)
}

// terminate ends the flow as KILLED; kind and told are what the other sides of its sessions hear.
func (d *draft) terminate(reason, kind, told string, nowUs int64) {
	d.Head.TerminatedReason = reason
	d.Head.Result = nil
	d.abandonSessions(kind, told, nowUs)
	d.end(flowv1.FlowState_FLOW_STATE_KILLED, &flowv1.JournalEnd{Error: &flowv1.FlowError{Type: "killed", Message: reason}}, nowUs)
	d.note(OutcomeKilled)
}

// end makes the flow terminal, once and for all.
func (d *draft) end(state flowv1.FlowState, row *flowv1.JournalEnd, nowUs int64) {
	d.cancelTimers()
	d.dropUnread()
	d.endClaims(0, true)
	row.State, row.AtUs = state, nowUs
	d.do(WriteEnd{Attempt: d.Head.GetAttempt(), Step: d.Head.GetStep() + 1, Row: row})
	d.Head.State = state
	d.Head.Waiting = nil
	d.Head.Pause = nil
	d.Head.Ending = false
	for _, s := range d.Head.GetSessions() { // those that ended under an older version, too: the end must be writable
		lighten(s)
		s.PeerProperties = nil
	}
	d.Head.UpdatedAtUs = nowUs
	d.Head.KeepUntilUs = nowUs + d.Rules.KeepUs
	d.run = nil
	d.do(DropInstance{}, SetForget{d.Head.GetKeepUntilUs()})
	if d.Head.GetStart().GetInitiator() != flowv1.Initiator_INITIATOR_P2P {
		d.do(SendEnded{statusKey(d.Head), &flowv1.FlowEnded{FlowId: d.Head.GetFlowId(), State: state}})
	}
}

func (d *draft) cancelTimers() {
	for _, w := range d.Head.GetWaiting() {
		if w.GetDeadlineUs() != 0 {
			d.do(CancelTimer{d.attempt(), d.Head.GetStep(), w.GetOrdinal()})
		}
	}
}
