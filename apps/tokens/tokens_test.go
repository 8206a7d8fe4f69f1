package main

import (
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Flows that only tests have: a notary's responder, and members that try what the application's own flows do not.
func init() {
	notary.Register()
	flow.Register("test-spend", spend)
	flow.Register("test-propose", propose)
	flow.Register("test-swap-falsely", swapFalsely)
	flow.Register("test-hold", func(ctx *flow.Context, _ struct{}) ([]token.Held, error) {
		all, err := purses(ctx)
		out := []token.Held{}
		for _, p := range all {
			out = append(out, p.held...)
		}
		return out, err
	})
}

// attack is what a member of the tests tries: tokens that somebody holds, given to somebody, over a protocol.
type attack struct {
	Held     []token.Held
	To       string
	Protocol string
	With     string
}

// spend pays with tokens that were chosen long ago.
func spend(ctx *flow.Context, in attack) (Final, error) {
	to, err := keysOf(ctx, "to", in.To)
	if err != nil {
		return Final{}, err
	}
	n, err := notaryNamed(ctx, "")
	if err != nil {
		return Final{}, err
	}
	_, sum, err := token.Total(in.Held)
	if err != nil {
		return Final{}, err
	}
	d, _, err := purse{notary: n, held: in.Held}.pay(token.Payment{To: to[0], Amount: sum})
	if err != nil {
		return Final{}, err
	}
	return finalOf(d.finish(ctx, in.Protocol, in.With))
}

// propose wants another member to sign away its own tokens: this member signs, as it must to propose anything.
func propose(ctx *flow.Context, in attack) (Final, error) {
	mine, err := keysOf(ctx, "", ctx.Identity().X500Name)
	if err != nil {
		return Final{}, err
	}
	n, err := notaryNamed(ctx, "")
	if err != nil {
		return Final{}, err
	}
	_, sum, err := token.Total(in.Held)
	if err != nil {
		return Final{}, err
	}
	d, _, err := purse{notary: n, held: in.Held}.pay(token.Payment{To: mine[0], Amount: sum})
	if err != nil {
		return Final{}, err
	}
	d.signers = mine[:1]
	return finalOf(d.finish(ctx, in.Protocol, in.With))
}

// falsely is how a member of the tests takes an offer.
type falsely struct {
	Swapping
	// Late asks for a signature that is good for a day; otherwise what was signed is answered by nonsense.
	Late bool
}

func swapFalsely(ctx *flow.Context, in falsely) (Final, error) {
	x, err := in.prepare(ctx)
	if err != nil {
		return Final{}, err
	}
	s := x.session
	tx, err := x.draft.build(ctx)
	if err != nil {
		return Final{}, err
	}
	if in.Late {
		c := tx.Content()
		c.Window.UntilUs += (24 * time.Hour).Microseconds()
		if tx, err = ledger.New(c, tx.Salt()); err != nil {
			return Final{}, err
		}
	}
	own, err := sign(ctx, tx)
	if err != nil {
		return Final{}, err
	}
	if in.Late {
		return finalOf(finality.Finalise(ctx, tx, own, s))
	}
	// The message of a proposal, as docs/write-an-app/finality.md has it.
	field := func(n byte, b []byte) []byte {
		return append(binary.AppendUvarint([]byte{n<<3 | 2}, uint64(len(b))), b...)
	}
	id := tx.ID()
	signed := append(field(1, tx.Encode()), field(2, own[0].Encode())...)
	if _, err := s.SendAndReceiveBytes(slices.Concat([]byte{1 << 3, 1, 2 << 3, 1}, field(3, id[:]), field(4, signed))); err != nil {
		return Final{}, err
	}
	return Final{Transaction: id.String()}, s.SendBytes([]byte("nonsense"))
}

// world is a network of an issuer, another one, two members and a notary.
type world struct {
	t                              testing.TB
	net                            *flowtest.Network
	bank, mint, alice, bob, notary *flowtest.Member
	notaryKey                      flow.PublicKey
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, net: flowtest.New(t, flowtest.Application("."))}
	w.bank, w.mint = w.net.Member("O=Bank, L=London, C=GB"), w.net.Member("O=Mint, L=Berlin, C=DE")
	w.alice, w.bob = w.net.Member("O=Alice, L=London, C=GB"), w.net.Member("O=Bob, L=Paris, C=FR")
	w.notary = w.net.Member("O=Notary, L=London, C=GB")
	w.notaryKey = w.notary.NewKey("NOTARY", "notary")
	return w
}

