package flow

import (
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/tokenpool"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
)

// Names of the operations of token selection.
const (
	opClaimTokens   = "claim_tokens"
	opReleaseTokens = "release_tokens"
	opTokenBalance  = "token_balance"
)

// maxClaims is how many claims of tokens a flow may have at once: its head remembers them.
const maxClaims = 256

// EndClaim releases a claim of a flow that has ended, or that forgets the step that made it. Nobody waits for an answer.
type EndClaim struct {
	// Key is the pool's.
	Key     string
	Request *tokensv1.Request
}

func (EndClaim) effect() {}

// tokens asks for tokens of the flow's virtual node. What cannot be right does not leave this worker.
func (d *draft) tokens(i int, a journal.Asked, nowUs int64) {
	r := d.tokensRequest()
	var pool *appv1.TokenPool
	var err error
	switch op := a.Request.GetOperation().(type) {
	case *appv1.Request_ClaimTokens:
		pool, err = op.ClaimTokens.GetPool(), tokenpool.CheckClaim(op.ClaimTokens)
		r.Operation = &tokensv1.Request_Claim{Claim: op.ClaimTokens}
	case *appv1.Request_ReleaseTokens:
		pool, err = op.ReleaseTokens.GetPool(), tokenpool.CheckRelease(op.ReleaseTokens)
		r.Operation = &tokensv1.Request_Release{Release: op.ReleaseTokens}
	case *appv1.Request_TokenBalance:
		pool, err = op.TokenBalance.GetPool(), tokenpool.CheckBalance(op.TokenBalance)
		r.Operation = &tokensv1.Request_Balance{Balance: op.TokenBalance}
	}
	if err = errors.Join(tokenpool.Check(pool), err); err != nil {
		d.answerError(i, TypeInvalid, err.Error(), nowUs)
		return
	}
	if r.GetClaim() != nil {
		if len(d.Head.GetClaims()) >= maxClaims {
			d.answerError(i, TypeLimit, "the flow has too many claims of tokens: release those that it needs no more", nowUs)
			return
		}
		// From here on the claim may be made, whatever becomes of the answer.
		d.Head.Claims = append(d.Head.Claims, &flowv1.TokenClaim{ClaimId: d.Open[i].GetRequestId(), Pool: pool, Step: d.Head.GetStep()})
	}
	d.request(i, tokenpool.Key(r.GetVnode(), pool), r, nowUs)
}

func (d *draft) tokensRequest() *tokensv1.Request {
	return &tokensv1.Request{Vnode: d.Head.GetStart().GetVnode(), FlowId: d.id().String(), CpiChecksum: d.Head.GetCpiChecksum()}
}

// settleClaim forgets a claim that an answer says is none, or none any more.
func (d *draft) settleClaim(i int, operation string, result []byte) {
	id := ""
	switch operation {
	case opClaimTokens:
		var c appv1.TokenClaim
		if proto.Unmarshal(result, &c) == nil && c.GetClaimId() == "" {
			id = d.Open[i].GetRequestId()
		}
	case opReleaseTokens:
		var op appv1.ReleaseTokens
		if proto.Unmarshal(d.Open[i].GetArguments(), &op) == nil {
			id = op.GetClaimId()
		}
	}
	if id != "" {
		d.Head.Claims = slices.DeleteFunc(d.Head.Claims, func(c *flowv1.TokenClaim) bool { return c.GetClaimId() == id })
	}
}

// endClaims releases the claims that were asked for after a step.
func (d *draft) endClaims(after uint32, all bool) {
	var keep []*flowv1.TokenClaim
	for _, c := range d.Head.GetClaims() {
		if !all && c.GetStep() <= after {
			keep = append(keep, c)
			continue
		}
		r := d.tokensRequest()
		r.Operation = &tokensv1.Request_End{End: &tokensv1.EndClaim{Pool: c.GetPool(), ClaimId: c.GetClaimId()}}
		d.do(EndClaim{tokenpool.Key(r.GetVnode(), c.GetPool()), r})
	}
	d.Head.Claims = keep
}
