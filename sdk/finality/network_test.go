package finality

import (
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// The application of these tests: coins that are issued, paid and cut, and whose owner must sign.
func TestMain(m *testing.M) {
	registerAttackers()
	registerForgers()
	registerCheats()
	registerLiars()
	registerNotaryLiars()
	registerProposers()
	registerCoins()
	m.Run()
}

func registerCoins() {
	notary.Register()
	notary.RegisterVerifying()
	Register()
	contract.Register("test.Coin", coinRules)
	flow.Register("issue", issue)
	flow.Register("pay", payFlow)
	flow.Responder("pay", func(ctx *flow.Context, s *flow.Session) error {
		_, err := Receive(ctx, s, demands)
		return err
	})
	flow.Responder("pay-short", func(ctx *flow.Context, s *flow.Session) error {
		_, err := Options{MaxTransactions: 3}.Receive(ctx, s, nil)
		return err
	})
	flow.Responder("pay-late", func(ctx *flow.Context, s *flow.Session) error {
		_, err := Options{MaxWindow: 90 * 24 * time.Hour}.Receive(ctx, s, demands)
		return err
	})
	flow.Responder("pay-small", func(ctx *flow.Context, s *flow.Session) error {
		_, err := Options{MaxBytes: 3000}.Receive(ctx, s, nil)
		return err
	})
	flow.Responder("pay-less-code", func(ctx *flow.Context, s *flow.Session) error {
		_, err := Options{MaxPackageBytes: 400_000}.Receive(ctx, s, nil)
		return err
	})
	flow.Responder("pay-spendable", func(ctx *flow.Context, s *flow.Session) error {
		_, err := Options{Spendable: true}.Receive(ctx, s, nil)
		return err
	})
	flow.Register("statuses", func(ctx *flow.Context, ids []string) ([]string, error) {
		var hashes []ledger.Hash
		for _, id := range ids {
			h, err := ledger.ParseHash(id)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, h)
		}
		known, err := vault.Statuses(ctx, hashes...)
		var out []string
		for _, k := range known {
			text := k.Status.String()
			if k.Filtered {
				text = "filtered"
			}
			out = append(out, text)
		}
		return out, err
	})
	flow.Register("coins", func(ctx *flow.Context, _ struct{}) ([]string, error) {
		s, err := vault.Unconsumed(ctx, "Coin", vault.Page{})
		out := []string{}
		for _, c := range s.States {
			v, err := contract.Payload[coin](c.State.Payload)
			if err != nil {
				return nil, err
			}
			out = append(out, fmt.Sprintf("%d %s", v.Amount, c.Ref))
		}
		return out, err
	})
	flow.Register("repair", func(ctx *flow.Context, _ struct{}) (Repaired, error) {
		return Repair(ctx, time.Time{}, ctx.Now(), 0)
	})
}

type coin struct {
	Amount int `json:"amount"`
}

// coinRules: what is paid was there before, and its owners sign; what is issued, nobody checks.
func coinRules(tx *contract.Transaction) error {
	sum := 0
	for i, s := range tx.Inputs {
		c, err := contract.Payload[coin](s.Payload)
		if err != nil {
			return err
		}
		if sum += c.Amount; !tx.Signed(s.Participants[0]) {
			return contract.Input(i).Errorf("its owner does not sign")
		}
	}
	for _, s := range tx.Outputs {
		c, err := contract.Payload[coin](s.Payload)
		if err != nil {
			return err
		}
		sum -= c.Amount
	}
	if _, err := tx.Command("issue"); err != nil && sum != 0 {
		return errors.New("it makes or destroys money")
	}
	return nil
}

// demands is what responders of these tests demand: nobody pays 13.
func demands(tx *ledger.Resolved) error {
	for _, s := range tx.Transaction().Content().Outputs {
		if c, err := contract.Payload[coin](s.Payload); err != nil || c.Amount == 13 {
			return errors.New("13 brings bad luck")
		}
	}
	return nil
}

