package main

import (
	"maps"
	"time"

	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Repairing is the argument of flow tokens-repair.
type Repairing struct {
	// Until leaves transactions alone that were stored then or later, which may still be under way. Ten minutes ago, as long
	// as a notary may accept a transaction, when it is left out.
	Until *time.Time `json:"until,omitempty"`
}

// batch is how many transactions are looked at together, and tried once before one of them is tried again.
const batch = 100

// Repair finishes all of this member's transactions that are unverified, however old, and tells what became of each. Those
// that stay open are tried again by the next run. It names those that it leaves alone, at most a hundred.
func Repair(ctx *flow.Context, in Repairing) (finality.Repaired, error) {
	until := ctx.Now().Add(-window)
	if in.Until != nil {
		until = *in.Until
	}
	out := finality.Repaired{Verified: []string{}, Invalid: []string{}, Why: map[string]string{}, Open: map[string]string{}, Younger: map[string]string{}}
	for {
		done, err := finality.Repair(ctx, time.Time{}, until, batch)
		if err != nil {
			return out, err
		}
		before := len(out.Open)
		out.Verified, out.Invalid = append(out.Verified, done.Verified...), append(out.Invalid, done.Invalid...)
		maps.Copy(out.Why, done.Why)
		maps.Copy(out.Open, done.Open)
		finished := len(done.Verified) + len(done.Invalid)
		if finished+len(done.Open) < batch || finished == 0 && len(out.Open) == before {
			break
		}
	}
	younger, err := vault.OfStatus(ctx, vault.Unverified, until, time.Time{}, batch)
	if err != nil {
		return out, err
	}
	for _, k := range younger {
		out.Younger[k.ID.String()] = "it may still be under way; repair takes it from " + k.CreatedAt.Add(window).UTC().Format(time.RFC3339) + " on"
	}
	return out, nil
}
