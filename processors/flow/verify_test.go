package flow_test

import (
	"testing"

	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// A flow's own package stands for its files, and for other versions by the same signer; for nothing else.
func TestVouched(t *testing.T) {
	h := func(n byte) ledger.Hash { return ledger.Hash{n} }
	signed := ledger.Package{Name: "tokens", Version: "2", Checksum: h(1), Signer: h(9)}
	unsigned := ledger.Package{Name: "notes", Version: "2", Checksum: h(2), Signer: h(2)}
	for _, c := range []struct {
		what string
		p    ledger.Package
		want bool
	}{
		{"the same file", signed, true},
		{"another version", ledger.Package{Name: "tokens", Version: "1", Checksum: h(3), Signer: h(9)}, true},
		{"another name by the same signer", ledger.Package{Name: "other", Version: "1", Checksum: h(3), Signer: h(9)}, false},
		{"the name by another signer", ledger.Package{Name: "tokens", Version: "2", Checksum: h(3), Signer: h(8)}, false},
		{"the name, not signed", ledger.Package{Name: "tokens", Version: "2", Checksum: h(3), Signer: h(3)}, false},
		{"development: another version", ledger.Package{Name: "notes", Version: "1", Checksum: h(4), Signer: h(4)}, true},
		{"development: signed by somebody", ledger.Package{Name: "notes", Version: "1", Checksum: h(4), Signer: h(9)}, false},
		{"development: another name", ledger.Package{Name: "evil", Version: "1", Checksum: h(4), Signer: h(4)}, false},
	} {
		if got := flow.Vouched(c.p, []ledger.Installed{{Package: signed}, {Package: unsigned}}); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	if flow.Vouched(signed, nil) {
		t.Error("a package without contracts stands for one")
	}
}
