package flow

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/identity"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// Bounds of what a flow may say when it opens a session.
const (
	maxProtocol        = 255     // bytes
	maxVersions        = 100     // versions offered
	maxProperties      = 100     // context properties
	maxPropertyBytes   = 8 << 10 // all of them together
	maxSessionError    = 1 << 10 // bytes of a reason that goes to the other side
	maxSessionBytes    = 1 << 20 // of a flow's sessions together, in its head
	shortSessionDigits = 8       // of an id, for people
)

func sessionOf(head *flowv1.Checkpoint, id string) *flowv1.Session {
	for _, s := range head.GetSessions() {
		if s.GetSessionId() == id {
			return s
		}
	}
	return nil
}

// sessionEnded tells whether nothing more can come of a session.
func sessionEnded(s *flowv1.Session) bool {
	return s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_CLOSED || s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_ERROR
}

// begun tells whether the mapper has heard of this side.
func begun(s *flowv1.Session) bool { return !s.GetInitiator() || s.GetSent() > 0 || s.GetInfoSent() }

// open opens a session; nothing is sent.
func (d *draft) open(i int, op *appv1.OpenSession, nowUs int64) {
	name, err := identity.Canonical(op.GetCounterpartyX500Name())
	if err == nil {
		err = checkOpen(op, d.Rules)
	}
	if err != nil {
		d.answerError(i, TypeInvalid, validText(err.Error()), nowUs)
		return
	}
	live := 0
	for _, s := range d.Head.GetSessions() {
		if !sessionEnded(s) {
			live++
		}
	}
	if live >= d.Rules.MaxSessions {
		d.answerError(i, TypeLimit, fmt.Sprintf("the flow has %d open sessions, which is as many as it may have: close some", live), nowUs)
		return
	}
	s := &flowv1.Session{
		SessionId:        identity.SessionID(d.id(), d.attempt(), d.Head.GetSessionsOpened()+1).String(),
		Initiator:        true,
		Counterparty:     &vnodev1.HoldingIdentity{X500Name: name, GroupId: d.Head.GetStart().GetIdentity().GetGroupId()},
		Status:           flowv1.SessionStatus_SESSION_STATUS_CREATED,
		Protocol:         op.GetProtocol(),
		Versions:         slices.Clone(op.GetVersions()),
		CloseNotRequired: op.GetCloseNotRequired(),
		TimeoutUs:        op.GetTimeoutUs(),
		OpenedAtUs:       nowUs,
		OpenedStep:       d.Head.GetStep(),
		UsedStep:         d.Head.GetStep(),
	}
	if s.TimeoutUs == 0 {
		s.TimeoutUs = d.Rules.SessionTimeoutUs
	}
	for _, p := range op.GetProperties() {
		s.Properties = append(s.Properties, &flowv1.SessionProperty{Name: p.GetName(), Value: p.GetValue()})
	}
	// The head must fit into a record whatever comes, or nobody could end the flow.
	if n := proto.Size(&flowv1.Checkpoint{Sessions: d.Head.GetSessions()}) + proto.Size(s); n > maxSessionBytes {
		d.answerError(i, TypeLimit, fmt.Sprintf("the flow's sessions would have %d bytes with this one, mostly properties; at most %d are allowed: close some, or give fewer properties", n, maxSessionBytes), nowUs)
		return
	}
	d.Head.SessionsOpened++
	d.addSession(s)
	d.note(OutcomeOpened)
	d.answerWith(i, &appv1.OpenedSession{SessionId: s.GetSessionId(), CounterpartyX500Name: name}, nowUs)
}

func checkOpen(op *appv1.OpenSession, r Rules) error {
	size := 0
	for _, p := range op.GetProperties() {
		size += len(p.GetName()) + len(p.GetValue())
	}
	switch {
	case op.GetProtocol() == "" || len(op.GetProtocol()) > maxProtocol:
		return fmt.Errorf("protocol has %d bytes; it must have 1 to %d", len(op.GetProtocol()), maxProtocol)
	case len(op.GetVersions()) == 0 || len(op.GetVersions()) > maxVersions || slices.Contains(op.GetVersions(), 0):
		return fmt.Errorf("versions are %v; give 1 to %d, each from 1 on", op.GetVersions(), maxVersions)
	case op.GetTimeoutUs() < 0 || op.GetTimeoutUs() > r.MaxSleepUs:
		return fmt.Errorf("timeout_us is %d; it must be between 0 and %d", op.GetTimeoutUs(), r.MaxSleepUs)
	case len(op.GetProperties()) > maxProperties || size > maxPropertyBytes:
		return fmt.Errorf("%d properties of %d bytes are given; at most %d of %d bytes together are allowed", len(op.GetProperties()), size, maxProperties, maxPropertyBytes)
	}
	return nil
}

