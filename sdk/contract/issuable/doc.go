// Package issuable is the part of a contract for values that somebody makes and takes back: only with the issuer's
// signature, and never hidden in a movement of the same kind.
//
//	errs = append(errs, issuable.Issued(tx, issuer, sum))
//
// An issue consumes nothing of its kind and makes something, a redemption consumes something and makes nothing: each says
// by itself how much came into the world or left it. Who wants to redeem a part splits first. That owners sign for what is
// redeemed is package ownable's.
package issuable
