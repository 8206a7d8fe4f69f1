package flowmapper

import (
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Stable ids of commands.
const (
	// ErrCommand: a command names no flow.
	ErrCommand = "FL-MAPPER-007"
	// RefusedWaiting: a start that waits for admission can be killed, and nothing else.
	RefusedWaiting = "FL-MAPPER-008"
)

// Commanded is an operator's command for a flow that had not begun when the command was written.
type Commanded struct {
	Key     string
	Command *flowv1.CommandFlow
	// ID is derived from the record's place.
	ID identity.UUID
	// Queued tells whether the start still stands in its queue; a waiting start that does not has its place already,
	// and its admission is under way.
	Queued bool
	NowUs  int64
}

// PassOn writes a command to flow.events under the flow's id, behind the flow's start.
type PassOn struct {
	FlowID  identity.UUID
	Command *flowv1.FlowCommand
}

// Leave takes the event's key out of a virtual node's queue.
type Leave struct {
	Vnode    string
	Position uint64
}

// Audit records a command.
type Audit struct{ Entry *auditv1.Entry }

func (Commanded) event() {}
func (PassOn) effect()   {}
func (Leave) effect()    {}
func (Audit) effect()    {}

// commanded kills a start that waits. What is meant for any other flow goes behind its start: the flow worker knows
// what became of it, and says so.
func (s State) commanded(e Commanded) (State, []Effect, error) {
	id, err := identity.UUIDFromBytes(e.Command.GetFlowId())
	if err != nil {
		return s, nil, engine.Poison("%s: command under %q: field flow_id: %w", ErrCommand, e.Key, err)
	}
	command := e.Command.GetCommand()
	if command == nil {
		return s, nil, engine.Poison("%s: command for flow %s: field command is empty", ErrCommand, id)
	}
	command = clone(command)
	command.Id = e.ID.String()
	if s.Mapping == nil || string(s.Mapping.GetFlowId()) != string(id[:]) || s.Mapping.GetStatus() != flowv1.MappingStatus_MAPPING_STATUS_WAITING {
		return s, []Effect{PassOn{id, command}, Note{OutcomePassedOn}}, nil
	}
	if command.GetKind() != flowv1.FlowCommandKind_FLOW_COMMAND_KIND_KILL {
		return s.refuse(e, id, command)
	}
	return s.kill(e, id, command)
}

func (s State) refuse(e Commanded, id identity.UUID, command *flowv1.FlowCommand) (State, []Effect, error) {
	detail := RefusedWaiting + ": the flow waits for admission and has not begun: kill it, or come again when it runs"
	status := statusOf(s.Mapping.GetWaiting(), id, e.NowUs, waitingText)
	status.LastCommand = &flowv1.CommandOutcome{Id: command.GetId(), Kind: command.GetKind(), Refused: true, ErrorId: RefusedWaiting, Detail: detail, AtUs: e.NowUs}
	entry := s.audit(e, id, command)
	entry.Outcome, entry.ErrorId, entry.Detail = auditv1.Outcome_OUTCOME_REFUSED, RefusedWaiting, detail
	return s, []Effect{SendStatus{status}, Audit{entry}, Note{OutcomeRefused}}, nil
}

func (s State) kill(e Commanded, id identity.UUID, command *flowv1.FlowCommand) (State, []Effect, error) {
	vnode := s.Mapping.GetVnode()
	status := statusOf(s.Mapping.GetWaiting(), id, e.NowUs, "")
	status.State = flowv1.FlowState_FLOW_STATE_KILLED
	status.TerminatedReason = "killed by " + who(command)
	status.LastCommand = &flowv1.CommandOutcome{Id: command.GetId(), Kind: command.GetKind(), Detail: "killed before it began", AtUs: e.NowUs}
	entry := s.audit(e, id, command)
	entry.Outcome, entry.Detail = auditv1.Outcome_OUTCOME_DONE, status.GetLastCommand().GetDetail()
	effects := []Effect{SendStatus{status}, Audit{entry}}
	if e.Queued {
		s.Places = s.Places.leave(vnode)
		effects = append(effects, Leave{vnode, s.Mapping.GetWaitingPosition()})
	} else {
		s.Places = s.Places.give(vnode) // the admission that is under way finds nothing that waits
	}
	s.Mapping = clone(s.Mapping)
	s.Mapping.Status = flowv1.MappingStatus_MAPPING_STATUS_CLOSING
	s.Mapping.ExpiresAtUs = e.NowUs + s.Rules.KeepUs
	s.Mapping.Waiting = nil
	s.Mapping.WaitingPosition = 0
	return s.fill(append(effects, SetExpiry{s.Mapping.GetExpiresAtUs()}, Note{OutcomeKilled}))
}

func (s State) audit(e Commanded, id identity.UUID, command *flowv1.FlowCommand) *auditv1.Entry {
	return &auditv1.Entry{
		AtUs: e.NowUs, By: nameOf(command), Tool: "flow mapper", Action: "flow." + commandName(command.GetKind()),
		Entity: "flow/" + id.String(), Vnode: s.Mapping.GetVnode(), Reason: validText(command.GetReason()),
	}
}

// commandName is the command's word in the command line and the audit.
func commandName(k flowv1.FlowCommandKind) string {
	switch k {
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
	return fmt.Sprintf("%s: %s", nameOf(c), validText(c.GetReason()))
}

func validText(s string) string { return strings.ToValidUTF8(s, "�") }
