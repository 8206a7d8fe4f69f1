package finality

import (
	"slices"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Mine tells whether a key is one of the virtual node's.
type Mine func(key ledger.PublicKey) bool

// ParticipantsKeep is what decides on an output when [Options] say nothing: it is kept when one of its participants is a
// key of the virtual node.
func ParticipantsKeep(output ledger.State, mine Mine) bool {
	return slices.ContainsFunc(output.Participants, mine)
}

// keysCall asks which keys of a transaction's signatories and participants are the virtual node's.
func keysCall(tx *ledger.Transaction) *flow.Pending[[]flow.Key] {
	c := tx.Content()
	var all []flow.PublicKey
	seen := map[string]bool{}
	add := func(keys []ledger.PublicKey) {
		for _, k := range keys {
			if !seen[string(k)] {
				seen[string(k)] = true
				all = append(all, flow.PublicKey(k))
			}
		}
	}
	add(c.Signatories) // there is one at least
	for _, s := range c.Outputs {
		add(s.Participants)
	}
	return flow.MyKeysCall(all[0], all[1:]...)
}

// owned are keys of the virtual node by their bytes.
type owned map[string]bool

func ownedOf(keys []flow.Key) owned {
	out := owned{}
	for _, k := range keys {
		if k.Category == "LEDGER" {
			out[string(k.PublicKey)] = true
		}
	}
	return out
}

func (o owned) has(k ledger.PublicKey) bool { return o[string(k)] }

// visible are the outputs that the virtual node keeps.
func (o Options) visible(tx *ledger.Transaction, mine owned) []int {
	keep := o.Visible
	if keep == nil {
		keep = ParticipantsKeep
	}
	var out []int
	for i, s := range tx.Content().Outputs {
		if keep(s, mine.has) {
			out = append(out, i)
		}
	}
	return out
}
