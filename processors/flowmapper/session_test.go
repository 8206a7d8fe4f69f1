package flowmapper_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

const sessionNow = 1_000_000_000_000

// sessionWorld has what the cells of the transition table are made of.
type sessionWorld struct {
	rules         flowmapper.Rules
	session       string
	mine, derived identity.UUID
}

func newSessionWorld() sessionWorld {
	flowID := identity.FlowID([16]byte{1}, 0, 1)
	return sessionWorld{
		rules:   flowmapper.Rules{SessionKeepUs: 600_000_000, SessionTTLUs: 300_000_000},
		session: identity.SessionID(flowID, 1, 1).String(), mine: flowID, derived: identity.FlowID([16]byte{1}, 0, 2),
	}
}

func (w sessionWorld) event(what string, outbound, fromInitiator bool) *flowv1.SessionEvent {
	e := &flowv1.SessionEvent{
		Direction: flowv1.Direction_DIRECTION_INBOUND, SessionId: w.session, FromInitiator: fromInitiator, SentAtUs: sessionNow,
		Initiating: &vnodev1.HoldingIdentity{X500Name: "O=Alice, L=London, C=GB", GroupId: "group"},
		Initiated:  &vnodev1.HoldingIdentity{X500Name: "O=Bob, L=London, C=GB", GroupId: "group"},
	}
	if outbound {
		e.Direction, e.FlowId = flowv1.Direction_DIRECTION_OUTBOUND, w.mine[:]
	}
	init := &flowv1.SessionInit{Protocol: "chat", Versions: []uint32{1}}
	switch what {
	case "info request with init":
		e.Payload = &flowv1.SessionEvent_InfoRequest{InfoRequest: &flowv1.SessionInfoRequest{Init: init}}
	case "data with init":
		e.Payload = &flowv1.SessionEvent_Data{Data: &flowv1.SessionData{Init: init}}
	case "close with init":
		e.Payload = &flowv1.SessionEvent_Close{Close: &flowv1.SessionClose{Init: init}}
	case "data":
		e.Payload = &flowv1.SessionEvent_Data{Data: &flowv1.SessionData{}}
	case "close":
		e.Payload = &flowv1.SessionEvent_Close{Close: &flowv1.SessionClose{}}
	case "error":
		e.Payload = &flowv1.SessionEvent_Error{Error: &flowv1.SessionError{Type: "flow-failed"}}
	}
	return e
}

func (w sessionWorld) key(e *flowv1.SessionEvent) string {
	outbound := e.GetDirection() == flowv1.Direction_DIRECTION_OUTBOUND
	return identity.SessionKey(e.GetSessionId(), outbound == e.GetFromInitiator())
}

// show says what a step did.
func (w sessionWorld) show(before flowmapper.State, event flowmapper.Event) string {
	frozen := proto.Clone(before.Mapping)
	after, effects, err := flowmapper.Step(before, event)
	if err != nil {
		return "poison: " + strings.ReplaceAll(err.Error(), w.session, "SESSION")
	}
	if before.Mapping != nil && !proto.Equal(frozen, before.Mapping) {
		return "THE STEP CHANGED ITS ARGUMENT"
	}
	out := []string{stateOf(after.Mapping)}
	for _, effect := range effects {
		switch f := effect.(type) {
		case flowmapper.SendToFlow:
			who := "the flow"
			if f.FlowID == w.derived {
				who = "a new flow"
			}
			out = append(out, "to "+who+": "+payload(f.Event))
		case flowmapper.SendToPeer:
			out = append(out, "to the other side: "+payload(f.Event))
			if err := flowmapper.CheckSession(f.Key, f.Event); err != nil || len(f.Event.GetFlowId()) > 0 {
				out = append(out, fmt.Sprintf("WHICH IS WRONG: %v, flow id %x", err, f.Event.GetFlowId()))
			}
		case flowmapper.SetExpiry:
			out = append(out, fmt.Sprintf("timer in %d s", (f.AtUs-sessionNow)/1_000_000))
		case flowmapper.SendStatus:
			out = append(out, "A STATUS")
		case flowmapper.Note:
			out = append(out, "("+string(f.What)+")")
		}
	}
	return strings.Join(out, ", ")
}

