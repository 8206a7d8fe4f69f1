package ledger

import "testing"

// Versions are compared as internal/cpi's tests say; what is later is of the same name and signers.
func TestLater(t *testing.T) {
	one := Package{Name: "pay", Version: "1.0", Checksum: Hash{1}, Signer: Hash{9}}
	with := func(change func(*Package)) Package {
		p := one
		p.Version, p.Checksum = "1.10", Hash{2}
		change(&p)
		return p
	}
	unsigned := func(p Package) Package { p.Signer = p.Checksum; return p }
	for what, c := range map[string]struct {
		a, b Package
		want bool
	}{
		"later":                    {with(func(*Package) {}), one, true},
		"earlier":                  {one, with(func(*Package) {}), false},
		"the same":                 {one, one, false},
		"built anew":               {with(func(p *Package) { p.Version = "1.0.0" }), one, false},
		"of another name":          {with(func(p *Package) { p.Name = "cash" }), one, false},
		"of another signer":        {with(func(p *Package) { p.Signer = Hash{8} }), one, false},
		"both signed by nobody":    {unsigned(with(func(*Package) {})), unsigned(one), true},
		"one is signed by nobody":  {unsigned(with(func(*Package) {})), one, false},
		"other: signed by nobody":  {with(func(*Package) {}), unsigned(one), false},
		"a number is not a text":   {with(func(p *Package) { p.Version = "1.9" }), with(func(*Package) {}), false},
		"behind a hyphen: earlier": {with(func(*Package) {}), with(func(p *Package) { p.Version = "1.10-beta" }), true},
	} {
		if got := c.a.Later(c.b); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
