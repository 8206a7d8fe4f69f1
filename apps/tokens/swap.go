package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/tokens"
)

// Row is an offer as it is kept in table offers: tokens that this member gives to one other for tokens that it takes.
type Row struct {
	// ID is the flow's that made the offer.
	ID string `json:"id"`
	// Counterparty is the X.500 name of who may take the offer.
	Counterparty string `json:"counterparty"`
	GiveIssuer   string `json:"give_issuer"`
	GiveSymbol   string `json:"give_symbol"`
	GiveAmount   string `json:"give_amount"`
	TakeIssuer   string `json:"take_issuer"`
	TakeSymbol   string `json:"take_symbol"`
	TakeAmount   string `json:"take_amount"`
}

func (r Row) give() Money { return Money{r.GiveIssuer, r.GiveSymbol, flow.Decimal(r.GiveAmount)} }
func (r Row) take() Money { return Money{r.TakeIssuer, r.TakeSymbol, flow.Decimal(r.TakeAmount)} }

// Taking is an offer that is being taken, or was: its primary key lets one session alone have it.
type Taking struct {
	Offer   string `json:"offer"`
	Session string `json:"session"`
}

const (
	offers  = flow.Table[Row]("offers")
	takings = flow.Table[Taking]("takings")
)

// Offering is the argument of flow tokens-offer.
type Offering struct {
	// To is the X.500 name of who may take the offer.
	To   string `json:"to"`
	Give Money  `json:"give"`
	Take Money  `json:"take"`
}

// Offered is the result of flow tokens-offer.
type Offered struct {
	Offer string `json:"offer"`
}

// Offer agrees beforehand to an exchange with one other member, once. Without an offer nobody can make this member sign one.
func Offer(ctx *flow.Context, in Offering) (Offered, error) {
	if in.Give.Symbol == in.Take.Symbol && in.Give.Issuer == in.Take.Issuer {
		return Offered{}, badInput("what is given and what is taken are the same tokens")
	}
	to, err := memberOf(ctx, "to", in.To)
	if err != nil {
		return Offered{}, err
	}
	if to.X500Name == ctx.Identity().X500Name {
		return Offered{}, badInput("field to is this member itself: an offer is for another one")
	}
	give, err := valueOf(ctx, "give", in.Give)
	if err != nil {
		return Offered{}, err
	}
	take, err := valueOf(ctx, "take", in.Take)
	if err != nil {
		return Offered{}, err
	}
	row := Row{
		ID: ctx.FlowID().String(), Counterparty: to.X500Name,
		GiveIssuer: in.Give.Issuer, GiveSymbol: in.Give.Symbol, GiveAmount: give.amount.String(),
		TakeIssuer: in.Take.Issuer, TakeSymbol: in.Take.Symbol, TakeAmount: take.amount.String(),
	}
	return Offered{row.ID}, offers.Persist(ctx, row)
}

// value is money with the issuer's keys, the current one first.
type value struct {
	issuers []ledger.PublicKey
	symbol  string
	amount  amount.Amount
}

// valueOf reads money in a field of an argument.
func valueOf(ctx *flow.Context, field string, m Money) (value, error) {
	a, err := amountOf(field+".amount", m.Amount)
	if err != nil {
		return value{}, err
	}
	if err := checkSymbol(field+".symbol", m.Symbol); err != nil {
		return value{}, err
	}
	issuers, err := keysOf(ctx, field+".issuer", m.Issuer)
	return value{issuers, m.Symbol, a}, err
}

// is tells whether a token is worth this.
func (v value) is(t token.Token) bool {
	return t.Symbol == v.symbol && t.Amount == v.amount.String() && slices.ContainsFunc(v.issuers, func(k ledger.PublicKey) bool { return string(k) == string(t.Issuer) })
}

// ask opens an exchange, quote answers: what is taken for what the next transaction shows, as the token that is to be made.
type ask struct {
	Offer string `json:"offer"`
}

type quote struct {
	Take token.Token `json:"take"`
}

// Swapping is the argument of flow tokens-swap.
type Swapping struct {
	// With is the X.500 name of who made the offer, Offer its id.
	With  string `json:"with"`
	Offer string `json:"offer"`
	// Pay and Get are what this member believes the offer is: the exchange fails if it is another.
	Pay Money `json:"pay"`
	Get Money `json:"get"`
}

// Swap takes an offer: both sides' tokens change hands in one transaction, or none do. First the other side lays out what it
// gives, by a transaction of its own that makes one token of it, so that this side can verify where it comes from.
func Swap(ctx *flow.Context, in Swapping) (Final, error) {
	x, err := in.prepare(ctx)
	if err != nil {
		return Final{}, err
	}
	out, err := finalOf(x.draft.finishOver(ctx, x.session))
	if err != nil {
		return Final{}, err
	}
	x.purse.spent(ctx)
	out.Change = x.change
	return out, nil
}

// prepared is an exchange before it is a transaction.
type prepared struct {
	session *flow.Session
	draft   draft
	// purse is what this side pays of, change what comes back to it.
	purse  purse
	change flow.Decimal
}

