package persistence

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Graph is the goka group that answers requests. Those of one flow are independent: it asks for several in one step only
// when none needs what another brings, and for those of the next step when it has the answers.
func (w *Worker) Graph() *engine.Graph {
	return engine.Define(topics.PersistenceGroup,
		engine.Batch(topics.PersistenceRequests, schemas.Codec[*persistencev1.Request](), engine.BatchOptions{Independent: true}, w.onRequests),
		engine.Batch(topics.PersistenceTokens, schemas.Codec[*persistencev1.Request](), engine.BatchOptions{Independent: true}, w.onRequests),
		engine.OnDeadLetter(w.onDeadLetter),
		engine.Reads(topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]()),
		engine.Reads(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]()),
		goka.Output(topics.FlowRepliesPersistence, schemas.Codec[*rpcv1.Reply]()),
		goka.Output(topics.TokensReplies, schemas.Codec[*rpcv1.Reply]()),
		goka.Output(topics.PersistenceDrain, schemas.Codec[*persistencev1.Drain]()),
	)
}

type request = engine.Item[*persistencev1.Request]

func metaOf(ctx engine.Context) Meta {
	m := Meta{Topic: string(ctx.Topic()), Key: ctx.Key(), RequestID: ctx.Header(engine.HeaderRequest), ReplyTo: ctx.Header(engine.HeaderReply)}
	if us, err := strconv.ParseInt(ctx.Header(engine.HeaderDeadline), 10, 64); err == nil {
		m.DeadlineUs = us
	}
	return m
}

func (w *Worker) state(ctx engine.Context, r *persistencev1.Request) State {
	s := State{Vnode: w.vnode(r.GetVnode()), Replies: w.replies[string(ctx.Topic())], NowUs: ctx.Now().UnixMicro()}
	s.Schema, s.SchemaErr = w.schema(r.GetCpiChecksum())
	return s
}

// onRequests decides on all requests, runs the plans beside each other, and applies what comes of each. What is not done
// soon goes on without the batch, for one virtual node must not hold up the others.
func (w *Worker) onRequests(ctx context.Context, items []request) []error {
	begin := time.Now()
	effects, runs := make([][]Effect, len(items)), make([]*run, len(items))
	byVnode := map[string][]*run{}
	var order []string
	for n, it := range items {
		cause := it.Cause()
		if runs[n] = w.running.find(cause); runs[n] == nil {
			effects[n] = Step(w.state(it.Context, it.Msg), Asked{metaOf(it.Context), it.Msg})
			ask, ok := effects[n][0].(Run)
			if !ok {
				continue
			}
			m := metaOf(it.Context)
			runs[n] = w.running.start(cause, ask.Plan, m.DeadlineUs, func(ctx context.Context) Result { return w.run(ctx, cause, ask.Plan) })
			if runs[n] == nil {
				effects[n] = []Effect{Later{errShare, lastLook}, Note{OutcomeLater}}
				continue
			}
		}
		vnode := runs[n].plan.Vnode
		if byVnode[vnode] == nil {
			order = append(order, vnode)
		}
		byVnode[vnode] = append(byVnode[vnode], runs[n])
	}
	var waiting sync.WaitGroup
	for _, vnode := range order {
		waiting.Go(func() { w.running.await(ctx, vnode, begin, byVnode[vnode]) })
	}
	waiting.Wait()
	errs := make([]error, len(items))
	for n, it := range items {
		switch r := runs[n]; {
		case r == nil:
		case !r.answered():
			effects[n] = []Effect{Later{errRunning, r.again(time.Now())}, Note{OutcomeLater}}
		default:
			w.running.taken(it.Cause())
			effects[n] = Step(w.state(it.Context, it.Msg), Done{metaOf(it.Context), r.plan, r.result})
		}
		errs[n] = w.apply(it.Context, effects[n])
	}
	return errs
}

// apply does what a step asks for, and returns what becomes of the record.
func (w *Worker) apply(ctx engine.Context, effects []Effect) error {
	for _, effect := range effects {
		switch e := effect.(type) {
		case Later:
			w.noteAll(effects)
			return engine.Retry(e.After, e.Err)
		case Refuse:
			return engine.Poison("%w", e.Err)
		default:
		}
	}
	for _, effect := range effects {
		switch e := effect.(type) {
		case SendReply:
			options := []goka.ContextOption{engine.WithHeaders(goka.Headers{engine.HeaderRequest: []byte(e.RequestID)})}
			if e.Partition >= 0 {
				options = append(options, engine.ToPartition(e.Partition))
			}
			ctx.Emit(goka.Stream(e.Topic), e.Key, e.Reply, options...)
		case SendDrain:
			ctx.Emit(topics.PersistenceDrain, e.Vnode, &persistencev1.Drain{Vnode: e.Vnode})
		case Note:
			w.deps.Metrics.count(e.What)
		default:
			return engine.Poison("persistence: no way to apply %T", effect)
		}
	}
	return nil
}

func (w *Worker) noteAll(effects []Effect) {
	for _, effect := range effects {
		if n, ok := effect.(Note); ok {
			w.deps.Metrics.count(n.What)
		}
	}
}

// onDeadLetter tells whoever waits.
func (w *Worker) onDeadLetter(ctx engine.Context, msg any, reason string, cause error) error {
	e := GivenUp{Meta: metaOf(ctx), Cause: fmt.Errorf("%s: %w", reason, cause)}
	if r, ok := msg.(*persistencev1.Request); ok {
		e.Vnode = r.GetVnode()
	}
	return w.apply(ctx, Step(State{Replies: w.replies[string(ctx.Topic())], NowUs: ctx.Now().UnixMicro()}, e))
}