// addSession adds a session and its timer; ended ones beyond the limit are forgotten, the oldest first.
func (d *draft) addSession(s *flowv1.Session) {
	d.Head.Sessions = append(d.Head.Sessions, s)
	for n := len(d.Head.Sessions) - 2*d.Rules.MaxSessions; n > 0; n-- {
		at := slices.IndexFunc(d.Head.Sessions, sessionEnded)
		if at < 0 {
			break
		}
		d.do(DropMessages{d.Head.Sessions[at].GetSessionId()})
		d.Head.Sessions = slices.Delete(d.Head.Sessions, at, at+1)
	}
	d.do(SetSilence{s.GetSessionId(), silentAt(s)})
}

// silentAt is when a session fails if the other side is not heard.
func silentAt(s *flowv1.Session) int64 {
	return max(s.GetOpenedAtUs(), s.GetHeardAtUs()) + s.GetTimeoutUs()
}

// named finds the session that a request names, or answers the request.
func (d *draft) named(i int, id string, nowUs int64) *flowv1.Session {
	s := sessionOf(d.Head, id)
	if s == nil {
		d.answerError(i, TypeInvalid, fmt.Sprintf("the flow has no session %q", id), nowUs)
	}
	return s
}

// send sends one part of a message.
func (d *draft) send(i int, op *appv1.SendMessage, nowUs int64) {
	s := d.named(i, op.GetSessionId(), nowUs)
	switch {
	case s == nil:
		return
	case s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_ERROR:
		d.answerFault(i, s, nowUs)
		return
	case sessionEnded(s) || s.GetCloseSent() || s.GetPeerClosed() != 0:
		d.answerClosed(i, s, nowUs)
		return
	}
	data := &flowv1.SessionData{Payload: op.GetPayload(), More: op.GetMore(), Init: initOf(d.Head, s), Info: infoOf(s)}
	s.Sent++
	d.post(s, &flowv1.SessionEvent{Sequence: s.GetSent(), Payload: &flowv1.SessionEvent_Data{Data: data}}, nowUs)
	s.UsedStep = d.Head.GetStep()
	d.Bytes += len(op.GetPayload())
	d.note(OutcomeSent)
	d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Result{}}, nowUs)
}

// post hands an event of a session to the mapper.
func (d *draft) post(s *flowv1.Session, e *flowv1.SessionEvent, nowUs int64) {
	me := d.Head.GetStart().GetIdentity()
	e.Direction = flowv1.Direction_DIRECTION_OUTBOUND
	e.SessionId = s.GetSessionId()
	e.FromInitiator = s.GetInitiator()
	e.Initiating, e.Initiated = s.GetCounterparty(), me
	if s.GetInitiator() {
		e.Initiating, e.Initiated = me, s.GetCounterparty()
	}
	e.SentAtUs = nowUs
	e.FlowId = d.Head.GetFlowId()
	d.do(SendSession{identity.SessionKey(s.GetSessionId(), s.GetInitiator()), e, numbered(e)})
}

// numbered tells whether an event has a place among those of its session, whichever way it comes, and begins nothing: then the
// other side's mapping is there, and this side's has nothing to learn from it.
func numbered(e *flowv1.SessionEvent) bool {
	switch p := e.GetPayload().(type) {
	case *flowv1.SessionEvent_Data:
		return p.Data.GetInit() == nil
	case *flowv1.SessionEvent_Close:
		return p.Close.GetInit() == nil
	default:
		return false
	}
}

// initOf is what an initiator says with everything until it has heard of the responder.
func initOf(head *flowv1.Checkpoint, s *flowv1.Session) *flowv1.SessionInit {
	if !s.GetInitiator() || s.GetStatus() != flowv1.SessionStatus_SESSION_STATUS_CREATED {
		return nil
	}
	return &flowv1.SessionInit{
		Protocol: s.GetProtocol(), Versions: s.GetVersions(), CloseNotRequired: s.GetCloseNotRequired(), TimeoutUs: s.GetTimeoutUs(),
		Properties: s.GetProperties(), Cpi: head.GetCpiChecksum(),
	}
}

// infoOf is what a responder says with the first that it sends.
func infoOf(s *flowv1.Session) *flowv1.SessionInfoResponse {
	if s.GetInitiator() || s.GetInfoSent() {
		return nil
	}
	s.InfoSent = true
	return &flowv1.SessionInfoResponse{ProtocolVersion: s.GetProtocolVersion(), Properties: s.GetProperties()}
}

