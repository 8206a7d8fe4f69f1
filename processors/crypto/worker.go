package crypto

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/signing"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Worker is what the group shares in a process: the way to Vault, the view of keys, and whether Vault can serve.
type Worker struct {
	cfg    Config
	deps   Deps
	slots  chan struct{} // taken by requests to Vault
	health health
	making making
	// replies are the topics to which answers to a requester may go.
	replies map[Requester][]string
}

// NewWorker makes a worker. Its group may run before [Worker.Run], and waits for Vault then.
func NewWorker(cfg Config, deps Deps) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	w := &Worker{cfg: cfg, deps: deps, slots: make(chan struct{}, cfg.Concurrency), replies: map[Requester][]string{}}
	w.health.wake = make(chan struct{}, 1)
	for _, r := range Requesters() {
		input, ok := topics.Find(inputOf(r))
		if !ok {
			return nil, fmt.Errorf("crypto: the catalogue lacks topic %s", inputOf(r))
		}
		w.replies[r] = input.Replies
	}
	return w, nil
}

// request is what the engine hands over.
type request = engine.Item[*cryptov1.Request]

// turn is one request on its way through its steps.
type turn struct {
	item request
	ask  Ask
	// alias is set for the making of a key: two of one alias follow one another.
	alias string
	// need is what the first step asked of Vault, nil when nothing; event is Vault's answer.
	need  Effect
	event Event
	// effects are the last step's.
	effects []Effect
	err     error
}

// batch works off what one poll brought of one input: a first step each, then Vault for all together, then a second
// step and its effects. What makes keys under one alias follows one another.
func (w *Worker) batch(ctx context.Context, requester Requester, items []request) []error {
	turns := make([]*turn, len(items))
	rest := make([]*turn, len(items))
	for i, it := range items {
		turns[i] = w.newTurn(requester, it)
		rest[i] = turns[i]
	}
	for len(rest) > 0 {
		var now, behind []*turn
		taken := map[string]bool{}
		for _, t := range rest {
			if t.alias != "" && taken[t.alias] {
				behind = append(behind, t)
				continue
			}
			taken[t.alias] = t.alias != ""
			now = append(now, t)
			if t.err == nil {
				t.first(w.load(t))
			}
		}
		w.askVault(ctx, now)
		for _, t := range now {
			w.finish(t)
		}
		rest = behind
	}
	results := make([]error, len(turns))
	for i, t := range turns {
		results[i] = t.err
	}
	return results
}