// payment is the argument of flow pay.
type payment struct {
	Inputs  []string `json:"inputs"`
	Outputs []output `json:"outputs"`
	// Cosigners must sign, beside the payer.
	Cosigners []string `json:"cosigners"`
	Protocol  string   `json:"protocol"`
	Command   string   `json:"command"`
	// After and For are the time window, minutes from now: it opens After, and is open For; an hour when it is 0.
	After, For int
	Filler     int
	Notary     string `json:"notary"`
	ForgedKey  bool
	// NotaryKey is which of the notary's keys the transaction names.
	NotaryKey int
	// Then is a protocol by which Bob is asked again, when he has refused by the first.
	Then string
	// Tie gives all outputs one encumbrance.
	Tie bool
}

type output struct {
	To     string `json:"to"`
	Amount int    `json:"amount"`
}

const (
	aliceName  = "O=Alice, L=London, C=GB"
	bobName    = "O=Bob, L=Paris, C=FR"
	carolName  = "O=Carol, L=Rome, C=IT"
	notaryName = "O=Notary, L=London, C=GB"
)

func keyOf(ctx *flow.Context, name string) (ledger.PublicKey, error) {
	m, err := ctx.Member(name)
	if err != nil {
		return nil, err
	}
	return ledger.PublicKey(m.LedgerKeys[0]), nil
}

