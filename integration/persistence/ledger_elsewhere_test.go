package persistence_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// What a notary says that others have consumed is consumed, unless the consumer is here and may come to be verified.
func TestConsumedElsewhere(t *testing.T) {
	c := newLedger(t)
	issue := makeTx(t, "issue", nil, nil, coin("Coin", 5, "Alice"), coin("Coin", 7, "Alice"), coin("Coin", 11, "Alice"), coin("Coin", 13, "Bob"))
	spend := func(salt string, outputs ...int) *ledger.Transaction {
		var in []ledger.StateRef
		for _, i := range outputs {
			in = append(in, issue.Output(i))
		}
		return makeTx(t, salt, in, nil, coin("Coin", 1, "Bob"))
	}
	c.persisted(issue, verified, 0, 1, 2)
	tried, stranger, open, wrong := spend("tried", 0, 1, 2, 3), spend("stranger", 0, 3), spend("open", 1), spend("wrong", 2)
	c.persisted(open, unverified)
	c.persisted(wrong, invalid)
	by := func(output int, tx *ledger.Transaction) *appv1.ConsumedState {
		return &appv1.ConsumedState{Ref: protoRefs(issue.Output(output))[0], By: bytesOf(tx.ID())}
	}
	store := func(tx *ledger.Transaction, status appv1.TransactionStatus, consumed ...*appv1.ConsumedState) *appv1.PersistTransaction {
		return &appv1.PersistTransaction{Transaction: tx.Encode(), Status: status, Consumed: consumed}
	}
	c.fails(store(tried, unverified, by(0, stranger)), "invalid-transaction", "field consumed is for a transaction that is stored as invalid")
	c.fails(store(open, invalid, by(0, stranger)), "invalid-transaction", "field consumed[0]: state "+issue.Output(0).String()+" must be one that the transaction consumes or looks at")
	c.fails(store(tried, invalid, by(0, tried)), "invalid-transaction", "another transaction its consumer")
	c.fails(store(tried, invalid, &appv1.ConsumedState{Ref: protoRefs(issue.Output(0))[0], By: []byte{1}}), "invalid-transaction", "field consumed[0].by has 1 bytes")
	// Nobody's own notary says what becomes of the states of another.
	elsewhere := makeAt(t, "O=Mallory, L=London, C=GB", "elsewhere", tried.Content().Inputs, nil, coin("Coin", 1, "Bob"))
	c.ok(store(elsewhere, invalid, by(0, stranger), by(1, wrong)), nil)
	c.persisted(tried, unverified)
	all := []*appv1.ConsumedState{by(0, stranger), by(1, open), by(2, wrong), by(3, stranger), by(0, wrong)}
	c.ok(store(tried, invalid, all...), nil)
	c.ok(store(tried, invalid, all...), nil)
	left := func() string {
		var out []string
		for _, s := range c.unconsumed("Coin", 0) {
			out = append(out, fmt.Sprint(amountOf(t, s)))
		}
		return strings.Join(out, " ")
	}
	if got := left(); got != "7" {
		t.Errorf("left %s", got)
	}
	page := &appv1.StatePage{}
	c.ok(&appv1.QueryStates{Name: "spent"}, page)
	if s := page.GetStates(); len(s) != 2 || !bytes.Equal(s[0].GetConsumedBy(), bytesOf(stranger.ID())) || !bytes.Equal(s[1].GetConsumedBy(), bytesOf(wrong.ID())) || s[0].GetConsumedAtUs() == 0 {
		t.Errorf("spent: %v", page)
	}
	// The consumers come after all.
	c.persisted(stranger, verified, 0)
	c.ok(&appv1.UpdateTransactionStatus{Id: bytesOf(open.ID()), Status: verified}, nil)
	if got := left(); got != "1" {
		t.Errorf("left with the consumers: %s", got)
	}
	told(t, c, []string{
		"V " + short(issue), "+" + short(issue) + ":0", "+" + short(issue) + ":1", "+" + short(issue) + ":2", "U " + short(open), "I " + short(wrong), "I " + short(elsewhere), "U " + short(tried),
		"I " + short(tried), "-" + short(issue) + ":0 by " + short(stranger), "-" + short(issue) + ":2 by " + short(wrong),
		"V " + short(stranger), "+" + short(stranger) + ":0", "V " + short(open), "-" + short(issue) + ":1 by " + short(open),
	})
}
