package ledgerstore

import (
	"slices"
	"testing"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Packages count whose modules have contracts; one that nobody has signed is signed by its checksum.
func TestInstalled(t *testing.T) {
	sum := func(b byte) []byte { h := ledger.Hash{b}; return h[:] }
	cpi := &cpiv1.Cpi{
		Modules: []*cpiv1.Module{{Sha256: sum(1), Contracts: []string{"Coin"}}, {Sha256: sum(2)}, {Sha256: sum(3), Contracts: []string{"Note", "Token"}}},
		Cpks: []*cpiv1.Cpk{
			{Name: "money", Version: "2.0", CompatibleFrom: "1.0", FileSha256: sum(7), SignerSummaryHash: "SHA-256:" + ledger.Hash{9}.String(), ModuleSha256S: [][]byte{sum(1), sum(2), sum(3)}},
			{Name: "flows", Version: "1", FileSha256: sum(8), ModuleSha256S: [][]byte{sum(2)}},
			{Name: "unsigned", Version: "1", FileSha256: sum(6), ModuleSha256S: [][]byte{sum(1)}},
			{Name: "no file", Version: "1", ModuleSha256S: [][]byte{sum(1)}},
		},
	}
	got := Installed(cpi)
	want := []ledger.Installed{
		{Package: ledger.Package{Name: "money", Version: "2.0", Checksum: ledger.Hash{7}, Signer: ledger.Hash{9}}, CompatibleFrom: "1.0", Contracts: []string{"Coin", "Note", "Token"}},
		{Package: ledger.Package{Name: "unsigned", Version: "1", Checksum: ledger.Hash{6}, Signer: ledger.Hash{6}}, Contracts: []string{"Coin"}},
	}
	if !slices.EqualFunc(got, want, func(a, b ledger.Installed) bool {
		return a.Package == b.Package && a.CompatibleFrom == b.CompatibleFrom && slices.Equal(a.Contracts, b.Contracts)
	}) {
		t.Errorf("%+v", got)
	}
}

// A contract that moves to another package of the CPI takes its states along to nobody: verification asks who made them.
func TestLostWhenAContractMoves(t *testing.T) {
	p := func(name, v string, sum byte, from string, contracts ...string) ledger.Installed {
		return ledger.Installed{Package: ledger.Package{Name: name, Version: v, Checksum: ledger.Hash{sum}, Signer: ledger.Hash{9}}, CompatibleFrom: from, Contracts: contracts}
	}
	now := []ledger.Installed{p("money", "1.0", 1, "", "Coin"), p("pay", "1.0", 2, "", "Note")}
	next := []ledger.Installed{p("money", "2.0", 3, "1.0", "Other"), p("pay", "2.0", 4, "1.0", "Coin", "Note")}
	kept := []Kept{{Contract: "Coin", Packages: []ledger.Package{now[0].Package, now[1].Package}, States: 3}}
	if lost := Lost(kept, now, next); len(lost) != 1 {
		t.Errorf("let through: %q", lost)
	}
}
