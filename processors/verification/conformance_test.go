package verification_test

import (
	"fmt"
	"log/slog"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/processors/verification"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// What every group must keep, kept by this one: transactions that are valid, refused, not shown, of a missing package, and
// asked for more than once.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a broker for each disturbance")
	}
	var inputs []enginetest.Input
	send := func(tx *ledger.Transaction, sources ...*ledger.Filtered) {
		raw, err := proto.Marshal(ask(t, tx, sources...))
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("r%d", len(inputs))
		inputs = append(inputs, enginetest.Input{Topic: topics.VerificationRequests, Key: tx.ID().String(), Value: raw, Headers: map[string]string{
			engine.HeaderRequest: id, engine.HeaderReply: engine.ReplyTo(topics.FlowRepliesVerification, -1, id),
		}})
	}
	for n := range 12 {
		from := transaction(t, making("accept", fmt.Sprint("accept.", n)))
		send(from)
		send(from)
		send(transaction(t, making("accept", fmt.Sprint("refuse.", n), fmt.Sprint("loop.", n))))
		c := making("accept")
		c.Inputs = []ledger.StateRef{from.Output(1)}
		send(transaction(t, c), source(t, from, 1))
		c.Window.UntilUs++
		send(transaction(t, c)) // not shown
		c = making("accept")
		c.Metadata.Packages = []ledger.Package{pack(fmt.Sprint("missing ", n))}
		send(transaction(t, c))
	}
	poison := inputs[0]
	poison.Key = "not its id"
	enginetest.Suite{
		Graph: func(t testing.TB) *engine.Graph {
			f := newFacts()
			w, err := verification.NewWorker(verification.Config{PackageWait: 1}, verification.Deps{Packages: f, Chunks: f, Sandbox: newFakeSandbox(), Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(w.Close)
			contracts := []string{"accept"}
			for n := range 12 {
				contracts = append(contracts, fmt.Sprint("accept.", n), fmt.Sprint("refuse.", n), fmt.Sprint("loop.", n))
			}
			f.install("app", []byte("module"), contracts...)
			return w.Graph()
		},
		Inputs:     inputs,
		Poison:     &poison,
		Repeatable: true,
	}.Run(t)
}
