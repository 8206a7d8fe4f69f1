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

// Graph is the goka group that answers requests.
func (w *Worker) Graph() *engine.Graph {
	return engine.Define(topics.PersistenceGroup,
		engine.Batch(topics.PersistenceRequests, schemas.Codec[*persistencev1.Request](), engine.BatchOptions{}, w.onRequests),
		engine.OnDeadLetter(w.onDeadLetter),
		engine.Reads(topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]()),
		engine.Reads(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]()),
		goka.Output(topics.FlowRepliesPersistence, schemas.Codec[*rpcv1.Reply]()),
		goka.Output(topics.PersistenceDrain, schemas.Codec[*persistencev1.Drain]()),
	)
}

type request = engine.Item[*persistencev1.Request]

func metaOf(ctx engine.Context) Meta {
	m := Meta{Key: ctx.Key(), RequestID: ctx.Header(engine.HeaderRequest), ReplyTo: ctx.Header(engine.HeaderReply)}
	if us, err := strconv.ParseInt(ctx.Header(engine.HeaderDeadline), 10, 64); err == nil {
		m.DeadlineUs = us
	}
	return m
}

func (w *Worker) state(ctx engine.Context, r *persistencev1.Request) State {
	s := State{Vnode: w.vnode(r.GetVnode()), Replies: w.replies, NowUs: ctx.Now().UnixMicro()}
	s.Schema, s.SchemaErr = w.schema(r.GetCpiChecksum())
	return s
}

// onRequests decides on all requests, runs the plans side by side, and applies what comes of each.
func (w *Worker) onRequests(ctx context.Context, items []request) []error {
	states, effects, plans := make([]State, len(items)), make([][]Effect, len(items)), make([]*Plan, len(items))
	var running sync.WaitGroup
	results := make([]Result, len(items))
	for n, it := range items {
		states[n] = w.state(it.Context, it.Msg)
		effects[n] = Step(states[n], Asked{metaOf(it.Context), it.Msg})
		if len(effects[n]) == 1 {
			if run, ok := effects[n][0].(Run); ok {
				plans[n] = run.Plan
				running.Go(func() { results[n] = w.run(ctx, metaOf(it.Context), run.Plan) })
			}
		}
	}
	running.Wait()
	errs := make([]error, len(items))
	for n, it := range items {
		if plans[n] != nil {
			effects[n] = Step(states[n], Done{metaOf(it.Context), plans[n], results[n]})
		}
		errs[n] = w.apply(it.Context, effects[n])
	}
	return errs
}

// run runs a plan, no longer than its requester waits.
func (w *Worker) run(ctx context.Context, m Meta, p *Plan) (r Result) {
	defer func() {
		if x := recover(); x != nil { // in a goroutine of its own it would end the process
			r = Result{Err: fmt.Errorf("persistence: running a request of %s: %v", p.subject(), x)}
		}
	}()
	if m.DeadlineUs > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, time.UnixMicro(m.DeadlineUs))
		defer cancel()
	}
	r = w.deps.Store.Do(ctx, p)
	if isAway(r.Err) {
		w.serverAway(p.Vnode)
	}
	return r
}

// apply does what a step asks for, and returns what becomes of the record.
func (w *Worker) apply(ctx engine.Context, effects []Effect) error {
	for _, effect := range effects {
		switch e := effect.(type) {
		case Later:
			w.noteAll(effects)
			return engine.Retry(0, e.Err)
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
	return w.apply(ctx, Step(State{Replies: w.replies, NowUs: ctx.Now().UnixMicro()}, e))
}
