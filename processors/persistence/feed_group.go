package persistence

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
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
		engine.OnDeadLetter(w.onFeedDeadLetter),
		goka.Persist(schemas.Codec[*persistencev1.FeedState]()),
		engine.Reads(topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]()),
		engine.Reads(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]()),
		goka.Output(topics.TokensChanges, schemas.Codec[*tokensv1.Change]()),
		engine.EmitsDynamic(string(topics.External), feedCodec{}, w.mayFeed),
	)
}

func (w *Worker) onDrain(ctx engine.Context, d *persistencev1.Drain) error {
	if d.GetVnode() != ctx.Key() || !shortHash.MatchString(ctx.Key()) {
		return engine.Poison("%s: the record under key %q is of virtual node %q", IDRequest, ctx.Key(), d.GetVnode())
	}
	if w.parked.holds(ctx.Key(), ctx.Now()) {
		return nil // its sweep looks again
	}
	return w.orPark(ctx, w.look(ctx))
}

func (w *Worker) onFeedTimer(ctx engine.Context, t *persistencev1.FeedTimer) error {
	switch e := t.GetEvent().(type) {
	case *persistencev1.FeedTimer_Confirm_:
		if v := w.vnode(ctx.Key()); v.GetVaultDb() == vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE {
			return w.look(ctx) // its database must not be used; what was told leaves the outbox with the next that is
		}
		// The record could be read, so the transaction that emitted these changes has committed.
		err := w.inTime(ctx, func(c context.Context) error { return w.deps.Store.Told(c, ctx.Key(), e.Confirm.GetUpTo()) })
		if err == nil && e.Confirm.GetMore() {
			err = w.look(ctx)
		}
		return w.orPark(ctx, err)
	case *persistencev1.FeedTimer_Sweep_:
		w.sweep(ctx)
		return nil
	default:
		return engine.Poison("%s: timer %q has neither confirm nor sweep", IDRequest, ctx.Key())
	}
}

// onFeedDeadLetter sets the sweep anew: with the record's effects the next one was taken back, and without any the feed
// would stand still for good.
func (w *Worker) onFeedDeadLetter(ctx engine.Context, _ any, _ string, _ error) error {
	if shortHash.MatchString(ctx.Key()) && w.vnode(ctx.Key()) != nil {
		w.setSweep(ctx, w.cfg.SweepEvery)
	}
	return nil
}

// sweep looks for what was left behind. It never gives its record up, for with it the sweeps would end.
func (w *Worker) sweep(ctx engine.Context) {
	vnode := w.vnode(ctx.Key())
	if vnode == nil { // it is gone, and so is its database
		w.goOn(ctx.Key())
		ctx.Delete()
		return
	}
	w.setSweep(ctx, w.cfg.SweepEvery)
	if vnode.GetVaultDb() == vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE {
		return // its database must not be used
	}
	err := w.inTime(ctx, func(c context.Context) error {
		return w.deps.Store.Forget(c, ctx.Key(), ctx.Now().Add(-w.cfg.Keep))
	})
	if err != nil && !isAway(err) { // old answers are in nobody's way
		w.deps.Log.Warn("old answers of a virtual node could not be forgotten; the next sweep tries again", "vnode", ctx.Key(), "error", err)
		err = nil
	}
	if err == nil {
		err = w.look(ctx)
	}
	if err == nil {
		return
	}
	if err = w.orPark(ctx, err); err != nil {
		w.deps.Log.Warn("a sweep of a virtual node's outbox failed; the next one tries again", "vnode", ctx.Key(), "error", err)
	}
}

// setSweep moves the next sweep.
func (w *Worker) setSweep(ctx engine.Context, in time.Duration) {
	at := ctx.Now().Add(in)
	ctx.SetValue(&persistencev1.FeedState{Emitted: feedState(ctx).GetEmitted(), Tokens: feedState(ctx).GetTokens(), SweepAtUs: at.UnixMicro()})
	ctx.SetTimer(sweepTimer, at, sweepRecord())
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
		return unknownError{ctx.Key()}
	}
	state := feedState(ctx)
	if vnode.GetVaultDb() == vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE {
		if state.GetSweepAtUs() <= ctx.Now().UnixMicro() {
			w.setSweep(ctx, w.cfg.SweepEvery) // which comes back to it
		}
		return nil
	}
	e := Looked{Vnode: ctx.Key(), NowUs: ctx.Now().UnixMicro(), Rules: FeedRules{w.cfg.SweepEvery.Microseconds(), w.cfg.FeedPage}}
	if m, ok := w.deps.Packages.Get(vnode.GetCpiChecksum()); ok {
		cpi, _ := m.(*cpiv1.Cpi)
		e.Routes, e.Hold = Routes(vnode, cpi)
	} else {
		return unknownError{"package " + vnode.GetCpiChecksum()}
	}
	for i, r := range e.Routes {
		e.Routes[i].Missing = engine.CanEmit(ctx, r.Topic)
	}
	err := w.inTime(ctx, func(c context.Context) (err error) {
		e.Changes, err = w.deps.Store.Changes(c, ctx.Key(), e.after(state), w.cfg.FeedPage)
		return err
	})
	if err != nil {
		return err
	}
	e.Resumed = w.goOn(ctx.Key())
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
	case EmitToken:
		ctx.Emit(topics.TokensChanges, e.Key, e.Change)
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

// parkTime is how long a feed is parked for what an administrator or time may mend.
const parkTime = 30 * time.Second

// orPark decides about a feed that cannot go on. What passes for everybody is tried again, and the record waits for it.
// Anything else is this virtual node's own: its feed is parked, for records that wait make the whole partition wait.
func (w *Worker) orPark(ctx engine.Context, err error) error {
	var unknown unknownError
	rest := w.cfg.SweepEvery
	switch class := postgres.ClassOf(err); {
	case err == nil:
		return nil
	case isAway(err):
		w.serverAway(ctx.Key())
		return engine.Retry(0, err)
	case errors.As(err, &unknown), ctx.Context().Err() != nil, class == postgres.Retry:
		return engine.Retry(0, err)
	case class == postgres.Unavailable && !isElsewhere(err):
		return engine.Retry(0, err)
	case class == postgres.Unavailable, class == postgres.Timeout:
		rest = min(rest, parkTime)
	}
	w.setSweep(ctx, rest)
	w.parked.put(ctx.Key(), ctx.Now().Add(rest))
	w.deps.Metrics.standing(w.parked.count())
	w.deps.Log.Error("the change feed of a virtual node stands still: its outbox cannot be worked off", "id", IDParked, "vnode", ctx.Key(), "again", rest, "error", err)
	return nil
}

// goOn tells that a feed is parked no more, and whether it was.
func (w *Worker) goOn(vnode string) bool {
	was := w.parked.clear(vnode)
	if was {
		w.deps.Metrics.standing(w.parked.count())
	}
	return was
}

// parkedFeeds are the virtual nodes whose feed stands still. It is only a memory: who does not have it looks once more.
type parkedFeeds struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (p *parkedFeeds) put(vnode string, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil {
		p.until = map[string]time.Time{}
	}
	p.until[vnode] = until
}

// holds tells whether a feed is not to be looked at yet.
func (p *parkedFeeds) holds(vnode string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Before(p.until[vnode])
}

// clear tells whether a feed was parked, and that it is no more.
func (p *parkedFeeds) clear(vnode string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, was := p.until[vnode]
	delete(p.until, vnode)
	return was
}

func (p *parkedFeeds) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.until)
}

// unknownError tells that a view does not have something yet.
type unknownError struct{ what string }

func (e unknownError) Error() string { return e.what + " is not known here yet" }
