package verification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/engine"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Worker is what the group shares in a process: the packages that there are, their modules, and the answers given.
type Worker struct {
	cfg      Config
	deps     Deps
	slots    chan struct{} // taken by contracts that run
	packages *packages
	modules  *modules
	cache    *cache
	// replies are the topics to which answers may go.
	replies []string
}

// NewWorker makes a worker. Without dependencies it can only describe its [Worker.Graph].
func NewWorker(cfg Config, deps Deps) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	input, ok := topics.Find(topics.VerificationRequests)
	if !ok {
		return nil, errors.New("verification: the catalogue lacks topic " + topics.VerificationRequests)
	}
	w := &Worker{
		cfg: cfg, deps: deps, slots: make(chan struct{}, cfg.Concurrency), packages: newPackages(), modules: newModules(deps),
		cache: newCache(cfg.CacheEntries), replies: input.Replies,
	}
	if deps.Packages != nil {
		deps.Packages.OnChange(func(key string, msg any) {
			cpi, _ := msg.(*cpiv1.Cpi) // nil for one that is gone
			w.packages.changed(key, cpi)
			w.modules.keep(w.packages.modules())
		})
	}
	if deps.Code != nil {
		deps.Code.OnChange(func(key string, msg any) {
			c, _ := msg.(*cpiv1.Code) // nil for one that is gone
			w.packages.keep(key, c)
		})
	}
	return w, nil
}

// Close waits for installations. The group must have ended.
func (w *Worker) Close() { w.modules.set.Close() }

// request is what the engine hands over.
type request = engine.Item[*verificationv1.Request]

// turn is one request on its way through its steps.
type turn struct {
	item request
	ask  Ask
	key  cacheKey
	// effects are the last step's.
	effects []Effect
	err     error
}

// batch works off what one poll brought: a first step each, then the contracts of all side by side, then a second step.
func (w *Worker) batch(ctx context.Context, items []request) []error {
	results := make([]error, len(items))
	turns := make([]*turn, len(items))
	var running sync.WaitGroup
	for i, it := range items {
		t := w.newTurn(it)
		turns[i] = t
		if t.err != nil {
			continue
		}
		state := w.state(t)
		if t.effects, t.err = Step(state, Asked{t.ask}); t.err != nil {
			continue
		}
		if need, ok := t.effects[0].(RunContracts); ok {
			running.Go(func() {
				ran := Ran{t.ask, w.run(ctx, need)}
				t.effects, t.err = Step(state, ran)
			})
		}
	}
	running.Wait()
	for i, t := range turns {
		if t.err == nil {
			t.err = w.finish(t)
		}
		results[i] = t.err
	}
	w.modules.set.Show()
	return results
}

func (w *Worker) state(t *turn) State {
	return State{Remembered: w.cache.get(t.key), PackageWaitUs: w.cfg.PackageWait.Microseconds()}
}

// newTurn reads what came along with a request.
func (w *Worker) newTurn(it request) *turn {
	t := &turn{item: it, key: keyOf(it.Key(), it.Msg), ask: Ask{Request: it.Msg, Key: it.Key(), NowUs: it.Now().UnixMicro(), SentUs: it.Timestamp().UnixMicro()}}
	if _, err := w.wayBack(it.Context); err != nil {
		t.err = err
		return t
	}
	if text := it.Header(engine.HeaderDeadline); text != "" {
		us, err := strconv.ParseInt(text, 10, 64)
		if err != nil || us <= 0 {
			t.err = engine.Poison("%s: header %s is %q, not microseconds since 1970", idNoWayBack, engine.HeaderDeadline, text)
			return t
		}
		t.ask.DeadlineUs = us
	}
	return t
}

// way is where an answer goes.
type way struct {
	topic     string
	partition int32
	key       string
}

// wayBack reads header fl-reply and sees that the catalogue lets answers go there.
func (w *Worker) wayBack(ctx engine.Context) (way, error) {
	if ctx.Header(engine.HeaderRequest) == "" {
		return way{}, engine.Poison("%s: header %s is missing", idNoWayBack, engine.HeaderRequest)
	}
	topic, partition, key, err := engine.ParseReplyTo(ctx.Header(engine.HeaderReply))
	if err != nil {
		return way{}, engine.Poison("%s: %w", idNoWayBack, err)
	}
	if !slices.Contains(w.replies, topic) {
		return way{}, engine.Poison("%s: answers to %s may not go to %q", idNoWayBack, topics.VerificationRequests, topic)
	}
	return way{topic, partition, key}, nil
}

// againWait is how long a request waits at least that could not be worked off yet.
const againWait = 100 * time.Millisecond

// finish does what the last step asked for. Waiting undoes everything else, so it is looked for first.
func (w *Worker) finish(t *turn) error {
	for _, e := range t.effects {
		switch e := e.(type) {
		case Note:
			w.deps.Metrics.count(e.What)
		case Recalled:
			w.deps.Metrics.recalled()
		}
	}
	for _, e := range t.effects {
		if wait, ok := e.(Wait); ok {
			return engine.Retry(max(againWait, time.Duration(wait.AfterUs)*time.Microsecond), wait.Err)
		}
	}
	for _, e := range t.effects {
		switch e := e.(type) {
		case Note, Recalled:
		case Respond:
			if err := w.answer(t.item.Context, e.Reply); err != nil {
				return err
			}
		case Remember:
			w.deps.Metrics.cached(w.cache.put(t.key, e.Result))
		default:
			return engine.Poison("verification: no way to apply %T", e)
		}
	}
	return nil
}

// answer sends the reply where the request says.
func (w *Worker) answer(ctx engine.Context, reply *rpcv1.Reply) error {
	to, err := w.wayBack(ctx)
	if err != nil {
		return err
	}
	ctx.Emit(stream(to.topic), to.key, reply, replyOptions(ctx.Header(engine.HeaderRequest), to.partition)...)
	return nil
}

// dead tells who waits for a request that it is in the dead letters.
func (w *Worker) dead(ctx engine.Context, _ any, reason string, cause error) error {
	w.deps.Metrics.count(Dead)
	if _, err := w.wayBack(ctx); err != nil {
		return nil //nolint:nilerr // nobody waits whom an answer could reach
	}
	text := reason
	if cause != nil {
		text = fmt.Sprintf("%s: %v", reason, cause)
	}
	return w.answer(ctx, errorReply(idDead, rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED, TypePlatform, "the request is in verification.dlq: %s", text))
}
