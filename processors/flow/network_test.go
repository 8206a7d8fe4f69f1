package flow_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/processors/flow"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/topics"
)

// network is a model of the flow mapper: it takes what flows send, keeps which flow each side of a session belongs to,
// and has messages in flight, which a test may deliver as it likes.
type network struct {
	w      *world
	read   int               // of the world's outputs
	sides  map[string]string // session id of a side → flow id
	over   map[string]bool   // sides whose flows are done
	flight []inFlight        // to flows
	begun  int64
	asked  []record // requests that nobody has answered
}

type inFlight struct {
	side string
	e    *flowv1.SessionEvent
}

func newNetwork(w *world) *network {
	return &network{w: w, sides: map[string]string{}, over: map[string]bool{}}
}

// collect takes what the flows sent since the last time.
func (n *network) collect() {
	for ; n.read < len(n.w.state.out); n.read++ {
		o := n.w.state.out[n.read]
		switch m := o.msg.(type) {
		case *cryptov1.Request, *persistencev1.Request, *uniquenessv1.Request, *verificationv1.Request, *dbv1.PackageRequest:
			n.asked = append(n.asked, o)
		case *tokensv1.Request:
			if m.GetEnd() == nil {
				n.asked = append(n.asked, o)
			}
		case *flowv1.MapperSession:
			if m.GetCleanUp() != nil {
				n.over[o.key] = true
				continue
			}
			e := proto.Clone(m.GetSession()).(*flowv1.SessionEvent)
			if n.sides[o.key] == "" && flow.SessionInitOf(e) != nil {
				id, err := identity.UUIDFromBytes(e.GetFlowId())
				if err != nil {
					panic(err)
				}
				n.sides[o.key] = id.String()
			}
			e.Direction, e.FlowId = flowv1.Direction_DIRECTION_INBOUND, nil
			n.flight = append(n.flight, inFlight{identity.SessionKey(e.GetSessionId(), !e.GetFromInitiator()), e})
		}
	}
}

// deliver hands one message in flight to its flow.
func (n *network) deliver(m inFlight) ([]string, error) {
	if n.over[m.side] {
		return nil, nil
	}
	id := n.sides[m.side]
	if id == "" {
		if flow.SessionInitOf(m.e) == nil {
			return nil, fmt.Errorf("a message without beginning came first: %v", m.e)
		}
		n.begun++
		id = identity.FlowID([16]byte{9}, 0, n.begun).String()
		n.sides[m.side] = id
		n.w.names[id] = fmt.Sprintf("responder%d", n.begun)
	}
	return n.w.deliver(record{topic: topics.FlowEvents, key: id, msg: &flowv1.FlowEvent{Event: &flowv1.FlowEvent_Session{Session: m.e}}})
}

