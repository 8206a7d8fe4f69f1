package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/internal/devenv"
)

// This file has the whole story: money.

// payments are its chapters.
func (d *demo) payments() ([]chapter, error) {
	from, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the current folder: %w", err)
	}
	tokens := devenv.FindApp(from, "tokens")
	network := filepath.Join(tokens, "..", "..", "demo", "network.yaml")
	if _, err := os.Stat(network); tokens == "" || err != nil {
		return nil, errors.New("apps/tokens and demo/network.yaml are not there: run the demo in a copy of fairlead's repository")
	}
	d.cluster, d.traced, d.others = []string{"--network", network}, "pay", []string{"--network", devenv.Payments}
	d.next = []string{
		`flow start Bank tokens-issue '{"to":"O=Alice, L=London, C=GB","symbol":"USD","amount":"100"}' --wait`,
		`flow start Alice tokens-pay '` + d.payment("1") + `' --wait`,
		"flow start Shop kept --wait",
		"trace pay",
	}
	return []chapter{
		{"Start", d.start}, {"Tokens are issued, and paid with", d.issueAndPay}, {"Wrong requests are refused", d.refusals},
		{"A token is spent twice", d.spendTwice}, {"The process is killed in the middle of a payment", d.crashPayment},
		{"Tokens are redeemed, and all of them counted", d.redeem}, {"Keys, rows, and topics of other programs", d.orders}, {"The way of one payment", d.trace},
	}, nil
}

// The full names of those who are paid, and of whose tokens they are.
const (
	aliceName   = "O=Alice, L=London, C=GB"
	bobName     = "O=Bob, L=New York, C=US"
	bankName    = "O=Bank, L=London, C=GB"
	malloryName = "O=Mallory, L=Oslo, C=NO"
)

// What is issued to Alice and to Mallory, and what is redeemed.
const issuedAlice, issuedMallory, redeemed = "100", "10", "20"

// payment is the argument of a payment to Bob.
func (d *demo) payment(amount string) string {
	return `{"to":"` + bobName + `","issuer":"` + bankName + `","symbol":"USD","amount":"` + amount + `"}`
}

func (d *demo) issueAndPay(ctx context.Context) error {
	issue := func(to, amount string) string { return `{"to":"` + to + `","symbol":"USD","amount":"` + amount + `"}` }
	if err := d.begin(ctx, bank, "issue", "tokens-issue", issue(aliceName, issuedAlice)); err != nil {
		return err
	}
	if _, err := d.end(ctx, bank, "issue", "COMPLETED"); err != nil {
		return err
	}
	if err := d.begin(ctx, alice, "pay", "tokens-pay", d.payment("30.50")); err != nil {
		return err
	}
	if _, err := d.end(ctx, alice, "pay", "COMPLETED"); err != nil {
		return err
	}
	d.step("Alice, Bob and the notary have agreed: the first payment is final, %s after the demo began", d.g.now().Sub(d.began).Round(100*time.Millisecond))
	if err := d.begin(ctx, bank, "issue-mallory", "tokens-issue", issue(malloryName, issuedMallory)); err != nil {
		return err
	}
	_, err := d.end(ctx, bank, "issue-mallory", "COMPLETED")
	return err
}

func (d *demo) refusals(ctx context.Context) error {
	if err := d.refusedWith(ctx, 400, "an unknown flow class", "nonsense", "no-such-flow", 1); err != nil {
		return err
	}
	if err := d.refusedWith(ctx, 409, "the same client request id again", "pay", "tokens-pay", json.RawMessage(d.payment("30.50"))); err != nil {
		return err
	}
	if err := d.wrongPassword(ctx, "tokens-pay"); err != nil {
		return err
	}
	if err := d.begin(ctx, alice, "too-much", "tokens-pay", d.payment("1000")); err != nil {
		return err
	}
	_, err := d.end(ctx, alice, "too-much", "FAILED")
	return err
}

