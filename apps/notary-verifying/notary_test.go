package main

import (
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// The smallest application that needs a notary: a note that is passed on.
func init() {
	contract.Register("Note", func(tx *contract.Transaction) error {
		for i, s := range tx.Inputs {
			if !tx.Signed(s.Participants[0]) {
				return contract.Input(i).Errorf("whoever has it does not sign")
			}
		}
		return nil
	})
	flow.Register("pass", pass)
	flow.Responder("pass", func(ctx *flow.Context, s *flow.Session) error {
		_, err := finality.Receive(ctx, s, nil)
		return err
	})
}

// passing is the argument of flow pass: a note that is there, or a new one for an empty Note.
type passing struct {
	Note string `json:"note"`
	To   string `json:"to"`
}

func pass(ctx *flow.Context, in passing) (string, error) {
	bank, err := ctx.Member("O=Bank, L=London, C=GB")
	if err != nil {
		return "", err
	}
	me, err := ctx.Member(ctx.Identity().X500Name)
	if err != nil {
		return "", err
	}
	to, err := ctx.Member(in.To)
	if err != nil {
		return "", err
	}
	metadata, err := vault.Metadata(ctx)
	if err != nil {
		return "", err
	}
	key, _ := pem.Decode([]byte(bank.Context["corda.notary.keys.0.pem"]))
	content := ledger.Content{
		Metadata: metadata, Notary: ledger.Notary{Name: bank.X500Name, Key: key.Bytes},
		Window:      ledger.TimeWindow{UntilUs: ctx.Now().Add(time.Hour).UnixMicro()},
		Signatories: []ledger.PublicKey{ledger.PublicKey(me.LedgerKeys[0])}, Commands: []ledger.Command{{Type: "pass", TypeVersion: 1}},
		Outputs: []ledger.State{{Type: "Note", TypeVersion: 1, Contract: "Note", Payload: []byte(`{}`), Participants: []ledger.PublicKey{ledger.PublicKey(to.LedgerKeys[0])}}},
	}
	if in.Note != "" {
		ref, err := ledger.ParseStateRef(in.Note)
		if err != nil {
			return "", err
		}
		content.Inputs = []ledger.StateRef{ref}
	}
	tx, err := ledger.New(content, ledger.Salt(ctx.RandomBytes(32)))
	if err != nil {
		return "", err
	}
	own, err := vault.Sign(ctx, me.LedgerKeys[0], tx.ID())
	if err != nil {
		return "", err
	}
	var sessions []*flow.Session
	if to.X500Name != me.X500Name {
		s, err := ctx.OpenSession(to.X500Name, "pass")
		if err != nil {
			return "", err
		}
		sessions = append(sessions, s)
	}
	f, err := finality.Finalise(ctx, tx, own, sessions...)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s:0", f.ID()), nil
}

// A note goes from hand to hand, nobody passes on what is not theirs or passes it on twice, and nobody sees where it was.
func TestNotary(t *testing.T) {
	net := flowtest.New(t)
	alice, bob, carol := net.Member("O=Alice, L=London, C=GB"), net.Member("O=Bob, L=Paris, C=FR"), net.Member("O=Carol, L=Rome, C=IT")
	bank := net.Member("O=Bank, L=London, C=GB")
	bank.NewKey("NOTARY", "notary")
	bank.Publish(notary.PropertyBackchain, "false")
	var issued, passed, last string
	alice.Start("pass", passing{To: alice.Name()}).Wait().Result(t, &issued)
	alice.Start("pass", passing{Note: issued, To: bob.Name()}).Wait().Result(t, &passed)
	for note, want := range map[string]string{issued: strings.TrimSuffix(passed, ":0"), passed: "whoever has it does not sign"} {
		o := alice.Start("pass", passing{Note: note, To: carol.Name()}).Wait()
		if o.Err == nil || !strings.Contains(o.Err.Message, want) {
			t.Errorf("%s is passed on: %v", note, o.Err)
		}
	}
	bob.Start("pass", passing{Note: passed, To: carol.Name()}).Wait().Result(t, &last)
	for id, want := range map[string]vault.Status{last: vault.Verified, passed: vault.Absent, issued: vault.Absent} {
		ref, err := ledger.ParseStateRef(id)
		if err != nil {
			t.Fatal(err)
		}
		if got := carol.TransactionStatus(ref.Transaction); got != want {
			t.Errorf("transaction %s is %v at Carol, want %v", ref.Transaction, got, want)
		}
	}
}
