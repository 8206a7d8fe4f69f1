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
	if err := ledger.CheckAmount(c.GetAmount()); err != nil {
		return err
	}
	if c.GetStrategy() < 0 || c.GetStrategy() > appv1.TokenStrategy_TOKEN_STRATEGY_PRIORITY {
		return fmt.Errorf("strategy is %d; this version knows RANDOM (1) and PRIORITY (2)", c.GetStrategy())
	}
	_, err := NewSelector(c.GetOwner(), c.GetTagRegex())
	return err
}

// CheckRelease tells what is wrong with a release beside its pool.
func CheckRelease(r *appv1.ReleaseTokens) error {
	if r.GetClaimId() == "" || len(r.GetClaimId()) > MaxID {
		return errors.New("claim_id is not the id of a claim")
	}
	return CheckRefs(r.GetUsed())
}

// CheckBalance tells what is wrong with a question for a balance beside its pool.
func CheckBalance(b *appv1.TokenBalance) error {
	_, err := NewSelector(b.GetOwner(), b.GetTagRegex())
	return err
}
