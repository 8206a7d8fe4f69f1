package tokens

import (
	"math/big"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/tokenpool"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func amount(t *tokensv1.Token) *big.Rat { return ledger.AmountOf(t.GetAmount()) }

// maxKnown is how many tokens are kept in mind.
func (d *draft) maxKnown() int { return 2 * d.rules.PageSize }

// take ends a query, and returns it with the requests that wait for it.
func (d *draft) take(number uint64) (*tokensv1.Pool_Query, []*tokensv1.Waiting) {
	q := d.query(number)
	if q == nil {
		d.note(Stale)
		return nil, nil
	}
	d.Head.Queries = slices.DeleteFunc(d.Head.Queries, func(x *tokensv1.Pool_Query) bool { return x.GetNumber() == number })
	d.do(CancelOverdue{number})
	var waiting []*tokensv1.Waiting
	for _, w := range d.Waiting {
		if w.GetQuery() == number {
			waiting = append(waiting, w)
		}
	}
	for _, w := range waiting {
		d.Waiting = drop(d.Waiting, w.GetPlace(), compareWaiting)
	}
	return q, waiting
}

// paged learns a page and settles who waits for it, first come first served.
func (d *draft) paged(e Paged) {
	q, waiting := d.take(e.Query)
	if q == nil {
		return
	}
	d.expire(e.NowUs)
	d.learn(q, e.Page, e.NowUs)
	tokens := e.Page.GetTokens()
	var last *tokensv1.Token
	if e.Page.GetMore() && len(tokens) > 0 {
		last = tokens[len(tokens)-1] // of what comes behind it, by priority, too little is known
	}
	var again uint64
	for _, w := range waiting {
		if w.GetDeadlineUs() > 0 && e.NowUs > w.GetDeadlineUs() {
			d.note(Late)
			continue
		}
		found := d.choose(w.GetRequest().GetClaim(), d.heldNow(), d.rules.PageSize, last)
		switch {
		case found.tokens != nil:
			d.grant(w.GetRequestId(), w.GetReplyTo(), w.GetRequest(), found, e.NowUs)
		case e.Page.GetMore() && w.GetTries() < maxTries && d.free(tokens) < d.rules.PageSize:
			// Others took tokens of the page, and there are more.
			if again == 0 {
				again = d.ask(w.GetRequest(), e.NowUs, false)
			}
			w = proto.Clone(w).(*tokensv1.Waiting)
			w.Query, w.Tries = again, w.GetTries()+1
			d.Waiting = put(d.Waiting, w, w.GetPlace(), compareWaiting)
		default:
			found.limited = found.limited || e.Page.GetMore()
			d.backOff(q.GetSelector(), found.limited, e.NowUs)
			d.none(w.GetRequestId(), w.GetReplyTo(), found)
		}
	}
}

// free counts tokens that nobody holds.
func (d *draft) free(tokens []*tokensv1.Token) (n int) {
	held := d.heldNow()
	for _, t := range tokens {
		if k, ok := find(d.Known, t.GetRef(), compareToken); ok && !k.GetGone() && !held[nameOf(t.GetRef())] {
			n++
		}
	}
	return n
}

// learn takes a page's tokens into what is known.
func (d *draft) learn(q *tokensv1.Pool_Query, page *tokensv1.Page, nowUs int64) {
	whole := isWhole(q.GetSelector()) && !page.GetMore() && !q.GetMissed()
	inPage := map[refName]bool{}
	var all []*tokensv1.Token
	for _, t := range page.GetTokens() {
		inPage[nameOf(t.GetRef())] = true
		if known, ok := find(d.Known, t.GetRef(), compareToken); ok {
			t = known // it may be gone by now
		}
		all = append(all, t)
	}
	room := d.maxKnown() - len(all)
	evicted := false
	for _, t := range d.Known {
		switch {
		case inPage[nameOf(t.GetRef())]:
		case whole && !t.GetGone() && t.GetNumber() <= page.GetNumber():
			// The page would have it: it is consumed.
		case room <= 0 && !t.GetGone():
			evicted = true
		default:
			room--
			all = append(all, t)
		}
	}
	if len(d.Head.GetQueries()) == 0 { // no page can come that is older than what is gone
		all = slices.DeleteFunc(all, (*tokensv1.Token).GetGone)
	}
	slices.SortFunc(all, func(a, b *tokensv1.Token) int { return compareRefs(a.GetRef(), b.GetRef()) })
	d.Known = all
	if whole || d.Head.GetKnownSinceUs() == 0 {
		d.Head.KnownSinceUs = nowUs
	}
	d.Head.AsOf = max(d.Head.GetAsOf(), page.GetNumber())
	d.Head.Complete = !evicted && (d.Head.GetComplete() || whole)
}

// refresh forgets tokens that were known for too long without being read anew.
func (d *draft) refresh(nowUs int64) {
	if since := d.Head.GetKnownSinceUs(); since != 0 && nowUs-since > d.rules.CacheExpiryUs {
		d.Known = slices.DeleteFunc(slices.Clone(d.Known), func(t *tokensv1.Token) bool { return !t.GetGone() })
		d.Head.KnownSinceUs, d.Head.Complete = 0, false
	}
}

// summed answers who asked for a balance.
func (d *draft) summed(e Summed) {
	_, waiting := d.take(e.Query)
	for _, w := range waiting {
		d.note(Balanced)
		d.respond(w.GetRequestId(), w.GetReplyTo(), e.Amounts)
	}
}

// failed tells who waits that the database does not answer. Without an error it was overdue.
func (d *draft) failed(query uint64, e *rpcv1.Error) {
	_, waiting := d.take(query)
	text, kind := "the database did not answer in time; try again", rpcv1.ErrorKind_ERROR_KIND_UNAVAILABLE
	if e != nil {
		text, kind = e.GetMessage(), e.GetKind()
	}
	for _, w := range waiting {
		d.note(Unanswered)
		d.do(Respond{w.GetRequestId(), w.GetReplyTo(), errorReply(idQuery, kind, typeUnavailable, "%s", text)})
	}
}

// changed takes a token that was made or consumed. Changes come in the order of their numbers; one that comes late can
// take tokens away, but bring none: what it tells may be over.
func (d *draft) changed(e Changed) {
	c, t := e.Change, e.Change.GetToken()
	active := d.Head.GetKnownSinceUs() != 0 || len(d.Head.GetQueries()) > 0
	if c.GetConsumed() {
		d.consumed(t)
	} else if active {
		d.made(c, t)
	}
	if active {
		d.Head.LastChange = max(d.Head.GetLastChange(), c.GetNumber())
	}
}

// forget drops a token that is consumed, and remembers that as long as a page that is older may bring it back.
func (d *draft) forget(r *ledgerv1.StateRef) {
	d.Known = drop(d.Known, r, compareToken)
	if len(d.Head.GetQueries()) > 0 {
		d.Known = put(d.Known, &tokensv1.Token{Ref: r, Gone: true}, r, compareToken)
	}
}

func (d *draft) consumed(t *tokensv1.Token) {
	d.forget(t.GetRef())
	for _, c := range d.Claims {
		at := slices.IndexFunc(c.GetTokens(), func(x *tokensv1.Token) bool { return !x.GetGone() && compareToken(x, t.GetRef()) == 0 })
		if at < 0 {
			continue
		}
		shrunk := &tokensv1.Claim{ClaimId: c.GetClaimId(), FlowId: c.GetFlowId(), CreatedAtUs: c.GetCreatedAtUs(), ExpiresAtUs: c.GetExpiresAtUs(), Tokens: slices.Clone(c.GetTokens())}
		gone := proto.Clone(shrunk.Tokens[at]).(*tokensv1.Token)
		gone.Gone = true
		shrunk.Tokens[at] = gone
		d.setClaims(put(d.Claims, shrunk, c.GetClaimId(), compareClaim))
		return // a token is in one claim
	}
}

func (d *draft) made(c *tokensv1.Change, t *tokensv1.Token) {
	if _, there := find(d.Known, t.GetRef(), compareToken); there {
		return
	}
	d.Head.Backoffs = slices.DeleteFunc(d.Head.Backoffs, func(b *tokensv1.Pool_Backoff) bool {
		s, err := tokenpool.NewSelector(b.GetSelector().GetOwner(), b.GetSelector().GetTagRegex())
		return err != nil || s.Match(t.GetOwner(), t.GetTag())
	})
	// Before the first page nothing says what is late.
	late := d.Head.GetKnownSinceUs() == 0 || c.GetNumber() <= max(d.Head.GetLastChange(), d.Head.GetAsOf())
	if late || len(d.Known) >= d.maxKnown() || ledger.CheckAmount(t.GetAmount()) != nil {
		// A whole page may have had it, and what consumed it; that cannot be told any more.
		d.Head.Complete = false
		for _, q := range d.Head.GetQueries() {
			q.Missed = true
		}
		return
	}
	d.Known = put(d.Known, t, t.GetRef(), compareToken)
}

// check tells what is wrong with a request, and returns its pool.
func check(e Asked) (*appv1.TokenPool, error) {
	r := e.Request
	pool, err := checkRequest(r)
	if err == nil {
		err = tokenpool.Check(pool)
	}
	if err != nil {
		return nil, err
	}
	return pool, checkKey(e.Key, r.GetVnode(), pool)
}
