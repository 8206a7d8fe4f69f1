package tokens

import (
	"fmt"
	"math/big"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/tokenpool"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
)

// Bounds of a pool.
const (
	// maxWaiting is how many requests may wait for pages.
	maxWaiting = 1000
	// maxHeld is how many tokens may be claimed.
	maxHeld = 15_000
	// maxBackoffs is how many selections are remembered that had too few tokens.
	maxBackoffs = 32
	// maxTries is how many pages a request waits for when others are quicker.
	maxTries = 1000
	// queryTimeUs is the deadline of a query, queryGraceUs how much longer it is waited for; microseconds.
	queryTimeUs, queryGraceUs = 30_000_000, 5_000_000
)

// Step decides what one event does to one pool. It is pure: the same arguments have the same result. Its error is
// engine.Poison.
func Step(p Pool, r Rules, event Event) (Pool, []Effect, error) {
	d := &draft{Pool: p, rules: r}
	d.Head = &tokensv1.Pool{}
	if p.Head != nil {
		d.Head = proto.Clone(p.Head).(*tokensv1.Pool)
	}
	switch e := event.(type) {
	case Asked:
		d.asked(e)
	case Paged:
		d.paged(e)
	case Summed:
		d.summed(e)
	case Failed:
		d.failed(e.Query, e.Error)
	case Changed:
		d.changed(e)
	case Overdue:
		d.failed(e.Query, nil)
	case Expired:
		d.Head.TimerAtUs = 0
		d.expire(e.NowUs)
		if d.idle(e.NowUs) {
			return Pool{}, d.effects, nil
		}
		d.setExpiry(e.NowUs)
	default:
		return p, nil, engine.Poison("tokens: no rule for %T", event)
	}
	if proto.Equal(d.Head, p.Head) || p.Head == nil && proto.Size(d.Head) == 0 {
		d.Head = p.Head
	}
	return d.Pool, d.effects, nil
}

// draft is a pool that is being changed. Its head is its own.
type draft struct {
	Pool
	rules   Rules
	effects []Effect
	// holds is what the claims hold, nil when it must be looked at anew.
	holds map[refName]bool
}

// heldNow is [Pool.held].
func (d *draft) heldNow() map[refName]bool {
	if d.holds == nil {
		d.holds = d.held()
	}
	return d.holds
}

func (d *draft) setClaims(c []*tokensv1.Claim) { d.Claims, d.holds = c, nil }

func (d *draft) do(e ...Effect) { d.effects = append(d.effects, e...) }

func (d *draft) note(o Outcome) { d.do(Note{o}) }

func (d *draft) asked(e Asked) {
	r := e.Request
	pool, err := check(e)
	if err != nil {
		d.note(Refused)
		if r.GetEnd() == nil {
			d.refuse(e, idRequest, rpcv1.ErrorKind_ERROR_KIND_INVALID, typeInvalid, "%v", err)
		}
		return
	}
	d.expire(e.NowUs)
	late := e.DeadlineUs > 0 && e.NowUs > e.DeadlineUs
	switch op := r.GetOperation().(type) {
	case *tokensv1.Request_End:
		d.release(op.End.GetClaimId(), r.GetFlowId(), nil, Ended)
		return
	case *tokensv1.Request_Release:
		found := d.release(op.Release.GetClaimId(), r.GetFlowId(), op.Release, Released)
		if !late {
			d.respond(e.RequestID, e.ReplyTo, &appv1.TokenRelease{Found: found})
		}
		return
	}
	if late {
		d.note(Late)
		return
	}
	if d.Head.GetPool() == nil {
		d.Head.Vnode, d.Head.Pool = r.GetVnode(), pool
	}
	defer d.setExpiry(e.NowUs)
	if r.GetBalance() != nil {
		if len(d.heldNow()) > maxHeld || len(d.Waiting) >= maxWaiting {
			d.busy(e)
			return
		}
		d.wait(e, d.ask(r, e.NowUs, true))
		return
	}
	d.claim(e, r.GetClaim())
}

