package finality

import (
	"slices"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// installedCall asks for the virtual node's own packages, when [Options.Spendable] needs them.
func (o Options) installedCall() *flow.Pending[[]ledger.Installed] {
	if !o.Spendable {
		return flow.EndedCall[[]ledger.Installed](nil, nil)
	}
	return vault.InstalledCall()
}

// spendable refuses a transaction of which the virtual node would keep outputs that its own packages could not consume; what
// takes which states is the rule by which they are verified.
func (p *responder) spendable(own []ledger.Installed) error {
	c := p.tx.Content()
	for _, i := range p.visible {
		contract := c.Outputs[i].Contract
		at := slices.IndexFunc(own, func(o ledger.Installed) bool { return slices.Contains(o.Contracts, contract) })
		text := "has contract " + contract + ", which no package of this virtual node has"
		if at >= 0 {
			text = own[at].Refuses(makerOf(c.Metadata.Packages, own[at].Package))
		}
		if text != "" {
			return failed(ErrRefused, "%s refuses transaction %s: it could keep output %d and not consume it, which %s", p.ctx.Identity().X500Name, p.tx.ID(), i, text)
		}
	}
	return nil
}

// makerOf is which of a transaction's packages has a contract that the virtual node's own package has. When there are several,
// their files tell, which are not looked at here: it is the one of the same name, or none that the own one takes states of.
func makerOf(named []ledger.Package, own ledger.Package) ledger.Package {
	if len(named) == 1 {
		return named[0]
	}
	i := slices.IndexFunc(named, func(p ledger.Package) bool { return p.Checksum == own.Checksum })
	if i < 0 {
		i = slices.IndexFunc(named, func(p ledger.Package) bool { return p.Name == own.Name })
	}
	if i < 0 {
		return ledger.Package{}
	}
	return named[i]
}
