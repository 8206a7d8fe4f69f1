package verification_test

import (
	"testing"

	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// What a contract may use belongs to the ledger's version: another limit is another verdict on a transaction that was
// verified before, and so another version.
func TestLimitsBelongToTheLedgerVersion(t *testing.T) {
	want := map[uint32]sandbox.Limits{1: {MemoryPages: 1024, Instructions: 200_000_000, MaxArgument: 4 << 20, MaxResult: 1<<20 - 64<<10}}
	if got := sandbox.DefaultLimits(); got != want[ledger.Version] {
		t.Errorf("ledger version %d: %+v, want %+v", ledger.Version, got, want[ledger.Version])
	}
}
