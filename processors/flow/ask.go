package flow

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/processors/flow/journal"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// ask does what a request wants, and tells whether the step must be durable first. Known is what the views say.
//
// Answered within the event: opening a session, sending, emitting, look-ups. Waiting: sleeps, receives and sessions'
// info that are not there yet, closes that the other side must follow, and requests to other workers.
func (d *draft) ask(i int, a journal.Asked, known Known, nowUs int64) (durable bool) {
	if n := argumentSize(a); n > d.Rules.MaxArgument {
		d.note(OutcomeTooLarge)
		d.answerError(i, TypeLimit, fmt.Sprintf("arguments of %s have %d bytes, at most %d are allowed: send less", a.Operation, n, d.Rules.MaxArgument), nowUs)
		return false
	}
	if known.Refused != nil {
		d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Error{Error: known.Refused}}, nowUs)
		return false
	}
	switch op := a.Request.GetOperation().(type) {
	case *appv1.Request_Sleep:
		d.sleep(i, op.Sleep.GetDurationUs(), nowUs)
	case *appv1.Request_Checkpoint:
		d.wait(i, 0)
		return true
	case *appv1.Request_OpenSession:
		d.open(i, op.OpenSession, nowUs)
	case *appv1.Request_Send:
		d.send(i, op.Send, nowUs)
	case *appv1.Request_Receive:
		d.inSession(i, op.Receive.GetSessionId(), nowUs, d.receive)
	case *appv1.Request_CloseSession:
		d.inSession(i, op.CloseSession.GetSessionId(), nowUs, d.closeSession)
	case *appv1.Request_SessionInfo:
		d.inSession(i, op.SessionInfo.GetSessionId(), nowUs, d.sessionInfo)
	case *appv1.Request_Sign:
		d.sign(i, op.Sign, known.VaultName, nowUs)
	case *appv1.Request_Persist, *appv1.Request_Merge, *appv1.Request_Remove, *appv1.Request_Find, *appv1.Request_FindAll, *appv1.Request_Query:
		d.rows(i, a, nowUs)
	case *appv1.Request_CheckUniqueness:
		d.uniqueness(i, op.CheckUniqueness, nowUs)
	case *appv1.Request_Verify:
		d.verify(i, op.Verify, known, nowUs)
	case *appv1.Request_ClaimTokens, *appv1.Request_ReleaseTokens, *appv1.Request_TokenBalance:
		d.tokens(i, a, nowUs)
	case *appv1.Request_Ledger:
		d.ledger(i, op.Ledger, nowUs)
	case *appv1.Request_Package:
		d.packages(i, op.Package, nowUs)
	case *appv1.Request_SignTransactions:
		d.signTransactions(i, op.SignTransactions, known, nowUs)
	case *appv1.Request_LookupMembers, *appv1.Request_FindKeys, *appv1.Request_DescribeLedger, *appv1.Request_CheckSignatures:
		d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Result{Result: known.Result}}, nowUs)
	case *appv1.Request_Emit:
		d.emit(i, op.Emit, known.Topic, nowUs)
	default:
		d.note(OutcomeUnsupported)
		d.answerError(i, TypeUnsupported, fmt.Sprintf("operation %s is not known to this cluster: upgrade it, or build the application with an older SDK", a.Operation), nowUs)
	}
	return false
}

// argumentSize is what counts against the limit: a message part may be as long as the limit itself.
func argumentSize(a journal.Asked) int {
	if send := a.Request.GetSend(); send != nil {
		return len(send.GetPayload())
	}
	return len(a.Arguments)
}

func (d *draft) sleep(i int, us, nowUs int64) {
	switch {
	case us <= 0:
		d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Result{}}, nowUs)
	case us > d.Rules.MaxSleepUs:
		d.answerError(i, TypeInvalid, fmt.Sprintf("a sleep of %d µs is asked, at most %d are allowed", us, d.Rules.MaxSleepUs), nowUs)
	default:
		d.wait(i, nowUs+us)
		d.do(SetTimer{d.attempt(), d.Head.GetStep(), uint32(i), nowUs + us})
	}
}

// inSession does what a request wants of a session; what cannot be answered now waits for the session.
func (d *draft) inSession(i int, id string, nowUs int64, do func(i int, s *flowv1.Session, nowUs int64) bool) {
	s := d.named(i, id, nowUs)
	if s == nil || do(i, s, nowUs) {
		return
	}
	d.wait(i, 0)
	d.Head.Waiting[len(d.Head.Waiting)-1].SessionId = id
}

func (d *draft) wait(i int, deadlineUs int64) {
	d.Head.Waiting = append(d.Head.Waiting, &flowv1.Waiting{
		Ordinal: uint32(i), Operation: d.Open[i].GetOperation(), DeadlineUs: deadlineUs, RequestId: d.Open[i].GetRequestId(),
	})
}

// mark has a row written at the end of the step.
func (d *draft) mark(i int) {
	if d.dirty == nil {
		d.dirty = map[int]bool{}
	}
	d.dirty[i] = true
}

// change copies a row so that it can be changed.
func (d *draft) change(i int) *flowv1.JournalRequest {
	d.Open[i] = proto.Clone(d.Open[i]).(*flowv1.JournalRequest)
	d.mark(i)
	return d.Open[i]
}

func (d *draft) answerError(i int, kind, message string, nowUs int64) {
	d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Error{Error: &appv1.Error{Type: validText(kind), Message: validText(message)}}}, nowUs)
}

// answerWith answers with an operation's result.
func (d *draft) answerWith(i int, result proto.Message, nowUs int64) {
	raw, err := schemas.Marshal(result)
	if err != nil { // what is in it came out of a message, so its text is valid
		d.answerError(i, TypePlatform, "the result cannot be encoded", nowUs)
		return
	}
	d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Result{Result: raw}}, nowUs)
}

func (d *draft) answer(i int, a *appv1.Answer, nowUs int64) {
	raw, err := schemas.Marshal(a)
	if err != nil { // an answer is made of valid UTF-8 only, so this cannot be
		raw = nil
	}
	if d.crowded(len(raw)) {
		if limit := limitAnswer(d.Rules); len(raw) > len(limit) {
			d.note(OutcomeTooLarge)
			raw = limit
		}
	}
	d.Head.AnsweredBytes += uint64(len(raw))
	d.Bytes += len(raw)
	row := d.change(i)
	row.Answer = raw
	row.AnsweredAtUs = nowUs
	row.PendingSignatures = nil
	waiting := d.Head.Waiting[:0:0]
	for _, w := range d.Head.GetWaiting() {
		if w.GetOrdinal() != uint32(i) {
			waiting = append(waiting, w)
		}
	}
	d.Head.Waiting = waiting
}

// crowded tells whether so many bytes more would be too much for the answers to the step. The first always has room.
func (d *draft) crowded(n int) bool {
	return d.Head.GetAnsweredBytes() > 0 && d.Head.GetAnsweredBytes()+uint64(n) > uint64(d.Rules.MaxAnswers)
}

// limitText takes the bound.
const limitText = "the answers to this step have more than %d bytes together: ask for less at once, in several steps"

// answerFrame is more than what is around the payload of a message in an answer, bytes.
const answerFrame = 64

// limitAnswer is the answer to what the other answers of its step leave no room for.
func limitAnswer(r Rules) []byte {
	raw, err := schemas.Marshal(&appv1.Answer{Outcome: &appv1.Answer_Error{Error: &appv1.Error{
		Type: TypeLimit, Message: fmt.Sprintf(limitText, r.MaxAnswers),
	}}})
	if err != nil { // its text is valid UTF-8
		return nil
	}
	return raw
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
