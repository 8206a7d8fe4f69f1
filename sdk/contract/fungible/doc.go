// Package fungible is the part of a contract for values that can be split and merged: whatever a transaction does with
// tokens of one issuer and symbol, what comes out is what went in.
//
//	sums := fungible.Of(consumed, made)
//	for _, kind := range sums.Kinds() {
//		errs = append(errs, sums[kind].Moved())
//	}
//
// Which value a state has is the contract's to say, as a [Holding]; references are not holdings. Where value may begin and
// end is package issuable's. Sums are exact, however many states and digits there are.
package fungible
