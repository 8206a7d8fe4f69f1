package tokens

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/tokenpool"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Worker is what the group shares in a process.
type Worker struct {
	deps  Deps
	rules atomic.Pointer[Rules]
	live  *live
	// replies are the topics to which answers may go.
	replies []string
}

// NewWorker makes a worker. Without dependencies it can only describe its [Worker.Graph].
func NewWorker(deps Deps) (*Worker, error) {
	input, ok := topics.Find(topics.TokensRequests)
	if !ok {
		return nil, errors.New("tokens: the catalogue lacks topic " + topics.TokensRequests)
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	w := &Worker{deps: deps, live: &live{}, replies: input.Replies}
	rules := DefaultRules()
	w.rules.Store(&rules)
	return w, nil
}

// Configure takes over what the section says; nil stands for its defaults. Claims and back-offs that there are keep what
// they began with.
func (w *Worker) Configure(c *configv1.Configuration) error {
	r, err := RulesOf(c)
	if err != nil {
		return err
	}
	w.rules.Store(&r)
	return nil
}

func (w *Worker) onRequest(ctx engine.Context, m *tokensv1.Request) error {
	e := Asked{Request: m, Key: ctx.Key(), RequestID: ctx.Header(engine.HeaderRequest), ReplyTo: ctx.Header(engine.HeaderReply), NowUs: ctx.Now().UnixMicro()}
	if e.RequestID == "" || len(e.RequestID) > tokenpool.MaxID {
		return engine.Poison("%s: header %s is missing or too long", idNoWayBack, engine.HeaderRequest)
	}
	if m.GetEnd() == nil {
		if _, err := w.wayBack(e.ReplyTo); err != nil {
			return err
		}
	}
	if text := ctx.Header(engine.HeaderDeadline); text != "" {
		us, err := strconv.ParseInt(text, 10, 64)
		if err != nil || us <= 0 {
			return engine.Poison("%s: header %s is %q, not microseconds since 1970", idNoWayBack, engine.HeaderDeadline, text)
		}
		e.DeadlineUs = us
	}
	return w.step(ctx, e)
}

func (w *Worker) onChange(ctx engine.Context, m *tokensv1.Change) error {
	if m.GetNumber() == 0 || len(m.GetToken().GetRef().GetTransaction()) != 32 || ctx.Key() != tokenpool.Key(m.GetVnode(), m.GetPool()) {
		return engine.Poison("%s: record %q of %s tells of no token of its pool", idNoWayBack, ctx.Key(), topics.TokensChanges)
	}
	return w.step(ctx, Changed{m, ctx.Now().UnixMicro()})
}

// onReply takes what persistence answers.
func (w *Worker) onReply(ctx engine.Context, m *rpcv1.Reply) error {
	number, ok := queryNumber(ctx.Key(), ctx.Header(engine.HeaderRequest))
	if !ok {
		return engine.Poison("%s: record %q of %s answers no query: header %s is %q", idNoWayBack, ctx.Key(), topics.TokensReplies, engine.HeaderRequest, ctx.Header(engine.HeaderRequest))
	}
	nowUs := ctx.Now().UnixMicro()
	if e := m.GetError(); e != nil {
		return w.step(ctx, Failed{number, e, nowUs})
	}
	pool, _ := ctx.Value().(*tokensv1.Pool)
	for _, q := range pool.GetQueries() {
		if q.GetNumber() != number || !q.GetBalance() {
			continue
		}
		amounts := &appv1.TokenAmounts{}
		if err := proto.Unmarshal(m.GetResult(), amounts); err != nil {
			return engine.Poison("%s: balance of pool %q: %w", idNoWayBack, ctx.Key(), err)
		}
		return w.step(ctx, Summed{number, amounts, nowUs})
	}
	page := &tokensv1.Page{}
	if err := proto.Unmarshal(m.GetResult(), page); err != nil {
		return engine.Poison("%s: page of pool %q: %w", idNoWayBack, ctx.Key(), err)
	}
	return w.step(ctx, Paged{number, page, nowUs})
}

func (w *Worker) onTimer(ctx engine.Context, m *tokensv1.Timer) error {
	switch e := m.GetEvent().(type) {
	case *tokensv1.Timer_Expire_:
		return w.step(ctx, Expired{ctx.Now().UnixMicro()})
	case *tokensv1.Timer_Overdue_:
		return w.step(ctx, Overdue{e.Overdue.GetQuery(), ctx.Now().UnixMicro()})
	default:
		return engine.Poison("%s: timer %q has no event that this version knows", idNoWayBack, ctx.Key())
	}
}

// queryID is the request id of a query of a pool.
func queryID(pool string, number uint64) string {
	return "tokens/" + pool + "/" + strconv.FormatUint(number, 10)
}

func queryNumber(pool, id string) (uint64, bool) {
	text, ok := strings.CutPrefix(id, "tokens/"+pool+"/")
	n, err := strconv.ParseUint(text, 10, 64)
	return n, ok && err == nil
}

// step takes a step and does what it asks for.
func (w *Worker) step(ctx engine.Context, e Event) error {
	key := ctx.Key()
	store := ctx.Store(topics.TokensKnownStore)
	before, ok := w.live.take(ctx.Partition(), key)
	if !ok {
		head, _ := ctx.Value().(*tokensv1.Pool)
		before = load(store, key, head, func(row []byte, err error) {
			w.deps.Log.Error("a row of a pool of tokens cannot be read and is dropped", "id", idRow, "pool", key, "error", err)
			store.Delete(row)
		})
	}
	after, effects, err := Step(before, *w.rules.Load(), e)
	if err != nil {
		return err
	}
	for _, row := range Rows(key, before, after) {
		if row.Value == nil {
			store.Delete(row.Key)
			continue
		}
		raw, err := schemas.Marshal(row.Value)
		if err != nil {
			return engine.Poison("tokens: row %q: %w", row.Key, err)
		}
		store.Set(row.Key, raw)
	}
	switch {
	case after.Head == before.Head:
	case after.Head == nil:
		ctx.Delete()
	default:
		ctx.SetValue(after.Head)
	}
	for _, effect := range effects {
		if err := w.apply(ctx, effect); err != nil {
			return err
		}
	}
	w.live.put(ctx.Partition(), key, after)
	return nil
}

func (w *Worker) apply(ctx engine.Context, effect Effect) error {
	switch e := effect.(type) {
	case Respond:
		return w.answer(ctx, e)
	case AskPersistence:
		ctx.Emit(topics.PersistenceTokens, e.For.GetFlowId(), &persistencev1.Request{
			Vnode: e.For.GetVnode(), CpiChecksum: e.For.GetCpiChecksum(), FlowId: e.For.GetFlowId(), Operation: &persistencev1.Request_Tokens{Tokens: e.Query},
		}, engine.WithHeaders(goka.Headers{
			engine.HeaderRequest:  []byte(queryID(ctx.Key(), e.Number)),
			engine.HeaderDeadline: strconv.AppendInt(nil, e.DeadlineUs, 10),
			engine.HeaderReply:    []byte(engine.ReplyTo(topics.TokensReplies, -1, ctx.Key())),
		}))
	case SetExpiry:
		ctx.SetTimer("expire", time.UnixMicro(e.AtUs).UTC(), &tokensv1.Timer{Event: &tokensv1.Timer_Expire_{Expire: &tokensv1.Timer_Expire{}}})
	case SetOverdue:
		ctx.SetTimer(overdueTimer(e.Query), time.UnixMicro(e.AtUs).UTC(), &tokensv1.Timer{Event: &tokensv1.Timer_Overdue_{Overdue: &tokensv1.Timer_Overdue{Query: e.Query}}})
	case CancelOverdue:
		ctx.CancelTimer(overdueTimer(e.Query))
	case Note:
		w.deps.Metrics.count(e.What)
	default:
		return engine.Poison("tokens: no way to apply %T", effect)
	}
	return nil
}

func overdueTimer(query uint64) string { return "query/" + strconv.FormatUint(query, 10) }

// way is where an answer goes.
type way struct {
	topic     string
	partition int32
	key       string
}

// wayBack reads a header fl-reply and sees that the catalogue lets answers go there.
func (w *Worker) wayBack(replyTo string) (way, error) {
	topic, partition, key, err := engine.ParseReplyTo(replyTo)
	if err != nil {
		return way{}, engine.Poison("%s: %w", idNoWayBack, err)
	}
	if !slices.Contains(w.replies, topic) {
		return way{}, engine.Poison("%s: answers to %s may not go to %q", idNoWayBack, topics.TokensRequests, topic)
	}
	return way{topic, partition, key}, nil
}

func (w *Worker) answer(ctx engine.Context, e Respond) error {
	to, err := w.wayBack(e.ReplyTo)
	if err != nil {
		return err
	}
	options := []goka.ContextOption{engine.WithHeaders(goka.Headers{engine.HeaderRequest: []byte(e.RequestID)})}
	if to.partition >= 0 {
		options = append(options, engine.ToPartition(to.partition))
	}
	ctx.Emit(goka.Stream(to.topic), to.key, e.Reply, options...)
	return nil
}

// dead tells who waits for a request that it is in the dead letters.
func (w *Worker) dead(ctx engine.Context, msg any, reason string, cause error) error {
	w.deps.Metrics.count(Dead)
	r, ok := msg.(*tokensv1.Request)
	if !ok || r.GetEnd() != nil || ctx.Header(engine.HeaderRequest) == "" {
		return nil
	}
	if _, err := w.wayBack(ctx.Header(engine.HeaderReply)); err != nil {
		return nil //nolint:nilerr // nobody waits whom an answer could reach
	}
	text := reason
	if cause != nil {
		text = fmt.Sprintf("%s: %v", reason, cause)
	}
	return w.answer(ctx, Respond{ctx.Header(engine.HeaderRequest), ctx.Header(engine.HeaderReply),
		errorReply(idDead, rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED, "dead-letter", "the request is in tokens.dlq: %s", strings.ToValidUTF8(text, "\uFFFD"))})
}
