package verification_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/processors/verification"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// FuzzRequest decides on requests that nobody writes: whatever they hold, the step refuses them, or reads them as they are.
func FuzzRequest(f *testing.F) {
	from := transaction(f, making("a", "b"))
	c := making("a")
	c.Inputs, c.References = []ledger.StateRef{from.Output(0)}, []ledger.StateRef{from.Output(1)}
	tx := transaction(f, c)
	for _, r := range []*verificationv1.Request{ask(f, from), ask(f, tx, source(f, from, 0, 1)), ask(f, tx), {}} {
		raw, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, tx.ID().String())
		f.Add(raw, from.ID().String())
	}
	f.Fuzz(func(t *testing.T, raw []byte, key string) {
		r := &verificationv1.Request{}
		if proto.Unmarshal(raw, r) != nil {
			return
		}
		effects, err := verification.Step(verification.State{}, verification.Asked{Ask: verification.Ask{Request: r, Key: key, NowUs: nowUs}})
		if (err == nil) != (len(effects) > 0) {
			t.Fatalf("%v, %v", effects, err)
		}
		if err != nil {
			return
		}
		read, err := ledger.Decode(r.GetTransaction())
		if err != nil || read.ID().String() != key || string(read.Encode()) != string(r.GetTransaction()) {
			t.Fatalf("a transaction that is none was taken: %v", err)
		}
		if need, ok := effects[0].(verification.RunContracts); ok {
			if len(need.Resolved.Inputs()) != len(read.Content().Inputs) || len(need.Contracts) == 0 {
				t.Fatalf("%d of %d inputs, contracts %v", len(need.Resolved.Inputs()), len(read.Content().Inputs), need.Contracts)
			}
		}
	})
}
