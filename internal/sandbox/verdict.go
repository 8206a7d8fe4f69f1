package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// DecodeVerdict reads what Verify returned. A verdict that is not one of accepted, rejected and contracts, that rejects
// without a reason, or that is not the message's one canonical encoding, is an *Error of kind BadYield.
func DecodeVerdict(b []byte) (*appv1.Verdict, error) {
	v := &appv1.Verdict{}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, v); err != nil {
		return nil, failed(BadYield, "the verdict cannot be decoded")
	}
	switch o := v.GetOutcome().(type) {
	case *appv1.Verdict_Accepted, *appv1.Verdict_Contracts:
	case *appv1.Verdict_Rejected:
		all := o.Rejected.GetRejections()
		if len(all) == 0 || slices.ContainsFunc(all, func(r *appv1.Rejection) bool { return r.GetMessage() == "" }) {
			return nil, failed(BadYield, "the verdict is against the transaction and does not say why")
		}
	default:
		return nil, failed(BadYield, "the verdict is neither for nor against the transaction")
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(v)
	if err != nil || !bytes.Equal(again, b) {
		return nil, failed(BadYield, "the verdict is not in canonical encoding or has fields that this platform does not know: was the application built with a newer SDK?")
	}
	return v, nil
}

// Judge has a contract look at a transaction: request is an encoded fairlead.app.v1.VerifyRequest. It runs in a fresh
// instance, whose random stream begins with the seed and whose clock stands where the base image left it, so the same
// request and seed give the same verdict everywhere, and the same *Error if it fails, unless that is of kind [OutOfTime].
// Used is how many units of the meter it took.
func (m *Module) Judge(ctx context.Context, seed [32]byte, request []byte, log func(line string)) (v *appv1.Verdict, used int64, err error) {
	if !m.role.contracts {
		return nil, 0, failed(Rejected, "the module does not export the function %s: it has no contracts", exportVerify)
	}
	i, err := m.NewInstance(ctx, Env{Seed: seed, Log: log})
	if err != nil {
		return nil, 0, err
	}
	defer i.Release(ctx)
	b, err := i.Verify(ctx, 0, request)
	if err != nil {
		return nil, i.Instructions(), err
	}
	v, err = DecodeVerdict(b)
	return v, i.Instructions(), err
}

// Contracts asks the module for the names of its contracts, in order. A module answers a request without a contract by
// naming them.
func (m *Module) Contracts(ctx context.Context) ([]string, error) {
	if !m.role.contracts {
		return nil, nil
	}
	v, _, err := m.Judge(ctx, [32]byte{}, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the module for its contracts: %w", err)
	}
	names := v.GetContracts().GetNames()
	switch {
	case v.GetContracts() == nil:
		err = failed(BadYield, "it answers with a verdict")
	case !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names):
		err = failed(BadYield, "the names of the contracts are not in order, or one is there twice")
	}
	if err != nil {
		return nil, fmt.Errorf("ask the module for its contracts: %w", err)
	}
	return names, nil
}