func payload(e *flowv1.SessionEvent) string {
	if x := e.GetError(); x != nil {
		return "error " + x.GetType()
	}
	return strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", e.GetPayload()), "*flowv1."), "SessionEvent_"))
}

func stateOf(m *flowv1.MapperState) string {
	if m == nil {
		return "none"
	}
	return strings.TrimPrefix(m.GetStatus().String(), "MAPPING_STATUS_")
}

// The whole table: every event in every state.
func TestSessionTransitions(t *testing.T) {
	w := newSessionWorld()
	states := map[string]flowv1.MappingStatus{
		"OPEN": flowv1.MappingStatus_MAPPING_STATUS_OPEN, "CLOSING": flowv1.MappingStatus_MAPPING_STATUS_CLOSING, "ERROR": flowv1.MappingStatus_MAPPING_STATUS_ERROR,
	}
	mapping := func(state string) *flowv1.MapperState {
		if state == "none" {
			return nil
		}
		return &flowv1.MapperState{FlowId: w.mine[:], Status: states[state], Session: true}
	}
	datadriven.RunTest(t, "testdata/sessions/transitions.txt", func(t *testing.T, d *datadriven.TestData) string {
		var out []string
		line := func(state, what string, event flowmapper.Event) {
			out = append(out, fmt.Sprintf("%-7s %-22s → %s", state, what, w.show(flowmapper.State{Mapping: mapping(state), Rules: w.rules}, event)))
		}
		for _, state := range []string{"none", "OPEN", "CLOSING", "ERROR"} {
			switch d.Cmd {
			case "table":
				outbound, initiator := d.HasArg("outbound"), d.HasArg("initiator")
				for _, what := range []string{"info request with init", "data with init", "close with init", "data", "close", "error"} {
					e := w.event(what, outbound, initiator)
					if d.HasArg("old") {
						e.SentAtUs = sessionNow - w.rules.SessionTTLUs - 1
					}
					line(state, what, flowmapper.SessionCame{Key: w.key(e), Event: e, FlowID: w.derived, PeerHere: !d.HasArg("elsewhere"), NowUs: sessionNow})
				}
			case "clean-up":
				flow := w.mine[:]
				if d.HasArg("of-another-flow") {
					flow = w.derived[:]
				}
				line(state, "clean up", flowmapper.CleanedUp{Key: w.session, Flow: flow, NowUs: sessionNow})
			case "expire":
				m := mapping(state)
				if m != nil && d.HasArg("cleaned-up") {
					m.ExpiresAtUs = sessionNow
				}
				out = append(out, fmt.Sprintf("%-7s → %s", state, w.show(flowmapper.State{Mapping: m, Rules: w.rules}, flowmapper.Expired{Key: w.session, NowUs: sessionNow})))
			case "malformed":
				if state != "none" {
					continue
				}
				for _, spoil := range []func(e *flowv1.SessionEvent, key string) string{
					func(e *flowv1.SessionEvent, key string) string { e.SessionId = "x"; return key },
					func(e *flowv1.SessionEvent, key string) string { e.Initiated = nil; return key },
					func(e *flowv1.SessionEvent, key string) string { e.Payload = nil; return key },
					func(e *flowv1.SessionEvent, key string) string { e.Direction = 0; return key },
					func(e *flowv1.SessionEvent, key string) string { e.FlowId = []byte{1}; return key },
					func(e *flowv1.SessionEvent, key string) string { return key + "-INITIATED" },
				} {
					e := w.event("data with init", true, true)
					key := spoil(e, w.key(e))
					out = append(out, w.show(flowmapper.State{Rules: w.rules}, flowmapper.SessionCame{Key: key, Event: e, PeerHere: true, NowUs: sessionNow}))
				}
				e := w.event("data with init", true, true)
				out = append(out, w.show(flowmapper.State{Mapping: &flowv1.MapperState{FlowId: w.mine[:]}, Rules: w.rules}, flowmapper.SessionCame{Key: w.key(e), Event: e, PeerHere: true, NowUs: sessionNow}))
			}
		}
		return strings.Join(out, "\n") + "\n"
	})
}