// prepare has the other side lay out what it gives, and makes the draft of the exchange.
func (in Swapping) prepare(ctx *flow.Context) (prepared, error) {
	fail := func(err error) (prepared, error) { return prepared{}, err }
	pay, err := valueOf(ctx, "pay", in.Pay)
	if err != nil {
		return fail(err)
	}
	get, err := valueOf(ctx, "get", in.Get)
	if err != nil {
		return fail(err)
	}
	mine, err := mineOf(ctx)
	if err != nil {
		return fail(err)
	}
	if _, err := memberOf(ctx, "with", in.With); err != nil {
		return fail(err)
	}
	s, err := ctx.OpenSession(in.With, swapping)
	if err != nil {
		return fail(err)
	}
	q, err := flow.SendAndReceive[quote](s, ask{in.Offer})
	if err != nil {
		return fail(err)
	}
	if !pay.is(q.Take) || q.Take.Check() != nil {
		return fail(flow.Errorf(otherOffer, "%s takes %s %s and not %s %s", in.With, q.Take.Amount, q.Take.Symbol, pay.amount, pay.symbol))
	}
	laid, err := receive(ctx, s, func(tx *ledger.Resolved) error { return token.AgreeToReceive(tx, mine) })
	if err != nil {
		return fail(err)
	}
	c := laid.Transaction.Content()
	if len(c.Outputs) == 0 {
		return fail(flow.Errorf(otherOffer, "%s lays out nothing", in.With))
	}
	given, err := token.Read(c.Outputs[0])
	if err != nil {
		return fail(flow.Errorf(otherOffer, "%s gives something else than %s %s: %v", in.With, get.amount, get.symbol, err))
	}
	if !get.is(given) {
		return fail(flow.Errorf(otherOffer, "%s gives something else than %s %s: %s %s, or tokens of another issuer; say in get what was offered", in.With, get.amount, get.symbol, given.Amount, given.Symbol))
	}
	p, err := choose(ctx, []ledger.PublicKey{q.Take.Issuer}, pay.symbol, c.Notary.Name, pay.amount)
	if err != nil {
		return fail(err)
	}
	d, change, err := p.pay(token.Payment{To: q.Take.Owner, Amount: pay.amount, Tag: q.Take.Tag})
	if err != nil {
		return fail(err)
	}
	got := given
	got.Owner, got.Tag = p.held[0].Token.Owner, ""
	d.inputs = append(slices.Clone(d.inputs), token.Held{Ref: laid.Transaction.Output(0), Token: given})
	d.outputs = append(d.outputs, got)
	if err := d.say(token.Transfer, given.Issuer, given.Symbol); err != nil {
		return fail(err)
	}
	return prepared{s, d, p, change}, nil
}

// Errors of exchanges: there is no such offer for the member that asks, somebody has taken it, or it is another than was
// believed.
const noOffer, takenOffer, otherOffer = "no-offer", "offer-taken", "other-offer"

// offerID is what ids of offers look like: those of flows.
var offerID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Exchange is the side of who made an offer.
func Exchange(ctx *flow.Context, s *flow.Session) error {
	in, err := flow.Receive[ask](s)
	if err != nil {
		return err
	}
	if !offerID.MatchString(in.Offer) { // no row can have it as its key
		return flow.Errorf(noOffer, "there is no offer %q for %s", in.Offer, s.Counterparty())
	}
	row, err := offers.Find(ctx, flow.RowKey{"id": in.Offer})
	if errors.Is(err, flow.ErrNotFound) || err == nil && row.Counterparty != s.Counterparty() {
		return flow.Errorf(noOffer, "there is no offer %s for %s", in.Offer, s.Counterparty())
	}
	if err != nil {
		return err
	}
	taking := Taking{row.ID, s.ID()}
	if err := takings.Persist(ctx, taking); err != nil {
		if errors.Is(err, flow.ErrExists) {
			return flow.Errorf(takenOffer, "offer %s was taken", row.ID)
		}
		return err
	}
	err = exchange(ctx, s, row)
	if err != nil && !errors.Is(err, errSigned) {
		if again := takings.Remove(ctx, taking); again != nil {
			ctx.Log().Warn("the offer cannot be taken any more", "offer", row.ID, "reason", again.Error())
		}
	}
	return err
}

// errSigned is that it is not known whether an exchange that this member has signed is final: it must not happen twice.
var errSigned = errors.New("the exchange is signed, and may still become final")

// exchange lays out what is given, and signs when what is taken comes for it.
func exchange(ctx *flow.Context, s *flow.Session, row Row) error {
	give, err := valueOf(ctx, "give", row.give())
	if err != nil {
		return err
	}
	take, err := valueOf(ctx, "take", row.take())
	if err != nil {
		return err
	}
	mine, err := mineOf(ctx)
	if err != nil {
		return err
	}
	p, err := choose(ctx, give.issuers, give.symbol, "", give.amount)
	if errors.Is(err, tokens.ErrNotEnough) || errors.Is(err, tokens.ErrTooMany) {
		ctx.Log().Warn("what was offered cannot be given", "offer", row.ID, "reason", err.Error())
		return flow.Errorf(notEnough, "%s cannot give now what it has offered", ctx.Identity().X500Name) // how much it has is its own business
	}
	if err != nil {
		return err
	}
	me := p.held[0].Token.Owner
	d, _, err := p.pay(token.Payment{To: me, Amount: give.amount})
	if err != nil {
		return err
	}
	q := quote{token.Token{Amount: take.amount.String(), Symbol: take.symbol, Issuer: take.issuers[0], Owner: me}}
	if err := s.Send(q); err != nil {
		return err
	}
	d.keeps = true // until the exchange has consumed it, or this flow ends
	laid, err := d.finishOver(ctx, s)
	if err != nil {
		return err
	}
	p.spent(ctx)
	given := token.Value{Kind: p.kind, Amount: give.amount}
	taken := token.Value{Kind: fungible.Kind{Issuer: ledger.KeyID(take.issuers[0]), Symbol: take.symbol}, Amount: take.amount}
	_, err = receive(ctx, s, func(tx *ledger.Resolved) error {
		return errors.Join(soon(ctx, tx), token.AgreeToSwap(tx, mine, []ledger.StateRef{laid.Transaction.Output(0)}, given, taken))
	})
	if errors.Is(err, finality.ErrUnknown) {
		return fmt.Errorf("%w: %w", errSigned, err)
	}
	return err
}
