package tokens

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/fairleadio/fairlead/internal/tokenpool"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
)

var (
	shortHash = regexp.MustCompile(`^[0-9A-F]{12}$`)
	flowID    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// checkRequest tells what is wrong with a request beside its pool, which it returns.
func checkRequest(r *tokensv1.Request) (*appv1.TokenPool, error) {
	switch {
	case !shortHash.MatchString(r.GetVnode()):
		return nil, fmt.Errorf("field vnode is %q; it must be a virtual node's short hash", r.GetVnode())
	case !flowID.MatchString(r.GetFlowId()):
		return nil, fmt.Errorf("field flow_id is %q; it must be a flow's id", r.GetFlowId())
	}
	switch op := r.GetOperation().(type) {
	case *tokensv1.Request_Claim:
		return op.Claim.GetPool(), tokenpool.CheckClaim(op.Claim)
	case *tokensv1.Request_Release:
		return op.Release.GetPool(), tokenpool.CheckRelease(op.Release)
	case *tokensv1.Request_Balance:
		return op.Balance.GetPool(), tokenpool.CheckBalance(op.Balance)
	case *tokensv1.Request_End:
		return op.End.GetPool(), nil
	default:
		return nil, errors.New("it has no operation that this version knows: its writer is newer")
	}
}

func checkKey(key, vnode string, pool *appv1.TokenPool) error {
	if want := tokenpool.Key(vnode, pool); key != want {
		return fmt.Errorf("the record's key is %q, that of its pool is %s", key, want)
	}
	return nil
}