// claim answers from what is known, or has the database asked.
func (d *draft) claim(e Asked, c *appv1.ClaimTokens) {
	if old, ok := find(d.Claims, e.RequestID, compareClaim); ok {
		d.note(Repeated)
		d.respond(e.RequestID, e.ReplyTo, answerOf(old))
		return
	}
	if slices.ContainsFunc(d.Waiting, func(w *tokensv1.Waiting) bool { return w.GetRequestId() == e.RequestID }) {
		d.note(Repeated)
		return
	}
	if len(c.GetStates()) > 0 {
		d.keep(e, c.GetStates())
		return
	}
	d.refresh(e.NowUs)
	// What is known in part may lack those of the highest priority.
	var found choice
	if c.GetStrategy() != byPriorityStrategy || d.Head.GetComplete() {
		if found = d.choose(c, d.heldNow(), d.rules.PageSize, nil); found.tokens != nil {
			d.grant(e.RequestID, e.ReplyTo, e.Request, found, e.NowUs)
			return
		}
	}
	selector := selectorOf(e.Request)
	if b := d.backoff(selector); b != nil && e.NowUs < b.GetUntilUs() {
		if found.sum == nil {
			if found = d.choose(c, d.heldNow(), d.rules.PageSize, nil); found.tokens != nil {
				d.grant(e.RequestID, e.ReplyTo, e.Request, found, e.NowUs)
				return
			}
		}
		d.note(Backing)
		found.limited = found.limited || b.GetLimited()
		d.none(e.RequestID, e.ReplyTo, found)
		return
	}
	if len(d.Waiting) >= maxWaiting || len(d.heldNow()) > maxHeld {
		d.busy(e)
		return
	}
	for _, q := range d.Head.GetQueries() {
		if !q.GetBalance() && proto.Equal(q.GetSelector(), selector) {
			d.wait(e, q.GetNumber())
			return
		}
	}
	d.wait(e, d.ask(e.Request, e.NowUs, false))
}

// keep claims states by their references, unless another claim has one of them. Nobody need have told of them: a flow keeps
// what it is about to make.
func (d *draft) keep(e Asked, states []*ledgerv1.StateRef) {
	held := d.heldNow()
	if len(held)+len(states) > maxHeld {
		d.busy(e)
		return
	}
	found := choice{sum: new(big.Rat)}
	for _, ref := range states {
		if held[nameOf(ref)] {
			d.none(e.RequestID, e.ReplyTo, choice{sum: new(big.Rat)})
			return
		}
		t, known := find(d.Known, ref, compareToken)
		if !known {
			t = &tokensv1.Token{Ref: ref}
		}
		found.tokens = append(found.tokens, t)
	}
	d.grant(e.RequestID, e.ReplyTo, e.Request, found, e.NowUs)
}

func (d *draft) busy(e Asked) {
	d.note(Busy)
	d.refuse(e, idBusy, rpcv1.ErrorKind_ERROR_KIND_UNAVAILABLE, typeUnavailable, "%d requests wait for tokens of this pool and %d of its tokens are claimed; try again", len(d.Waiting), len(d.heldNow()))
}

func (d *draft) wait(e Asked, query uint64) {
	d.Head.Waited++
	w := &tokensv1.Waiting{Place: d.Head.GetWaited(), Query: query, Request: e.Request, RequestId: e.RequestID, ReplyTo: e.ReplyTo, DeadlineUs: e.DeadlineUs, Tries: 1}
	d.Waiting = put(d.Waiting, w, w.GetPlace(), compareWaiting)
}