// talk delivers everything in the order in which it was sent, until nobody says anything more.
func (n *network) talk() ([]string, error) {
	var seen []string
	for n.collect(); len(n.flight) > 0; n.collect() {
		m := n.flight[0]
		n.flight = n.flight[1:]
		s, err := n.deliver(m)
		seen = append(seen, s...)
		if err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// reply answers the request that waits longest. What is "result X", "application TYPE TEXT" or "fatal TYPE TEXT".
func (n *network) reply(what, topic, request string) ([]string, error) {
	n.collect()
	if len(n.asked) == 0 {
		return nil, errors.New("nobody asks")
	}
	asked := n.asked[0]
	to, _, key, err := engine.ParseReplyTo(asked.headers[engine.HeaderReply])
	if err != nil {
		return nil, err
	}
	if topic != "" {
		to = topic
	}
	id := asked.headers[engine.HeaderRequest]
	if request != "" {
		id = request
	} else if topic == "" {
		n.asked = n.asked[1:]
	}
	r := &rpcv1.Reply{}
	words := strings.Fields(what)
	switch words[0] {
	case "result":
		text := strings.Join(words[1:], " ")
		if text == "$large" {
			text = strings.Repeat("x", 600<<10)
		}
		r.Outcome = &rpcv1.Reply_Result{Result: []byte(text)}
	case "verification":
		v := &appv1.Verification{Status: words[1]}
		if len(words) > 2 {
			v.Failures = []*appv1.VerificationFailure{{Contract: words[2], Component: "output 0", Message: strings.Join(words[3:], " ")}}
		}
		result, err := proto.Marshal(v)
		if err != nil {
			return nil, err
		}
		r.Outcome = &rpcv1.Reply_Result{Result: result}
	case "claimed": // "it", or "nothing" when there are not enough
		claim := &appv1.TokenClaim{Amount: "5"}
		if words[1] == "it" {
			claim.ClaimId = id
		}
		result, err := proto.Marshal(claim)
		if err != nil {
			return nil, err
		}
		r.Outcome = &rpcv1.Reply_Result{Result: result}
	case "signature":
		m, ok := asked.msg.(*cryptov1.Request)
		if !ok {
			return nil, errors.New("nobody asks for a signature")
		}
		result, err := proto.Marshal(signatureOf(m, len(words) > 1))
		if err != nil {
			return nil, err
		}
		r.Outcome = &rpcv1.Reply_Result{Result: result}
	case "application", "fatal":
		class := rpcv1.ErrorClass_ERROR_CLASS_APPLICATION
		if words[0] == "fatal" {
			class = rpcv1.ErrorClass_ERROR_CLASS_FATAL
		}
		r.Outcome = &rpcv1.Reply_Error{Error: &rpcv1.Error{Class: class, Type: words[1], Message: strings.Join(words[2:], " "), Id: "FL-X-001"}}
	}
	return n.w.deliver(record{topic: to, key: key, msg: r, headers: map[string]string{engine.HeaderRequest: id}})
}

// sessions shows the sessions of a flow.
func (w *world) sessions(id string) []string {
	var out []string
	for _, s := range w.head(id).GetSessions() {
		text := fmt.Sprintf("%s with %s: %s, protocol %s %d, sent %d, arrived %d, read %d", side(s.GetInitiator()), s.GetCounterparty().GetX500Name(),
			strings.TrimPrefix(s.GetStatus().String(), "SESSION_STATUS_"), s.GetProtocol(), s.GetProtocolVersion(), s.GetSent(), s.GetArrived(), s.GetRead())
		if e := s.GetError(); e != nil {
			text += ", " + e.GetType() + ": " + e.GetMessage()
		}
		out = append(out, w.readable(text))
	}
	if n := len(w.state.inbox); n > 0 {
		out = append(out, fmt.Sprintf("%d messages in the inbox", n))
	}
	return out
}

func side(initiator bool) string {
	if initiator {
		return "initiator"
	}
	return "responder"
}

func describeSession(key string, m *flowv1.MapperSession) string {
	if m.GetCleanUp() != nil {
		return "clean up " + shortKey(key)
	}
	e := m.GetSession()
	from := "to the initiator"
	if e.GetFromInitiator() {
		from = "to the responder"
	}
	straight := e.GetDirection() == flowv1.Direction_DIRECTION_INBOUND
	if straight {
		from = "straight " + from
	}
	if want := identity.SessionKey(e.GetSessionId(), e.GetFromInitiator() != straight); key != want {
		from += fmt.Sprintf(" under key %s, where %s is right", key, want)
	}
	text := ""
	switch p := e.GetPayload().(type) {
	case *flowv1.SessionEvent_InfoRequest:
		text = "info request"
	case *flowv1.SessionEvent_InfoResponse:
		text = fmt.Sprintf("info: version %d", p.InfoResponse.GetProtocolVersion())
	case *flowv1.SessionEvent_Data:
		text = fmt.Sprintf("data %d %q", e.GetSequence(), p.Data.GetPayload())
		if p.Data.GetInfo() != nil {
			text += fmt.Sprintf(" with version %d", p.Data.GetInfo().GetProtocolVersion())
		}
	case *flowv1.SessionEvent_Close:
		text = fmt.Sprintf("close %d", e.GetSequence())
	case *flowv1.SessionEvent_Error:
		text = "error " + p.Error.GetType() + ": " + p.Error.GetMessage()
	}
	if flow.SessionInitOf(e) != nil {
		text += " with init"
	}
	return from + ": " + text
}

func shortKey(key string) string {
	if strings.HasSuffix(key, "-INITIATED") {
		return "the responder's side"
	}
	return "the initiator's side"
}

// describeRecord says what was emitted.
func describeRecord(o record) string {
	headers := ""
	for _, h := range slices.Sorted(maps.Keys(o.headers)) {
		v := o.headers[h]
		switch h {
		case engine.HeaderDeadline:
			var us int64
			if _, err := fmt.Sscan(v, &us); err == nil {
				v = (time.Duration(us-epoch) * time.Microsecond).Truncate(time.Millisecond).String()
			}
		case engine.HeaderReply:
			if topic, _, key, err := engine.ParseReplyTo(v); err == nil {
				v = topic + " " + key
			}
		}
		headers += " " + h + "=" + v
	}
	switch m := o.msg.(type) {
	case *flowv1.MapperSession:
		return describeSession(o.key, m)
	case *cryptov1.Request:
		if m.GetSign().GetPurpose() == cryptov1.Purpose_PURPOSE_LEDGER {
			return fmt.Sprintf("key %s: %s signs %d bytes for LEDGER by %s,%s", o.key, m.GetTenant(), len(m.GetSign().GetData()), m.GetSign().GetScheme(), headers)
		}
		return fmt.Sprintf("key %s: %s signs %q for %s,%s", o.key, m.GetTenant(), m.GetSign().GetData(), strings.TrimPrefix(m.GetSign().GetPurpose().String(), "PURPOSE_"), headers)
	case *persistencev1.Request:
		if l := m.GetLedger(); l != nil {
			return fmt.Sprintf("key %s: %T of %s, package %s, flow %s,%s", o.key, l.GetOperation(), m.GetVnode(), m.GetCpiChecksum(), m.GetFlowId(), headers)
		}
		return fmt.Sprintf("key %s: %T of %s,%s", o.key, m.GetOperation(), m.GetVnode(), headers)
	case *uniquenessv1.Request:
		return fmt.Sprintf("key %s: %s of %q for notary %s, flow %s,%s", o.key, m.GetCheck().GetMode(), m.GetCheck().GetTransaction(), m.GetNotary(), m.GetFlowId(), headers)
	case *verificationv1.Request:
		var own []string
		for _, c := range m.GetOwn() {
			own = append(own, fmt.Sprintf("%s of %.2x", c.GetContract(), c.GetSigner()))
		}
		return fmt.Sprintf("key %.8s…: %s shows %d, packages %.2x, own %q,%s", o.key, m.GetVnode(), len(m.GetSources()), m.GetPackages(), own, headers)
	case *dbv1.PackageRequest:
		return fmt.Sprintf("key %.8s…: %T of %s, flow %s,%s", o.key, m.GetOperation().GetOperation(), m.GetVnode(), m.GetFlowId(), headers)
	case *tokensv1.Request:
		text := ""
		switch op := m.GetOperation().(type) {
		case *tokensv1.Request_Claim:
			text = "claim " + op.Claim.GetAmount()
		case *tokensv1.Request_Release:
			text = "release " + op.Release.GetClaimId()
		case *tokensv1.Request_Balance:
			text = "balance"
		case *tokensv1.Request_End:
			text = "end of " + op.End.GetClaimId()
		}
		return fmt.Sprintf("key %.8s…: %s, vnode %s, flow %s,%s", o.key, text, m.GetVnode(), m.GetFlowId(), headers)
	case *flowv1.InboxRow:
		return fmt.Sprintf("key %s: %q,%s", o.key, m.GetPayload(), headers)
	case nil:
		return "tombstone"
	}
	return describe(o.msg)
}

// key gives a virtual node a key.
func (w *world) key(name, id, category string) {
	k := &cryptov1.Key{Tenant: holderOf(name).ShortHash(), KeyId: id, Category: category, PublicKey: []byte(id), VaultName: "vault-" + id, Scheme: "CORDA.ECDSA.SECP256R1"}
	if id == "real" {
		k.PublicKey, k.Scheme = realKey(), signing.Ed25519
	}
	w.directory.Key(k.GetTenant()+"/"+id, k)
}
