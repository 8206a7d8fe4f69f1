// Package tokenpool has what all who deal with token selection must agree on: how a pool of tokens is called, which
// selections can be right, which tokens a selection means, and how amounts are written.
package tokenpool
