package flowmapper

import (
	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Names of timers: the one that forgets a mapping, and the one that looks for the peer of a session.
const (
	expiryTimer = "expire"
	peerTimer   = "peer"
)

// Graph is the goka group of the flow mapper. A wrong setting is told by [Config.Validate].
func Graph(cfg Config) *engine.Graph {
	g := group{cfg: cfg.withDefaults()}
	return engine.Define(topics.FlowMapperGroup,
		engine.Input(topics.FlowMapperStart, schemas.Codec[*flowv1.MapperStart](), engine.Typed(g.onStart)),
		engine.Input(topics.FlowMapperSession, schemas.Codec[*flowv1.MapperSession](), engine.Typed(g.onSession)),
		engine.Loop(schemas.Codec[*flowv1.MapperTimer](), engine.Typed(g.onTimer)),
		goka.Persist(schemas.Codec[*flowv1.MapperState]()),
		engine.Store(topics.FlowMapperAdmissionStore),
		goka.Output(topics.FlowEvents, schemas.Codec[*flowv1.FlowEvent]()),
		goka.Output(topics.FlowMapperSession, schemas.Codec[*flowv1.MapperSession]()),
		engine.Reads(topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]()),
		goka.Output(topics.FlowStatus, schemas.Codec[*flowv1.FlowStatus]()),
		goka.Output(topics.Audit, schemas.Codec[*auditv1.Entry]()),
		engine.WithHooks(engine.Hooks{OnRevoke: g.onRevoke}),
	)
}

type group struct{ cfg Config }

func (g group) onStart(ctx engine.Context, m *flowv1.MapperStart) error {
	now := ctx.Now().UnixMicro()
	switch e := m.GetEvent().(type) {
	case *flowv1.MapperStart_Start:
		cause := ctx.Cause()
		id := identity.FlowID(ctx.TopicID(), cause.Partition, cause.Offset)
		return g.run(ctx, e.Start.GetVnode(), StartAsked{Key: ctx.Key(), Start: e.Start, FlowID: id, NowUs: now})
	case *flowv1.MapperStart_Ended:
		return g.run(ctx, "", FlowEnded{Key: ctx.Key(), Ended: e.Ended, NowUs: now})
	case *flowv1.MapperStart_Command:
		cause := ctx.Cause()
		id := identity.CommandID(ctx.TopicID(), cause.Partition, cause.Offset)
		row, _ := ctx.Value().(*flowv1.MapperState)
		queued := admissionStore{ctx.Store(topics.FlowMapperAdmissionStore), ctx.Partition()}.queued(row)
		return g.run(ctx, "", Commanded{Key: ctx.Key(), Command: e.Command, ID: id, Queued: queued, NowUs: now})
	default:
		return engine.Poison("FL-MAPPER-004: record %q of %s has none of start, ended and command; send one of them", ctx.Key(), topics.FlowMapperStart)
	}
}

func (g group) onSession(ctx engine.Context, m *flowv1.MapperSession) error {
	now := ctx.Now().UnixMicro()
	switch e := m.GetEvent().(type) {
	case *flowv1.MapperSession_Session:
		cause := ctx.Cause()
		came := SessionCame{
			Key: ctx.Key(), Event: e.Session, FlowID: identity.FlowID(ctx.TopicID(), cause.Partition, cause.Offset),
			PeerHere: g.isHere(Peer(e.Session)), NowUs: now,
		}
		var err error
		if came.PeerHere {
			if came.Held, err = g.held(ctx); err != nil {
				return engine.Fatal(err)
			}
		}
		return g.runSession(ctx, came)
	case *flowv1.MapperSession_CleanUp_:
		return g.runSession(ctx, CleanedUp{Key: ctx.Key(), Flow: e.CleanUp.GetFlowId(), NowUs: now})
	default:
		return engine.Poison("FL-MAPPER-004: record %q of %s has neither session nor clean-up; send one of them", ctx.Key(), topics.FlowMapperSession)
	}
}

// held are the events that wait for the peer of the side under the record's key.
func (g group) held(ctx engine.Context) ([]*flowv1.SessionEvent, error) {
	m, _ := ctx.Value().(*flowv1.MapperState)
	return admissionStore{ctx.Store(topics.FlowMapperAdmissionStore), ctx.Partition()}.held(ctx.Key(), m.GetHeld())
}

// isHere tells whether an identity has a virtual node in this cluster.
func (g group) isHere(h *vnodev1.HoldingIdentity) bool {
	holder, err := identity.NewHolding(h.GetX500Name(), h.GetGroupId())
	if err != nil || g.cfg.VirtualNodes == nil {
		return false
	}
	_, ok := g.cfg.VirtualNodes.Get(holder.ShortHash())
	return ok
}

// runSession takes a step that has nothing to do with admission.
func (g group) runSession(ctx engine.Context, event Event) error {
	before := State{Rules: g.cfg.rules()}
	before.Mapping, _ = ctx.Value().(*flowv1.MapperState)
	admission := admissionStore{ctx.Store(topics.FlowMapperAdmissionStore), ctx.Partition()}
	vnode := before.Mapping.GetVnode()
	if came, ok := event.(SessionCame); ok && before.Mapping == nil {
		vnode = Responder(came.Event)
	}
	var err error
	if vnode != "" {
		if before.Responders, err = admission.responders(vnode); err != nil {
			return engine.Fatal(err)
		}
	}
	after, effects, err := Step(before, event)
	if err != nil {
		return err
	}
	if after.Mapping != before.Mapping {
		ctx.SetValue(after.Mapping)
	}
	if after.Responders != before.Responders {
		if err := admission.setResponders(vnode, after.Responders); err != nil {
			return engine.Fatal(err)
		}
	}
	for _, effect := range effects {
		if err := g.apply(ctx, admission, effect); err != nil {
			return err
		}
	}
	return nil
}

