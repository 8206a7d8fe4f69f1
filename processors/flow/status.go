package flow

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/identity"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// StatusOf is the flow's record on flow.status, nil when there is no flow.
func StatusOf(head *flowv1.Checkpoint) *flowv1.FlowStatus {
	if head == nil {
		return nil
	}
	s := &flowv1.FlowStatus{
		Vnode:            head.GetStart().GetVnode(),
		ClientRequestId:  head.GetStart().GetClientRequestId(),
		FlowId:           flowIDText(head),
		FlowClass:        head.GetStart().GetFlowClass(),
		State:            head.GetState(),
		Error:            head.GetError(),
		TerminatedReason: head.GetTerminatedReason(),
		CreatedAtUs:      head.GetCreatedAtUs(),
		UpdatedAtUs:      head.GetUpdatedAtUs(),
		Initiator:        head.GetStart().GetInitiator(),
		InitiatedBy:      head.GetStart().GetInitiatedBy(),
		WaitingFor:       WaitingFor(head),
		LastCommand:      head.GetLastCommand(),
		Paused:           head.GetPause() != nil,
	}
	if head.GetState() == flowv1.FlowState_FLOW_STATE_COMPLETED { // before, other sides may still have to close
		s.Result = head.GetResult()
	}
	return s
}

// sameStatus tells whether a reader of flow.status would see no difference but the time.
func sameStatus(a, b *flowv1.FlowStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	c := proto.Clone(b).(*flowv1.FlowStatus)
	c.UpdatedAtUs = a.GetUpdatedAtUs()
	return proto.Equal(a, c)
}

// WaitingFor says what a flow waits for, for people; empty when it goes on by itself.
func WaitingFor(head *flowv1.Checkpoint) string {
	if p := head.GetPause(); p != nil {
		return held(p)
	}
	var texts []string
	for _, w := range head.GetWaiting() {
		if w.GetOperation() == opCheckpoint {
			continue
		}
		text := w.GetOperation()
		if s := sessionOf(head, w.GetSessionId()); s != nil {
			text = fmt.Sprintf("%s of %s (session %s)", waitingWord(w.GetOperation()), s.GetCounterparty().GetX500Name(), shortSession(s.GetSessionId()))
		}
		if w.GetDeadlineUs() != 0 {
			text += " until " + time.UnixMicro(w.GetDeadlineUs()).UTC().Format("2006-01-02T15:04:05.000Z")
		}
		texts = append(texts, text)
	}
	if n := len(texts); n > 3 {
		texts = append(texts[:3], fmt.Sprintf("%d more", n-3))
	}
	return strings.Join(texts, ", ")
}

// waitingWord is what people call what a session is waited for.
func waitingWord(operation string) string {
	switch operation {
	case opReceive:
		return "message"
	case opClose:
		return "close"
	default:
		return "answer"
	}
}

// statusKey is the key of the flow's status and of its start: client request id, "-", short hash.
func statusKey(head *flowv1.Checkpoint) string {
	return head.GetStart().GetClientRequestId() + "-" + head.GetStart().GetVnode()
}

func flowIDText(head *flowv1.Checkpoint) string {
	id, err := identity.UUIDFromBytes(head.GetFlowId())
	if err != nil {
		return ""
	}
	return id.String()
}
