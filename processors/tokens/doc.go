// Package tokens selects the states that pay.
//
// It consumes tokens.requests, keyed by pool (virtual node, and a hash of token type, issuer, notary and symbol), so that
// one pool has one decision maker: claims, releases and balances that flows ask for. tokens.changes tells which tokens were
// made and consumed, tokens.replies brings the pages and sums that persistence was asked for. Its table has one small row
// for each pool; its store "known" the pool's unconsumed tokens, a cache of the vault, its claims, and the requests that
// wait for a page. All of a pool's rows go when nobody has asked for it for as long as tokens are known, ten minutes.
//
// Always true: a token is in at most one live claim; a claim is worth what was asked, or there is none; a claim that is
// asked for again gets the same answer as long as it lives; a claim ends when it is released, when its flow ends, or when it
// is too old, counted from its creation; a token that was consumed is in no new claim once its change has come, whatever
// page comes late. A token may be consumed and its change not here yet: then the notary says so, who has the last word.
//
// [Step] decides and touches nothing; [Worker] is the group around it. internal/app runs it.
package tokens