// receive reads the next part of a message, or waits for it.
func (d *draft) receive(i int, s *flowv1.Session, nowUs int64) (answered bool) {
	id := s.GetSessionId()
	if next := d.inbox[id]; len(next) > 0 && next[0].Sequence == s.GetRead()+1 && !s.GetCloseSent() {
		size := len(next[0].Row.GetPayload())
		if next[0].Row == nil || d.crowded(size+answerFrame) { // it stays to be read by a later step
			d.note(OutcomeTooLarge)
			d.answerError(i, TypeLimit, fmt.Sprintf(limitText, d.Rules.MaxAnswers), nowUs)
			return true
		}
		d.inbox[id] = next[1:]
		s.UnreadBytes -= min(s.UnreadBytes, uint64(size))
		s.Read++
		s.UsedStep = d.Head.GetStep()
		d.do(DropMessage{id, s.GetRead()})
		d.note(OutcomeReceived)
		d.answerWith(i, &appv1.ReceivedMessage{Payload: next[0].Row.GetPayload(), More: next[0].Row.GetMore()}, nowUs)
		return true
	}
	switch {
	case s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_ERROR:
		d.answerFault(i, s, nowUs)
	case s.GetCloseSent() || sessionEnded(s) || s.GetPeerClosed() != 0 && s.GetRead()+1 >= s.GetPeerClosed():
		d.answerClosed(i, s, nowUs)
	default:
		return false
	}
	return true
}

// closeSession closes this side, and waits for the other when that is required.
func (d *draft) closeSession(i int, s *flowv1.Session, nowUs int64) (answered bool) {
	if s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_ERROR {
		d.answerFault(i, s, nowUs)
		return true
	}
	s.UsedStep = max(s.GetUsedStep(), d.Head.GetStep())
	if !d.shut(s, nowUs) {
		return false
	}
	d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Result{}}, nowUs)
	return true
}

// shut closes this side of a session and tells whether that is all: false means that the other side's close is
// required and has not come.
func (d *draft) shut(s *flowv1.Session, nowUs int64) bool {
	switch {
	case sessionEnded(s):
		return true
	case !begun(s):
		d.closed(s)
		return true
	case !s.GetCloseSent():
		s.CloseSent = true
		s.Sent++
		d.post(s, &flowv1.SessionEvent{Sequence: s.GetSent(), Payload: &flowv1.SessionEvent_Close{
			Close: &flowv1.SessionClose{Init: initOf(d.Head, s), Info: infoOf(s)},
		}}, nowUs)
		s.Status = flowv1.SessionStatus_SESSION_STATUS_CLOSING
	}
	if s.GetInitiator() && !s.GetCloseNotRequired() && s.GetPeerClosed() == 0 {
		return false
	}
	d.closed(s)
	return true
}

func (d *draft) closed(s *flowv1.Session) {
	s.Status = flowv1.SessionStatus_SESSION_STATUS_CLOSED
	s.UnreadBytes = 0
	lighten(s)
	d.leave(s)
	d.do(DropMessages{s.GetSessionId()})
}

// lighten drops what an ended session needs no more. The other side's properties may still be asked for; only the one
// session that began a responder has any.
func lighten(s *flowv1.Session) {
	s.Properties, s.Versions, s.Ahead = nil, nil, nil
}

// leave ends what the worker and the mapper keep going for a session.
func (d *draft) leave(s *flowv1.Session) {
	d.do(CancelSilence{s.GetSessionId()})
	if begun(s) && !s.GetCleanedUp() {
		s.CleanedUp = true
		d.do(SendCleanUp{identity.SessionKey(s.GetSessionId(), s.GetInitiator()), d.id()})
	}
}

// breakSession ends a session by an error; tell says whether the other side does not know yet.
func (d *draft) breakSession(s *flowv1.Session, kind, message string, tell bool, nowUs int64) {
	message = validText(message)
	if len(message) > maxSessionError {
		message = validText(message[:maxSessionError]) + "…"
	}
	e := &flowv1.SessionError{Type: kind, Message: message}
	if tell && begun(s) && !sessionEnded(s) {
		d.post(s, &flowv1.SessionEvent{Payload: &flowv1.SessionEvent_Error{Error: e}}, nowUs)
	}
	s.Status = flowv1.SessionStatus_SESSION_STATUS_ERROR
	s.Error = e
	lighten(s)
	d.leave(s)
	d.note(OutcomeSessionError)
}