// spendTwice lets Mallory, whose application is not that of the others, pay with one token twice: the second transaction is
// right in itself, so only who remembers the first can refuse it.
func (d *demo) spendTwice(ctx context.Context) error {
	if err := d.begin(ctx, mallory, "once", "mallory-pay", `{"to":"`+aliceName+`"}`); err != nil {
		return err
	}
	s, err := d.end(ctx, mallory, "once", "COMPLETED")
	if err != nil {
		return err
	}
	var first struct{ Transaction, Token string }
	if err := json.Unmarshal(s.JSON, &first); err != nil {
		return fmt.Errorf("read what Mallory paid: %w", err)
	}
	if err := d.begin(ctx, mallory, "twice", "mallory-pay", `{"to":"`+bobName+`","token":"`+first.Token+`"}`); err != nil {
		return err
	}
	if s, err = d.end(ctx, mallory, "twice", "FAILED"); err != nil {
		return err
	}
	if s.FlowError == nil || s.FlowError.Type != "transaction-refused" || !strings.Contains(s.FlowError.Message, first.Transaction) {
		return fmt.Errorf("the notary should refuse it, and name transaction %s", first.Transaction)
	}
	d.step("the notary names the transaction that has the token: %s… is the payment to Alice", first.Transaction[:16])
	return nil
}

// attempts is how often a payment may be over before it is seen in its middle.
const attempts = 5

func (d *demo) crashPayment(ctx context.Context) error {
	for n := 1; n <= attempts; n++ {
		id := "survivor"
		if n > 1 {
			id = fmt.Sprintf("survivor-%d", n)
		}
		if err := d.begin(ctx, alice, id, "tokens-pay", d.payment("2.50")); err != nil {
			return err
		}
		waits, err := d.midway(ctx, id)
		if err != nil {
			return err
		}
		if waits == "" {
			d.step("%s is over already; once more", id)
			continue
		}
		d.step("%s is signed by Alice, and waits for: %s", id, shorten(waits, 60))
		if err := d.killProcess(ctx); err != nil {
			return err
		}
		_, err = d.end(ctx, alice, id, "COMPLETED")
		return err
	}
	return fmt.Errorf("%d payments were over before they were seen in their middle", attempts)
}

// midLook is how often a payment is looked at.
const midLook = 5 * time.Millisecond

// midway waits until a payment waits for Bob, and says for what; empty when it is over.
func (d *demo) midway(ctx context.Context, id string) (waits string, err error) {
	tick := time.NewTicker(midLook)
	defer tick.Stop()
	for {
		var s flowStatus
		if _, err := d.api.get(ctx, flowPath(ownAPI, d.member(alice).ShortHash, id), &s); err != nil {
			return "", err
		}
		switch {
		case s.ended():
			return "", nil
		case strings.Contains(s.WaitingFor, bobName):
			return s.WaitingFor, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (d *demo) redeem(ctx context.Context) error {
	if err := d.begin(ctx, bob, "redeem", "tokens-redeem", `{"issuer":"`+bankName+`","symbol":"USD","amount":"`+redeemed+`"}`); err != nil {
		return err
	}
	if _, err := d.end(ctx, bob, "redeem", "COMPLETED"); err != nil {
		return err
	}
	total := new(big.Rat)
	for _, member := range []string{alice, bob, bank} {
		id := "balance-" + strings.ToLower(member)
		if err := d.begin(ctx, member, id, "tokens-balance", `{}`); err != nil {
			return err
		}
		s, err := d.api.waitEnd(ctx, d.member(member).ShortHash, id)
		if err != nil {
			return err
		}
		var held []tokenBalance
		if err := json.Unmarshal(s.JSON, &held); err != nil || s.FlowStatus != "COMPLETED" {
			return errors.Join(fmt.Errorf("the balance of %s is %s", member, s.FlowStatus), err)
		}
		said := "nothing"
		for _, h := range held {
			amount, ok := new(big.Rat).SetString(h.Amount)
			if !ok {
				return fmt.Errorf("the balance of %s is %q", member, h.Amount)
			}
			total.Add(total, amount)
			said = h.Amount + " " + h.Symbol + " of " + h.Issuer
		}
		d.step("%s has %s", member, said)
	}
	want := new(big.Rat)
	for amount, sign := range map[string]int64{issuedAlice: 1, issuedMallory: 1, redeemed: -1} {
		r, ok := new(big.Rat).SetString(amount)
		if !ok {
			return fmt.Errorf("amount %q", amount)
		}
		want.Add(want, r.Mul(r, big.NewRat(sign, 1)))
	}
	if total.Cmp(want) != 0 {
		return fmt.Errorf("they have %s together, and it should be %s", total.FloatString(2), want.FloatString(2))
	}
	d.step("%s + %s issued, %s redeemed, %s held: nothing came or went otherwise", issuedAlice, issuedMallory, redeemed, total.FloatString(0))
	return nil
}
