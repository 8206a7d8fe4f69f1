package flow

import (
	"strconv"
	"strings"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// applyOutgoing does the effects that concern sessions, other workers and channels, and tells whether it was one.
func (t *turn) applyOutgoing(effect Effect) (bool, error) {
	switch e := effect.(type) {
	case SendRequest:
		t.ctx.Emit(goka.Stream(e.Topic), e.Key, e.Message, engine.WithHeaders(goka.Headers{
			engine.HeaderRequest:  []byte(e.RequestID),
			engine.HeaderDeadline: strconv.AppendInt(nil, e.DeadlineUs, 10),
			engine.HeaderReply:    []byte(engine.ReplyTo(repliesFrom(e.Topic), -1, t.flow.String())),
		}))
	case EndClaim:
		t.ctx.Emit(topics.TokensRequests, e.Key, e.Request, engine.WithHeaders(goka.Headers{engine.HeaderRequest: []byte("end/" + e.Request.GetEnd().GetClaimId())}))
	case SendSession:
		t.shorten(&e)
		t.ctx.Emit(topics.FlowMapperSession, e.Key, &flowv1.MapperSession{Event: &flowv1.MapperSession_Session{Session: e.Event}})
	case SendCleanUp:
		t.ctx.Emit(topics.FlowMapperSession, e.Key, &flowv1.MapperSession{Event: &flowv1.MapperSession_CleanUp_{
			CleanUp: &flowv1.MapperSession_CleanUp{FlowId: e.Flow[:]},
		}})
	case SetSilence:
		due := &flowv1.FlowTimer_SessionDue{SessionId: e.SessionID}
		t.ctx.SetTimer(silenceTimer(e.SessionID), time.UnixMicro(e.AtUs).UTC(), &flowv1.FlowTimer{Event: &flowv1.FlowTimer_SessionDue_{SessionDue: due}})
	case CancelSilence:
		t.ctx.CancelTimer(silenceTimer(e.SessionID))
	case KeepMessage:
		return true, t.inbox.keep(e.SessionID, e.Message)
	case DropMessage:
		return true, t.inbox.drop(e.SessionID, e.Sequence)
	case DropMessages:
		return true, t.inbox.dropAll(e.SessionID)
	case EmitRecord:
		headers := goka.Headers{}
		for _, h := range e.Headers {
			if !strings.HasPrefix(strings.ToLower(h.GetName()), "fl-") {
				headers[h.GetName()] = []byte(h.GetValue())
			}
		}
		value := e.Value
		if value == nil {
			value = []byte{}
		}
		t.ctx.Emit(goka.Stream(e.Topic), string(e.Key), value, engine.WithHeaders(headers))
	default:
		return false, nil
	}
	return true, nil
}

// shorten sends an event of a session to the other side's mapping, where this side's would only hand it on: a hop less.
func (t *turn) shorten(e *SendSession) {
	peer := e.Event.GetInitiating()
	if e.Event.GetFromInitiator() {
		peer = e.Event.GetInitiated()
	}
	h, err := identity.NewHolding(peer.GetX500Name(), peer.GetGroupId())
	if !e.Direct || err != nil {
		return
	}
	if _, here := t.w.deps.VirtualNodes.Get(h.ShortHash()); !here {
		return // this side's mapping knows what to do
	}
	e.Key = identity.SessionKey(e.Event.GetSessionId(), !e.Event.GetFromInitiator())
	e.Event.Direction, e.Event.FlowId = flowv1.Direction_DIRECTION_INBOUND, nil
}

func silenceTimer(session string) string { return "session/" + session }

// repliesFrom is where the replies to a request topic come in.
func repliesFrom(requests string) string {
	switch requests {
	case topics.CryptoRequests:
		return topics.FlowRepliesCrypto
	case topics.UniquenessRequests:
		return topics.FlowRepliesUniqueness
	case topics.VerificationRequests:
		return topics.FlowRepliesVerification
	case topics.PackageRequests:
		return topics.FlowRepliesPackages
	case topics.TokensRequests:
		return topics.FlowRepliesTokens
	default:
		return topics.FlowRepliesPersistence
	}
}
