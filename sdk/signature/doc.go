// Package signature checks what flows sign. It needs no platform: a flow, a contract or any other program can use it.
//
// What a flow signs by its context's Sign is never the data alone. The platform puts before it the words "fairlead
// application signature v1", a zero byte, the short hash of the virtual node and another zero byte, so that no
// application can be made to sign a structure of the platform's, and no signature of one member passes for another's.
//
// It is a package of its own because the standard library's cryptography makes a module a third larger, which flows that
// check nothing need not carry. Keys are Ed25519, ECDSA (P-256, P-384, P-521) and RSA; secp256k1 is not in the standard
// library and refused.
package signature
