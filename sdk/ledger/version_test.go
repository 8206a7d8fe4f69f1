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
