package contract

import (
	"github.com/fairleadio/fairlead/sdk/internal/guest/abi"
	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// verify answers the platform for one contract and transaction.
//
//go:wasmexport fairlead_verify
func verify(ptr, n uint32) uint64 {
	var r wire.VerifyRequest
	var v wire.Verdict
	if err := wire.Decode(abi.Take(ptr, n), &r); err != nil {
		v = registry.Rejected(wire.Rejection{Message: "fairlead_verify: " + err.Error()})
	} else {
		v = registry.Judge(&r)
	}
	return abi.Give(wire.Encode(&v))
}
