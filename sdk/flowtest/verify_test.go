package flowtest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func registerVerify() {
	contract.Register("flowtest.Even", func(tx *contract.Transaction) error {
		if len(tx.Outputs)%2 != 0 {
			return contract.Output(len(tx.Outputs) - 1).Errorf("it is one too many")
		}
		return nil
	})
	flow.Register("verify", func(ctx *flow.Context, in boxes) (verified, error) {
		from, err := makeBoxes(ctx, 2)
		if err != nil {
			return verified{}, err
		}
		tx, err := makeBoxes(ctx, in.N, from.Output(1))
		if err != nil {
			return verified{}, err
		}
		source, err := from.Source(in.Show)
		if err != nil {
			return verified{}, err
		}
		v, err := ctx.Verify(tx, source)
		if err != nil {
			return verified{}, err
		}
		return verified{v.Failures}, v.Err()
	})
}

type boxes struct{ N, Show int }

type verified struct{ Failures []flow.VerificationFailure }

func makeBoxes(ctx *flow.Context, n int, inputs ...ledger.StateRef) (*ledger.Transaction, error) {
	c := ledger.Content{
		Metadata: ledger.Metadata{
			LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: ledger.Hash{2}, Signer: ledger.Hash{3}}},
		},
		Notary: ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: []byte("key")}, Window: ledger.TimeWindow{UntilUs: 1 << 60},
		Signatories: []ledger.PublicKey{[]byte("a")}, Commands: []ledger.Command{{Type: "make", TypeVersion: 1}}, Inputs: inputs,
	}
	for range n {
		c.Outputs = append(c.Outputs, ledger.State{
			Type: "Box", TypeVersion: 1, Contract: "flowtest.Even", Payload: []byte(`{}`), Participants: []ledger.PublicKey{[]byte("a")},
		})
	}
	return ledger.New(c, ledger.Salt(ctx.RandomBytes(32)))
}

func TestVerify(t *testing.T) {
	alice := flowtest.New(t).Member("O=Alice, L=London, C=GB")
	run := func(in boxes) error {
		o := alice.Start("verify", in).Wait()
		if o.Err != nil {
			return o.Err
		}
		return nil
	}
	if err := run(boxes{2, 1}); err != nil {
		t.Errorf("%v", err)
	}
	if err := run(boxes{3, 1}); !errors.Is(err, flow.ErrInvalidTransaction) || !strings.Contains(err.Error(), "flowtest.Even: output 2: it is one too many") {
		t.Errorf("%v", err)
	}
	if err := run(boxes{2, 0}); !errors.Is(err, flow.ErrUnresolved) {
		t.Errorf("another output is shown: %v", err)
	}
	alice.Fail("verify", &flow.Error{Type: flow.ErrPackageMissing.Type, Message: "not here"})
	if err := run(boxes{2, 1}); !errors.Is(err, flow.ErrPackageMissing) {
		t.Errorf("%v", err)
	}
}