// newTurn reads what came along with a request.
func (w *Worker) newTurn(requester Requester, it request) *turn {
	t := &turn{item: it, ask: Ask{Requester: requester, Request: it.Msg, ID: it.Header(engine.HeaderRequest), Key: it.Key(), NowUs: it.Now().UnixMicro(), SentUs: it.Timestamp().UnixMicro()}}
	if _, err := w.wayBack(it.Context, requester); err != nil {
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
	if g := it.Msg.GetGenerateKey(); g != nil {
		cause := it.Cause()
		place := identity.FlowID(it.TopicID(), cause.Partition, cause.Offset)
		t.ask.Place = fmt.Sprintf("%x", place[:])
		t.alias = aliasRow(it.Msg.GetTenant(), g.GetAlias())
	}
	return t
}

// way is where an answer goes.
type way struct {
	topic     string
	partition int32
	key       string
}

// wayBack reads header fl-reply and sees that the catalogue lets answers of the input go there.
func (w *Worker) wayBack(ctx engine.Context, requester Requester) (way, error) {
	if ctx.Header(engine.HeaderRequest) == "" {
		return way{}, engine.Poison("%s: header %s is missing", idNoWayBack, engine.HeaderRequest)
	}
	topic, partition, key, err := engine.ParseReplyTo(ctx.Header(engine.HeaderReply))
	if err != nil {
		return way{}, engine.Poison("%s: %w", idNoWayBack, err)
	}
	if slices.Contains(w.replies[requester], topic) {
		return way{topic, partition, key}, nil
	}
	return way{}, engine.Poison("%s: answers to %s may not go to %q", idNoWayBack, inputOf(requester), topic)
}

// load reads what a first step decides on.
func (w *Worker) load(t *turn) (State, error) {
	tenant, r := t.ask.Request.GetTenant(), t.ask.Request
	var s State
	var err error
	switch r.GetOperation().(type) {
	case *cryptov1.Request_GenerateKey:
		s.Named, err = loadRow(t.item.Context, t.alias)
	case *cryptov1.Request_ListKeys:
		s.Listed, err = loadTenant(t.item.Context, tenant)
	case *cryptov1.Request_Sign, *cryptov1.Request_SignBatch, *cryptov1.Request_OpenEnvelope:
		if id := keyOf(r); id != "" {
			if msg, ok := w.deps.Keys.Get(keyPath(tenant, id)); ok {
				s.Known, _ = msg.(*cryptov1.Key)
			}
		}
	}
	return s, err
}

// first runs the first step and notes what it needs of Vault.
func (t *turn) first(s State, err error) {
	if err != nil {
		t.err = engine.Fatal(err)
		return
	}
	t.run(s, Asked{t.ask})
	if len(t.effects) == 1 {
		switch t.effects[0].(type) {
		case MakeKey, MakeSignatures, OpenEnvelope:
			t.need = t.effects[0]
		}
	}
}

func (t *turn) run(s State, e Event) { t.effects, t.err = Step(s, e) }

// finish runs the second step, when there is one, and does what the last step asked for.
func (w *Worker) finish(t *turn) {
	if t.err == nil && t.need != nil {
		var s State
		if made, ok := t.event.(KeyMade); ok {
			short, _ := signing.KeyID(made.PublicKey)
			if s.Same, t.err = loadRow(t.item.Context, idRow(t.ask.Request.GetTenant(), short)); t.err != nil {
				t.err = engine.Fatal(t.err)
				return
			}
		}
		t.run(s, t.event)
	}
	if t.err != nil {
		return
	}
	for _, e := range t.effects {
		if wait, ok := e.(WaitForKey); ok {
			t.err = engine.Retry(keyWait, fmt.Errorf("key %s has not been seen here", wait.KeyID))
			return
		}
	}
	for _, e := range t.effects {
		if t.err = w.apply(t, e); t.err != nil {
			return
		}
	}
}

// keyWait is how long a request whose key is unknown waits before it is looked up again.
const keyWait = 100 * time.Millisecond

func (w *Worker) apply(t *turn, effect Effect) error {
	switch e := effect.(type) {
	case Respond:
		return w.answer(t.item.Context, t.ask.Requester, e.Reply)
	case RespondSealed:
		sealed, err := signing.Seal(e.To, t.ask.ID, e.Secret)
		if err != nil {
			return engine.Poison("%s: %w", idInvalid, err)
		}
		return w.answer(t.item.Context, t.ask.Requester, respond(sealed, Done)[0].(Respond).Reply)
	case Reserve:
		if err := reserve(t.item.Context, e.Key); err != nil {
			return engine.Fatal(err)
		}
		t.item.Emit(topics.CryptoKeys, keyPath(e.Key.GetTenant(), e.Key.GetKeyId()), e.Key)
	case Audit:
		t.item.Emit(topics.Audit, e.Entry.GetEntity(), e.Entry)
	case Note:
		op, _ := operation(t.ask.Request)
		w.deps.Metrics.count(t.ask.Requester, op, e.Outcome)
	default:
		return engine.Poison("crypto: no way to apply %T", effect)
	}
	return nil
}

// answer sends the reply where the request says.
func (w *Worker) answer(ctx engine.Context, requester Requester, reply *rpcv1.Reply) error {
	to, err := w.wayBack(ctx, requester)
	if err != nil {
		return err
	}
	opts := replyOptions(ctx.Header(engine.HeaderRequest), to.partition)
	ctx.Emit(stream(to.topic), to.key, reply, opts...)
	return nil
}

// dead tells who waits for a request that it is in the dead letters.
func (w *Worker) dead(ctx engine.Context, msg any, reason string, cause error) error {
	requester, ok := requesterOf(string(ctx.Topic()))
	if !ok {
		return nil
	}
	if _, err := w.wayBack(ctx, requester); err != nil {
		return nil //nolint:nilerr // nobody waits whom an answer could reach
	}
	f := fail(idDead, rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED, "dead-letter", "the request is in crypto.dlq: %s", deathOf(reason, cause))
	if r, ok := msg.(*cryptov1.Request); ok {
		op, _ := operation(r)
		w.deps.Metrics.count(requester, op, Failed)
	}
	return w.answer(ctx, requester, &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: f}})
}

// deathOf says why; the stack of a panic stays in the dead letter.
func deathOf(reason string, cause error) string {
	if cause == nil {
		return reason
	}
	first, _, _ := strings.Cut(cause.Error(), "\n")
	return reason + ": " + first
}

func requesterOf(topic string) (Requester, bool) {
	for _, r := range Requesters() {
		if inputOf(r) == topic {
			return r, true
		}
	}
	return "", false
}

// errNoVault is told when a graph that was made for its edges alone is run.
var errNoVault = errors.New("crypto: no way to Vault")
