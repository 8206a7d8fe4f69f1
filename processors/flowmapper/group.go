package flowmapper

import (
	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// expiryTimer names the timer that forgets a mapping.
const expiryTimer = "expire"

// Graph is the goka group of the flow mapper. A wrong setting is told by [Config.Validate].
func Graph(cfg Config) *engine.Graph {
	g := group{cfg: cfg.withDefaults()}
	return engine.Define(topics.FlowMapperGroup,
		engine.Input(topics.FlowMapperStart, schemas.Codec[*flowv1.MapperStart](), engine.Typed(g.onStart)),
		engine.Loop(schemas.Codec[*flowv1.MapperTimer](), engine.Typed(g.onTimer)),
		goka.Persist(schemas.Codec[*flowv1.MapperState]()),
		engine.Store(topics.FlowMapperAdmissionStore),
		goka.Output(topics.FlowEvents, schemas.Codec[*flowv1.FlowEvent]()),
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

func (g group) onTimer(ctx engine.Context, m *flowv1.MapperTimer) error {
	now := ctx.Now().UnixMicro()
	switch m.GetEvent().(type) {
	case *flowv1.MapperTimer_Expire_:
		return g.run(ctx, "", Expired{Key: ctx.Key(), NowUs: now})
	case *flowv1.MapperTimer_Admit_:
		return g.run(ctx, "", Admitted{Key: ctx.Key(), NowUs: now})
	default:
		return engine.Poison("FL-MAPPER-004: timer %q has neither expire nor admit", ctx.Key())
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
	case SetExpiry:
		ctx.SetTimer(expiryTimer, microTime(e.AtUs), &flowv1.MapperTimer{Event: &flowv1.MapperTimer_Expire_{Expire: &flowv1.MapperTimer_Expire{}}})
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