func (g group) onTimer(ctx engine.Context, m *flowv1.MapperTimer) error {
	now := ctx.Now().UnixMicro()
	switch m.GetEvent().(type) {
	case *flowv1.MapperTimer_Expire_:
		return g.run(ctx, "", Expired{Key: ctx.Key(), NowUs: now})
	case *flowv1.MapperTimer_Admit_:
		return g.run(ctx, "", Admitted{Key: ctx.Key(), NowUs: now})
	case *flowv1.MapperTimer_Peer_:
		held, err := g.held(ctx)
		if err != nil {
			return engine.Fatal(err)
		}
		due := PeerDue{Key: ctx.Key(), Held: held, NowUs: now}
		if len(held) > 0 {
			due.PeerHere = g.isHere(Peer(held[0]))
		}
		return g.runSession(ctx, due)
	default:
		return engine.Poison("FL-MAPPER-004: timer %q has none of expire, admit and peer", ctx.Key())
	}
}

func (g group) onRevoke(partition int32) { g.cfg.Metrics.gone(partitionLabel(partition)) }

// run reads what a step needs, takes the step, and does what it asks for. The virtual node is the event's own; empty
// takes the mapping's.
func (g group) run(ctx engine.Context, vnode string, event Event) error {
	before := State{Rules: g.cfg.rules()}
	if row, ok := ctx.Value().(*flowv1.MapperState); ok {
		before.Mapping = row
		vnode = row.GetVnode()
	}
	admission := admissionStore{ctx.Store(topics.FlowMapperAdmissionStore), ctx.Partition()}
	var err error
	if before.Places, err = admission.load(vnode); err != nil {
		return engine.Fatal(err)
	}
	after, effects, err := Step(before, event)
	if err != nil {
		return err
	}
	switch {
	case after.Mapping == nil && before.Mapping != nil:
		ctx.Delete()
	case after.Mapping != before.Mapping:
		ctx.SetValue(after.Mapping)
	}
	if err := admission.save(before.Places, after.Places); err != nil {
		return engine.Fatal(err)
	}
	for _, effect := range effects {
		if err := g.apply(ctx, admission, effect); err != nil {
			return err
		}
	}
	g.cfg.Metrics.places(partitionLabel(ctx.Partition()), after.Places)
	return nil
}

func (g group) apply(ctx engine.Context, admission admissionStore, effect Effect) error {
	switch e := effect.(type) {
	case SendStarted:
		ctx.Emit(topics.FlowEvents, e.FlowID.String(), &flowv1.FlowEvent{Event: &flowv1.FlowEvent_Started{Started: e.Started}})
	case SendStatus:
		if e.Status == nil {
			ctx.Emit(topics.FlowStatus, ctx.Key(), nil)
			return nil
		}
		ctx.Emit(topics.FlowStatus, ctx.Key(), e.Status)
	case SendToFlow:
		ctx.Emit(topics.FlowEvents, e.FlowID.String(), &flowv1.FlowEvent{Event: &flowv1.FlowEvent_Session{Session: e.Event}})
	case SendToPeer:
		ctx.Emit(topics.FlowMapperSession, e.Key, &flowv1.MapperSession{Event: &flowv1.MapperSession_Session{Session: e.Event}})
	case SetExpiry:
		ctx.SetTimer(expiryTimer, microTime(e.AtUs), &flowv1.MapperTimer{Event: &flowv1.MapperTimer_Expire_{Expire: &flowv1.MapperTimer_Expire{}}})
	case CheckPeer:
		ctx.SetTimer(peerTimer, microTime(e.AtUs), &flowv1.MapperTimer{Event: &flowv1.MapperTimer_Peer_{Peer: &flowv1.MapperTimer_Peer{}}})
	case Hold:
		return admission.hold(ctx.Key(), e.Position, e.Event)
	case DropHeld:
		admission.dropHeld(ctx.Key(), e.Count)
	case Enqueue:
		return admission.enqueue(e.Vnode, e.Position, ctx.Key())
	case Leave:
		admission.leave(e.Vnode, e.Position)
	case PassOn:
		ctx.Emit(topics.FlowEvents, e.FlowID.String(), &flowv1.FlowEvent{Event: &flowv1.FlowEvent_Command{Command: e.Command}})
	case Audit:
		ctx.Emit(topics.Audit, e.Entry.GetEntity(), e.Entry)
	case TakeNext:
		key, err := admission.take(e.Vnode)
		if err != nil {
			return engine.Fatal(err)
		}
		ctx.Loopback(key, &flowv1.MapperTimer{Event: &flowv1.MapperTimer_Admit_{Admit: &flowv1.MapperTimer_Admit{}}})
	case Note:
		g.cfg.Metrics.count(e.What)
	default:
		return engine.Poison("flow-mapper: no way to apply %T", effect)
	}
	return nil
}