// run runs a flow to its end, and the other sides too.
func (w *world) run(m *flowtest.Member, class string, in any) (Final, *flow.Error) {
	w.t.Helper()
	o := m.Start(class, in).Wait()
	w.net.Settle()
	var f Final
	if o.Err == nil {
		o.Result(w.t, &f)
	}
	return f, o.Err
}

// must is run of what must be right.
func (w *world) must(m *flowtest.Member, class string, in any) Final {
	w.t.Helper()
	f, err := w.run(m, class, in)
	if err != nil {
		w.t.Fatalf("%s of %s: %v", class, m.Name(), err)
	}
	return f
}

// refused checks that a flow fails, with an error of a type that says something.
func (w *world) refused(m *flowtest.Member, class string, in any, typ, text string) {
	w.t.Helper()
	if _, err := w.run(m, class, in); err == nil || err.Type != typ || !strings.Contains(err.Message, text) {
		w.t.Errorf("%s of %s: %+v, want %s and %q", class, m.Name(), err, typ, text)
	}
}

func (w *world) balance(m *flowtest.Member) string {
	w.t.Helper()
	var all []Held
	m.Start("tokens-balance", Which{}).Wait().Result(w.t, &all)
	var out []string
	for _, h := range all {
		out = append(out, fmt.Sprintf("%s %s", h.Amount, h.Symbol))
	}
	return strings.Join(out, ", ")
}

// has checks what members have.
func (w *world) has(want map[*flowtest.Member]string) {
	w.t.Helper()
	for m, s := range want {
		if got := w.balance(m); got != s {
			w.t.Errorf("%s has %q, want %q", m.Name(), got, s)
		}
	}
}

func (w *world) held(m *flowtest.Member) (out []token.Held) {
	w.t.Helper()
	m.Start("test-hold", struct{}{}).Wait().Result(w.t, &out)
	return out
}

func (w *world) gbp(a string) Money { return Money{w.bank.Name(), "GBP", flow.Decimal(a)} }
func (w *world) eur(a string) Money { return Money{w.mint.Name(), "EUR", flow.Decimal(a)} }

func (w *world) issue(m *flowtest.Member, a string) {
	w.t.Helper()
	w.must(w.bank, "tokens-issue", Issuing{To: m.Name(), Symbol: "GBP", Amount: flow.Decimal(a)})
}

func TestIssuePayRedeem(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "100.00")
	f := w.must(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("30.50")})
	if f.Change != "69.5" || len(f.Transaction) != 64 {
		t.Errorf("%+v", f)
	}
	w.has(map[*flowtest.Member]string{w.alice: "69.5 GBP", w.bob: "30.5 GBP", w.bank: ""})
	w.must(w.bob, "tokens-pay", Paying{To: w.alice.Name(), Money: w.gbp("30.5")}) // all of it
	w.must(w.alice, "tokens-pay", Paying{To: w.alice.Name(), Money: w.gbp("100")})
	if got := w.held(w.alice); len(got) != 1 || got[0].Token.Amount != "100" {
		t.Errorf("merged: %+v", got)
	}
	if f := w.must(w.alice, "tokens-redeem", w.gbp("99")); f.Change != "1" {
		t.Errorf("%+v", f)
	}
	w.must(w.alice, "tokens-redeem", w.gbp("1"))
	w.has(map[*flowtest.Member]string{w.alice: "", w.bob: "", w.bank: ""})
	w.must(w.bank, "tokens-issue", Issuing{To: w.bank.Name(), Symbol: "GBP", Amount: "5"})
	w.must(w.bank, "tokens-redeem", w.gbp("2"))
	w.has(map[*flowtest.Member]string{w.bank: "3 GBP"})
	var all []Held
	w.bank.Start("tokens-balance", Which{Symbol: "GBP"}).Wait().Result(t, &all)
	if len(all) != 1 || all[0].Issuer != w.bank.Name() || all[0].Tokens != 1 {
		t.Errorf("%+v", all)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	bob := w.bob.Name()
	w.refused(w.alice, "tokens-pay", Paying{To: bob, Money: w.gbp("10.01")}, notEnough, "10 available")
	w.refused(w.alice, "tokens-pay", Paying{To: bob, Money: w.eur("1")}, notEnough, "EUR")
	w.refused(w.bob, "tokens-pay", Paying{To: w.alice.Name(), Money: w.gbp("1")}, notEnough, "GBP")
	w.refused(w.alice, "tokens-pay", Paying{To: "O=Nobody, L=Rome, C=IT", Money: w.gbp("1")}, flow.ErrNotFound.Type, "Nobody")
	w.refused(w.alice, "tokens-redeem", w.gbp("11"), notEnough, "GBP")
	for _, a := range []flow.Decimal{"0", "-1", "0.0000000000000000001", "100000000000000000000"} {
		w.refused(w.bank, "tokens-issue", Issuing{To: bob, Symbol: "GBP", Amount: a}, "bad-input", "amount")
	}
	w.refused(w.bank, "tokens-issue", Issuing{To: bob, Symbol: "G P", Amount: "1"}, "bad-input", "symbol")
	w.refused(w.bank, "tokens-issue", Issuing{To: bob, Symbol: "GBP", Amount: "1", Notary: "O=Other, L=London, C=GB"}, "no-notary", "Other")
	w.has(map[*flowtest.Member]string{w.alice: "10 GBP", w.bob: ""})
}

