package flow

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// commanded does what an operator asks, or refuses; either way the audit says so.
func (d *draft) commanded(e Commanded) error {
	command := e.Command.GetKind()
	switch {
	case d.Head == nil:
		d.refuse(e, RefusedUnknown, "no flow %s runs or ran here; fairlead flow list shows those that do", e.Flow)
		return nil
	case !d.alive():
		d.refuse(e, RefusedEnded, "the flow ended as %s; an end is final", stateName(d.Head.GetState()))
		return nil
	}
	switch command {
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL:
		d.kill("killed by "+who(e.Command), e.NowUs)
		d.accept(e, "killed")
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_PAUSE:
		d.pause(e)
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RESUME:
		d.unpause(e)
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RETRY_FROM_STEP:
		d.retry(e)
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RELEASE_TOKENS:
		d.releaseTokens(e)
	default:
		d.refuse(e, RefusedMalformed, "command %d is none of KILL, PAUSE, RESUME, RETRY_FROM_STEP, RELEASE_TOKENS", int32(command))
		return nil
	}
	return nil
}

func (d *draft) pause(e Commanded) {
	if p := d.Head.GetPause(); p != nil {
		d.refuse(e, RefusedState, "the flow is %s already; resume it first", held(p))
		return
	}
	d.Head.UpdatedAtUs = e.NowUs
	d.Head.Pause = &flowv1.Pause{By: nameOf(e.Command), Reason: validText(e.Command.GetReason()), AtUs: e.NowUs}
	d.accept(e, "paused")
}

func (d *draft) unpause(e Commanded) {
	p := d.Head.GetPause()
	if p == nil {
		d.refuse(e, RefusedState, "the flow is not paused")
		return
	}
	d.Head.UpdatedAtUs = e.NowUs
	d.Head.Pause = nil
	d.accept(e, "resumed; it was "+held(p))
	d.stock(e.Inbox)
	d.rearm()
	d.settle(e.NowUs)
	d.proceed(e.NowUs)
}

// releaseTokens gives the flow's tokens to others. The flow is not told: should it spend them all the same, its notary has the
// last word, as it has for every claim.
func (d *draft) releaseTokens(e Commanded) {
	n := len(d.Head.GetClaims())
	if n == 0 {
		d.refuse(e, RefusedState, "the flow has no claim of tokens")
		return
	}
	d.Head.UpdatedAtUs = e.NowUs
	d.endClaims(0, true)
	d.accept(e, fmt.Sprintf("%d claims of tokens are released; the flow goes on", n))
}

// rearm asks again for what the flow waits for, so that a timer or loop record that was lost (dead-lettered, say)
// does not hold it up for ever. What comes twice is stale the second time.
func (d *draft) rearm() {
	durable := false
	for _, w := range d.Head.GetWaiting() {
		switch {
		case timerAt(w) != 0:
			d.do(SetTimer{d.attempt(), d.Head.GetStep(), w.GetOrdinal(), timerAt(w)})
		case w.GetOperation() == opCheckpoint:
			durable = true
		}
	}
	if durable {
		d.do(GoOn{d.attempt(), d.Head.GetStep()})
	}
	for _, s := range d.Head.GetSessions() {
		if !sessionEnded(s) {
			d.do(SetSilence{s.GetSessionId(), silentAt(s)})
		}
	}
}

// retry cuts the journal after a step and goes on from there in a new attempt.
func (d *draft) retry(e Commanded) {
	step := e.Command.GetStep()
	if step > d.Head.GetStep() {
		d.refuse(e, RefusedStep, "step %d was not reached; the flow is at step %d", step, d.Head.GetStep())
		return
	}
	if step > 0 && len(e.Kept) == 0 || step == 0 && e.Start == nil {
		d.refuse(e, ErrJournal, "the journal has no rows for step %d", step)
		return
	}
	if lost := d.lostSessions(step, e.NowUs); len(lost) > 0 && !e.Command.GetForce() {
		d.refuse(e, RefusedSession, "%s; so the flow would most likely get a session-error after step %d. %s, or force the retry (--force) when it copes with that",
			strings.Join(lost, "; "), step, d.reopening(step, e.NowUs))
		return
	}
	if step < d.Head.GetStep() {
		d.cancelTimers()
		d.Head.Waiting = nil
		d.Open = append([]*flowv1.JournalRequest(nil), e.Kept...)
		if step == 0 {
			d.Open = nil
		}
		d.dirty = nil
		d.Head.AnsweredBytes = 0
		for _, row := range d.Open {
			d.Head.AnsweredBytes += uint64(len(row.GetAnswer()))
		}
	}
	if d.Head.GetEnding() { // what it returned is forgotten with what it did after the step
		d.Head.Ending, d.Head.Result, d.Head.Waiting = false, nil, nil
	}
	d.rewindSessions(step, e.NowUs)
	d.endClaims(step, false)
	d.stock(e.Inbox)
	d.Head.UpdatedAtUs = e.NowUs
	d.Head.Pause = nil
	d.Head.Attempt++
	d.Head.Segments = line(d.Head).Cut(step, d.Head.GetAttempt())
	d.Head.Step = step
	if step == 0 {
		d.Head.ClockUs = max(e.NowUs, d.Head.GetClockUs()+1)
		d.do(WriteStart{restart(e.Start, d.Head.GetAttempt(), d.Head.GetClockUs())})
	}
	d.do(DropInstance{})
	d.accept(e, fmt.Sprintf("attempt %d goes on after step %d", d.Head.GetAttempt(), step))
	d.rearm()
	d.settle(e.NowUs)
	d.proceed(e.NowUs)
}

