package main

import (
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/vault"
)

func init() { flow.Register("tokens-transactions", List) }

// Listing is the argument of flow tokens-transactions.
type Listing struct {
	// Status is unverified when it is left out, else verified, invalid or draft.
	Status string `json:"status,omitempty"`
	// Limit is how many are told at most, 100 when it is left out and 1,000 at the most.
	Limit int `json:"limit,omitempty"`
}

// Listed is a transaction of this member's vault.
type Listed struct {
	Transaction string `json:"transaction"`
	Status      string `json:"status"`
	// Stored is when the vault got it first.
	Stored time.Time `json:"stored"`
	// Repairs is how often its repair was tried.
	Repairs int `json:"repairs"`
}

// mostListed bounds a list, so that it fits into a flow's result.
const mostListed = 1000

// List tells which transactions of this member have a status: by default those whose outcome it does not know. Those whose repair
// was tried least often come first, then the oldest.
func List(ctx *flow.Context, in Listing) ([]Listed, error) {
	status := vault.Unverified
	if in.Status != "" {
		if status = statusNamed(in.Status); status == vault.Absent {
			return nil, badInput("status %q: use unverified, verified, invalid or draft", in.Status)
		}
	}
	switch {
	case in.Limit < 0 || in.Limit > mostListed:
		return nil, badInput("limit %d: use 1 to %d", in.Limit, mostListed)
	case in.Limit == 0:
		in.Limit = batch
	}
	all, err := vault.OfStatus(ctx, status, time.Time{}, time.Time{}, in.Limit)
	if err != nil {
		return nil, err
	}
	out := make([]Listed, len(all))
	for i, k := range all {
		out[i] = Listed{k.ID.String(), k.Status.String(), k.CreatedAt.UTC(), k.RepairAttempts}
	}
	return out, nil
}

func statusNamed(name string) vault.Status {
	for _, s := range []vault.Status{vault.Unverified, vault.Verified, vault.Invalid, vault.Draft} {
		if s.String() == name {
			return s
		}
	}
	return vault.Absent
}
