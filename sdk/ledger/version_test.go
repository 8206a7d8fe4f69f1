package ledger

import (
	"strings"
	"testing"
)

// Whose states a package takes; processors/verification has the same rule's verdicts on transactions, and internal/cpi how
// versions are compared.
func TestRefuses(t *testing.T) {
	two := Installed{Package: Package{Name: "pay", Version: "2.0", Checksum: Hash{2}, Signer: Hash{9}}}
	from := func(v string) Installed { p := two; p.CompatibleFrom = v; return p }
	made := func(version string, change ...func(*Package)) Package {
		p := Package{Name: "pay", Version: version, Checksum: Hash{1}, Signer: Hash{9}}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	unsigned := func(p *Package) { p.Signer = p.Checksum }
	nobodys := two
	unsigned(&nobodys.Package)
	for what, c := range map[string]struct {
		now  Installed
		made Package
		want string
	}{
		"the same file":             {two, two.Package, ""},
		"the same file, whose name": {two, Package{Name: "x", Version: "9", Checksum: Hash{2}}, ""},
		"built anew":                {two, made("2.0.0"), ""},
		"a later one":               {from("1.0"), made("2.0.1"), "which is later than version 2.0: upgrade the virtual node to 2.0.1 or later"},
		"an earlier one":            {two, made("1.0"), "it has no compatible_from"},
		"one that it takes":         {from("1.0"), made("1.0"), ""},
		"one before those":          {from("1.10"), made("1.9"), "takes states of version 1.10 and later"},
		"of another name":           {from("1.0"), made("1.0", func(p *Package) { p.Name = "cash" }), "name a version of package cash"},
		"of another signer":         {from("1.0"), made("1.0", func(p *Package) { p.Signer = Hash{8} }), "only the same signers"},
		"of nobody":                 {from("1.0"), made("1.0", unsigned), "only the same signers"},
		"both of nobody":            {nobodys, made("2.0", unsigned), ""},
		"not known":                 {two, Package{}, "none of which has its contract"},
	} {
		if got := c.now.Refuses(c.made); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// Which of a transaction's packages counts, when there are several, and which of the virtual node's.
func TestCannotConsume(t *testing.T) {
	pack := func(name, version string, sum byte) Package {
		return Package{Name: name, Version: version, Checksum: Hash{sum}, Signer: Hash{9}}
	}
	own := []Installed{
		{Package: pack("notes", "1.0", 1), Contracts: []string{"Note"}},
		{Package: pack("money", "2.0", 2), CompatibleFrom: "1.0", Contracts: []string{"Coin", "Bond"}},
	}
	for what, c := range map[string]struct {
		contract string
		made     []Package
		want     string
	}{
		"one package":                         {"Coin", []Package{pack("money", "1.0", 3)}, ""},
		"one package, too old":                {"Bond", []Package{pack("money", "0.9", 3)}, "was made by package money 0.9"},
		"one package of another name":         {"Coin", []Package{pack("cash", "2.0", 3)}, "was made by package cash 2.0"},
		"no package has the contract":         {"Deed", []Package{pack("money", "2.0", 2)}, "has contract Deed, which none of its packages has"},
		"another one's contract":              {"Note", []Package{pack("notes", "1.0", 1)}, ""},
		"several, one of them is here":        {"Coin", []Package{pack("money", "3.0", 4), pack("other", "1.0", 2)}, ""},
		"several, one has the name":           {"Coin", []Package{pack("other", "1.0", 5), pack("money", "1.5", 6)}, ""},
		"several, the one of the name is old": {"Coin", []Package{pack("other", "3.0", 5), pack("money", "0.1", 6)}, "was made by package money 0.1"},
		"several, none has the name":          {"Coin", []Package{pack("other", "1.0", 5), pack("third", "2.0", 6)}, "none of which has its contract"},
	} {
		if got := CannotConsume(own, c.contract, c.made); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