// Two flows that spend the same token, past token selection: one is paid, the other refused, and value is what it was.
func TestDoubleSpend(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	old := w.held(w.alice)
	first := w.alice.Start("test-spend", attack{old, w.bob.Name(), receiving, w.bob.Name()})
	second := w.alice.Start("test-spend", attack{old, w.mint.Name(), receiving, w.mint.Name()})
	a, b := first.Wait(), second.Wait()
	w.net.Settle()
	switch {
	case a.Err == nil && b.Err != nil && b.Err.Type == finality.ErrInvalid.Type:
		w.has(map[*flowtest.Member]string{w.alice: "", w.bob: "10 GBP", w.mint: ""})
	case b.Err == nil && a.Err != nil && a.Err.Type == finality.ErrInvalid.Type:
		w.has(map[*flowtest.Member]string{w.alice: "", w.bob: "", w.mint: "10 GBP"})
	default:
		t.Errorf("%v, %v", a.Err, b.Err)
	}
}

// A token that was spent is not spent again, not even by who remembers it.
func TestSpentLongAgo(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	old := w.held(w.alice)
	w.must(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("10")})
	w.refused(w.alice, "test-spend", attack{old, w.mint.Name(), receiving, w.mint.Name()}, finality.ErrInvalid.Type, "")
	w.has(map[*flowtest.Member]string{w.alice: "", w.bob: "10 GBP", w.mint: ""})
}

// Nobody signs away what is its own because somebody else proposes it.
func TestProposals(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	w.must(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("3")}) // so that Bob knows where Alice's 7 come from
	old := w.held(w.alice)
	for protocol, m := range map[string]*flowtest.Member{receiving: w.alice, redeeming: w.alice} {
		w.refused(w.bob, "test-propose", attack{old, "", protocol, m.Name()}, finality.ErrRefused.Type, "not agreed to")
	}
	w.has(map[*flowtest.Member]string{w.alice: "7 GBP", w.bob: "3 GBP"})
}

// Who is refused, or does not hear, may have paid all the same: the error says what to do before paying again.
func TestAdvice(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	old, until := w.held(w.alice), w.net.Now().Add(window).UTC().Format("2006-01-02T15:04")
	w.refused(w.alice, "test-spend", attack{old, w.mint.Name(), redeeming, w.bob.Name()}, finality.ErrRefused.Type, "do nothing again before "+until)
	w.bob.Unreachable(true)
	w.refused(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("1")}, finality.ErrUnknown.Type, "then run tokens-repair")
	w.bob.Unreachable(false)
	w.refused(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("11")}, notEnough, "")
	w.must(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("10")}) // of the same tokens, so that one payment is made
	w.refused(w.alice, "test-spend", attack{old, w.mint.Name(), receiving, w.mint.Name()}, finality.ErrInvalid.Type, "")
}