// restart is the start row of a retry that keeps nothing: the module is told its attempt.
func restart(row *flowv1.JournalStart, attempt uint32, clockUs int64) *flowv1.JournalStart {
	row = proto.Clone(row).(*flowv1.JournalStart)
	row.NowUs = clockUs
	if start, err := StartOf(row); err == nil {
		start.Attempt = attempt
		if raw, err := schemas.Marshal(start); err == nil {
			row.Start = raw
		}
	}
	return row
}

func (d *draft) accept(e Commanded, detail string) {
	d.note(OutcomeCommand)
	d.Head.LastCommand = outcomeOf(e)
	d.Head.LastCommand.Detail = detail
	d.audit(e, auditv1.Outcome_OUTCOME_DONE, "", detail)
}

func (d *draft) refuse(e Commanded, id, format string, args ...any) {
	d.note(OutcomeRefused)
	detail := validText(id + ": " + fmt.Sprintf(format, args...))
	if d.alive() { // after the end a flow's status is final
		d.Head.LastCommand = outcomeOf(e)
		d.Head.LastCommand.Refused, d.Head.LastCommand.ErrorId, d.Head.LastCommand.Detail = true, id, detail
	}
	d.audit(e, auditv1.Outcome_OUTCOME_REFUSED, id, detail)
}

// outcomeOf is what became of a command that changed something; who asked finds it in the flow's status by its id.
func outcomeOf(e Commanded) *flowv1.CommandOutcome {
	return &flowv1.CommandOutcome{Id: e.ID, Kind: e.Command.GetKind(), AtUs: e.NowUs}
}

func (d *draft) audit(e Commanded, outcome auditv1.Outcome, id, detail string) {
	d.do(Audit{&auditv1.Entry{
		AtUs:    e.NowUs,
		By:      nameOf(e.Command),
		Tool:    "flow worker",
		Action:  "flow." + commandName(e.Command),
		Entity:  "flow/" + validText(e.Flow),
		Outcome: outcome,
		Detail:  detail,
		ErrorId: id,
		Vnode:   d.Head.GetStart().GetVnode(),
		Reason:  validText(e.Command.GetReason()),
	}})
}

func commandName(c *flowv1.FlowCommand) string {
	switch c.GetKind() {
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL:
		return "kill"
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_PAUSE:
		return "pause"
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RESUME:
		return "resume"
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RETRY_FROM_STEP:
		return "retry"
	case flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RELEASE_TOKENS:
		return "release-tokens"
	default:
		return "unknown"
	}
}

func nameOf(c *flowv1.FlowCommand) string {
	if c.GetBy() == "" {
		return "somebody"
	}
	return validText(c.GetBy())
}

func who(c *flowv1.FlowCommand) string {
	if c.GetReason() == "" {
		return nameOf(c)
	}
	return nameOf(c) + ": " + validText(c.GetReason())
}

// held says why a flow does not go on.
func held(p *flowv1.Pause) string {
	if p.GetParked() {
		return "parked: " + p.GetReason()
	}
	if p.GetReason() == "" {
		return "paused by " + p.GetBy()
	}
	return "paused by " + p.GetBy() + ": " + p.GetReason()
}

func stateName(s flowv1.FlowState) string { return strings.TrimPrefix(s.String(), "FLOW_STATE_") }

func validText(s string) string { return strings.ToValidUTF8(s, "�") }

// requestsOf takes the requests out of rows.
func requestsOf(rows []*flowv1.JournalRow) []*flowv1.JournalRequest {
	var out []*flowv1.JournalRequest
	for _, row := range rows {
		if r := row.GetRequest(); r != nil {
			out = append(out, r)
		}
	}
	return out
}
