package persistence

import (
	"context"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// sweepTimer names the timer of the next sweep.
const sweepTimer = "sweep"

// feedTime bounds what one record of the feed does in Postgres.
const feedTime = 2 * time.Second

// FeedGraph is the goka group that tells changes.
func (w *Worker) FeedGraph() *engine.Graph {
	return engine.Define(topics.PersistenceFeedGroup,
		engine.Input(topics.PersistenceDrain, schemas.Codec[*persistencev1.Drain](), engine.Typed(w.onDrain)),
		engine.Loop(schemas.Codec[*persistencev1.FeedTimer](), engine.Typed(w.onFeedTimer)),
		goka.Persist(schemas.Codec[*persistencev1.FeedState]()),
		engine.Reads(topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]()),
		engine.Reads(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]()),
		engine.EmitsDynamic(string(topics.External), feedCodec{}, w.mayFeed),
	)
}

func (w *Worker) onDrain(ctx engine.Context, d *persistencev1.Drain) error {
	if d.GetVnode() != ctx.Key() || !shortHash.MatchString(ctx.Key()) {
		return engine.Poison("%s: the record under key %q is of virtual node %q", IDRequest, ctx.Key(), d.GetVnode())
	}
	return w.look(ctx)
}

func (w *Worker) onFeedTimer(ctx engine.Context, t *persistencev1.FeedTimer) error {
	switch e := t.GetEvent().(type) {
	case *persistencev1.FeedTimer_Confirm_:
		// The record could be read, so the transaction that emitted these changes has committed.
		err := w.inTime(ctx, func(c context.Context) error { return w.deps.Store.Told(c, ctx.Key(), e.Confirm.GetUpTo()) })
		if err != nil {
			return w.later(ctx.Key(), err)
		}
		if e.Confirm.GetMore() {
			return w.look(ctx)
		}
		return nil
	case *persistencev1.FeedTimer_Sweep_:
		return w.sweep(ctx)
	default:
		return engine.Poison("%s: timer %q has neither confirm nor sweep", IDRequest, ctx.Key())
	}
}

// sweep looks for what was left behind. It never gives its record up, for with it the sweeps would end.
func (w *Worker) sweep(ctx engine.Context) error {
	if w.vnode(ctx.Key()) == nil { // it is gone, and so is its database
		ctx.Delete()
		return nil
	}
	err := w.inTime(ctx, func(c context.Context) error {
		return w.deps.Store.Forget(c, ctx.Key(), ctx.Now().Add(-w.cfg.Keep))
	})
	if err == nil {
		err = w.look(ctx)
	}
	if err == nil {
		return nil
	}
	w.deps.Log.Warn("a sweep of a virtual node's outbox failed; the next one tries again", "vnode", ctx.Key(), "error", err)
	if isAway(err) {
		w.serverAway(ctx.Key())
	}
	state := feedState(ctx)
	next := &persistencev1.FeedState{Emitted: state.GetEmitted(), SweepAtUs: ctx.Now().Add(w.cfg.SweepEvery).UnixMicro()}
	ctx.SetValue(next)
	ctx.SetTimer(sweepTimer, time.UnixMicro(next.GetSweepAtUs()), sweepRecord())
	return nil
}

func sweepRecord() *persistencev1.FeedTimer {
	return &persistencev1.FeedTimer{Event: &persistencev1.FeedTimer_Sweep_{Sweep: &persistencev1.FeedTimer_Sweep{}}}
}

func feedState(ctx engine.Context) *persistencev1.FeedState {
	s, _ := ctx.Value().(*persistencev1.FeedState)
	return s
}

// look reads the outbox, takes the step, and does what it asks for.
func (w *Worker) look(ctx engine.Context) error {
	vnode := w.vnode(ctx.Key())
	if vnode == nil {
		return engine.Retry(0, unknownError{ctx.Key()})
	}
	if vnode.GetVaultDb() == vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE {
		return nil // the sweep comes back to it
	}
	state := feedState(ctx)
	e := Looked{Vnode: ctx.Key(), NowUs: ctx.Now().UnixMicro(), Rules: FeedRules{w.cfg.SweepEvery.Microseconds(), w.cfg.FeedPage}}
	err := w.inTime(ctx, func(c context.Context) (err error) {
		e.Changes, err = w.deps.Store.Changes(c, ctx.Key(), state.GetEmitted(), w.cfg.FeedPage)
		return err
	})
	if err != nil {
		return w.later(ctx.Key(), err)
	}
	if m, ok := w.deps.Packages.Get(vnode.GetCpiChecksum()); ok {
		cpi, _ := m.(*cpiv1.Cpi)
		e.Routes, e.Hold = Routes(vnode, cpi)
	} else {
		return engine.Retry(0, unknownError{"package " + vnode.GetCpiChecksum()})
	}
	if len(e.Changes.Rows) > 0 {
		for i, r := range e.Routes {
			e.Routes[i].Missing = engine.CanEmit(ctx, r.Topic)
		}
	}
	next, effects := FeedStep(state, e)
	ctx.SetValue(next)
	for _, effect := range effects {
		w.applyFeed(ctx, effect)
	}
	return nil
}

func (w *Worker) applyFeed(ctx engine.Context, effect FeedEffect) {
	switch e := effect.(type) {
	case EmitChange:
		r, contentType := newFeedRecord(e.Change, e.Route.Format)
		ctx.Emit(goka.Stream(e.Route.Topic), e.Key, r, engine.WithHeaders(goka.Headers{"content-type": []byte(contentType)}))
	case ConfirmLater:
		ctx.Loopback(ctx.Key(), &persistencev1.FeedTimer{Event: &persistencev1.FeedTimer_Confirm_{
			Confirm: &persistencev1.FeedTimer_Confirm{UpTo: e.UpTo, More: e.More},
		}})
	case SetSweep:
		ctx.SetTimer(sweepTimer, time.UnixMicro(e.AtUs), sweepRecord())
	case FeedNote:
		w.deps.Metrics.told(e.What, e.N)
	case Report:
		w.deps.Log.Error(e.Message, "id", e.ID, "vnode", ctx.Key())
	}
}

// inTime bounds what is done in Postgres.
func (w *Worker) inTime(ctx engine.Context, f func(context.Context) error) error {
	c, cancel := context.WithTimeout(ctx.Context(), feedTime)
	defer cancel()
	return f(c)
}

func (w *Worker) later(vnode string, err error) error {
	if isAway(err) {
		w.serverAway(vnode)
	}
	return engine.Retry(0, err)
}

// unknownError tells that a view does not have something yet.
type unknownError struct{ what string }

func (e unknownError) Error() string { return e.what + " is not known here yet" }