// sessionInfo tells which protocol is spoken, or asks the other side.
func (d *draft) sessionInfo(i int, s *flowv1.Session, nowUs int64) (answered bool) {
	switch {
	case s.GetProtocolVersion() != 0:
		r := &appv1.SessionInfoResult{Protocol: s.GetProtocol(), ProtocolVersion: s.GetProtocolVersion()}
		for _, p := range s.GetPeerProperties() {
			r.Properties = append(r.Properties, &appv1.Property{Name: p.GetName(), Value: p.GetValue()})
		}
		d.answerWith(i, r, nowUs)
	case s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_ERROR:
		d.answerFault(i, s, nowUs)
	case sessionEnded(s) || s.GetCloseSent() || s.GetPeerClosed() != 0:
		d.answerClosed(i, s, nowUs)
	case !s.GetInfoSent():
		s.InfoSent = true
		s.UsedStep = d.Head.GetStep()
		init := initOf(d.Head, s)
		if init == nil { // the responder was heard, but its first message is still on the way
			init = &flowv1.SessionInit{Protocol: s.GetProtocol(), Versions: s.GetVersions()}
		}
		d.post(s, &flowv1.SessionEvent{Payload: &flowv1.SessionEvent_InfoRequest{InfoRequest: &flowv1.SessionInfoRequest{Init: init}}}, nowUs)
		return false
	default:
		return false
	}
	return true
}

func (d *draft) answerFault(i int, s *flowv1.Session, nowUs int64) {
	kind, message := sessionFault(s)
	d.answerError(i, kind, message, nowUs)
}

// sessionFault is how a session's error looks to its flow.
func sessionFault(s *flowv1.Session) (kind, message string) {
	if s.GetError().GetType() == TypeSessionTimeout {
		return TypeSessionTimeout, s.GetError().GetMessage()
	}
	return TypeSessionError, s.GetError().GetType() + ": " + s.GetError().GetMessage()
}

func (d *draft) answerClosed(i int, s *flowv1.Session, nowUs int64) {
	who := s.GetCounterparty().GetX500Name() + " has"
	if s.GetCloseSent() || s.GetPeerClosed() == 0 {
		who = "this side has"
	}
	d.answerError(i, TypeSessionClosed, fmt.Sprintf("%s closed the session", who), nowUs)
}

// settle answers the requests that wait for sessions and need not wait any more, and tells whether there were any.
func (d *draft) settle(nowUs int64) bool {
	any := false
	for _, w := range slices.Clone(d.Head.GetWaiting()) {
		i := int(w.GetOrdinal())
		s := sessionOf(d.Head, w.GetSessionId())
		if w.GetSessionId() == "" || d.Head.GetEnding() || i >= len(d.Open) {
			continue
		}
		if s == nil {
			d.answerError(i, TypeInvalid, fmt.Sprintf("the flow has no session %q any more", w.GetSessionId()), nowUs)
			any = true
			continue
		}
		switch w.GetOperation() {
		case opReceive:
			any = d.receive(i, s, nowUs) || any
		case opClose:
			any = d.closeSession(i, s, nowUs) || any
		case opInfo:
			any = d.sessionInfo(i, s, nowUs) || any
		}
	}
	return any
}

// stock takes the messages that may be read; the event's own are never changed.
func (d *draft) stock(in Inbox) { d.inbox = maps.Clone(in) }

func (d *draft) silent(e Silent) error {
	s := sessionOf(d.Head, e.SessionID)
	if !d.alive() || s == nil || sessionEnded(s) {
		d.note(OutcomeStale)
		return nil
	}
	if at := silentAt(s); at > e.NowUs {
		d.do(SetSilence{s.GetSessionId(), at})
		return nil
	}
	d.Head.UpdatedAtUs = e.NowUs
	d.breakSession(s, TypeSessionTimeout, fmt.Sprintf("no message of %s for %s", s.GetCounterparty().GetX500Name(), micros(s.GetTimeoutUs())), true, e.NowUs)
	d.afterSessions(e.NowUs)
	return nil
}

// afterSessions goes on with the flow when its sessions let it.
func (d *draft) afterSessions(nowUs int64) {
	if d.Head.GetEnding() {
		d.finishEnding(nowUs)
		return
	}
	if d.settle(nowUs) {
		d.proceed(nowUs)
	}
}

// endSessions closes what the flow's end leaves open, and tells whether nothing is waited for.
func (d *draft) endSessions(nowUs int64) bool {
	all := true
	for _, s := range d.Head.GetSessions() {
		if sessionEnded(s) {
			continue
		}
		s.UsedStep = d.Head.GetStep() + 1
		if !d.shut(s, nowUs) {
			all = false
			d.Head.Waiting = append(d.Head.Waiting, &flowv1.Waiting{Operation: opClose, SessionId: s.GetSessionId()})
		}
	}
	return all
}

