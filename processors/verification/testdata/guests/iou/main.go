// Command iou is a contract and a flow in one module, for tests of the way from a flow to the verification worker and back.
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func init() {
	contract.Register("com.example.IOU", verify)
	flow.Register("lend", lend)
}

func main() {}

// IOU is the payload of a state.
type IOU struct {
	Lender []byte `json:"lender"`
	Amount int    `json:"amount"`
}

// verify lets a lender lend more, and forgive; a debt does not grow by itself.
func verify(tx *contract.Transaction) error {
	var errs []error
	before, after := 0, 0
	for i, s := range tx.Inputs {
		iou, err := contract.Payload[IOU](s.Payload)
		if err != nil || !tx.Signed(iou.Lender) {
			errs = append(errs, contract.Input(i).Errorf("its lender does not sign"))
		}
		before += iou.Amount
	}
	for i, s := range tx.Outputs {
		iou, err := contract.Payload[IOU](s.Payload)
		if err != nil || iou.Amount <= 0 {
			errs = append(errs, contract.Output(i).Errorf("its amount is %d", iou.Amount))
		}
		after += iou.Amount
	}
	if len(tx.Inputs) > 0 && after > before {
		errs = append(errs, fmt.Errorf("a debt of %d grows to %d", before, after))
	}
	return errors.Join(errs...)
}

// Lend is the argument of flow lend: the package whose contract holds, and what is lent and then left.
type Lend struct {
	Checksum, Signer string
	Amount, Left     int
	// Hide keeps the first transaction from being shown; Tries is how often it is asked while the package is missing.
	Hide  bool
	Tries int
}

// Lent is its result.
type Lent struct {
	Failures []string `json:"failures"`
	Tries    int      `json:"tries"`
}

// lend makes a debt and changes it, and has both verified.
func lend(ctx *flow.Context, in Lend) (Lent, error) {
	made, err := debt(ctx, in, in.Amount)
	if err != nil {
		return Lent{}, err
	}
	changed, err := debt(ctx, in, in.Left, made.Output(0))
	if err != nil {
		return Lent{}, err
	}
	source, err := made.Source(0)
	if err != nil {
		return Lent{}, err
	}
	var out Lent
	for {
		out.Tries++
		first, second := flow.VerifyCall(made), flow.VerifyCall(changed, source)
		if in.Hide {
			second = flow.VerifyCall(changed)
		}
		err := flow.All(ctx, first, second)
		if errors.Is(err, flow.ErrPackageMissing) && out.Tries < in.Tries {
			if err := ctx.Sleep(200 * time.Millisecond); err != nil {
				return out, err
			}
			continue
		}
		if err != nil {
			return out, err
		}
		for _, f := range append(first.Value().Failures, second.Value().Failures...) {
			out.Failures = append(out.Failures, f.String())
		}
		return out, nil
	}
}

func debt(ctx *flow.Context, in Lend, amount int, inputs ...ledger.StateRef) (*ledger.Transaction, error) {
	checksum, err := ledger.ParseHash(in.Checksum)
	if err != nil {
		return nil, err
	}
	signer, err := ledger.ParseHash(in.Signer)
	if err != nil {
		return nil, err
	}
	lender := ledger.PublicKey("lender")
	return ledger.New(ledger.Content{
		Metadata: ledger.Metadata{
			LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "iou", Version: "1", Checksum: checksum, Signer: signer}},
		},
		Notary:      ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: []byte("key")},
		Window:      ledger.TimeWindow{UntilUs: ctx.Now().Add(time.Hour).UnixMicro()},
		Signatories: []ledger.PublicKey{lender}, Inputs: inputs, Commands: []ledger.Command{{Type: "lend", TypeVersion: 1}},
		Outputs: []ledger.State{{
			Type: "IOU", TypeVersion: 1, Contract: "com.example.IOU", Participants: []ledger.PublicKey{lender},
			Payload: fmt.Appendf(nil, `{"lender":"bGVuZGVy","amount":%d}`, amount),
		}},
	}, ledger.Salt(ctx.RandomBytes(32)))
}
