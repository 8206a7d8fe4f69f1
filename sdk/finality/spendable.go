package finality

import (
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
		if text := ledger.CannotConsume(own, c.Outputs[i].Contract, c.Metadata.Packages); text != "" {
			return failed(ErrRefused, "%s refuses transaction %s: it could keep output %d and not consume it, which %s", p.ctx.Identity().X500Name, p.tx.ID(), i, text)
		}
	}
	return nil
}