// finishEnding completes a flow whose code is done, when all closes came.
func (d *draft) finishEnding(nowUs int64) {
	var left []*flowv1.Waiting
	for _, w := range d.Head.GetWaiting() {
		s := sessionOf(d.Head, w.GetSessionId())
		switch {
		case s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_ERROR:
			kind, message := sessionFault(s)
			e := platformError(ErrSession, "the flow had ended, but its session with %s was not closed by the other side: %s", s.GetCounterparty().GetX500Name(), message)
			e.Type = kind
			d.Head.Result = nil
			d.fail(e, nowUs)
			return
		case s != nil && !sessionEnded(s):
			left = append(left, w)
		}
	}
	d.Head.Waiting = left
	d.Head.UpdatedAtUs = nowUs
	if len(left) == 0 && d.Head.GetPause() == nil {
		d.complete(nowUs)
	}
}

// abandonSessions tells the other sides that the flow did not end well.
func (d *draft) abandonSessions(kind, message string, nowUs int64) {
	for _, s := range d.Head.GetSessions() {
		if !sessionEnded(s) {
			d.breakSession(s, kind, message, true, nowUs)
		}
	}
}

// dropUnread empties the inboxes of the sessions whose messages were kept after their error.
func (d *draft) dropUnread() {
	for _, s := range d.Head.GetSessions() {
		if s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_ERROR {
			d.do(DropMessages{s.GetSessionId()})
		}
	}
}

// rewindSessions goes back to a step: sessions that were opened after it are gone, and one that was used after it is
// broken, for the other side's flow has not gone back.
func (d *draft) rewindSessions(step uint32, nowUs int64) {
	var kept []*flowv1.Session
	for _, s := range d.Head.GetSessions() {
		if s.GetUsedStep() > step || s.GetOpenedStep() > step {
			d.breakSession(s, "flow-retried", fmt.Sprintf("the flow went back to step %d", step), true, nowUs)
			d.do(DropMessages{s.GetSessionId()})
		}
		if s.GetOpenedStep() <= step {
			kept = append(kept, s)
		}
	}
	d.Head.Sessions = kept
}

// lostSessions tells which sessions a retry from a step would take up that cannot be used any more, and why.
func (d *draft) lostSessions(step uint32, nowUs int64) []string {
	var out []string
	for _, s := range d.Head.GetSessions() {
		if why := lostAfter(s, step, nowUs); why != "" {
			out = append(out, fmt.Sprintf("session %s with %s was opened at step %d and %s",
				shortSession(s.GetSessionId()), s.GetCounterparty().GetX500Name(), s.GetOpenedStep(), why))
		}
	}
	return out
}

// lostAfter tells why a session cannot be used by a flow that goes on after a step, empty when it can. One that the
// flow itself closed by then is done with, not lost.
func lostAfter(s *flowv1.Session, step uint32, nowUs int64) string {
	switch {
	case s.GetOpenedStep() > step: // it is opened anew
		return ""
	case s.GetStatus() == flowv1.SessionStatus_SESSION_STATUS_ERROR:
		return "failed since: " + s.GetError().GetType() + ": " + s.GetError().GetMessage()
	case s.GetUsedStep() > step:
		return fmt.Sprintf("was used up to step %d, where the other side's flow still is", s.GetUsedStep())
	case !sessionEnded(s) && silentAt(s) <= nowUs:
		return fmt.Sprintf("timed out: no message of the other side for %s", micros(s.GetTimeoutUs()))
	default:
		return ""
	}
}

// reopening says from where a retry opens all sessions anew that it would else miss.
func (d *draft) reopening(step uint32, nowUs int64) string {
	for again := true; again; {
		again = false
		for _, s := range d.Head.GetSessions() {
			if lostAfter(s, step, nowUs) == "" {
				continue
			}
			if s.GetOpenedStep() == 0 {
				return "No step helps, for the session began this flow: kill it and let the other side open a new session"
			}
			step, again = s.GetOpenedStep()-1, true
		}
	}
	return fmt.Sprintf("Retry from step %d, so that it is opened anew", step)
}

// shortSession is enough of an id for people to tell sessions apart.
func shortSession(id string) string { return id[:min(len(id), shortSessionDigits)] }

// sameHolding tells whether two identities are one.
func sameHolding(a, b *vnodev1.HoldingIdentity) bool { return proto.Equal(a, b) }