// ask has persistence asked.
func (d *draft) ask(r *tokensv1.Request, nowUs int64, balance bool) uint64 {
	d.note(Queried)
	// No number comes twice, not even after the pool was forgotten: an old page must not pass for a new one.
	d.Head.QueriesMade = max(d.Head.GetQueriesMade()+1, uint64(nowUs))
	number, held := d.Head.GetQueriesMade(), d.heldNow()
	q := &tokensv1.Pool_Query{Number: number, Selector: selectorOf(r), Balance: balance, DeadlineUs: nowUs + queryTimeUs}
	d.Head.Queries = append(d.Head.Queries, q)
	m := &tokensv1.Query{Pool: d.Head.GetPool(), Selector: q.GetSelector(), Balance: balance}
	if balance {
		for _, c := range d.Claims {
			for _, t := range c.GetTokens() {
				if !t.GetGone() {
					m.Claimed = append(m.Claimed, t.GetRef())
				}
			}
		}
	} else {
		m.Limit = uint32(d.rules.PageSize + len(held))
	}
	d.do(AskPersistence{Number: number, For: r, Query: m, DeadlineUs: q.GetDeadlineUs()}, SetOverdue{number, q.GetDeadlineUs() + queryGraceUs})
	return number
}

// grant makes a claim.
func (d *draft) grant(id, replyTo string, r *tokensv1.Request, found choice, nowUs int64) {
	c := &tokensv1.Claim{ClaimId: id, FlowId: r.GetFlowId(), CreatedAtUs: nowUs, ExpiresAtUs: nowUs + d.rules.ClaimTimeoutUs, Tokens: found.tokens}
	d.setClaims(put(d.Claims, c, id, compareClaim))
	if selector := selectorOf(r); len(r.GetClaim().GetStates()) == 0 {
		d.Head.Backoffs = slices.DeleteFunc(d.Head.Backoffs, func(b *tokensv1.Pool_Backoff) bool { return proto.Equal(b.GetSelector(), selector) })
	}
	d.setExpiry(nowUs)
	d.note(Claimed)
	d.respond(id, replyTo, answerOf(c))
}

// none says that there are not enough tokens.
func (d *draft) none(id, replyTo string, found choice) {
	d.note(NoneAvailable)
	d.respond(id, replyTo, &appv1.TokenClaim{Available: tokenpool.Decimal(found.sum), Limited: found.limited})
}

// answerOf is the answer to a claim, the same as long as it lives.
func answerOf(c *tokensv1.Claim) *appv1.TokenClaim {
	out, sum := &appv1.TokenClaim{ClaimId: c.GetClaimId(), ExpiresAtUs: c.GetExpiresAtUs()}, new(big.Rat)
	for _, t := range c.GetTokens() {
		out.Tokens = append(out.Tokens, &appv1.ClaimedToken{Ref: t.GetRef(), Amount: t.GetAmount(), Owner: t.GetOwner(), Tag: t.GetTag(), Priority: t.GetPriority()})
		sum.Add(sum, amount(t))
	}
	out.Amount = tokenpool.Decimal(sum)
	return out
}

// release ends a claim of a flow, and forgets the tokens of it that were spent.
func (d *draft) release(id, flow string, op *appv1.ReleaseTokens, what Outcome) bool {
	for _, w := range d.Waiting {
		if w.GetRequestId() == id && w.GetRequest().GetFlowId() == flow {
			d.Waiting = drop(d.Waiting, w.GetPlace(), compareWaiting)
		}
	}
	c, ok := find(d.Claims, id, compareClaim)
	if !ok || c.GetFlowId() != flow {
		d.note(Missing)
		return false
	}
	d.note(what)
	d.setClaims(drop(d.Claims, id, compareClaim))
	// Its flow may have made change, which is in the database and will be told: who asks now must not be told of too little.
	d.Head.Backoffs = nil
	used := map[refName]bool{}
	for _, ref := range op.GetUsed() {
		used[nameOf(ref)] = true
	}
	for _, t := range c.GetTokens() {
		if used[nameOf(t.GetRef())] {
			d.forget(t.GetRef())
		}
	}
	return true
}

