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

// installed is a package by one signer; sum is its file.
func installed(name, version string, sum byte, compatibleFrom string, contracts ...string) ledger.Installed {
	return ledger.Installed{Package: ledger.Package{Name: name, Version: version, Checksum: ledger.Hash{sum}, Signer: ledger.Hash{9}}, CompatibleFrom: compatibleFrom, Contracts: contracts}
}

// A contract that moves to another package of the CPI takes its states along to nobody: verification asks who made them.
func TestLostWhenAContractMoves(t *testing.T) {
	now := []ledger.Installed{installed("money", "1.0", 1, "", "Coin"), installed("pay", "1.0", 2, "", "Note")}
	next := []ledger.Installed{installed("money", "2.0", 3, "1.0", "Other"), installed("pay", "2.0", 4, "1.0", "Coin", "Note")}
	kept := []Kept{{Contract: "Coin", Packages: []ledger.Package{now[0].Package, now[1].Package}, States: 3}}
	if lost := Lost(kept, now, next); len(lost) != 1 {
		t.Errorf("let through: %q", lost)
	}
}

// What an upgrade costs is said once for all states of which the same is to be said, apart for those that come only when their
// transactions are final; states that cannot be consumed already are not its fault.
func TestLost(t *testing.T) {
	notes, money := installed("notes", "1.0", 1, "", "Note"), installed("money", "1.0", 2, "0.9", "Coin")
	older, oldest := installed("money", "0.9", 3, "", "Coin"), installed("money", "0.8", 4, "", "Coin")
	now := []ledger.Installed{notes, money}
	next := []ledger.Installed{installed("notes", "2.0", 5, "1.0", "Note"), installed("money", "2.0", 6, "1.1", "Coin")}
	of := func(contract string, states int64, coming bool, made ...ledger.Installed) Kept {
		k := Kept{Contract: contract, States: states, Coming: coming}
		for _, m := range made {
			k.Packages = append(k.Packages, m.Package)
		}
		return k
	}
	coins := func(before, made string) string {
		return before + " each of which was made by package money " + made + ", and version 2.0 takes states of version 1.1 and later (compatible_from)"
	}
	for name, c := range map[string]struct {
		kept []Kept
		want []string
	}{
		"nothing is kept":        {nil, nil},
		"taken on":               {[]Kept{of("Note", 3, false, notes)}, nil},
		"lost":                   {[]Kept{of("Coin", 3, false, money)}, []string{coins("3 of contract Coin,", "1.0")}},
		"lost already":           {[]Kept{of("Coin", 3, false, oldest), of("Bond", 4, false, money)}, nil},
		"beside another package": {[]Kept{of("Coin", 3, false, notes, money)}, []string{coins("3 of contract Coin,", "1.0")}},
		"of two transactions":    {[]Kept{of("Coin", 3, false, money), of("Coin", 4, false, notes, money)}, []string{coins("7 of contract Coin,", "1.0")}},
		"on their way":           {[]Kept{of("Coin", 1, true, money), of("Coin", 1, true, money)}, []string{coins("2 of contract Coin, on their way to it, in unverified transactions,", "1.0")}},
		"here, and more on its way": {
			[]Kept{of("Coin", 3, false, money), of("Coin", 1, true, money)},
			[]string{coins("3 of contract Coin,", "1.0"), coins("1 of contract Coin, on their way to it, in unverified transactions,", "1.0")},
		},
		"of two versions": {
			[]Kept{of("Coin", 3, false, money), of("Coin", 1, false, older), of("Coin", 1, false, money)},
			[]string{coins("4 of contract Coin,", "1.0"), coins("1 of contract Coin,", "0.9")},
		},
	} {
		if got := Lost(c.kept, now, next); !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
	}
}

// A contract that comes with an upgrade may find states of its name in the vault already, of whoever had it first: its flows would
// count what no transaction could consume. Those of its own earlier versions it takes.
func TestLostToAContractThatComes(t *testing.T) {
	notes := installed("notes", "1.0", 1, "", "Note")
	bonds := installed("bonds", "2.0", 2, "1.0", "Bond")
	earlier, others := installed("bonds", "1.0", 3, "", "Bond"), installed("bonds", "2.0", 4, "", "Bond")
	others.Signer = ledger.Hash{8}
	now, next := []ledger.Installed{notes}, []ledger.Installed{notes, bonds}
	kept := func(made ledger.Installed) []Kept {
		return []Kept{{Contract: "Bond", Packages: []ledger.Package{made.Package}, States: 2}}
	}
	want := []string{"2 of contract Bond, which comes with it, each of which was made by package bonds 2.0, signed by " + others.Signer.String() +
		", and package bonds 2.0 is signed by " + bonds.Signer.String() + ": only the same signers make a version that takes its states"}
	if got := Lost(kept(others), now, next); !slices.Equal(got, want) {
		t.Errorf("of other signers:\ngot  %q\nwant %q", got, want)
	}
	for name, got := range map[string][]string{
		"of an earlier version":     Lost(kept(earlier), now, next),
		"of none of both":           Lost(kept(others), now, now),
		"of others, here long ago":  Lost(kept(others), next, next),
		"of others, which is taken": Lost(kept(others), next, now),
	} {
		if len(got) != 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// by is a package signed by another.
func by(signer byte, p ledger.Installed) ledger.Installed {
	p.Signer = ledger.Hash{signer}
	return p
}

// Whose states of a contract are that comes, or changes hands, is asked of all packages that may have made them.
func TestLostToAContractOfOtherSigners(t *testing.T) {
	notes := installed("notes", "1.0", 1, "", "Note")
	early, bonds := installed("bonds", "1.0", 2, "", "Note"), installed("bonds", "2.0", 3, "1.0", "Note", "Bond")
	evil1, evil2 := by(8, installed("evil", "1.0", 4, "", "Other")), by(8, installed("evil", "2.0", 5, "1.0", "Other", "Bond"))
	money, oldest, later := installed("money", "1.0", 6, "0.9", "Coin"), installed("money", "0.8", 7, "", "Coin"), installed("money", "2.0", 8, "1.0", "Coin")
	namesake := by(8, installed("bonds", "1.0", 9, "", "Other"))
	owner := by(8, installed("evil", "1.0", 10, "", "Bond"))
	all := func(p ...ledger.Installed) []ledger.Installed { return p }
	for name, c := range map[string]struct {
		contract  string
		made      []ledger.Installed
		now, next []ledger.Installed
		lost      bool
	}{
		"named beside an earlier version without it": {"Bond", all(early, evil2), all(early, evil1), all(bonds, evil1), true},
		"the name goes to others":                    {"Bond", all(evil2), all(owner), all(bonds), true},
		"the signers' own comes back":                {"Coin", all(money), all(notes), all(notes, money), false},
		"and with what it lost long ago":             {"Coin", all(oldest), all(notes), all(notes, money), false},
		"and with what it cannot take yet":           {"Coin", all(later), all(notes), all(notes, money), false},
		"beside a namesake of others":                {"Bond", all(namesake, installed("bonds", "1.0", 11, "", "Bond")), all(notes, namesake), all(notes, namesake, bonds), false},
	} {
		var made []ledger.Package
		for _, p := range c.made {
			made = append(made, p.Package)
		}
		if got := Lost([]Kept{{Contract: c.contract, Packages: made, States: 1}}, c.now, c.next); (len(got) > 0) != c.lost {
			t.Errorf("%s: %q", name, got)
		}
	}
}
