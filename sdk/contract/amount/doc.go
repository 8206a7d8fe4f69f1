// Package amount calculates with amounts of tokens: decimal numbers that are not negative, without any rounding.
//
// An amount is read from the one text that a token may have for it ([ledger.CheckAmount]) and written as that text, so
// that what is calculated here can be compared as text too. There is no division, and no floating point anywhere.
package amount