// build makes the transaction of a payment, and the names of the other parties.
func build(ctx *flow.Context, in payment) (*ledger.Transaction, []string, error) {
	me := ctx.Identity().X500Name
	if in.Notary == "" {
		in.Notary = notaryName
	}
	n, err := ctx.Member(in.Notary)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode([]byte(n.Context[fmt.Sprintf(notary.PropertyKey, in.NotaryKey)]))
	mine, err := keyOf(ctx, me)
	if err != nil {
		return nil, nil, err
	}
	metadata, err := vault.Metadata(ctx)
	if err != nil {
		return nil, nil, err
	}
	if in.For == 0 {
		in.For = 60
	}
	from := ctx.Now().Add(time.Duration(in.After) * time.Minute)
	c := ledger.Content{
		Metadata: metadata, Notary: ledger.Notary{Name: in.Notary, Key: ledger.PublicKey(block.Bytes)},
		Window:      ledger.TimeWindow{UntilUs: from.Add(time.Duration(in.For) * time.Minute).UnixMicro()},
		Signatories: []ledger.PublicKey{mine}, Commands: []ledger.Command{{Type: or2(in.Command, "pay"), TypeVersion: 1}},
	}
	if in.After > 0 {
		c.Window.FromUs = from.UnixMicro()
	}
	if in.ForgedKey {
		c.Notary.Key = mine
	}
	for _, s := range in.Inputs {
		ref, err := ledger.ParseStateRef(s)
		if err != nil {
			return nil, nil, err
		}
		c.Inputs = append(c.Inputs, ref)
	}
	var parties []string
	for _, o := range in.Outputs {
		key, err := keyOf(ctx, o.To)
		if err != nil {
			return nil, nil, err
		}
		payload := fmt.Sprintf(`{"amount":%d,"filler":"%0*d"}`, o.Amount, max(1, in.Filler), 0)
		c.Outputs = append(c.Outputs, ledger.State{Type: "Coin", TypeVersion: 1, Contract: "test.Coin", Payload: []byte(payload), Participants: []ledger.PublicKey{key}})
		if in.Tie {
			c.Outputs[len(c.Outputs)-1].Encumbrance = "tied"
		}
		parties = append(parties, o.To)
	}
	for _, name := range in.Cosigners {
		key, err := keyOf(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		c.Signatories = append(c.Signatories, key)
		parties = append(parties, name)
	}
	slices.Sort(parties)
	parties = slices.DeleteFunc(slices.Compact(parties), func(s string) bool { return s == me })
	tx, err := ledger.New(c, ledger.Salt(ctx.RandomBytes(32)))
	if err == nil {
		ctx.Log().Info("built", "id", tx.ID().String())
	}
	return tx, parties, err
}

func or2(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// begin builds and signs a payment, and opens the sessions.
func begin(ctx *flow.Context, in payment) (*ledger.Transaction, []ledger.Signature, []*flow.Session, error) {
	tx, parties, err := build(ctx, in)
	if err != nil {
		return nil, nil, nil, err
	}
	own, err := vault.Sign(ctx, tx.Content().Signatories[0], tx.ID())
	if err != nil {
		return nil, nil, nil, err
	}
	var sessions []*flow.Session
	for _, name := range parties {
		s, err := ctx.OpenSession(name, or2(in.Protocol, "pay"))
		if err != nil {
			return nil, nil, nil, err
		}
		sessions = append(sessions, s)
	}
	return tx, own, sessions, nil
}

func payFlow(ctx *flow.Context, in payment) (string, error) {
	tx, own, sessions, err := begin(ctx, in)
	if err != nil {
		return "", err
	}
	f, err := Finalise(ctx, tx, own, sessions...)
	if errors.Is(err, ErrRefused) && in.Then != "" {
		s, wrong := ctx.OpenSession(bobName, in.Then)
		if wrong != nil {
			return "", wrong
		}
		f, err = Finalise(ctx, tx, own, s)
	}
	if err != nil {
		return "", err
	}
	return f.ID().String(), nil
}

func issue(ctx *flow.Context, amounts []int) (string, error) {
	in := payment{Command: "issue"}
	for _, a := range amounts {
		in.Outputs = append(in.Outputs, output{ctx.Identity().X500Name, a})
	}
	return payFlow(ctx, in)
}

// world is a network of three and a notary.
type world struct {
	t                         testing.TB
	net                       *flowtest.Network
	alice, bob, carol, notary *flowtest.Member
}

func newWorld(t testing.TB, options ...flowtest.Option) *world {
	w := &world{t: t, net: flowtest.New(t, options...)}
	w.alice, w.bob, w.carol, w.notary = w.net.Member(aliceName), w.net.Member(bobName), w.net.Member(carolName), w.net.Member(notaryName)
	w.notary.NewKey("NOTARY", "notary")
	return w
}

func (w *world) issue(m *flowtest.Member, amounts ...int) string {
	w.t.Helper()
	var id string
	m.Start("issue", amounts).Wait().Result(w.t, &id)
	return id
}

// pay pays, and returns the transaction's id whether it was final or not.
func (w *world) pay(m *flowtest.Member, in payment) (string, *flow.Error) {
	w.t.Helper()
	o := m.Start("pay", in).Wait()
	w.net.Settle()
	return idOf(o), o.Err
}

var built = regexp.MustCompile(`msg=built id=([0-9A-F]{64})`)

// idOf is the transaction that a flow built.
func idOf(o *flowtest.Outcome) string {
	for _, l := range o.Log {
		if m := built.FindStringSubmatch(l); m != nil {
			return m[1]
		}
	}
	return ""
}

func (w *world) status(m *flowtest.Member, id string) string {
	w.t.Helper()
	var out []string
	m.Start("statuses", []string{id}).Wait().Result(w.t, &out)
	return out[0]
}

// want checks a transaction's status at members.
func (w *world) want(id, status string, members ...*flowtest.Member) {
	w.t.Helper()
	for _, m := range members {
		if got := w.status(m, id); got != status {
			w.t.Errorf("transaction %.12s is %q at %s, want %q", id, got, m.Name(), status)
		}
	}
}

func (w *world) coins(m *flowtest.Member) []string {
	w.t.Helper()
	var out []string
	m.Start("coins", struct{}{}).Wait().Result(w.t, &out)
	return out
}

func (w *world) repair(m *flowtest.Member) Repaired {
	w.t.Helper()
	var out Repaired
	m.Start("repair", struct{}{}).Wait().Result(w.t, &out)
	return out
}

func ref(id string, index int) string { return fmt.Sprintf("%s:%d", id, index) }
