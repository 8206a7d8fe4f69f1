package cpi

import (
	"slices"
	"testing"
)

// Contracts travel with their module, of any kind, and into the record of the package; a package without any is what it
// was before there were contracts.
func TestContracts(t *testing.T) {
	c := payCode()
	c.Modules[0].Contracts, c.Modules[1].Contracts = []string{"com.example.Pay"}, []string{"com.example.A", "com.example.B"}
	p, err := OpenBytes(cpkOf(t, c), Options{Kind: CPK, Trust: Trust{Unsigned: true}})
	if err != nil {
		t.Fatal(err)
	}
	modules := p.CPKs[0].Modules // sorted by name
	if !slices.Equal(modules[0].Contracts, c.Modules[1].Contracts) || !slices.Equal(modules[1].Contracts, c.Modules[0].Contracts) {
		t.Errorf("%v, %v", modules[0].Contracts, modules[1].Contracts)
	}
	if r := p.ToProto().GetModules(); !slices.Equal(r[0].GetContracts(), c.Modules[1].Contracts) || !slices.Equal(r[1].GetContracts(), c.Modules[0].Contracts) {
		t.Errorf("%v", r)
	}
}