func TestSwap(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	w.must(w.mint, "tokens-issue", Issuing{To: w.bob.Name(), Symbol: "EUR", Amount: "20"})
	offer := func(m *flowtest.Member, to string, give, take Money) string {
		var o Offered
		m.Start("tokens-offer", Offering{to, give, take}).Wait().Result(t, &o)
		return o.Offer
	}
	id := offer(w.bob, w.alice.Name(), w.eur("7"), w.gbp("8"))
	swap := Swapping{With: w.bob.Name(), Offer: id, Pay: w.gbp("8"), Get: w.eur("7")}
	cheap, greedy, none := swap, swap, swap
	cheap.Pay, greedy.Get, none.Offer = w.gbp("7"), w.eur("8"), "00000000-0000-0000-0000-000000000000"
	w.refused(w.alice, "tokens-swap", cheap, otherOffer, "takes 8 GBP")
	w.refused(w.alice, "tokens-swap", greedy, otherOffer, "gives something else")
	w.refused(w.alice, "tokens-swap", none, flow.ErrSessionFailed.Type, "no offer")
	w.refused(w.mint, "tokens-swap", swap, flow.ErrSessionFailed.Type, "no offer")
	w.has(map[*flowtest.Member]string{w.alice: "10 GBP", w.bob: "20 EUR"})
	if f := w.must(w.alice, "tokens-swap", swap); f.Change != "2" {
		t.Errorf("%+v", f)
	}
	want := map[*flowtest.Member]string{w.bob: "8 GBP, 13 EUR", w.alice: "2 GBP, 7 EUR"}
	for m, s := range want {
		if got := w.balance(m); got != s { // the order is that of the issuers' keys
			parts := strings.Split(s, ", ")
			if got != parts[1]+", "+parts[0] {
				t.Errorf("%s has %q, want %q", m.Name(), got, s)
			}
		}
	}
	w.refused(w.alice, "tokens-swap", swap, flow.ErrSessionFailed.Type, "was taken")
	// An offer of what is not there, and one that who takes it cannot pay.
	id = offer(w.bob, w.alice.Name(), w.eur("1000"), w.gbp("1"))
	w.refused(w.alice, "tokens-swap", Swapping{w.bob.Name(), id, w.gbp("1"), w.eur("1000")}, flow.ErrSessionFailed.Type, "cannot give now what it has offered")
	id = offer(w.bob, w.alice.Name(), w.eur("1"), w.gbp("1000"))
	w.refused(w.alice, "tokens-swap", Swapping{w.bob.Name(), id, w.gbp("1000"), w.eur("1")}, notEnough, "GBP")
	if o := w.bob.Start("tokens-offer", Offering{w.alice.Name(), w.eur("1"), w.eur("2")}).Wait(); o.Err == nil || o.Err.Type != "bad-input" {
		t.Errorf("euros for euros: %v", o.Err)
	}
}

// Who has the offerer's signature and says something else than it should may still have the exchange notarised: the offer
// stays taken. And nobody signs what could be notarised tomorrow.
func TestFalseSwaps(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "20")
	w.must(w.mint, "tokens-issue", Issuing{To: w.bob.Name(), Symbol: "EUR", Amount: "20"})
	var o Offered
	w.bob.Start("tokens-offer", Offering{w.alice.Name(), w.eur("7"), w.gbp("8")}).Wait().Result(t, &o)
	swap := Swapping{With: w.bob.Name(), Offer: o.Offer, Pay: w.gbp("8"), Get: w.eur("7")}
	w.refused(w.alice, "test-swap-falsely", falsely{swap, true}, finality.ErrRefused.Type, "it may become final until")
	_, _ = w.run(w.alice, "test-swap-falsely", falsely{swap, false}) // Bob's flow fails, and so does the session
	flows := w.bob.Flows()
	if o := flows[len(flows)-1].Wait(); o.Err == nil || !strings.Contains(o.Err.Message, errSigned.Error()) {
		t.Errorf("Bob has signed, and believes %v", o.Err)
	}
	w.refused(w.alice, "tokens-swap", swap, flow.ErrSessionFailed.Type, "was taken")
}

func second[T, U any](_ T, u U) U { return u }

