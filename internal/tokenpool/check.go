package tokenpool

import (
	"errors"
	"fmt"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// MaxID is how long the id of a claim may be, bytes.
const MaxID = 500

// CheckClaim tells what is wrong with a claim beside its pool.
func CheckClaim(c *appv1.ClaimTokens) error {
	if len(c.GetStates()) > 0 {
		return checkStates(c)
	}
	if err := ledger.CheckAmount(c.GetAmount()); err != nil {
		return err
	}
	if c.GetStrategy() < 0 || c.GetStrategy() > appv1.TokenStrategy_TOKEN_STRATEGY_PRIORITY {
		return fmt.Errorf("strategy is %d; this version knows RANDOM (1) and PRIORITY (2)", c.GetStrategy())
	}
	_, err := NewSelector(c.GetOwner(), c.GetTagRegex())
	return err
}

// checkStates tells what is wrong with a claim of states by their references.
func checkStates(c *appv1.ClaimTokens) error {
	switch {
	case c.GetAmount() != "" || len(c.GetOwner()) > 0 || c.GetTagRegex() != "" || c.GetStrategy() != 0:
		return errors.New("states are claimed as they are: with them, amount, owner, tag_regex and strategy must be left out")
	case len(c.GetStates()) > MaxStates:
		return fmt.Errorf("states names %d, at most %d can be claimed by their references at once", len(c.GetStates()), MaxStates)
	}
	return checkRefs("states", c.GetStates())
}

// CheckRelease tells what is wrong with a release beside its pool.
func CheckRelease(r *appv1.ReleaseTokens) error {
	if r.GetClaimId() == "" || len(r.GetClaimId()) > MaxID {
		return errors.New("claim_id is not the id of a claim")
	}
	if n := len(r.GetUsed()); n > MaxUsed {
		return fmt.Errorf("used names %d states, at most %d are allowed", n, MaxUsed)
	}
	return checkRefs("used", r.GetUsed())
}

// CheckBalance tells what is wrong with a question for a balance beside its pool.
func CheckBalance(b *appv1.TokenBalance) error {
	_, err := NewSelector(b.GetOwner(), b.GetTagRegex())
	return err
}
