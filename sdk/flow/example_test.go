package flow_test

import (
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

// Pay is the argument of the examples' flow.
type Pay struct {
	To     string       `json:"to"`
	Amount flow.Decimal `json:"amount"`
}

// Payment is a row of table payments.
type Payment struct {
	ID     string       `json:"id"`
	From   string       `json:"from"`
	Amount flow.Decimal `json:"amount"`
}

const payments = flow.Table[Payment]("payments")

// A flow and its responder: one asks, the other keeps a row and answers.
func Example() {
	flow.Register("pay", func(ctx *flow.Context, in Pay) (string, error) {
		s, err := ctx.OpenSession(in.To, "pay")
		if err != nil {
			return "", err
		}
		answer, err := flow.SendAndReceive[string](s, in)
		if err != nil {
			return "", err
		}
		return answer, s.Close()
	})
	flow.Responder("pay", func(ctx *flow.Context, s *flow.Session) error {
		in, err := flow.Receive[Pay](s)
		if err != nil {
			return err
		}
		amount, ok := new(big.Rat).SetString(string(in.Amount))
		if !ok || amount.Sign() <= 0 {
			return flow.Errorf("bad-amount", "amount %q is not above zero", in.Amount)
		}
		if err := payments.Persist(ctx, Payment{ID: s.ID(), From: s.Counterparty(), Amount: in.Amount}); err != nil {
			return err
		}
		return s.Send("received " + string(in.Amount))
	})

	t := &example{}
	defer t.end()
	net := flowtest.New(t, flowtest.Tables(flowtest.Table{Name: "payments", PrimaryKey: []string{"id"}, Columns: []flowtest.Column{
		{Name: "id", Type: "uuid"}, {Name: "from", Type: "text"}, {Name: "amount", Type: "numeric"},
	}}))
	alice, bob := net.Member("O=Alice, L=London, C=GB"), net.Member("O=Bob, L=Paris, C=FR")
	fmt.Println(string(alice.Start("pay", Pay{To: bob.Name(), Amount: "12.50"}).Wait().JSON))
	fmt.Println(flowtest.Rows[Payment](bob, "payments")[0].Amount)
	fmt.Println(alice.Start("pay", Pay{To: bob.Name(), Amount: "-1"}).Wait().Err)
	// Output:
	// "received 12.50"
	// 12.50
	// flow-failed: amount "-1" is not above zero
}

// Independent requests make one step.
func ExampleAll() {
	flow.Register("all", func(ctx *flow.Context, _ struct{}) (int, error) {
		keys, members := flow.KeysCall("LEDGER"), flow.MembersCall()
		if err := flow.All(ctx, keys, members, flow.Timer(time.Minute)); err != nil {
			return 0, err
		}
		return len(keys.Value()) + len(members.Value()), nil
	})
	t := &example{}
	defer t.end()
	o := flowtest.Run(t, "all", struct{}{})
	fmt.Println(string(o.JSON), len(o.Steps), o.Steps[0].Requests)
	// Output: 2 1 [find keys LEDGER look up members sleep 1m0s]
}

// Rows are read one after the other; pages are fetched as they are needed.
func ExampleTable_FindAll() {
	flow.Register("total", func(ctx *flow.Context, _ struct{}) (string, error) {
		total := new(big.Rat)
		for p, err := range payments.FindAll(ctx) {
			if err != nil {
				return "", err
			}
			amount, _ := new(big.Rat).SetString(string(p.Amount))
			total.Add(total, amount)
		}
		return total.FloatString(2), nil
	})
}

func ExampleErrorf() {
	err := fmt.Errorf("pay: %w", flow.Errorf("insufficient-funds", "have 100, need %d", 200))
	fmt.Println(err)
	fmt.Println(errors.Is(err, &flow.Error{Type: "insufficient-funds"}))
	// Output:
	// pay: have 100, need 200
	// true
}

// example stands in for a test.
type example struct {
	testing.TB
	ends []func()
}

func (*example) Name() string              { return "example" }
func (*example) Helper()                   {}
func (*example) Logf(string, ...any)       {}
func (e *example) Cleanup(f func())        { e.ends = append(e.ends, f) }
func (*example) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }
func (*example) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func (e *example) end() {
	for _, f := range e.ends {
		f()
	}
}
