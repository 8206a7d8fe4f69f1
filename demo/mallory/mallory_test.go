package main

import (
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// A notary, and who issues tokens to somebody, as apps/tokens does.
func init() {
	notary.Register()
	flow.Register("test-issue", func(ctx *flow.Context, to string) (string, error) {
		keys, err := ctx.Keys("LEDGER")
		if err != nil {
			return "", err
		}
		m, err := ctx.Member(to)
		if err != nil {
			return "", err
		}
		n, err := notaryOf(ctx)
		if err != nil {
			return "", err
		}
		mine := ledger.PublicKey(keys[0].PublicKey)
		output, err := token.Token{Amount: "10", Symbol: "USD", Issuer: mine, Owner: ledger.PublicKey(m.LedgerKeys[0])}.State()
		if err != nil {
			return "", err
		}
		command, err := token.Command(token.Issue, token.Of{Issuer: mine, Symbol: "USD"})
		if err != nil {
			return "", err
		}
		metadata, err := vault.Metadata(ctx)
		if err != nil {
			return "", err
		}
		tx, err := ledger.New(ledger.Content{
			Metadata: metadata, Notary: n, Window: ledger.TimeWindow{UntilUs: ctx.Now().Add(window).UnixMicro()},
			Signatories: []ledger.PublicKey{mine}, Outputs: []ledger.State{output}, Commands: []ledger.Command{command},
		}, ledger.Salt(ctx.RandomBytes(len(ledger.Salt{}))))
		if err != nil {
			return "", err
		}
		own, err := vault.Sign(ctx, mine, tx.ID())
		if err != nil {
			return "", err
		}
		s, err := ctx.OpenSession(to, receiving)
		if err != nil {
			return "", err
		}
		_, err = finality.Finalise(ctx, tx, own, s)
		return tx.ID().String(), err
	})
}

// Mallory pays once. The second time the notary names who has the token, and nobody gets anything.
func TestTheNotaryRefusesASecondTime(t *testing.T) {
	net := flowtest.New(t)
	bank, alice, bob, mallory := net.Member("O=Bank, L=London, C=GB"), net.Member("O=Alice, L=London, C=GB"), net.Member("O=Bob, L=Paris, C=FR"), net.Member("O=Mallory, L=Oslo, C=NO")
	net.Member("O=Notary, L=London, C=GB").NewKey("NOTARY", "notary")
	run := func(m *flowtest.Member, class string, in, into any) *flow.Error {
		t.Helper()
		o := m.Start(class, in).Wait()
		net.Settle()
		if o.Err == nil {
			o.Result(t, into)
		}
		return o.Err
	}
	var issued string
	if err := run(bank, "test-issue", mallory.Name(), &issued); err != nil {
		t.Fatal(err)
	}
	var first, second paid
	if err := run(mallory, "mallory-pay", paying{To: alice.Name()}, &first); err != nil {
		t.Fatal(err)
	}
	if first.Token != issued+":0" || first.Amount != "10" {
		t.Errorf("%+v, the token is of %s", first, issued)
	}
	err := run(mallory, "mallory-pay", paying{To: bob.Name(), Token: first.Token}, &second)
	if err == nil || err.Type != finality.ErrInvalid.Type || !strings.Contains(err.Message, first.Transaction) {
		t.Errorf("the second time: %+v, want that %s has it", err, first.Transaction)
	}
	for m, want := range map[*flowtest.Member]int{alice: 1, bob: 0, mallory: 0} {
		n := 0
		for _, s := range m.States() {
			if s.ConsumedAt.IsZero() {
				n++
			}
		}
		if n != want {
			t.Errorf("%s has %d tokens, want %d", m.Name(), n, want)
		}
	}
	if err := run(mallory, "mallory-pay", paying{To: bob.Name()}, &second); err == nil || err.Type != "not-enough-tokens" {
		t.Errorf("with nothing left: %+v", err)
	}
}