// expire drops claims that are too old.
func (d *draft) expire(nowUs int64) {
	old := func(c *tokensv1.Claim) bool { return c.GetExpiresAtUs() <= nowUs }
	if !slices.ContainsFunc(d.Claims, old) {
		return
	}
	n := len(d.Claims)
	d.setClaims(slices.DeleteFunc(slices.Clone(d.Claims), old))
	for range n - len(d.Claims) {
		d.note(TimedOut)
	}
}

// idle tells whether nothing is worth remembering of the pool: what is known is too old to be used, and all else is over. A
// flow may ask for any pool, so there is no bound to how many there were.
func (d *draft) idle(nowUs int64) bool {
	fresh := d.Head.GetKnownSinceUs() != 0 && nowUs-d.Head.GetKnownSinceUs() <= d.rules.CacheExpiryUs
	backing := slices.ContainsFunc(d.Head.GetBackoffs(), func(b *tokensv1.Pool_Backoff) bool { return b.GetUntilUs() > nowUs })
	return !fresh && !backing && len(d.Claims)+len(d.Waiting)+len(d.Head.GetQueries()) == 0
}

// idleUs is how soon a pool is looked at again at least that may have become idle, microseconds.
const idleUs = 60_000_000

// setExpiry sets the timer of the claim that ends first, or without claims that of a look whether the pool is idle, unless
// it is set for earlier.
func (d *draft) setExpiry(nowUs int64) {
	var first int64
	for _, c := range d.Claims {
		if first == 0 || c.GetExpiresAtUs() < first {
			first = c.GetExpiresAtUs()
		}
	}
	if first == 0 {
		first = nowUs + max(idleUs, d.rules.CacheExpiryUs)
	}
	if d.Head.GetTimerAtUs() != 0 && d.Head.GetTimerAtUs() <= first {
		return
	}
	d.Head.TimerAtUs = first
	d.do(SetExpiry{first})
}

func (d *draft) backoff(s *tokensv1.Selector) *tokensv1.Pool_Backoff {
	for _, b := range d.Head.GetBackoffs() {
		if proto.Equal(b.GetSelector(), s) {
			return b
		}
	}
	return nil
}

// backOff keeps a selection from the database for a while, which is longer each time.
func (d *draft) backOff(s *tokensv1.Selector, limited bool, nowUs int64) {
	b := d.backoff(s)
	if b == nil {
		if len(d.Head.Backoffs) >= maxBackoffs {
			d.Head.Backoffs = slices.Delete(d.Head.Backoffs, 0, 1)
		}
		b = &tokensv1.Pool_Backoff{Selector: s}
		d.Head.Backoffs = append(d.Head.Backoffs, b)
	}
	b.PeriodUs = min(max(2*b.GetPeriodUs(), d.rules.BackoffMinUs), d.rules.BackoffMaxUs)
	b.UntilUs, b.Limited = nowUs+b.GetPeriodUs(), limited
}

func (d *draft) respond(id, replyTo string, m proto.Message) {
	raw, err := schemas.Marshal(m)
	if err != nil { // its texts came out of messages
		raw = nil
	}
	d.do(Respond{id, replyTo, &rpcv1.Reply{Outcome: &rpcv1.Reply_Result{Result: raw}}})
}

// Words of errors, as flows see them.
const (
	typeInvalid     = "invalid-argument"
	typeUnavailable = "unavailable"
)

func (d *draft) refuse(e Asked, id string, kind rpcv1.ErrorKind, word, format string, args ...any) {
	d.do(Respond{e.RequestID, e.ReplyTo, errorReply(id, kind, word, format, args...)})
}

func errorReply(id string, kind rpcv1.ErrorKind, word, format string, args ...any) *rpcv1.Reply {
	return &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: &rpcv1.Error{
		Class: rpcv1.ErrorClass_ERROR_CLASS_APPLICATION, Kind: kind, Type: word, Id: id, Message: id + ": " + fmt.Sprintf(format, args...),
	}}}
}