// What one member publishes of notaries keeps nobody else from paying.
func TestFalseNotaries(t *testing.T) {
	w := newWorld(t)
	eve := w.net.Member("O=Eve, L=Rome, C=IT")
	for _, c := range []struct {
		name    string
		publish func()
	}{
		{"a notary without a key", func() { eve.Publish(notary.PropertyService, eve.Name()) }},
		{"another's name", func() { // last: with a key, Eve's own name would make her a notary
			eve.NewKey("NOTARY", "notary")
			eve.Publish(notary.PropertyService, w.notary.Name())
		}},
	} {
		c.publish()
		for _, err := range []*flow.Error{
			second(w.run(w.bank, "tokens-issue", Issuing{To: w.alice.Name(), Symbol: "GBP", Amount: "10"})),
			second(w.run(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("7")})),
		} {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

// A notary that has changed its key is one notary: tokens of all of its keys are spent together.
func TestNotaryWithTwoKeys(t *testing.T) {
	w := newWorld(t)
	publish := func(all ...flow.PublicKey) {
		for i, k := range all {
			w.notary.Publish(fmt.Sprintf(notary.PropertyKey, i), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k})))
		}
	}
	w.issue(w.alice, "6")
	publish(w.notary.NewKey("NOTARY", "second"), w.notaryKey)
	w.issue(w.alice, "7")
	w.must(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("10")})
	w.has(map[*flowtest.Member]string{w.alice: "3 GBP", w.bob: "10 GBP"})
}

// Of several keys a transaction has the one of all that it spends, if that is published.
func TestSpending(t *testing.T) {
	s := service{name: "N", keys: []ledger.PublicKey{ledger.PublicKey("new"), ledger.PublicKey("old")}}
	for want, of := range map[string][][]string{"old": {{"old"}}, "new": {{"new"}, {"old", "new"}, {"forgotten"}, {"forgotten", "old"}}} {
		for _, keys := range of {
			used := map[string]bool{}
			for _, k := range keys {
				used[k] = true
			}
			if n := s.spending(used); n.Name != "N" || string(n.Key) != want {
				t.Errorf("%v are spent with %s, want %s", keys, n.Key, want)
			}
		}
	}
}

// Whatever is paid to whom, and whichever of it fails: the tokens of all vaults together are what was issued, less what was
// redeemed.
func TestConservation(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(9, 10))
	members := []*flowtest.Member{w.alice, w.bob, w.mint}
	sum := func(what map[string]bool) (total amount.Amount) {
		for _, m := range append([]*flowtest.Member{w.bank}, members...) {
			for _, h := range w.held(m) {
				a, err := amount.Parse(h.Token.Amount)
				if err != nil || what[h.Ref.String()] {
					t.Fatalf("%s: %v, or it is in two vaults", h.Ref, err)
				}
				what[h.Ref.String()], total = true, total.Add(a)
			}
		}
		return total
	}
	var want amount.Amount
	cents := func(n int) flow.Decimal { return flow.Decimal(fmt.Sprintf("%d.%02d", n/100, n%100)) }
	done := map[string]int{}
	for range 40 {
		m, to := members[r.IntN(len(members))], members[r.IntN(len(members))]
		what := cents(1 + r.IntN(500))
		a, err := amountOf("amount", what)
		if err != nil {
			t.Fatal(err)
		}
		switch r.IntN(8) {
		case 0, 1:
			w.issue(m, string(what))
			want = want.Add(a)
		case 2:
			if _, err := w.run(m, "tokens-redeem", w.gbp(string(what))); err == nil {
				done["redeemed"]++
				if want, _ = want.Sub(a); want.IsZero() {
					continue
				}
			}
		case 3: // two at once, which may choose the same tokens
			one, two := m.Start("tokens-pay", Paying{To: to.Name(), Money: w.gbp(string(what))}), m.Start("tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp(string(what))})
			one.Wait()
			two.Wait()
			w.net.Settle()
		default:
			if _, err := w.run(m, "tokens-pay", Paying{To: to.Name(), Money: w.gbp(string(what))}); err == nil {
				done["paid"]++
			}
		}
		if got := sum(map[string]bool{}); got.Cmp(want) != 0 {
			t.Fatalf("the vaults have %s, %s were issued and not redeemed", got, want)
		}
	}
	t.Logf("%v, %s are left", done, want)
	if done["paid"] < 5 || done["redeemed"] == 0 {
		t.Errorf("%v: not much was tried", done)
	}
}

func TestAmountOf(t *testing.T) {
	for in, want := range map[flow.Decimal]string{"10": "10", "10.50": "10.5", "010": "10", "0.10": "0.1", "00.1": "0.1", "7.000": "7"} {
		if a, err := amountOf("amount", in); err != nil || a.String() != want {
			t.Errorf("%s: %s, %v", in, a, err)
		}
	}
	for _, in := range []flow.Decimal{"", "0", "0.00", "-1", "1e3", "+1", "1.-5"} {
		if a, err := amountOf("amount", in); err == nil {
			t.Errorf("%s: %s", in, a)
		}
	}
}
