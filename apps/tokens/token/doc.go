// Package token is what a token is: its state, its commands, its contract, and how a payment is made of tokens that
// somebody has. It is pure; the flows are in the package above.
//
// A token is an amount of a symbol that an issuer stands for, and belongs to an owner. Issuer and owner are public keys.
// Tokens of one issuer and symbol are one kind: they can be split and merged, and nothing else is worth the same.
//
// What never changes: no transaction makes value of a kind, or loses it, unless the issuer signs and a command says so; no
// token is consumed that its owner does not sign for. See [Verify].
package token
